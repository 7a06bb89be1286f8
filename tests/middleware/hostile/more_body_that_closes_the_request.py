from common import *  # noqa: F403
# phase suspended; more_body.__bool__ closes the request
class Susp:
    def __await__(s): yield
reqs={}
async def app(sc,r,s):
    reqs['send']=s
    await Susp()
m=MetricsMiddleware(app,registry=CollectorRegistry())
class B:
    def __bool__(s): reqs['r'].close(); return True
r=m(scope(),recv,snd); reqs['r']=r
r.send(None)
reqs['send']({"type":"http.response.body","body":b"xx","more_body":B()}).close()
print('ok')

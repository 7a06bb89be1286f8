from common import *  # noqa: F403
class Susp:
    def __await__(s): yield
reqs={}
async def app(sc,r,s): await Susp()
class H:
    def __iter__(s): reqs['r'].close(); return iter([])
m=MetricsMiddleware(app,registry=CollectorRegistry(),request_id=True)
r=m(scope(),recv,snd); reqs['r']=r
r.send(None)
r({"type":"http.response.start","status":200,"headers":H()}).close()
print('ok')

from common import *  # noqa: F403
class Susp:
    def __await__(s): yield
reqs={}
async def app(sc,r,s): await Susp()
def ask():
    reqs['r'].close(); raise ValueError
m=MetricsMiddleware(app,registry=CollectorRegistry(),exemplars=ask)
r=m(scope(),recv,snd); reqs['r']=r
r.send(None)
r(dict(START)).close()
print('ok')

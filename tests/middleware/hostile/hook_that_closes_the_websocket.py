from common import *  # noqa: F403
class Susp:
    def __await__(s): yield
reqs={}
async def app(sc,r,s): await Susp()
n=[0]
def hook(sc):
    n[0]+=1
    if n[0]==1: reqs['r'].close()
    return "/ws"
m=MetricsMiddleware(app,registry=CollectorRegistry(),route=hook)
r=m({"type":"websocket","path":"/","headers":[]},recv,snd); reqs['r']=r
r.send(None)
mm=m; del m
r({"type":"websocket.accept"}).close()
print('ok')

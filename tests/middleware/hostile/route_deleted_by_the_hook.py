from common import *  # noqa: F403
class Route:
    def __init__(s): s.path="/x"; s.pad=[0]*50
def hook(sc):
    sc.pop("route",None); sc["junk"]=[bytearray(64) for _ in range(200)]; return None
async def app(sc,r,s):
    sc["route"]=Route(); await s(START); await s(BODY)
m=MetricsMiddleware(app,registry=CollectorRegistry(),route=hook)
for i in range(300): drive(m(scope(),recv,snd)); gc.collect() if i%20==0 else 0
print("ok")

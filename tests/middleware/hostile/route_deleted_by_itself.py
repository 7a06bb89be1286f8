from common import *  # noqa: F403
cur=None
class Route:
    endpoint=None
    @property
    def path_format(s):
        cur.pop("route",None); cur["junk"]=[object() for _ in range(200)]; return "/x"
    @property
    def path(s): return "/x"
async def app(sc,r,s):
    global cur
    cur=sc
    sc["route"]=Route(); await s(START); await s(BODY)
m=MetricsMiddleware(app,registry=CollectorRegistry())
for i in range(300): drive(m(scope(),recv,snd)); gc.collect() if i%20==0 else 0
print('ok')

from common import *  # noqa: F403
class Susp:
    def __await__(s): yield
async def app(sc,r,s):
    sc['me']=s; sc['route']=R('/q')
    await Susp()
def hook(sc):
    try: sc['me'].close()
    except ValueError as e: pass
    return None
m=MetricsMiddleware(app,registry=CollectorRegistry(),route=hook)
def go():
    r=m(scope(),recv,snd); r.send(None)
for i in range(50):
    go(); gc.collect()
reg=m.metrics
import re
print('ok')

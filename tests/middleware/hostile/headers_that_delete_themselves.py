from common import *  # noqa: F403
msg={}
class H:
    def __init__(s): s.pad=[1]
    def __iter__(s):
        msg.pop("headers",None); return iter([(b"a",b"b")])
async def app(sc,r,s):
    msg.clear(); msg.update({"type":"http.response.start","status":200,"headers":H()})
    await s(msg)
m=MetricsMiddleware(app,registry=CollectorRegistry(),request_id=True)
for _ in range(50): drive(m(scope(),recv,snd))
print('ok')

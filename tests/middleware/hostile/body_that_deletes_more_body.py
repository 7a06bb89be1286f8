from common import *  # noqa: F403
if sys.version_info<(3,12): print('ok skip'); sys.exit()
class More:
    def __bool__(s): return True
msg={}
class Buf:
    def __buffer__(s,flags):
        msg.pop("more_body",None); [object() for _ in range(50)]; return memoryview(b"abc")
async def app(sc,r,s):
    for _ in range(20):
        msg.clear(); msg.update({"type":"http.response.body","x":1,"body":Buf(),"more_body":More()})
        await s(msg)
m=MetricsMiddleware(app,registry=CollectorRegistry())
for _ in range(50): drive(m(scope(),recv,snd))
print('ok')

from common import *  # noqa: F403
class K:
    armed=False  # not while the dict is filled: that compares keys, too
    def __init__(s,t,f): s.t=t; s.f=f
    def __hash__(s): return hash(s.t)
    def __eq__(s,o):
        if K.armed: s.f()
        return False
msg={}
def kill(): msg.pop("body",None); [bytearray(3000) for _ in range(10)]
async def app(sc,r,s):
    msg.clear(); msg["type"]="http.response.body"
    msg[K("more_body",kill)]=1; msg["body"]=bytes(bytearray(3000)); msg["more_body"]=True
    K.armed=True
    await s(msg)
    K.armed=False
m=MetricsMiddleware(app,registry=CollectorRegistry())
for _ in range(50): drive(m(scope(),recv,snd))
# skip path
sc={}
def kill2(): sc.pop("path",None); [chr(65+i%20)*300 for i in range(10)]
m=MetricsMiddleware(app,registry=CollectorRegistry(),skip_paths=["/zz"])
for _ in range(50):
    sc.clear(); sc.update(type="http",method="GET"); sc[K("root_path",kill2)]=1; sc["path"]="/y"*150; sc["root_path"]="/y"; sc["headers"]=[]
    K.armed=True
    c=m(sc,recv,snd)
    K.armed=False
    drive(c)
print('ok')

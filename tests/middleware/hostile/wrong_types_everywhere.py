from common import *  # noqa: F403
import itertools
class D(dict):
    def __getitem__(s,k): raise RuntimeError
    def get(s,*a): raise RuntimeError
    def __contains__(s,k): raise RuntimeError
async def ok(sc,r,s):
    await r(); await s(START); await s(BODY); gc.collect(); await s(BODY)
async def mutate(sc,r,s):
    for k in list(sc): del sc[k]
    await s(START)
async def many(sc,r,s):
    for i in range(200): sc[f"k{i}"]=i
    for i in range(0,200,2): del sc[f"k{i}"]
    sc[1]=2; await s(START); await s(BODY)
async def agen(sc,r,s): yield 1
class Aw:
    def __await__(s): return iter([None,None])
class Bad:
    def __await__(s): return 5
class Del:
    def __del__(s): raise RuntimeError('x')
async def rec(sc,r,s): 
    try: s.send(None)
    except ValueError: pass
    try: s.close()
    except ValueError: pass
    await s(START)
kept=[]
async def keep(sc,r,s): kept.append(s); sc['s']=s; sc['d']=Del(); await s(START)
sys.unraisablehook=lambda a: None
apps=[ok,mutate,many,agen,lambda *a: None,lambda *a: 5,lambda *a: Aw(),lambda *a: Bad(),rec,keep,lambda *a: 1/0]
vals=[None,1,b"x","\ud800",[],object(),True,"G"*1000]
gc.set_threshold(1)
for opts in ({},{"request_id":True},{"skip_paths":["/h","/a*"],"skip_methods":["OPTIONS"]},{"route":lambda s: 5},{"exemplars":lambda: "a"}):
  for app in apps:
    m=MetricsMiddleware(app,registry=CollectorRegistry(),**opts)
    scs=[scope(),D(scope()),{**scope(),1:2},{},{"type":"http"},[],None,{"type":"lifespan"},{"type":"websocket"},{"type":5}]
    for v in vals:
        for k in ("type","method","path","root_path","headers","route","endpoint","fastapi"): scs.append({**scope(),k:v})
    scs+= [scope(headers=[1,(),(b"a",),(1,2),[b"content-length",5]],method="POST"),scope(headers=((b"content-length",b"9"*30),),method="POST")]
    for sc in scs:
        try:
            c=m(sc,recv,snd)
            if hasattr(c,'send'): drive(c)
        except (TypeError,ZeroDivisionError,RuntimeError,AttributeError,ValueError,KeyError,NameError) as e: pass
        for s in list(kept):
            try:
                c=s(START); c.close()
            except RuntimeError: pass
            if not hasattr(s,"send"): continue
            try: s.send(None)
            except RuntimeError: pass
            s.close()
        kept.clear()
for msg in [None,5,{},{"type":5},D(START),{"type":"http.response.start"},{"type":"http.response.start","status":"x"},{"type":"http.response.start","status":10**30},{"type":"http.response.body","body":"str"},{"type":"http.response.body","body":memoryview(b"abc")},{"type":"http.response.body","body":5,"more_body":object()}]:
    async def app(sc,r,s): await s(msg)
    m=MetricsMiddleware(app,registry=CollectorRegistry(),request_id=True)
    drive(m(scope(),recv,snd))
print('ok')

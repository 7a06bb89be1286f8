from common import *  # noqa: F403
class E_(Exception): pass
refs=[]
def hook(sc):
    e=E_(); refs.append(weakref.ref(e)); raise e
async def app(sc,r,s): await s(START); await s(BODY)
m=MetricsMiddleware(app,registry=CollectorRegistry(),route=hook)
for _ in range(5): drive(m(scope(),recv,snd))
gc.collect()
print('ok' if all(r() is None for r in refs) else 'BAD exceptions alive %d'%sum(r() is not None for r in refs))
class S(str): pass
refs=[]
def ask():
    s=S("ab"*16); refs.append(weakref.ref(s)); return s
m=MetricsMiddleware(app,registry=CollectorRegistry(),exemplars=ask)
for _ in range(5): drive(m(scope(),recv,snd))
gc.collect()
print('ok' if all(r() is None for r in refs) else 'BAD answers alive %d/%d'%(sum(r() is not None for r in refs),len(refs)))

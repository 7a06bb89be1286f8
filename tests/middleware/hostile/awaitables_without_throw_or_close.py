from common import *  # noqa: F403
class It:
    def __iter__(s): return s
    def __next__(s): return None
class Aw:
    def __await__(s): return It()
m=MetricsMiddleware(lambda a,b,c: Aw(),registry=CollectorRegistry())
async def main():
    t=asyncio.ensure_future(m(scope(),recv,snd)) if False else asyncio.create_task(wrap(m))
    await asyncio.sleep(0); t.cancel()
    try: await t
    except asyncio.CancelledError: print('ok cancelled')
    except BaseException as e: print('BAD',repr(e))
async def wrap(m): await m(scope(),recv,snd)
asyncio.run(main())
async def app2(a,r,s): await r()
async def main2():
    m=MetricsMiddleware(app2,registry=CollectorRegistry())
    t=asyncio.create_task(m(scope(),lambda: Aw(),snd)) if False else asyncio.create_task(wrap2(m))
    await asyncio.sleep(0); t.cancel()
    try: await t
    except asyncio.CancelledError: print('ok cancelled2')
    except BaseException as e: print('BAD2',repr(e))
async def wrap2(m): await m(scope(),lambda: Aw(),snd)
asyncio.run(main2())
m=MetricsMiddleware(app2,registry=CollectorRegistry())
c=m(scope(),lambda: Aw(),snd); c.send(None)
try: c.close(); print('ok close')
except BaseException as e: print('BAD3',repr(e))
async def app3(a,r,s):
    class S:
        def __await__(s): yield
    try: await S()
    finally: raise AttributeError("mine")
c=MetricsMiddleware(app3,registry=CollectorRegistry())(scope(),recv,snd); c.send(None)
try: c.close(); print('BAD4 swallowed')
except AttributeError: print('ok close attr')

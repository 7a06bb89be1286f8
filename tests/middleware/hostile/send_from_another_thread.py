from common import *  # noqa: F403
sys.setswitchinterval(1e-6)
async def app(sc,r,s):
    await asyncio.to_thread(lambda:[s(START).close() for _ in range(20)])
    await s(BODY)
def ask(): return "a"*32
m=MetricsMiddleware(app,registry=CollectorRegistry(),exemplars=ask,request_id=True)
async def main():
    for _ in range(50): await asyncio.gather(*[m(scope(),recv,snd) for _ in range(10)])
asyncio.run(main()); print('ok')

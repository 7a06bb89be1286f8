"""A table of templates that is full forgets its routes; one of them is finalised and serves a request."""
from common import *  # noqa: F403

registry = CollectorRegistry()


async def app(sc, r, s):
    await s(START)
    await s(BODY)


middleware = MetricsMiddleware(app, registry=registry, route=lambda sc: sc.get("name"))


def serve(**more):
    drive(middleware(scope(**more), recv, snd))


served = R("/the-last")


class Last(R):
    def __del__(self):
        serve(route=served)


def total():
    series = [s for m in registry.collect() if m.name == "http_requests" for s in m.samples if s.name.endswith("_total")]
    return sum(s.value for s in series)


expected = 1
serve(route=Last("/first"))
for number in range(8191):
    serve(name=f"/r{number}")
    expected += 1
serve(name="/the-last")  # the first one too many: everything is forgotten, and the finaliser takes this name
expected += 2
gc.collect()
for _ in range(20):
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT", "ELSE"):
        serve(route=served, method=method)
        serve(name="/the-last", method=method)
        expected += 2
if total() != expected:
    print("BAD", total(), expected)
print("ok")

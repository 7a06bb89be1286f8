"""The route's function is asked when the application has ended, and sends once more."""
from common import *  # noqa: F403

registry = CollectorRegistry()


def run(accepts_before, ending):
    kept = {}

    async def app(sc, r, s):
        kept["send"] = s
        if accepts_before:
            await s({"type": "websocket.accept"})
        if ending == "raises":
            raise ValueError

    def hook(sc):
        if kept.pop("ended", False):
            kept["send"]({"type": "websocket.accept"}).close()
            kept["send"]({"type": "websocket.send", "text": "x"}).close()
        return "/ws"

    middleware = MetricsMiddleware(app, registry=registry, route=hook)
    connection = middleware({"type": "websocket", "path": "/", "headers": []}, recv, snd)
    kept["ended"] = not accepts_before
    try:
        connection.send(None)
    except (StopIteration, ValueError):
        pass


def opened():
    return registry.get_sample_value("websocket_connections_active")


def outcomes():
    names = ("accepted", "rejected", "closed", "error", "cancelled")
    counts = {n: registry.get_sample_value("websocket_connections_total", {"endpoint": "/ws", "outcome": n}) for n in names}
    return {name: count for name, count in counts.items() if count}


for _ in range(100):
    run(False, "returns")
    run(False, "raises")
    if opened() != 0:
        print("BAD: stale", opened())
        break
for _ in range(100):
    # The objects are used again: none of what went before may show.
    run(True, "returns")
if opened() != 0 or outcomes() != {"rejected": 100.0, "error": 100.0, "accepted": 100.0, "closed": 100.0}:
    print("BAD", opened(), outcomes())
print("ok")

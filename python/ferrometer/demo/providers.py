"""Three made-up providers that the gateway calls, one of which fails for a while."""

from __future__ import annotations

import asyncio
import time

from ferrometer.breaker import CircuitBreaker, CircuitOpenError
from ferrometer.demo.scrape import Seen
from ferrometer.instruments import inference
from ferrometer.metrics.registry import CollectorRegistry

NAMES = ("aurora", "borealis", "cirrus")
FAILING = "borealis"
_CALLS = 40
_OPEN_SECONDS = 0.3
_PAUSE_SECONDS = 0.02
"""How long a caller waits after a failure."""
_LONGEST_SECONDS = 10.0


class Upstreams:
    """The providers, each behind a circuit breaker of its own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._breakers = {
            name: CircuitBreaker(name, consecutive_failures=3, open_seconds=_OPEN_SECONDS, jitter=0.0)
            for name in NAMES
        }
        self.states = {name: [one.state] for name, one in self._breakers.items()}
        """The states that each breaker was in, in their order."""
        for one in self._breakers.values():
            one.listen(lambda name, _, after: self.states[name].append(after))

    async def run(self) -> None:
        """Calls all of them; one fails from its tenth call on, until its breaker has opened."""
        await asyncio.gather(*map(self._calls, NAMES))

    async def go_on(self) -> None:
        """A little traffic, until it is cancelled."""
        while True:
            await asyncio.gather(*(self._call(name, down=False) for name in NAMES))
            await asyncio.sleep(0.5)

    async def _calls(self, name: str) -> None:
        breaker, done = self._breakers[name], 0
        deadline = time.monotonic() + _LONGEST_SECONDS
        while (done < _CALLS or breaker.state != "closed") and time.monotonic() < deadline:
            down = name == FAILING and done >= 10 and "open" not in self.states[name]
            if not await self._call(name, down=down):
                await asyncio.sleep(_PAUSE_SECONDS)
            done += 1

    async def _call(self, name: str, *, down: bool) -> bool:
        try:
            async with (
                self._breakers[name].call(),
                inference(model=f"{name}-large", provider=name, registry=self._registry) as call,
            ):
                await asyncio.sleep(0.002)
                if down:
                    raise ConnectionError(f"{name} does not answer")
                call.first_token()
                await asyncio.sleep(0.004)
                call.usage(120, 20)
        except (ConnectionError, CircuitOpenError):
            return False
        return True

    def rows(self, seen: Seen, namespace: str) -> list[tuple[str, ...]]:
        """A table of what `/metrics` says of each."""
        rows: list[tuple[str, ...]] = [("providers", "calls", "failed", "refused", "score", "breaker")]
        for name, states in self.states.items():
            calls = f"{namespace}_provider_calls"
            failed = seen.total(calls, provider=name, outcome="failure")
            refused = seen.total(f"{namespace}_circuit_breaker_rejected_total", provider=name)
            rows.append(
                (
                    name,
                    f"{failed + seen.total(calls, provider=name, outcome='success'):.0f}",
                    f"{failed:.0f}" if failed else "",
                    f"{refused:.0f}" if refused else "",
                    f"{seen.total(f'{namespace}_provider_health_score', provider=name):.2f}",
                    " > ".join(states).replace("_", "-"),
                )
            )
        return rows

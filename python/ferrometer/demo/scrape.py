"""What Ferrometer saw of the demo, read from the outside: the text of `/metrics` and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from ferrometer.demo.client import Totals

Labels = dict[str, str]


@dataclass(frozen=True)
class Seen:
    """The samples of one scrape, by name."""

    samples: dict[str, list[tuple[Labels, float]]]

    @classmethod
    def of(cls, exposition: str) -> Seen:
        """Parses a scrape with the parser of the reference client."""
        samples: dict[str, list[tuple[Labels, float]]] = {}
        for family in text_string_to_metric_families(exposition):
            for sample in family.samples:
                samples.setdefault(sample.name, []).append((sample.labels, sample.value))
        return cls(samples)

    def total(self, name: str, **labels: str) -> float:
        """The sum over all series of a family that carry these labels."""
        return sum(value for own, value in self.samples.get(name, ()) if labels.items() <= own.items())

    def answers(self) -> Counter[tuple[str, str, int]]:
        """Requests by method, route and status."""
        found: Counter[tuple[str, str, int]] = Counter()
        for labels, value in self.samples.get("http_requests_total", ()):
            found[labels["method"], labels["endpoint"], int(labels["status"])] += int(value)
        return found

    def labels(self, name: str, label: str) -> list[str]:
        """The values of a label, in order."""
        return sorted({own[label] for own, _ in self.samples.get(name, ())})

    def read_since(self, moment: float, collectors: Iterable[str]) -> bool:
        """Whether all of these collectors have read something since then (seconds since 1970)."""
        read = "ferrometer_collector_last_success_timestamp_seconds"
        # What ended after that moment may have begun before it.
        return all(self.total(read, collector=name) > moment + 0.2 for name in collectors)

    def quiet(self) -> bool:
        """Whether nothing is in flight."""
        return not self.total("http_requests_in_flight") and not self.total("websocket_connections_active")


def differences(client: Totals, seen: Seen) -> list[str]:
    """Where the client's own count and `/metrics` disagree; one line each."""
    answers = seen.answers()
    pairs = [
        (f"{method} {route} {status}", client.answers.get((method, route, status), 0), count)
        for method, route, status in sorted(client.answers.keys() | answers.keys())
        for count in [answers[method, route, status]]
    ]
    for direction in ("received", "sent"):
        counted = seen.total("websocket_messages_total", direction=direction)
        pairs.append((f"websocket messages {direction}", client.messages, int(counted)))
    accepted = seen.total("websocket_connections_total", outcome="accepted")
    pairs.append(("websockets accepted", client.conversations, int(accepted)))
    return [f"  {what}: the client has {own}, /metrics {seen}" for what, own, seen in pairs if own != seen]

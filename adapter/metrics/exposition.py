"""The page of Prometheus: what is counted and measured in memory, and gauges that are read when somebody asks."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from adapter.metrics.documents import word
from adapter.metrics.timings import BOUNDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

    from prometheus_client import Metric

    from adapter.metrics.counters import Series
    from adapter.metrics.port import Metrics

__all__ = ["CONTENT_TYPE_LATEST", "HELP", "Exposition", "Gauge"]

#: Every metric of the page, with its help. Nothing else is told.
HELP: Final[Mapping[str, str]] = {
    "adapter_commands": "Commands that ended, by action, outcome (state) and code",
    "adapter_command_seconds": "From the receipt of a command to its outcome",
    "adapter_gateway_calls": "Calls to gateways that ended, by operation, outcome and code",
    "adapter_gateway_call_seconds": "Duration of calls to a gateway",
    "adapter_occasions": "Everything else that is counted, by name",
    "adapter_in_flight": "Exchanges that run in this process",
    "adapter_breaker_open": "1 while the other side is away and calls wait",
    "adapter_part_up": "1 while this part works; readiness is all of them",
    "adapter_lag_seconds": "Age of the oldest command of an action that nobody has begun (whole deployment)",
    "adapter_exchanges": "Exchanges that are open, by state, counted up to 100000 (whole deployment)",
    "adapter_exchanges_oldest_seconds": "Age of the oldest exchange in a state (whole deployment)",
    "adapter_outbox": "Messages not yet taken by the broker, by state, up to 100000 (whole deployment)",
    "adapter_outbox_oldest_seconds": "Age of the oldest of them (whole deployment)",
    "adapter_backlog_known": "1 when the database told the figures of the whole deployment",
    "adapter_certificate_days_left": "Days until a certificate ends, below zero when it has",
    "adapter_journal_batches": "Commits of the journal, by writer",
    "adapter_journal_operations": "Operations in these commits, by writer",
}
_LABELS: Final[Mapping[str, tuple[str, ...]]] = {
    "commands": ("action", "outcome", "code"),
    "gateway_calls": ("gateway", "operation", "outcome", "code"),
}
_TOTALS: Final = frozenset({"adapter_journal_batches", "adapter_journal_operations"})


@dataclass(frozen=True, slots=True)
class Gauge:
    """One sample of a metric of :data:`HELP`, read now."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


class Exposition:
    """Writes the page. ``add`` gives it more to read."""

    def __init__(self, metrics: Metrics) -> None:
        """``metrics`` count and measure."""
        self._metrics = metrics
        self._readers: list[Callable[[], Awaitable[Iterable[Gauge]]]] = []

    def add(self, reader: Callable[[], Awaitable[Iterable[Gauge]]]) -> None:
        """Ask ``reader`` for gauges whenever the page is written; it neither raises nor takes long."""
        self._readers.append(reader)

    async def page(self) -> bytes:
        """Return the page in the text format of Prometheus."""
        gauges = [gauge for reader in self._readers for gauge in await reader()]
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Families([*self._counted(), *self._timed(), *_read(gauges)]))
        return generate_latest(registry)

    def _counted(self) -> Iterator[Metric]:
        by_name: defaultdict[str, dict[tuple[str, ...], int]] = defaultdict(dict)
        for (name, pairs), count in self._metrics.counters.snapshot().items():
            labels = _LABELS.get(name)
            given = dict(pairs)
            # A series beyond the bound has lost its labels: it is one of the others.
            values = (word(name),) if labels is None else tuple(given.get(label, "other") for label in labels)
            series = by_name["occasions" if labels is None else name]
            series[values] = series.get(values, 0) + count
        for name in ("commands", "gateway_calls", "occasions"):
            full = f"adapter_{name}"
            family = CounterMetricFamily(full, HELP[full], labels=_LABELS.get(name, ("name",)))
            for values, count in sorted(by_name[name].items()):
                family.add_metric(values, count)
            yield family

    def _timed(self) -> Iterator[Metric]:
        found = self._metrics.timings.snapshot()
        for name, label in (("command", "action"), ("gateway_call", "gateway")):
            full = f"adapter_{name}_seconds"
            family = HistogramMetricFamily(full, HELP[full], labels=(label,))
            for series, histogram in sorted(found.items()):
                if series[0] == name:
                    family.add_metric([_value(series)], _buckets(histogram.counts), sum_value=histogram.total)
            yield family


class _Families(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def _value(series: Series) -> str:
    ((_, value),) = series[1]
    return value


def _buckets(counts: list[int]) -> list[tuple[str, float]]:
    """Return the buckets added up, as Prometheus wants them."""
    total, found = 0, []
    for bound, count in zip([*map(str, BOUNDS), "+Inf"], counts, strict=True):
        total += count
        found.append((bound, float(total)))
    return found


def _read(gauges: Iterable[Gauge]) -> Iterator[Metric]:
    by_name: defaultdict[str, list[Gauge]] = defaultdict(list)
    for gauge in gauges:
        by_name[gauge.name].append(gauge)
    for name, samples in sorted(by_name.items()):
        labels = sorted(samples[0].labels)
        kind = CounterMetricFamily if name in _TOTALS else GaugeMetricFamily
        family = kind(name, HELP[name], labels=labels)
        for sample in samples:
            family.add_metric([sample.labels[label] for label in labels], sample.value)
        yield family

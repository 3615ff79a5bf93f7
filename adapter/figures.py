"""What a worker tells the page of metrics beside its counts: gauges, read when somebody asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapter.metrics.exposition import Gauge

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from adapter.expiry import Calendar
    from adapter.journal.backlog import Backlog, BacklogSample
    from adapter.journal.journal import Journal
    from adapter.pipeline.bulkhead import Bulkhead


def of_process(journal: Journal, running: int, bulkheads: Iterable[Bulkhead], parts: Mapping[str, bool]) -> list[Gauge]:
    """Return the gauges of this process; ``running`` is how many exchanges run here."""
    found = [Gauge("adapter_in_flight", running)]
    found += [Gauge("adapter_part_up", float(works), {"part": part}) for part, works in parts.items()]
    for bulkhead in bulkheads:
        for breaker in (bulkhead.calls, bulkhead.signing):
            found.append(Gauge("adapter_breaker_open", float(not breaker.closed), {"name": breaker.name}))
    for writer, (batches, operations) in journal.batches.items():
        found.append(Gauge("adapter_journal_batches", batches, {"writer": writer}))
        found.append(Gauge("adapter_journal_operations", operations, {"writer": writer}))
    return found


async def of_deployment(sample: BacklogSample) -> list[Gauge]:
    """Return the gauges of the whole deployment, every process the same."""
    backlog = await sample.fresh()
    return [Gauge("adapter_backlog_known", float(backlog is not None)), *(_open(backlog) if backlog else ())]


def of_calendar(calendar: Calendar) -> list[Gauge]:
    """Return how many days each certificate has left."""
    days = calendar.days()
    return [Gauge("adapter_certificate_days_left", round(left, 2), {"name": name}) for name, left in days.items()]


def _open(backlog: Backlog) -> Iterator[Gauge]:
    for kind, states in (
        ("exchanges", ("received", "submitting", "answered", "retrying", "waiting", "uncertain", "dead")),
        ("outbox", ("pending", "parked")),
    ):
        for state in states:
            count, oldest = backlog.rows.get((kind, state), (0, 0.0))
            yield Gauge(f"adapter_{kind}", count, {"state": state})
            yield Gauge(f"adapter_{kind}_oldest_seconds", oldest, {"state": state})
    for action, seconds in backlog.lag.items():
        yield Gauge("adapter_lag_seconds", seconds, {"action": action})

"""Turns what the pipeline and the gateways tell into metrics documents."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from adapter.log import bound_names
from adapter.metrics import FinishedCommand, GatewayCall, Metrics, open_metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from adapter.journal.records import Exchange
    from adapter.settings import Settings


class MetricsObserver:
    """Implements :class:`adapter.pipeline.ports.Observer` over a metrics port."""

    def __init__(self, metrics: Metrics) -> None:
        """Tell everything to ``metrics``."""
        self._metrics = metrics

    def command_finished(self, exchange: Exchange, *, outcome: str, code: str | None, reply_bytes: int) -> None:
        """Make the document of a finished command."""
        self._metrics.command_finished(
            FinishedCommand(
                action=exchange.action,
                exchange_id=exchange.id,
                outcome=outcome,
                code=code,
                seconds=(datetime.now(UTC) - exchange.received_at).total_seconds(),
                request_bytes=exchange.body_size,
                reply_bytes=reply_bytes,
                attempts=exchange.attempts,
                late=exchange.is_late,
            )
        )

    @property
    def metrics(self) -> Metrics:
        """Where everything is told."""
        return self._metrics

    def gateway_call(  # noqa: PLR0913, PLR0917  — the port's signature
        self, operation: str, outcome: str, seconds: float, bytes_out: int, bytes_in: int, gateway: str = "smev3"
    ) -> None:
        """Make the document of a gateway call; the exchange is the one bound to the running task, if any."""
        bound = bound_names()
        action, exchange_id = bound.get("action"), bound.get("exchange_id")
        known = outcome in ("ok", "empty", "cancelled")
        self._metrics.gateway_call(
            GatewayCall(
                gateway=gateway,
                operation=operation,
                outcome=outcome if known else "failed",
                code=None if known else outcome,
                seconds=seconds,
                sent_bytes=bytes_out,
                received_bytes=bytes_in,
                action=None if action is None else str(action),
                exchange_id=None if exchange_id is None else str(exchange_id),
            )
        )

    def count(self, name: str, n: int = 1) -> None:
        """Count."""
        self._metrics.count(name, n)


@asynccontextmanager
async def make_observer(settings: Settings) -> AsyncIterator[MetricsObserver]:
    """Open the metrics that the settings ask for, and send what is held at the end."""
    metrics = open_metrics(settings.elastic)
    try:
        yield MetricsObserver(metrics)
    finally:
        await metrics.close()

"""Metrics: what the adapter tells about its work, without ever holding the work up.

Rooms see the port :class:`Metrics`; the bootstrap gets an implementation from :func:`open_metrics`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from adapter.metrics.counters import Counters
from adapter.metrics.elastic import ElasticMetrics
from adapter.metrics.port import FinishedCommand, GatewayCall, Metrics, NoMetrics

if TYPE_CHECKING:
    from adapter.settings import Elastic

__all__ = ["Counters", "ElasticMetrics", "FinishedCommand", "GatewayCall", "Metrics", "NoMetrics", "open_metrics"]

log = structlog.get_logger(__name__)


def open_metrics(elastic: Elastic | None) -> Metrics:
    """Return metrics that go to Elasticsearch, or, said once, only to memory. Needs a running event loop."""
    if elastic is None:
        log.info("metrics are off: ELASTIC_HOST is not set")
        return NoMetrics()
    return ElasticMetrics.connect(elastic)

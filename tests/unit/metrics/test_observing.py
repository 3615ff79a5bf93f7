"""What the observer makes of a gateway call: its document names the exchange that the call was made for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapter.log import bind_exchange
from adapter.metrics.port import CountingMetrics
from adapter.observing import MetricsObserver

if TYPE_CHECKING:
    from adapter.metrics import GatewayCall


class Kept(CountingMetrics):
    """Keeps the documents of calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[GatewayCall] = []

    def gateway_call(self, call: GatewayCall) -> None:
        self.calls.append(call)


def test_a_call_is_told_with_the_exchange_it_was_made_for_and_a_poll_with_none() -> None:
    kept = Kept()
    observer = MetricsObserver(kept)
    with bind_exchange(action="echo", exchange_id="e-1"):
        observer.gateway_call("Send", "ok", 0.1, 10, 20)
    observer.gateway_call("Get", "SMEV-403", 0.1, 10, 20)
    assert [(call.action, call.exchange_id) for call in kept.calls] == [("echo", "e-1"), (None, None)]
    assert [(call.outcome, call.code) for call in kept.calls] == [("ok", None), ("failed", "SMEV-403")]

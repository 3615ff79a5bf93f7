"""The page of Prometheus: read by its own parser, bounded, cheap; the files of deploy/monitoring ask for all of it."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from adapter.metrics.exposition import HELP, Exposition, Gauge
from adapter.metrics.port import CountingMetrics, FinishedCommand, GatewayCall
from adapter.metrics.timings import BOUNDS, Timings
from adapter.paths import SCHEMAS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

MONITORING = SCHEMAS.parent / "deploy" / "monitoring"
_NAME = re.compile(r"\badapter_[a-z_]+")
#: What the format itself adds to the names of counters and histograms.
_TAIL = re.compile(r"_(?:total|bucket|count|sum)$")


def command(action: str = "zhkh-debt-requests", seconds: float = 0.2, code: str | None = None) -> FinishedCommand:
    return FinishedCommand(
        action=action,
        exchange_id=uuid4(),
        outcome="failed" if code else "replied",
        code=code,
        seconds=seconds,
        request_bytes=1,
        reply_bytes=1,
        attempts=1,
    )


def call(gateway: str = "smev3", seconds: float = 0.2) -> GatewayCall:
    return GatewayCall(gateway=gateway, operation="Send", outcome="ok", seconds=seconds, sent_bytes=1, received_bytes=1)


async def families(metrics: CountingMetrics, *gauges: Gauge) -> dict[str, Metric]:
    exposition = Exposition(metrics)

    async def read() -> tuple[Gauge, ...]:
        return gauges

    exposition.add(read)
    return {family.name: family for family in text_string_to_metric_families((await exposition.page()).decode())}


async def test_commands_and_calls_are_told_by_their_labels() -> None:
    metrics = CountingMetrics()
    metrics.command_finished(command())
    metrics.command_finished(command(code="EXP001000"))
    metrics.gateway_call(call("epgu"))
    metrics.count("retries", 3)
    found = await families(metrics)
    commands = {tuple(sorted(s.labels.items())): s.value for s in found["adapter_commands"].samples}
    assert commands[("action", "zhkh-debt-requests"), ("code", "EXP001000"), ("outcome", "failed")] == 1
    assert [s.labels["gateway"] for s in found["adapter_gateway_calls"].samples] == ["epgu"]
    assert {s.labels["name"]: s.value for s in found["adapter_occasions"].samples} == {"retries": 3}


async def test_times_are_histograms_that_add_up() -> None:
    metrics = CountingMetrics()
    for seconds in (0.001, 0.3, 7.0, 10.0**6, -1.0):
        metrics.command_finished(command(seconds=seconds))
    samples = (await families(metrics))["adapter_command_seconds"].samples
    buckets = {s.labels["le"]: s.value for s in samples if s.name.endswith("_bucket")}
    assert buckets["0.005"] == 2
    assert buckets["0.5"] == 3
    assert buckets["10.0"] == 4
    assert buckets["+Inf"] == 5
    assert len(buckets) == len(BOUNDS) + 1


async def test_every_gauge_has_its_help_and_its_labels() -> None:
    gauges = [Gauge("adapter_exchanges", 2, {"state": state}) for state in ("dead", "waiting")]
    found = await families(CountingMetrics(), *gauges, Gauge("adapter_in_flight", 3))
    assert {s.labels["state"]: s.value for s in found["adapter_exchanges"].samples} == {"dead": 2, "waiting": 2}
    assert found["adapter_in_flight"].documentation == HELP["adapter_in_flight"]


async def test_a_flood_of_codes_stays_a_page_and_nothing_personal_is_a_label() -> None:
    metrics = CountingMetrics()
    for number in range(5_000):
        metrics.command_finished(command(code=f"EXP{number:05}"))
    metrics.command_finished(command(code="Иванов 11223344595", action="Иванов"))
    found = await families(metrics)
    assert len(found["adapter_commands"].samples) <= 2_001
    assert sum(s.value for s in found["adapter_commands"].samples) == 5_001
    page = (await Exposition(metrics).page()).decode()
    assert "Иванов" not in page
    assert "11223344595" not in page


def test_a_flood_of_actions_does_not_become_a_flood_of_histograms() -> None:
    timings = Timings()
    for number in range(1_000):
        timings.observe("command", "action", str(number), 1.0)
    assert len(timings.snapshot()) == 501
    assert sum(sum(histogram.counts) for histogram in timings.snapshot().values()) == 1_000


def test_counting_a_command_and_its_call_costs_microseconds() -> None:
    metrics, one, other = CountingMetrics(), command(), call()
    rounds, best = 2_000, float("inf")
    for _ in range(5):
        began = time.process_time()
        for _ in range(rounds):
            metrics.command_finished(one)
            metrics.gateway_call(other)
        best = min(best, time.process_time() - began)
    assert best / rounds < 100e-6, "a command costs a millisecond altogether"


def expressions() -> Iterator[tuple[str, str]]:
    rules = yaml.safe_load((MONITORING / "prometheus-rules.yml").read_text("utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
            assert rule["labels"]["severity"] in {"warning", "critical"}
            assert rule["annotations"]["summary"]
            assert rule["annotations"]["action"]
            yield rule["alert"], rule["expr"]
    dashboard = json.loads((MONITORING / "grafana-dashboard.json").read_text("utf-8"))
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def test_alerts_and_dashboard_ask_for_what_is_exported_and_nothing_else() -> None:
    seen = set()
    for title, expression in expressions():
        names = {name if name in HELP else _TAIL.sub("", name) for name in _NAME.findall(expression)}
        assert names, title
        assert names <= set(HELP), title
        assert expression.count("(") == expression.count(")"), title
        seen |= names
    assert seen == set(HELP)


def test_the_panels_of_the_dashboard_lie_beside_each_other() -> None:
    dashboard = json.loads((MONITORING / "grafana-dashboard.json").read_text("utf-8"))
    cells = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        own = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert max(x for x, _ in own) < 24
        assert not own & cells, panel["title"]
        cells |= own
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


@pytest.mark.parametrize("name", sorted(HELP))
def test_the_page_of_monitoring_names_every_metric(name: str) -> None:
    page = (MONITORING / "README.md").read_text("utf-8")
    assert f"`{name}`" in page or f"`{name}_total`" in page
    assert HELP[name] in page

"""The registry of the ШЭП: read whole, refused whole."""

from __future__ import annotations

import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.services.registry import known_actions
from adapter.settings.shep_registry import read_registry, seconds_of
from adapter.settings.values import WrongValueError

SAMPLE = Path(__file__).parents[3] / "deploy" / "local" / "shep-services.toml"


def changed(tmp_path: Path, change: tuple[str, str]) -> str:
    old, new = change
    text = SAMPLE.read_text("utf-8")
    assert old in text
    path = tmp_path / "registry.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return str(path)


def test_the_sample_is_read_with_the_units_of_the_forms() -> None:
    registry = read_registry(str(SAMPLE))
    (point,) = registry.points
    assert (point.throttling_timeout, point.requests, point.repeats) == ("45 секунд", 45, 10)
    assert [seconds_of(point.throttling_timeout or ""), seconds_of(point.max_interval or "")] == [45, 60]
    service = registry.service("AsyncEcho")
    assert service is not None
    assert (service.is_sync, service.is_async, service.gateway, service.security) == (False, True, "shep", 2)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("45 секунд", 45),
        ("1 минута", 60),
        ("2 минуты", 120),
        ("3 часа", 10800),
        ("40сек.", 40),
        ("2 дня", 172_800),
        ("1 сутки", 86_400),
    ],
)
def test_a_time_is_read_with_its_unit(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


@given(st.text(max_size=20))
def test_what_is_no_time_is_refused_and_nothing_else_happens(text: str) -> None:
    with suppress(ValueError):
        assert seconds_of(text) >= 0


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (('bin = "123456789021"', 'bin = "12"'), "organisations[1].bin"),
        (('owner = "own"', 'owner = "nobody"'), "systems[1].owner"),
        (('throttling_timeout = "45 секунд"', "throttling_timeout = 45"), "points[1].throttling_timeout"),
        (("requests = 45\n", ""), "points[1].throttling"),
        (("call = 2", "call = 1"), "points[1].repeats"),
        (('delivery = "PUSH"\n', ""), "services[2].delivery"),
        (('mode = "Синхронный"\npoint = 1', 'mode = "Синхронный"\npoint = 9'), "services[1].point"),
        (('mode = "Синхронный"', 'mode = "Синхронный"\nrouting = 1'), "services[1].routing"),
        (('key = "AsyncEcho"', 'key = "SyncEcho"'), "services"),
        (('key = "AsyncEcho"', 'key = "status"'), "services[2].key"),
        (('key = "AsyncEcho"', 'key = "sync.send"'), "services[2].key"),
        (('key = "AsyncEcho"', 'key = "AsyncEcho"\nsecret = 1'), "services[2].secret"),
        (('key = "AsyncEcho"', 'key = "AsyncEcho"\nanswer_within = "1 час"'), "services[2].answer_within"),
        (('key = "AsyncEcho"', 'key = "AsyncEcho"\nnotify = "auto"'), "services[2].notify"),
        (('key = "SyncEcho"', 'key = "SyncEcho"\nreply = "answer"'), "services[1].reply"),
    ],
)
def test_a_fault_is_told_by_its_place(tmp_path: Path, change: tuple[str, str], place: str) -> None:
    with pytest.raises(WrongValueError) as caught:
        read_registry(changed(tmp_path, change))
    assert any(fault.startswith(f"{place}:") for fault in str(caught.value).split("; ")), str(caught.value)


def test_all_faults_of_a_registry_are_told_at_once(tmp_path: Path) -> None:
    text = SAMPLE.read_text("utf-8").replace('owner = "own"', 'owner = "x"').replace("point = 1\n", "point = 7\n")
    path = tmp_path / "registry.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(WrongValueError) as caught:
        read_registry(str(path))
    services: list[Any] = tomllib.loads(text)["services"]
    assert str(caught.value).count("names no") == 1 + len(services)


def test_without_a_registry_there_is_no_action_and_with_it_one_per_service() -> None:
    assert [action for action in known_actions({}) if action.startswith("shep.")] == []
    served = known_actions({"SHEP_SERVICES_FILE": str(SAMPLE)})
    assert {"shep.sync.send", "shep.async.status", "shep.SyncEcho", "shep.AsyncPull"} <= set(served)

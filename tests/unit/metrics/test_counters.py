"""Counters add up by labels and stay bounded; words and hashes hide what they stand for."""

from __future__ import annotations

import math
from uuid import uuid4

import pytest

from adapter.metrics import Counters
from adapter.metrics.documents import Pseudonyms, milliseconds, word


def test_series_are_told_apart_by_their_labels_and_summed_over_the_others() -> None:
    counters = Counters()
    counters.increment("calls", gateway="smev3", outcome="ok")
    counters.increment("calls", 2, outcome="ok", gateway="epgu")
    counters.increment("calls", gateway="smev3", outcome="failed")
    assert counters.value("calls") == 4
    assert counters.value("calls", outcome="ok") == 3
    assert counters.value("calls", gateway="smev3", outcome="ok") == 1
    assert counters.value("other") == 0
    assert counters.snapshot()["calls", (("gateway", "epgu"), ("outcome", "ok"))] == 2


def test_a_snapshot_is_a_copy() -> None:
    counters = Counters()
    counters.increment("x")
    before = counters.snapshot()
    counters.increment("x")
    assert before["x", ()] == 1


def test_a_flood_of_labels_does_not_become_a_flood_of_memory() -> None:
    counters = Counters()
    for number in range(2_100):
        counters.increment("codes", code=str(number))
    assert counters.value("codes") == 2_100
    assert len(counters.snapshot()) == 2_001


@pytest.mark.parametrize("text", ["EXP001000", "zhkh-debt-requests", "SMEV-403", "epgu.order.submit", ""])
def test_names_and_codes_pass_as_words(text: str) -> None:
    assert word(text) == text


@pytest.mark.parametrize("text", ["Иванов", "two words", "11223344595", "a@b.ru", "x" * 81, "line\nbreak"])
def test_anything_else_is_other(text: str) -> None:
    assert word(text) == "other"


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.0123456, 12.3), (0, 0.0), (-1, 0.0), (math.inf, 0.0), (math.nan, 0.0)]
)
def test_durations_are_milliseconds_and_nonsense_is_nothing(seconds: float, expected: float) -> None:
    assert milliseconds(seconds) == expected


def test_pseudonyms_join_ids_under_one_key_only() -> None:
    identifier = uuid4()
    assert Pseudonyms("k").of(identifier) == Pseudonyms("k").of(str(identifier))
    assert Pseudonyms("k").of(identifier) != Pseudonyms("l").of(identifier)
    assert Pseudonyms(None).of(identifier) != Pseudonyms(None).of(identifier)
    assert len(Pseudonyms(None).of("\ud800")) == 32

"""Contents as the console shows them: where faults stand, what is masked, and that words stay words."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from adapter.services.registry import make_services
from adapter.services.zhkh_debt_requests import EXAMPLES
from adapter.web.console import pretty
from adapter.web.console.entry import Doorkeeper
from adapter.web.console.judging import judge
from adapter.web.console.positions import line_of, lines_of
from tests.conftest import PROJECT

SERVICES = make_services({"SHEP_SERVICES_FILE": str(PROJECT / "deploy/local/shep-services.toml")})
TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
SECRET = "Секретова"


@given(TREES)
def test_a_tree_written_one_value_a_line_is_found_line_by_line(tree: Any) -> None:
    text = json.dumps(tree, indent=1, ensure_ascii=False)
    lines = text.split("\n")
    for path, line in lines_of(text).items():
        assert 1 <= line <= len(lines)
        name = path.rpartition(".")[2]
        if re.fullmatch("[a-z]+", name) and path != "body":
            assert f'"{name}"' in lines[line - 1]


@given(st.text(st.sampled_from('{}[]",:\\ \nab1'), max_size=60))
def test_no_text_however_broken_stops_the_search_for_places(text: str) -> None:
    assert all(1 <= line <= text.count("\n") + 1 for line in lines_of(text).values())


def test_a_fault_of_a_missing_field_marks_the_object_around_it() -> None:
    known = lines_of('{\n "a": [\n  {"b": 1},\n  {"b": 2}\n ]\n}')
    assert line_of("a[1].b", "", known) == 4
    assert line_of("a[1].missing.deeper", "", known) == 4
    assert line_of("a[7]", "", known) == 2
    assert line_of("nowhere", "", known) is None
    assert line_of("body", "тело не является JSON: строка 3, символ 1: ожидается значение", {}) == 3


def test_the_verdict_on_every_example_of_every_service_is_good() -> None:
    assert {service.gateway for service in SERVICES.values()} >= {"smev3", "epgu", "shep", "postamat"}
    for service in SERVICES.values():
        for example in service.examples:
            verdict = judge(service, pretty.json_text(example.request), 1_000_000)
            assert verdict.good, (service.action, verdict)


def test_a_wrong_value_is_named_by_field_rule_and_line_and_not_repeated() -> None:
    text = pretty.json_text(EXAMPLES[0].request).replace('"11111111145"', '"11111111146"')
    verdict = judge(SERVICES["zhkh-debt-requests"], text, 1_000_000)
    (fault,) = verdict.faults
    assert fault.path == "actions[0].request_data.applicant_info.snils"
    assert text.split("\n")[(fault.line or 0) - 1].strip().startswith('"snils"')
    assert "11111111146" not in fault.rule


def test_a_command_over_the_limit_is_refused_as_the_adapter_would() -> None:
    verdict = judge(SERVICES["zhkh-debt-requests"], '{"a": "' + "я" * 100 + '"}', 100)
    assert verdict.code == "ADAPTER-INVALID-COMMAND"
    assert "предел 100" in verdict.faults[0].rule


@given(TREES)
def test_a_masked_body_shows_no_value_of_it(tree: Any) -> None:
    body = json.dumps({"field": [tree, SECRET, {"deeper": SECRET}]}).encode()
    assert SECRET not in pretty.command(body, revealed=False)
    assert str(escape(SECRET)) in pretty.command(body, revealed=True)


def test_masked_xml_shows_its_elements_and_protocol_and_no_value() -> None:
    smev = "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/1.2"
    known = f"<s:MessageID xmlns:s='{smev}'>5cad9526</s:MessageID>"
    data = f"<m xmlns='urn:x' who='{SECRET}'>{known}<MessageID>7c0ffee7</MessageID><name>{SECRET}</name></m>".encode()
    masked, shown = pretty.document(data, revealed=False), pretty.document(data, revealed=True)
    assert SECRET not in masked
    assert "urn:x" in masked
    assert "5cad9526" in masked
    assert "7c0ffee7" not in masked
    assert shown.count(SECRET) == 2


def test_bytes_that_are_neither_xml_nor_json_are_counted() -> None:
    assert "4 bytes" in pretty.document(b"\x00\x01\x02\x03", revealed=True)


@given(st.text(min_size=1))
def test_words_of_a_body_stay_words(text: str) -> None:
    body = json.dumps({"a": f"<script>{text}</script>", f"<b>{text}": 1}).encode(errors="surrogatepass")
    for revealed in (True, False):
        assert "<script" not in pretty.command(body, revealed=revealed)
        assert "<b>" not in pretty.command(body, revealed=revealed)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_session_and_what_it_was_shown_end_with_their_time() -> None:
    clock = Clock()
    door = Doorkeeper({"olga": ("t" * 16, frozenset({"view", "reveal"}))}, 3600, clock)
    cookie = door.enter("t" * 16)
    assert cookie is not None
    session = door.session(cookie)
    assert session is not None
    door.reveal(session, "case:1")
    clock.now += 899
    assert door.is_revealed(session, "case:1")
    assert not door.is_revealed(session, "case:2")
    clock.now += 2
    assert not door.is_revealed(session, "case:1")
    clock.now += 3600
    assert door.session(cookie) is None


def test_wrong_tokens_close_the_door_for_a_minute() -> None:
    clock = Clock()
    door = Doorkeeper({"olga": ("t" * 16, frozenset({"view"}))}, 3600, clock)
    assert [door.enter("wrong") for _ in range(10)] == [None] * 10
    clock.now += 61
    assert door.enter("t" * 16) is not None

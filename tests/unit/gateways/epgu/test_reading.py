"""Answers of ЕПГУ and its errors read leniently: no form of bytes is a defect."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.gateways.epgu.errors import ErrorClass, of_answer, of_esia, process_row, tables
from adapter.gateways.epgu.profiles import PROFILES
from adapter.gateways.epgu.reading import Link, moment, order_id_of, read_details, read_link, read_page, snake

REFERENCE = Path(__file__).parents[4].parent / "shared" / "reference" / "epgu"
NAMES = ["orderId", " orderId", "content", "Content", "totalCount", "order", "code", "status", "updated", "message"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=20,
)


def reference(name: str) -> Any:
    path = REFERENCE / name
    if not path.exists():
        pytest.skip("the reference data is not beside the project")
    return json.loads(path.read_text("utf-8"))


@given(JSON)
def test_no_json_is_a_defect(said: Any) -> None:
    order_id_of(said)
    page = read_page(said, UTC)
    assert page is None or all(row["order_id"] > 0 for row in page.rows)
    details = read_details(said)
    if details is not None:
        orjson.dumps(details.told())
        assert isinstance(details.current, dict)
    snake(said)


@given(st.integers(100, 599), st.one_of(st.binary(max_size=60), JSON.map(orjson.dumps)), st.booleans())
def test_every_answer_has_a_code_a_sentence_and_advice(status: int, body: bytes, cancelling: bool) -> None:  # noqa: FBT001  — drawn
    wire = of_answer(status, body, {"order_id": 1}, cancelling=cancelling).error.to_wire()
    assert wire["error_code"]
    assert wire["description"]
    assert wire["recommendation"]
    assert wire["details"]["order_id"] == 1
    assert of_esia(status, body).error.code


@pytest.mark.parametrize(
    ("status", "body", "code", "kind"),
    [
        (204, b"", "not_found", ErrorClass.PERMANENT),
        (401, b"", "ADAPTER-TOKEN-REFUSED", ErrorClass.TOKEN),
        (429, b"Too Many Requests", "limitation_exception", ErrorClass.LIMITS),
        (503, b"<html>", "ADAPTER-GATEWAY-UNAVAILABLE", ErrorClass.RETRY),
        (500, b"", "ADAPTER-GATEWAY-UNAVAILABLE", ErrorClass.RETRY),
        (500, b'{"code":"internal_error"}', "internal_error", ErrorClass.RETRY),
        (403, b'{"code":"ORDER_ACCESS","message":null}', "order_access", ErrorClass.TOKEN),
        (409, b'{"code":"limitation_exception"}', "limitation_exception", ErrorClass.LIMITS),
        (409, b'{"code":"something_new"}', "something_new", ErrorClass.PERMANENT),
        (403, b"", "ADAPTER-GATEWAY-PROTOCOL", ErrorClass.PERMANENT),
        (302, b"", "ADAPTER-GATEWAY-PROTOCOL", ErrorClass.PERMANENT),
        (405, b"", "ADAPTER-GATEWAY-PROTOCOL", ErrorClass.PERMANENT),
    ],
)
def test_a_refusal_has_its_code_and_class(status: int, body: bytes, code: str, kind: ErrorClass) -> None:
    failure = of_answer(status, body)
    assert (failure.error.code, failure.kind) == (code, kind)


def test_every_code_of_the_documents_is_in_the_tables() -> None:
    assert {row["code"] for row in reference("gusmev_error_codes.json")["codes"]} == set(tables().errors)
    codes = {row["code"]: row["final"] for row in reference("gusmev_process_codes.json")["codes"]}
    assert set(codes) == set(tables().process)
    assert [code for code, final in codes.items() if final is not None and tables().process[code].final != final] == []
    assert [row.code for row in tables().process.values() if row.success] == ["DONE", "OK"]
    assert process_row("ok") is not None
    assert process_row("NOBODY") is None


@pytest.mark.parametrize("name", ["order_details_envelope_2023.json"])
def test_details_of_the_samples_are_read_whole(name: str) -> None:
    said = reference(f"examples/{name}")
    details = read_details(said)
    assert details is not None
    assert details.success is True
    assert details.raw == said["order"]
    assert details.current["statusId"] == details.order["orderStatusId"]  # type: ignore[index]
    assert len(details.told()["order"]) == len(json.loads(said["order"]))


def test_links_of_files_are_read() -> None:
    assert read_link("terrabyte://00/2058864134/req.xml/2") == Link(2058864134, "req.xml", 2)
    assert read_link("terrabyte://00/5/ Справка о доходах.pdf/3") == Link(5, "Справка о доходах.pdf", 3)
    assert read_link("https://example.org/5/x/3") is None


def test_moments_have_the_zone_of_the_profile() -> None:
    at = datetime(2022, 12, 10, 12, 31, 42, 999_999, tzinfo=UTC)
    assert PROFILES["1.12"].moment(at) == "2022-12-10T12:31:42.999"
    assert PROFILES["1.13"].moment(at) == "2022-12-10T15:31:42.999"
    assert moment("2022-12-21T20:49:37.672", PROFILES["1.13"].zone) == "2022-12-21T20:49:37.672+03:00"
    assert moment("вчера", UTC) == "вчера"


def test_names_become_snake_case() -> None:
    names = ["orderId", "hasEmpowerment2021", "eQueueEvents", "notifySms", "cr_uin", "canSentToMFC", "fileUUIDs"]
    assert [*snake(dict.fromkeys(names))] == [
        "order_id", "has_empowerment2021", "e_queue_events", "notify_sms", "cr_uin", "can_sent_to_mfc", "file_uui_ds",
    ]  # fmt: skip

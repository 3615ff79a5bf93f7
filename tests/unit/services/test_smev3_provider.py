"""The provider's role as pure functions: what a request becomes, and what a command says to it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import InvalidCommandError, KnownError
from adapter.exchange import Answer, AnswerKind, Call, Command, Event, Progress, Refusal, Reply, State, StoredFile
from adapter.incoming import Done, Found, Incoming, Look, Request
from adapter.services.registry import make_providers, make_services
from adapter.services.smev3_provider import (
    ANSWER,
    CANCELLED,
    EXAMPLES,
    RECEIVED,
    REQUEST,
    UNKNOWN,
    Smev3Answer,
    Smev3Requests,
    known_schemas,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = "7c1e2f4a-c6a1-11f0-9d0b-0242ac120002"
ZOO = ("urn:zoo/1.0.0", "Zoo")
INCOMING = Incoming(
    "smev3",
    KEY,
    REQUEST,
    b"raw",
    b'<z:Zoo xmlns:z="urn:zoo/1.0.0"/>',
    reply_to="there",
    facts={"namespace": ZOO[0], "root": ZOO[1], "sender": "EXMP01"},
)
REQUESTED = Request(UUID(int=7), INCOMING, NOW, State.REPLIED, answered=False)
CONTENT = '<z:ZooAnswer xmlns:z="urn:zoo/1.0.0"><z:age>7</z:age></z:ZooAnswer>'
REJECTIONS = [{"code": "NO_DATA", "description": "Нет"}]
STATUS = {"code": "1", "description": "В работе", "parameters": [{"key": "k", "value": "v"}]}


def command(**body: Any) -> Command:
    return Command(UUID(int=1), ANSWER, orjson.dumps({"message_id": KEY} | body), NOW, NOW + timedelta(days=1))


def said(body: dict[str, Any], *, personal: bool = False, request: Request | None = REQUESTED) -> Call:
    return Smev3Answer(personal_signature=personal).found(command(**body), Found(request))


@pytest.mark.parametrize("provides", [(), (ZOO,), (("urn:x", "X"), ZOO)], ids=["every one", "this one", "several"])
def test_a_request_that_is_provided_becomes_one_event(provides: tuple[tuple[str, str], ...]) -> None:
    step = Smev3Requests(provides).begin(INCOMING)
    (event,) = step.events
    assert (event.name, step.error) == (RECEIVED, None)
    assert (event.body["message_id"], event.body["sender"], event.body["reply_expected"]) == (KEY, "EXMP01", True)
    assert event.body["content_xml"] == INCOMING.content.decode()


@pytest.mark.parametrize("provides", [None, (("urn:zoo/1.0.1", "Zoo"),), (("urn:zoo/1.0.0", "Other"),)])
def test_a_request_that_is_not_provided_is_told_apart_and_kept(provides: tuple[tuple[str, str], ...] | None) -> None:
    step = Smev3Requests(provides).begin(INCOMING)
    assert [event.name for event in step.events] == [UNKNOWN]
    assert step.error is not None
    assert step.error.code == "ADAPTER-UNKNOWN-REQUEST"


def test_a_request_that_is_taken_back_is_told() -> None:
    taken_back = replace(INCOMING, content=b"", facts={"cancels": "other", "sender": "EXMP01"})
    told = {"message_id": KEY, "cancels": "other", "sender": "EXMP01"}
    assert Smev3Requests((ZOO,)).begin(taken_back) == Done([Event(CANCELLED, told)])


def test_files_of_a_request_are_told_as_a_reply_tells_them() -> None:
    files = (
        StoredFile("a.txt", "text/plain", 2, "ab", "ab/ab", b"hi"),
        StoredFile("b", "image/png", 10**6, "c", "c/c"),
    )
    (event,) = Smev3Requests(()).begin(replace(INCOMING, attachments=files)).events
    assert [sorted(file.keys() & {"content_base64", "path"}) for file in event.body["attachments"]] == [
        ["content_base64"],
        ["path"],
    ]


def test_a_command_looks_its_request_up() -> None:
    assert Smev3Answer().start(command(content_xml=CONTENT)) == Look((REQUEST,), KEY)


def test_content_is_sent_as_the_last_word() -> None:
    call = said({"content_xml": f"<?xml version='1.0'?>\n{CONTENT}\n"})
    assert (call.operation, call.content, call.reply_to, call.official) == (
        "SendResponse",
        CONTENT.encode(),
        "there",
        False,
    )
    assert call.word is not None
    assert (call.word.to, call.word.last, call.instead) == (REQUESTED.id, True, None)
    assert (call.subject, call.lane) == (KEY, f"{REQUEST}:{KEY}")


def test_an_official_signs_by_an_id_that_is_added_where_it_is_missing() -> None:
    assert b'Id="id-00000000-0000-0000-0000-000000000001"' in said({"content_xml": CONTENT}, personal=True).content
    given_id = CONTENT.replace("<z:ZooAnswer ", '<z:ZooAnswer Id="own" ')
    assert said({"content_xml": given_id}, personal=True).content.count(b"Id=") == 1
    assert not said({"rejections": REJECTIONS}, personal=True).official


def test_a_rejection_is_the_last_word_and_a_status_is_not() -> None:
    rejection, status = said({"rejections": REJECTIONS}), said({"status": STATUS})
    assert rejection.instead == Refusal([("NO_DATA", "Нет")])
    assert status.instead == Progress("1", "В работе", {"k": "v"})
    assert [call.word.last for call in (rejection, status) if call.word] == [True, False]


def test_content_of_a_known_namespace_is_checked_by_its_schema() -> None:
    (namespace, root), path = next((key, path) for key, path in known_schemas().items() if "zhkh" in path)
    assert said({"content_xml": f'<a:{root} xmlns:a="{namespace}"/>'}).schema == path
    assert said({"content_xml": CONTENT}).schema is None
    assert path in Smev3Answer().schemas


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (None, "ADAPTER-REQUEST-NOT-FOUND"),
        (replace(REQUESTED, incoming=replace(INCOMING, reply_to="")), "ADAPTER-NO-ANSWER-WANTED"),
        (replace(REQUESTED, answered=True), "ADAPTER-ALREADY-ANSWERED"),
    ],
)
@pytest.mark.parametrize("body", [{"content_xml": CONTENT}, {"status": STATUS}], ids=["content", "status"])
def test_what_may_not_be_answered_is_refused_by_name(found: Request | None, code: str, body: dict[str, Any]) -> None:
    with pytest.raises(KnownError) as refused:
        said(body, request=found)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "body"),
        ({"content_xml": CONTENT, "status": STATUS}, "body"),
        ({"content_xml": "<not xml"}, "content_xml"),
        ({"content_xml": '<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>'}, "content_xml"),
        ({"rejections": []}, "rejections"),
        ({"rejections": [{"code": "SOME", "description": "x"}]}, "rejections[0].code"),
        ({"status": {"code": "1", "description": ""}}, "status.description"),
        (
            {"rejections": REJECTIONS, "attachments": [{"name": "a", "mime_type": "text/plain", "path": "/a"}]},
            "attachments",
        ),
        ({"content_xml": CONTENT, "more": 1}, "more"),
    ],
)
def test_a_wrong_command_is_refused_by_field(body: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidCommandError) as refused:
        Smev3Answer().start(command(**body))
    assert path in [fault.path for fault in refused.value.fields]


def test_the_acceptance_is_the_result() -> None:
    accepted = Answer("smev3", "k", EXAMPLES[0].reply["result"]["message_id"], AnswerKind.ANSWER, b"raw")
    for example in EXAMPLES:
        body = orjson.dumps(example.request)
        asked = Command(UUID(int=1), ANSWER, body, NOW, NOW)
        assert isinstance(Smev3Answer().found(asked, Found(REQUESTED)), Call)
        assert Smev3Answer().resume(asked, accepted) == Reply(example.reply)


NAMES = ["message_id", "content_xml", "rejections", "status", "code", "attachments", "description", "x"]
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from([KEY, CONTENT]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=12,
)


@given(st.binary(max_size=300) | TREES.map(lambda tree: json.dumps(tree).encode()))
def test_whatever_comes_in_is_a_step_or_a_named_error(body: bytes) -> None:
    asked = Command(UUID(int=1), ANSWER, body, NOW, NOW)
    try:
        step = Smev3Answer().start(asked)
    except InvalidCommandError:
        return
    assert isinstance(step, Look)


@pytest.mark.parametrize(
    ("provides", "actions", "expected"),
    [
        ("", {ANSWER}, []),
        ("*", {"zhkh-debt-requests"}, []),
        ("*", {ANSWER}, [()]),
        ("urn:zoo/1.0.0#Zoo, urn:a#b#C", {ANSWER}, [(ZOO, ("urn:a#b", "C"))]),
    ],
)
def test_requests_are_taken_where_they_are_wanted_and_answered(
    provides: str, actions: set[str], expected: list[tuple[tuple[str, str], ...]]
) -> None:
    made = make_providers(actions, {"SMEV_PROVIDES": provides})
    assert [tuple(provider.provides) for provider in made.values()] == expected
    assert set(made) <= {REQUEST}


def test_the_registry_knows_the_answering_service() -> None:
    assert make_services({"USE_PERSONAL_SIGNATURE": "true"})[ANSWER].gateway == "smev3"
    assert Smev3Answer().command_schema()["properties"].keys() >= {"message_id", "content_xml", "attachments"}

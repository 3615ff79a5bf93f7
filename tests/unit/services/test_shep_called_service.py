"""Which service of the ШЭП a command calls: planned work on one service holds what calls it, by whichever queue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.exchange import Command
from adapter.incoming import Naming
from adapter.services.registry import make_services
from adapter.services.shep_common import service_named

PROJECT = Path(__file__).parents[3]
SERVICES = make_services({"SHEP_SERVICES_FILE": str(PROJECT / "deploy/local/shep-services.toml")})


def command(action: str, body: Any) -> Command:
    now = datetime.now(UTC)
    return Command(UUID(int=1), action, orjson.dumps(body), now, now + timedelta(hours=1))


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("shep.sync.send", {"request_info": {"service_id": "AsyncEcho"}}),
        ("shep.async.send", {"message_info": {"service_id": "AsyncEcho"}}),
        ("shep.async.get-messages", {"service_id": "AsyncEcho"}),
        ("shep.async.notify-delivery", {"service_id": "AsyncEcho", "message_id": "1"}),
        ("shep.AsyncEcho", {"content": "<a/>"}),
    ],
    ids=["sync", "async", "get-messages", "notify-delivery", "own-queue"],
)
def test_a_command_names_the_service_that_it_calls(action: str, body: Any) -> None:
    service = SERVICES[action]
    assert isinstance(service, Naming)
    assert service.called_service(command(action, body)) == "AsyncEcho"


def test_a_question_about_a_message_need_not_name_a_service() -> None:
    service = SERVICES["shep.async.status"]
    assert isinstance(service, Naming)
    assert service.called_service(command("shep.async.status", {"message_id": "1"})) == ""


_KEYS = st.sampled_from(["service_id", "request_info", "message_info"])
_BODIES = st.recursive(
    st.none() | st.integers(0, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_KEYS, inner, max_size=3),
)


@given(_BODIES)
def test_no_body_is_too_strange_to_be_asked(body: Any) -> None:
    assert isinstance(service_named(orjson.dumps(body)), str)
    assert service_named(b"\xff{") == ""

"""Commands of zhkh-debt-requests for tests: one good one to spoil, and a strategy of all good ones."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from adapter.exchange import Answer, AnswerKind, Command
from adapter.services.zhkh_debt_requests import EXAMPLES

COMMAND_ID = UUID("5f0c1d7a-8f2e-4a52-9d3c-0f6f5b1a7e11")
_RECEIVED = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


def good() -> dict[str, Any]:
    """Return a fresh copy of the seed's first example."""
    return deepcopy(dict(EXAMPLES[0].request))


def command(tree: object) -> Command:
    """Return a command of a JSON tree, or of bytes as they are."""
    body = tree if isinstance(tree, bytes) else json.dumps(tree, ensure_ascii=False).encode()
    return Command(COMMAND_ID, "zhkh-debt-requests", body, _RECEIVED, _RECEIVED + timedelta(days=1))


def answer(content: bytes) -> Answer:
    """Return the provider's answer with ``content`` as its business root."""
    return Answer("smev3", "answer-1", "request-1", AnswerKind.ANSWER, content, content)


def snils(nine: int) -> str:
    """Return the СНИЛС of a nine-digit number, checksum included."""
    digits = f"{nine:09}"
    total = sum(int(digit) * (9 - place) for place, digit in enumerate(digits))
    return f"{digits}{total % 101 % 100:02}"


def texts(low: int, high: int) -> st.SearchStrategy[str]:
    """Return every text that a command may carry, tabs and line ends included."""
    letters = st.characters(
        exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff", include_characters="\t\n\r"
    )
    return st.text(letters, min_size=low, max_size=high).filter(lambda text: "]]>" not in text)


uuids = st.uuids().flatmap(lambda value: st.sampled_from([str(value), str(value).upper()]))
names = texts(1, 40)
short = texts(0, 40)


def _optional(**fields: st.SearchStrategy[Any]) -> dict[str, st.SearchStrategy[Any]]:
    return {name: strategy | st.none() for name, strategy in fields.items()}


documents = st.fixed_dictionaries(
    {"type": st.integers(1, 22) | st.integers(1, 22).map(str), "series": short, "number": short}
)
applicants = st.fixed_dictionaries(
    {
        "firstname": names,
        "lastname": names,
        "snils": st.integers(1_001_999, 999_999_999).map(snils),
        "document": documents,
    },
    optional=_optional(middlename=names),
)
houses = st.fixed_dictionaries({"house_id": uuids}, optional=_optional(address_details=short)) | st.fixed_dictionaries(
    {"house_id": uuids, "address-details": short}
)
data = st.fixed_dictionaries({"applicant_info": applicants, "housing_fund_object": houses, "executor_id": uuids})
actions = st.one_of(
    st.fixed_dictionaries({"action_type": st.just("SEND"), "request_data": data}, optional=_optional(request_id=uuids)),
    st.fixed_dictionaries({"action_type": st.just("SEND"), "request_id": uuids}),
    st.fixed_dictionaries(
        {"action_type": st.just("REVOKE"), "request_id": uuids}, optional={"request_data": st.none()}
    ),
)


def _distinct(command: dict[str, Any]) -> bool:
    ids = [action["request_id"].lower() for action in command["actions"] if action.get("request_id")]
    return len(ids) == len(set(ids))


@st.composite
def _command(draw: st.DrawFn, most: int) -> dict[str, Any]:
    chosen = draw(st.lists(actions, min_size=1, max_size=most))
    ids = draw(st.lists(uuids, min_size=len(chosen), max_size=len(chosen), unique_by=str.lower))
    return {
        "information_system_id": draw(uuids),
        "organization_id": draw(uuids),
        "actions": [{"transport_id": ident, **action} for ident, action in zip(ids, chosen, strict=True)],
    }


def commands(most: int = 3) -> st.SearchStrategy[dict[str, Any]]:
    """Return every valid command of up to ``most`` actions."""
    return _command(most).filter(_distinct)

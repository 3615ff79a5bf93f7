"""The demo: the seed's four examples and four fresh ones go from queue to queue, and the replies are compared."""

from __future__ import annotations

import asyncio
import copy
import json
import textwrap
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID, uuid4

import aiohttp

from adapter.http import make_session
from adapter.services.zhkh_debt_requests import EXAMPLES
from deploy.local.console import StepError, paint, say, step
from deploy.local.upstream import Conversation, Upstream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from adapter.exchange import Example

ACTION = "zhkh-debt-requests"
SIMULATOR_SECONDS = 15
RULE_WIDTH = 92


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the closing table."""

    example: str
    code: str
    seconds: float
    verdict: str
    good: bool


@dataclass(frozen=True, slots=True)
class Case:
    """A command, and what tells whether its reply is right (it returns what is wrong, or nothing)."""

    name: str
    title: str
    command: Mapping[str, Any]
    judge: Callable[[dict[str, Any]], str]
    praise: str


def main(variables: Mapping[str, str], replies: Path) -> int:
    """Run the demo against the stack ``variables`` lead to; return 0 when every reply is right.

    The seed's four replies are written to the folder ``replies``, as they came.
    """
    replies.mkdir(parents=True, exist_ok=True)
    for old in replies.glob("reply-*.json"):
        old.unlink()
    return asyncio.run(_run(variables, replies))


async def _run(variables: Mapping[str, str], replies: Path) -> int:
    rows = []
    async with Simulator(variables["SIM_SMEV_URL"]) as simulator, Upstream(variables) as upstream:
        for number, example in enumerate(EXAMPLES, start=1):
            row, talk = await _show(upstream, simulator, _seed_case(number, example))
            rows.append(row)
            if talk is not None:
                (replies / f"reply-{number}.json").write_bytes(talk.reply)
        rows.extend(await _fresh(upstream, simulator))
    _print_table(rows, replies)
    return 0 if all(row.good for row in rows) else 1


class Simulator:
    """The side door of the СМЭВ3 simulator: makes drafts, tells what it saw."""

    def __init__(self, url: str) -> None:
        """``url`` is its root."""
        self._url = url.rstrip("/")

    async def __aenter__(self) -> Self:
        """Open the session."""
        self._session = make_session(timeout=SIMULATOR_SECONDS)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the session."""
        await self._session.close()

    async def make_draft(self, request_id: str) -> None:
        """Store a debt request in status «Проект», as if made by hand in ГИС ЖКХ."""
        async with self._session.post(f"{self._url}/_sim/drafts", json={"request_id": request_id}) as answer:
            answer.raise_for_status()

    async def moments(self, talk: Conversation) -> list[tuple[float, str]]:
        """Return when the simulator saw the answers acknowledged that came between publish and reply."""
        async with self._session.get(f"{self._url}/_sim/acks") as answer:
            acks = await answer.json()
        seen = []
        for ack in acks:
            after = datetime.fromisoformat(ack["at"]).timestamp() - talk.published_at
            if after > 0:
                seen.append((after, f"answer acknowledged to СМЭВ3, request {ack['original_message_id']}"))
        return seen


def _seed_case(number: int, example: Example) -> Case:
    expected = example.reply

    def judge(reply: dict[str, Any]) -> str:
        return "" if reply == expected else "differs from the seed"

    return Case(f"{number} seed", example.title, example.request, judge, "equals the seed")


async def _fresh(upstream: Upstream, simulator: Simulator) -> list[Row]:
    """Send the four examples again under ids that nobody has seen before."""
    first, second, third, fourth = (example for example in EXAMPLES)
    rows = []

    case = _fresh_case(1, first, None, _succeeds(None))
    rows.append((await _show(upstream, simulator, case))[0])

    unknown = str(uuid4())
    rows.append((await _show(upstream, simulator, _fresh_case(2, second, unknown, _names_unknown(unknown))))[0])

    draft = str(uuid4())
    await simulator.make_draft(draft)
    rows.append((await _show(upstream, simulator, _fresh_case(3, third, draft, _succeeds(draft))))[0])

    opening = _fresh_case(4, first, None, _succeeds(None))
    row, talk = await _show(upstream, simulator, Case("4 fresh, send", *_rest(opening)))
    rows.append(row)
    if talk is not None and row.good:
        made = talk.body["result"][0]["success"]["id"]
        closing = _fresh_case(4, fourth, made, _succeeds(made))
        rows.append((await _show(upstream, simulator, Case("4 fresh, revoke", *_rest(closing))))[0])
    else:
        rows.append(Row("4 fresh, revoke", "-", 0, "nothing to revoke", good=False))
    return rows


def _fresh_case(
    number: int, example: Example, request_id: str | None, judge: Callable[[str, dict[str, Any]], str]
) -> Case:
    command = copy.deepcopy(dict(example.request))
    action = command["actions"][0]
    transport_id = action["transport_id"] = str(uuid4())
    if request_id is not None:
        action["request_id"] = request_id
    return Case(
        f"{number} fresh", example.title, command, lambda reply: judge(transport_id, reply), "as ГИС ЖКХ should answer"
    )


def _rest(case: Case) -> tuple[str, Mapping[str, Any], Callable[[dict[str, Any]], str], str]:
    return case.title, case.command, case.judge, case.praise


def _succeeds(request_id: str | None) -> Callable[[str, dict[str, Any]], str]:
    """Judge a reply that should be a success, about ``request_id`` where that is known beforehand."""

    def judge(transport_id: str, reply: dict[str, Any]) -> str:
        try:
            (entry,) = reply["result"]
            UUID(entry["success"]["id"])
            datetime.fromisoformat(entry["success"]["update_date"])
        except (KeyError, ValueError, TypeError):
            return "is no success"
        if entry["transport_id"] != transport_id:
            return "is about another transport_id"
        return "" if request_id in (None, entry["success"]["id"]) else "is about another request_id"

    return judge


def _names_unknown(request_id: str) -> Callable[[str, dict[str, Any]], str]:
    """Judge a reply that should be the seed's INT054003, naming this very id."""
    (seed,) = EXAMPLES[1].request["actions"]
    text = json.dumps(EXAMPLES[1].reply, ensure_ascii=False)

    def judge(transport_id: str, reply: dict[str, Any]) -> str:
        wanted = text.replace(seed["transport_id"], transport_id).replace(seed["request_id"], request_id)
        return "" if reply == json.loads(wanted) else "does not name the unknown id"

    return judge


async def _show(upstream: Upstream, simulator: Simulator, case: Case) -> tuple[Row, Conversation | None]:
    """Send one command and print request, reply and timeline."""
    say(f"\n{paint(f'── Example {case.name} · {case.title} '.ljust(RULE_WIDTH, '─'), 'bold')}")
    say("  request")
    say(_indented(case.command))
    try:
        with step("reply") as waiting:
            waiting.note = "waiting"
            talk = await upstream.ask(ACTION, case.command)
            waiting.result = f"message_id {talk.message_id}"
    except StepError as fault:
        say(f"  {fault}")
        return Row(case.name, "-", 0, "no reply", good=False), None
    try:
        body = talk.body
    except ValueError:
        return Row(case.name, "-", talk.seconds, "is not JSON", good=False), talk
    say(_indented(body))
    wrong = case.judge(body)
    await _show_timeline(simulator, talk)
    return Row(case.name, _code(body), talk.seconds, wrong or case.praise, good=not wrong), talk


async def _show_timeline(simulator: Simulator, talk: Conversation) -> None:
    moments = list(talk.moments)
    try:
        moments += await simulator.moments(talk)
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError):
        moments.append((talk.seconds, "the simulator does not tell what it saw"))
    say("  timeline")
    for seconds, what in sorted(moments):
        say(f"    {seconds:7.3f} s  {what}")


def _code(body: dict[str, Any]) -> str:
    """Return the reply's error code, or OK."""
    if "error" in body:
        return str(body["error"].get("error_code", "?"))
    errors = [error for entry in body.get("result", []) for error in entry.get("errors", [])]
    return str(errors[0].get("error_code", "?")) if errors else "OK"


def _indented(value: object) -> str:
    return textwrap.indent(json.dumps(value, ensure_ascii=False, indent=2), "    ")


def _print_table(rows: list[Row], replies: Path) -> None:
    heading = f"{'example':<18}{'code':<26}{'seconds':>8}  verdict"
    say(f"\n  {paint(heading, 'bold')}")
    for row in rows:
        verdict = paint(row.verdict, "green" if row.good else "red")
        say(f"  {row.example:<18}{row.code:<26}{row.seconds:>8.2f}  {verdict}")
    good = sum(row.good for row in rows)
    place = f"the seed's four are in {replies}/reply-1.json to reply-4.json"
    closing = f"{good} of {len(rows)} replies are right; {place}"
    say(f"\n  {paint(closing, 'green' if good == len(rows) else 'red')}\n")

"""The simulated portal itself: its own rules, its doors, and as a process."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from adapter.http import make_session
from simulators.postamat.app import make_app
from simulators.postamat.scenario import Rule
from tests.conftest import PROJECT
from tests.contract.sign_service_stand import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import aiohttp

CALL = (
    "/rest-api/postamat/put-case?casenum=1.22-51&postamatid=1233&timestamp=1648023241&token=12345&userid=1139&cellid=10"
)


class Visitor:
    """Asks one simulator."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session

    async def ask(self, path: str, method: str = "GET", **body: Any) -> tuple[int, Any]:
        async with self._session.request(method, self._url + path, json=body or None) as response:
            text = await response.text()
            return response.status, json.loads(text) if text[:1] in "{[" and text else text


@pytest.fixture
async def visitor() -> AsyncIterator[Visitor]:
    async with serving(make_app()) as url, make_session(timeout=5) as session:
        yield Visitor(url, session)


async def test_the_answers_are_those_of_the_description(visitor: Visitor) -> None:
    assert await visitor.ask(CALL) == (400, {"name": "No case", "message": "Дело 1.22-51 не найдено"})
    await visitor.ask("/_sim/cases", "POST", casenum="1.22-51")
    assert await visitor.ask(CALL) == (200, {"status": "ok", "message": "Сохранено"})
    status, said = await visitor.ask(CALL.replace("1139", "abc"))
    assert (status, said["name"]) == (500, "Exception")
    assert said["message"].startswith("SQLSTATE[22P02]")


@pytest.mark.parametrize(
    ("change", "name"),
    [(("12345", "x"), "Wrong token"), (("&userid=1139", ""), "Bad Request"), (("put-case", "issue"), "Wrong state")],
)
async def test_what_it_refuses_changes_no_case(visitor: Visitor, change: tuple[str, str], name: str) -> None:
    await visitor.ask("/_sim/cases", "POST", casenum="1.22-51")
    status, said = await visitor.ask(CALL.replace(*change))
    assert (status, said["name"]) == (400, name)
    assert (await visitor.ask("/_sim/cases"))[1]["1.22-51"]["state"] == "на выдаче"


async def test_the_ledger_tells_every_call_and_never_the_token(visitor: Visitor) -> None:
    await visitor.ask(CALL)
    _, (entry,) = await visitor.ask("/_sim/ledger")
    assert entry == {
        "operation": "put-case",
        "casenum": "1.22-51",
        "postamatid": "1233",
        "timestamp": "1648023241",
        "userid": "1139",
        "cellid": "10",
        "outcome": "refused",
        "name": "No case",
    }


async def test_a_switch_is_meant_for_its_call_and_counts(visitor: Visitor) -> None:
    await visitor.ask("/_sim/scenario", "POST", operation="put-case", times=1, answer={"status": 503, "name": "Away"})
    assert (await visitor.ask(CALL.replace("put-case", "back")))[0] == 400
    assert (await visitor.ask(CALL))[0] == 503
    assert (await visitor.ask(CALL))[0] == 400
    await visitor.ask("/_sim/scenario", "POST", casenum="other", status=500)
    assert (await visitor.ask(CALL))[0] == 400
    assert len((await visitor.ask("/_sim/scenario"))[1]) == 1
    await visitor.ask("/_sim/scenario", "DELETE")
    assert (await visitor.ask("/_sim/scenario"))[1] == []


async def test_a_reset_forgets_everything(visitor: Visitor) -> None:
    await visitor.ask("/_sim/cases", "POST", casenum="1")
    await visitor.ask(CALL)
    assert (await visitor.ask("/_sim/reset", "POST"))[0] == 204
    assert [(await visitor.ask(f"/_sim/{name}"))[1] for name in ("cases", "ledger", "scenario")] == [{}, [], []]


async def test_a_switch_that_means_nothing_is_refused_with_every_rule(visitor: Visitor) -> None:
    status, said = await visitor.ask("/_sim/scenario", "POST", body="smoke", times=0)
    assert status == 400
    assert {fault["path"] for fault in said["faults"]} == {"body", "times"}


def test_the_page_names_every_switch() -> None:
    page = (PROJECT / "docs/postamat.md").read_text("utf-8")
    assert [name for name in Rule.model_fields if f"`{name}`" not in page] == []


async def test_it_runs_as_a_process_and_ends_when_told(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("12345\n", encoding="utf-8")
    program = [sys.executable, "-m", "simulators.postamat", "--port", "0", "--token", str(token), "--unknown-cases"]
    process = await asyncio.create_subprocess_exec(*program, cwd=PROJECT, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        ready = json.loads(await asyncio.wait_for(process.stdout.readline(), 20))
        async with make_session(timeout=5) as session:
            assert (await Visitor(ready["url"], session).ask(CALL))[0] == 200
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

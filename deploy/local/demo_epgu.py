"""The demo of ЕПГУ: applications over real queues to a portal that judges them, each step checked by what came back.

An application goes from its number to its result; then come the days on which something does not go well.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from adapter.http import make_session
from deploy.local.console import say
from deploy.local.processes import clean_environment
from deploy.local.stories import WrongError, demand, tell
from deploy.local.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import aiohttp

    from deploy.local.stories import Step

#: Seconds to wait for an HTTP answer, for the portal to go on, and for a command line.
HTTP_SECONDS: Final = 30
NEWS_SECONDS: Final = 60
COMMAND_SECONDS: Final = 60
#: The application that docs and README send: two files, the order's number put into the first one, which is signed.
EXAMPLE: Final = Path(__file__).parent / "epgu/submit.json"
PLAIN: Final = {"service_code": "10000000113", "target_code": "-10000000113", "region": "45000000000"}
REQUEST: Final = [{"name": "req.xml", "content_base64": base64.b64encode(b"<request/>").decode()}]
RESULT: Final = b"%PDF-1.4\n% the result of the demo\n" + bytes(range(256)) * 16
LARGE_BYTES: Final = 12_000_000
STATUS_CHANGED: Final = "epgu.order.status-changed"
PROCESS_FAILED: Final = "epgu.order.process-failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """The portal's address, a folder from which commands may name files, and the journal's variables."""

    portal: str
    given: Path
    database: Mapping[str, str]


def main(variables: Mapping[str, str], where: Where, folder: Path) -> tuple[int, int]:
    """Run the demo; return how many steps hold and how many there are. The incident's letter is left in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    return asyncio.run(_run(variables, where, folder))


async def _run(variables: Mapping[str, str], where: Where, folder: Path) -> tuple[int, int]:
    async with Upstream(variables) as upstream, make_session(timeout=HTTP_SECONDS) as session:
        demo = Demo(upstream, session, where, folder)
        stories = (("An application", demo.application()), ("Days that do not go well", demo.bad_days()))
        good, total = await tell(stories)
    say(f"\n  The letter about the incident: {folder}/incident.txt, incident.docx\n")
    return good, total


class Demo:
    """Both stories; numbers are the portal's."""

    def __init__(self, upstream: Upstream, session: aiohttp.ClientSession, where: Where, folder: Path) -> None:
        """Commands go by ``upstream``, the portal's side door by ``session``."""
        self._upstream = upstream
        self._session = session
        self._where = where
        self._folder = folder
        self._number = self._refused = 0

    def application(self) -> list[Step]:
        """Return the story of an application that succeeds."""
        return [
            ("Dictionary, without a token", self._dictionary),
            ("Application submitted", self._submit),
            ("Process code DONE", self._done),
            ("Statuses told as events", self._statuses),
            ("Result downloaded, compared", self._result_file),
            ("Our own file, with its number", self._own_file),
            ("12 MB in chunks", self._chunks),
            ("Answer to the last chunk lost", self._lost_chunk),
            ("Cancellation: asked, then told", self._cancel),
        ]

    def bad_days(self) -> list[Step]:
        """Return the story of what is refused, fails, or stays unknown."""
        return [
            ("Archive with a folder: not sent", self._folder_inside),
            ("A service that is not there", self._unknown_service),
            ("Right to send refused", self._push_denied),
            ("Process failure told as an event", self._process_failure),
            ("Push without an answer", self._uncertain),
            ("Cancellation not allowed", self._not_allowed),
            ("Letter about an incident", self._incident),
        ]

    async def _dictionary(self) -> str:
        told = await self._result("epgu.dictionary.get", {"code": "BIC", "page_num": 1, "page_size": 2})
        demand((told["total"], len(told["items"])) == (899, 2), f"{told['total']} items, {len(told['items'])} came")
        return f"{told['items'][0]['title']} and {told['total'] - 1} more"

    async def _submit(self) -> str:
        files = [{"name": "result.pdf", "content_base64": base64.b64encode(RESULT).decode()}]
        statuses = [{"status_id": number} for number in (0, 17, 21, 2, 6)]
        await self._rule(order_statuses=[*statuses, {"status_id": 3, "files": files}], service_code="60010153")
        command = json.loads(EXAMPLE.read_text(encoding="utf-8"))
        self._number = (await self._result("epgu.order.submit", command))["order_id"]
        with zipfile.ZipFile(io.BytesIO(await self._archive(self._number))) as archive:
            names, text = archive.namelist(), archive.read("req.xml").decode()
        demand(names == ["req.xml", "req.xml.sig", "piev_epgu.xml"], f"the archive holds {names}")
        demand(f"<OrderId>{self._number}</OrderId>" in text, "the number is not in req.xml")
        return f"{self._number} reserved, put into req.xml, signed, sent"

    async def _done(self) -> str:
        details = await self._details(self._number, lambda told: told["final"] is True)
        demand(details["success"] is True, f"the process code is {details['code']}")
        return f"{details['code']}: handed on to the agency"

    async def _statuses(self) -> str:
        last = await self._heard(STATUS_CHANGED, self._number, lambda body: body["final"] is True)
        told = self._told(STATUS_CHANGED, self._number)
        ids = [body["status_id"] for body in told]
        demand(last["status_id"] == 3, f"the final status is {last['status_id']}")
        demand(len(ids) == len(set(ids)), f"told more than once: {ids}")
        return f"{' → '.join(map(str, ids))}, {last['name']}"

    async def _result_file(self) -> str:
        details = await self._details(
            self._number, lambda told: bool((told["order"] or {}).get("order_response_files"))
        )
        link = details["order"]["order_response_files"][0]["link"]
        file = (await self._result("epgu.file.download", {"link": link}))["file"]
        demand(base64.b64decode(file["content_base64"]) == RESULT, "another file came")
        return f"{file['name']}, {file['size']} bytes, as the agency gave it"

    async def _own_file(self) -> str:
        link = f"terrabyte://00/{self._number}/req.xml/2"
        file = (await self._result("epgu.file.download", {"link": link}))["file"]
        demand(str(self._number) in base64.b64decode(file["content_base64"]).decode(), "the number is not in it")
        return f"req.xml names {self._number}"

    async def _chunks(self) -> str:
        large = self._where.given / "demo-large.bin"
        await asyncio.to_thread(large.write_bytes, os.urandom(LARGE_BYTES))
        files = [*REQUEST, {"name": "large.bin", "path": str(large)}]
        try:
            told = await self._result("epgu.order.submit", PLAIN | {"files": files})
        finally:
            await asyncio.to_thread(large.unlink)
        came = hashlib.sha256(await self._archive(told["order_id"])).hexdigest()
        demand(came == told["archive"]["sha256"], "another archive came")
        demand(told["archive"]["chunks"] == 3, f"{told['archive']['chunks']} chunks")
        return f"{told['archive']['chunks']} chunks, {told['archive']['size']} bytes, whole"

    async def _lost_chunk(self) -> str:
        await self._rule(drop="after")
        number = (await self._result("epgu.order.submit", PLAIN | {"files": REQUEST}))["order_id"]
        counts = (await self._side("counts"))["orders"][str(number)]
        demand(counts["submitted"] == 1, f"it arrived {counts['submitted']} times")
        return "details were asked; the archive had arrived, once"

    async def _cancel(self) -> str:
        await self._rule(order_statuses=[{"status_id": 17, "after": 0}, {"status_id": 2, "cancel_allowed": True}])
        number = (await self._result("epgu.order.submit", PLAIN | {"files": REQUEST}))["order_id"]
        await self._details(number, lambda told: told["cancel_allowed"])
        told = await self._result("epgu.order.cancel", {"order_id": number})
        demand(told["cancel_requested"] is True, f"{told}")
        event = await self._heard(STATUS_CHANGED, number, lambda body: body["status_id"] == 10)
        return f"{event['name']}"

    async def _folder_inside(self) -> str:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("folder/req.xml", b"<request/>")
        before = (await self._side("counts"))["operations"].get("order", 0)
        ready = {"archive": {"content_base64": base64.b64encode(out.getvalue()).decode()}}
        error = await self._error("epgu.order.submit", PLAIN | ready, "ADAPTER-INVALID-COMMAND")
        demand((await self._side("counts"))["operations"].get("order", 0) == before, "a number was reserved")
        return f"{error['fields'][0]['path']}: {error['fields'][0]['rule']}"

    async def _unknown_service(self) -> str:
        command = PLAIN | {"service_code": "99999", "files": REQUEST}
        error = await self._error("epgu.order.submit", command, "service_not_found")
        return f"service_not_found: {error['recommendation']}"

    async def _push_denied(self) -> str:
        await self._rule(refuse="push_denied")
        error = await self._error("epgu.order.submit", PLAIN | {"files": REQUEST}, "push_denied")
        self._refused = error["details"]["order_id"]
        demand(bool(error["recommendation"]), "nothing is recommended")
        return f"push_denied, order {self._refused}: {error['recommendation'][:60]}…"

    async def _process_failure(self) -> str:
        await self._rule(process=["VALIDATION", "VALIDATION_ERROR"], process_message="req.xml: нет поля Region")
        number = (await self._result("epgu.order.submit", PLAIN | {"files": REQUEST}))["order_id"]
        event = await self._heard(PROCESS_FAILED, number, lambda _: True)
        demand(event["code"] == "VALIDATION_ERROR", f"the code is {event['code']}")
        return f"{event['code']}: {event['description']}"

    async def _uncertain(self) -> str:
        await self._rule(operation="push", drop="after")
        before = (await self._side("counts"))["operations"].get("push", 0)
        await self._error("epgu.order.push", PLAIN | {"files": REQUEST}, "ADAPTER-UNCERTAIN")
        made = (await self._side("counts"))["operations"]["push"] - before
        demand(made == 1, f"it was made {made} times")
        return "ADAPTER-UNCERTAIN, made once and never again"

    async def _not_allowed(self) -> str:
        before = (await self._side("counts"))["operations"].get("cancel", 0)
        error = await self._error("epgu.order.cancel", {"order_id": self._number}, "cancel_not_allowed")
        demand((await self._side("counts"))["operations"].get("cancel", 0) == before, "the portal was asked")
        return f"the portal was not asked: {error['description']}"

    async def _incident(self) -> str:
        stem = self._folder / "incident"
        argv = [str(Path(sys.executable).with_name("adapter")), "incident", str(self._refused), "-o", str(stem)]
        environment = clean_environment(**self._where.database, EPGU_SYSTEM="MNEMONIKA")
        done = await asyncio.to_thread(_command, argv, environment)
        demand(done.returncode == 0, done.stderr.strip()[-300:])
        text = await asyncio.to_thread(stem.with_suffix(".txt").read_text, encoding="utf-8")
        demand(all(f"\n{number}. " in text for number in range(1, 9)), "a point is missing")
        demand("eyJ" not in text, "a token is in it")
        subject = next(line for line in text.splitlines() if line.startswith("Тема: "))
        demand("#API-ЕПГУ" in subject and str(self._refused) in text, f"the subject is {subject}")
        return subject.removeprefix("Тема: ")

    async def _details(self, number: int, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Ask for details until they are ``wanted``."""
        async with asyncio.timeout(NEWS_SECONDS):
            while True:
                told: dict[str, Any] = await self._result("epgu.order.get", {"order_id": number})
                if wanted(told):
                    return told
                await asyncio.sleep(0.3)

    async def _heard(self, name: str, number: int, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait for an event about an order."""
        try:
            async with asyncio.timeout(NEWS_SECONDS):
                while True:
                    for body in self._told(name, number):
                        if wanted(body):
                            return body
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise WrongError(f"no event {name} about {number} within {NEWS_SECONDS} s") from None

    def _told(self, name: str, number: int) -> list[dict[str, Any]]:
        """Return what was told of an order so far, in its order."""
        return [body for heard, body in self._upstream.events if heard == name and body.get("order_id") == number]

    async def _result(self, action: str, command: Mapping[str, Any]) -> Any:
        body = (await self._upstream.ask(action, command)).body
        demand("result" in body, f"{body.get('error')}")
        return body["result"]

    async def _error(self, action: str, command: Mapping[str, Any], code: str) -> dict[str, Any]:
        body = (await self._upstream.ask(action, command)).body
        error: dict[str, Any] = body.get("error", {})
        demand(error.get("error_code") == code, f"{body}")
        return error

    async def _rule(self, **rule: Any) -> None:
        """Have the portal do something with the next upload."""
        wanted = {"operation": "chunk", "times": 1, **rule}
        async with self._session.post(f"{self._where.portal}/_sim/scenario", json=wanted) as answer:
            answer.raise_for_status()

    async def _side(self, path: str) -> Any:
        async with self._session.get(f"{self._where.portal}/_sim/{path}") as answer:
            answer.raise_for_status()
            return await answer.json()

    async def _archive(self, number: int) -> bytes:
        url = f"{self._where.portal}/_sim/orders/archive"
        async with self._session.get(url, params={"order_id": str(number)}) as answer:
            answer.raise_for_status()
            return await answer.read()


def _command(argv: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)

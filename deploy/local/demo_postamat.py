"""The demo of постаматы: both modes over real queues and HTTP, each step checked by what came back.

Portal mode: an МФЦ sends commands, its lockers call the adapter. Client mode: the adapter calls a (simulated) portal.
"""

from __future__ import annotations

import asyncio
import base64
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from adapter.http import make_session
from deploy.local.console import say
from deploy.local.stories import demand, tell
from deploy.local.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import aiohttp

    from deploy.local.postgres import LocalPostgres
    from deploy.local.stories import Step

#: Seconds to wait for an HTTP answer, and for an event.
HTTP_SECONDS: Final = 30
EVENT_SECONDS: Final = 40
SAVED: Final = {"status": "ok", "message": "Сохранено"}
SERVICE: Final = "Выдача справки"


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Where lockers call us, where the portal is, their ``token``, and the database whose clock the demo turns back."""

    lockers: str
    portal: str
    token: str = field(repr=False)
    database: LocalPostgres
    name: str


def main(variables: Mapping[str, str], where: Where, folder: Path) -> tuple[int, int]:
    """Run the demo; return how many steps hold and how many there are. QR code and sheet are left in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    return asyncio.run(_run(variables, where, folder))


async def _run(variables: Mapping[str, str], where: Where, folder: Path) -> tuple[int, int]:
    async with Upstream(variables) as upstream, make_session(timeout=HTTP_SECONDS) as session:
        demo = Demo(upstream, session, where, folder)
        good, total = await tell((("Portal mode", demo.portal_steps()), ("Client mode", demo.client_steps())))
    say(f"\n  QR code and sheet: {folder}/postamat.png, postamat.svg, postamat.pdf\n")
    return good, total


class Demo:
    """The two stories; numbers are new each time, because the database keeps them."""

    def __init__(self, upstream: Upstream, session: aiohttp.ClientSession, where: Where, folder: Path) -> None:
        """Commands go by ``upstream``, calls of lockers by ``session``."""
        self._upstream = upstream
        self._session = session
        self._where = where
        self._folder = folder
        run = random.randrange(10**6, 10**7)  # noqa: S311  — tells runs apart, guards nothing
        self._near, self._far = f"{run}1", f"{run}2"
        self._department = f"ТОСП-{run}"
        self._first, self._second = f"1.26-{run}1", f"1.26-{run}2"
        self._clock = int(time.time())

    def portal_steps(self) -> list[Step]:
        """Return the story of an МФЦ that owns its cases."""
        return [
            ("Directory: two lockers", self._fill_directory),
            ("Directory: a number twice", self._same_number),
            ("Service not allowed: no offer", self._nothing_offered),
            ("Service allowed: two to choose", self._two_offered),
            ("Cases registered", self._register),
            ("QR code and its sheet", self._qr),
            ("Locker with a wrong token", self._wrong_token),
            ("Cases put into the locker", self._put),
            ("The same call once more", self._again),
            ("List with an overdue case", self._overdue),
            ("Case issued to the applicant", self._issue),
            ("Case taken back to the МФЦ", self._back),
            ("Issued twice: refused by name", self._wrong_step),
            ("Inactive locker: offered no more", self._deactivate),
        ]

    def client_steps(self) -> list[Step]:
        """Return the story of an МФЦ whose cases a portal owns."""
        return [
            ("Case put into the locker", lambda: self._tell("put-case", self._first)),
            ("Case issued to the applicant", lambda: self._tell("issue", self._first)),
            ("Another one put", lambda: self._tell("put-case", self._second)),
            ("Another one taken back", lambda: self._tell("back", self._second)),
            ("Case that the portal has not", self._no_case),
            ("Bad number: nothing is called", self._bad_number),
            ("Answer lost: uncertain, made once", self._lost),
        ]

    async def _fill_directory(self) -> str:
        for number, address in ((self._near, "Калуга, ул. Хрустальная, 34а"), (self._far, "Калуга, пл. Победы, 1")):
            await self._result("directory.add", self._locker(number, address))
        listed = {one["number"]: one for one in (await self._result("directory.list", {}))["lockers"]}
        demand({self._near, self._far} <= set(listed), "the list has not both")
        edited = await self._result("directory.edit", {"number": self._near, "storage_days": 14})
        demand(edited["storage_days"] == 14, "the edit is not there")
        return f"{self._near} and {self._far}; storage days edited"

    async def _same_number(self) -> str:
        return await self._refused("directory.add", self._locker(self._near, "?"), "ADAPTER-POSTAMAT-LOCKER-EXISTS")

    async def _nothing_offered(self) -> str:
        await self._result("service.allow", {"service": SERVICE, "allowed": False})
        demand(await self._offered() == [], "something is offered")
        return "none"

    async def _two_offered(self) -> str:
        await self._result("service.allow", {"service": SERVICE})
        offered = await self._offered()
        demand(offered == [self._near, self._far], f"offered are {offered}")
        return ", ".join(offered)

    async def _register(self) -> str:
        for casenum in (self._first, self._second):
            case = await self._result("case.register", self._case(casenum))
            demand((case["state"], case["postamatid"]) == ("на выдаче", self._near), f"{case['state']}")
            demand(self._near in case["receipt_line"], "the receipt does not name the locker")
        return str(case["receipt_line"])[:72] + "…"

    async def _qr(self) -> str:
        made = await self._result("qr", {"casenum": self._first})
        wanted = f"{self._near}|+7 (918) 555 55 54|{self._first}"
        demand(made["text"] == wanted, "the code holds something else")
        png = base64.b64decode(made["png"]["content_base64"])
        sheet = base64.b64decode(made["sheet"]["content_base64"])
        demand(png.startswith(b"\x89PNG") and sheet.startswith(b"%PDF"), "these are no PNG and PDF")
        for name, content in (("postamat.png", png), ("postamat.pdf", sheet), ("postamat.svg", made["svg"].encode())):
            (self._folder / name).write_bytes(content)
        demand(_read_code(self._folder / "postamat.png") in (wanted, None), "a reader reads something else")
        return wanted

    async def _wrong_token(self) -> str:
        status, body = await self._call("put-case", self._first, token="a wrong one")  # noqa: S106  — wrong on purpose
        demand((status, body.get("name")) == (400, "Wrong token"), f"HTTP {status} {body}")
        await self._state(self._first, "на выдаче")
        return "400 Wrong token; the case is where it was"

    async def _put(self) -> str:
        for casenum in (self._first, self._second):
            await self._moves("put-case", casenum, "В постамате")
        return "В постамате; event postamat.case-moved each"

    async def _again(self) -> str:
        answer = await self._call("put-case", self._first)
        demand(answer == (200, SAVED), f"HTTP {answer}")
        case = await self._result("case.get", {"casenum": self._first})
        demand(len(case["movements"]) == 1, f"{len(case['movements'])} movements")
        return "answered alike, one movement"

    async def _overdue(self) -> str:
        statement = f"update locker_cases set put_at = put_at - interval '20 days' where casenum = '{self._second}'"  # noqa: S608  — a number of ours
        await asyncio.to_thread(self._where.database.psql, statement, database=self._where.name)
        listed = {one["casenum"]: one for one in (await self._result("cases.list", {}))["cases"]}
        marks = [listed[casenum]["overdue"] for casenum in (self._first, self._second)]
        demand(marks == [False, True], f"overdue: {marks}")
        await self._heard("postamat.case-overdue", self._second)
        return f"{self._second}, put 20 days ago by the demo; event told"

    async def _issue(self) -> str:
        await self._moves("issue", self._first, "Выдано заявителю")
        return "Выдано заявителю"

    async def _back(self) -> str:
        await self._moves("back", self._second, "на выдаче")
        case = await self._result("case.get", {"casenum": self._second})
        steps = [one["operation"] for one in case["movements"]]
        demand(steps == ["put-case", "back"], f"movements {steps}")
        return f"на выдаче; movements {', '.join(steps)}"

    async def _wrong_step(self) -> str:
        self._clock += 1  # a new attempt of a person
        status, body = await self._call("issue", self._first)
        demand((status, body.get("name")) == (400, "Wrong step"), f"HTTP {status} {body}")
        return f"400 {body['message']}"

    async def _deactivate(self) -> str:
        await self._result("directory.deactivate", {"number": self._near})
        offered = await self._offered()
        demand(offered == [self._far], f"offered are {offered}")
        await self._result("directory.activate", {"number": self._near})
        demand(await self._offered() == [self._near, self._far], "activated, it is not offered again")
        return f"only {self._far}; both when it is active again"

    async def _tell(self, operation: str, casenum: str) -> str:
        if operation == "put-case":
            await self._post("/_sim/cases", {"casenum": casenum})
        said = await self._result(operation, self._movement(casenum))
        demand(said == SAVED, f"{said}")
        async with self._session.get(f"{self._where.portal}/_sim/cases") as answer:
            state = (await answer.json())[casenum]["state"]
        return f"{said['message']}; at the portal: {state}"

    async def _no_case(self) -> str:
        return await self._refused("issue", self._movement("no-such-case"), "No case")

    async def _bad_number(self) -> str:
        before = len(await self._ledger())
        said = await self._refused(
            "put-case", self._movement(self._first) | {"cellid": "ten"}, "ADAPTER-INVALID-COMMAND"
        )
        demand(len(await self._ledger()) == before, "the portal was called")
        return said

    async def _lost(self) -> str:
        casenum = f"{self._first}-lost"
        await self._post("/_sim/cases", {"casenum": casenum})
        await self._post("/_sim/scenario", {"casenum": casenum, "drop": "after", "times": 1})
        said = await self._refused("put-case", self._movement(casenum), "ADAPTER-UNCERTAIN")
        made = sum(entry["casenum"] == casenum for entry in await self._ledger())
        demand(made == 1, f"the portal was called {made} times")
        return f"{said}; calls at the portal: {made}"

    def _locker(self, number: str, address: str) -> dict[str, Any]:
        return {"number": number, "address": address, "departments": [self._department], "storage_days": 7}

    def _case(self, casenum: str) -> dict[str, Any]:
        return {
            "casenum": casenum,
            "service": SERVICE,
            "department": self._department,
            "phone": "8 918 555-55-54",
            "postamatid": self._near,
        }

    def _movement(self, casenum: str) -> dict[str, str]:
        return {"casenum": casenum, "postamatid": self._near, "userid": "1139", "cellid": "10"}

    async def _offered(self) -> list[str]:
        found = await self._result("offer", {"service": SERVICE, "department": self._department})
        return [locker["number"] for locker in found["lockers"]]

    async def _moves(self, operation: str, casenum: str, state: str) -> None:
        """Let the locker call, and demand the answer of the description, the event and the new state."""
        answer = await self._call(operation, casenum)
        demand(answer == (200, SAVED), f"HTTP {answer}")
        told = await self._heard("postamat.case-moved", casenum, operation)
        demand(told["state"] == state, f"the event tells {told['state']}")
        await self._state(casenum, state)

    async def _state(self, casenum: str, wanted: str) -> None:
        case = await self._result("case.get", {"casenum": casenum})
        demand(case["state"] == wanted, f"the case is {case['state']}")

    async def _heard(self, name: str, casenum: str, operation: str | None = None) -> dict[str, Any]:
        """Wait for an event about a case."""
        async with asyncio.timeout(EVENT_SECONDS):
            while True:
                for heard, body in self._upstream.events:
                    if (heard, body.get("casenum"), body.get("operation")) == (name, casenum, operation):
                        return body
                await asyncio.sleep(0.05)

    async def _call(self, operation: str, casenum: str, token: str | None = None) -> tuple[int, dict[str, Any]]:
        """Call the adapter as a locker does."""
        given = self._movement(casenum) | {"timestamp": str(self._clock), "token": token or self._where.token}
        url = f"{self._where.lockers}/rest-api/postamat/{operation}"
        async with self._session.get(url, params=given) as answer:
            return answer.status, await answer.json()

    async def _result(self, action: str, command: Mapping[str, Any]) -> Any:
        body = (await self._upstream.ask(f"postamat.{action}", command)).body
        demand("result" in body, f"{body.get('error')}")
        return body["result"]

    async def _refused(self, action: str, command: Mapping[str, Any], code: str) -> str:
        body = (await self._upstream.ask(f"postamat.{action}", command)).body
        error = body.get("error", {})
        demand(error.get("error_code") == code, f"{body}")
        return f"{code}: {error['description']}"

    async def _post(self, path: str, body: Mapping[str, Any]) -> None:
        async with self._session.post(f"{self._where.portal}{path}", json=body) as answer:
            answer.raise_for_status()

    async def _ledger(self) -> list[dict[str, Any]]:
        async with self._session.get(f"{self._where.portal}/_sim/ledger") as answer:
            ledger: list[dict[str, Any]] = await answer.json()
            return ledger


def _read_code(picture: Path) -> str | None:
    """Return what OpenCV reads, ``None`` where it is not installed."""
    try:
        import cv2  # noqa: PLC0415  — a reader for development alone
    except ImportError:
        return None
    image = cv2.imread(str(picture))
    if image is None:
        return None
    # Its two readers do not find every code at every size.
    readers = (cv2.QRCodeDetector(), cv2.QRCodeDetectorAruco())
    pictures = [cv2.resize(image, None, fx=part, fy=part, interpolation=cv2.INTER_AREA) for part in (1.0, 0.5)]
    found = (str(reader.detectAndDecode(picture)[0]) for reader in readers for picture in pictures)
    return next((text for text in found if text), "")

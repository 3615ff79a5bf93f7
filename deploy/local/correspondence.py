"""The demo of correspondence: a citizen and an agency write to each other through ЕПГУ; each step checks itself."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp

from adapter.http import make_session
from deploy.local.console import StepError, paint, say
from deploy.local.processes import clean_environment
from deploy.local.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

#: The вид сведений of the stack (``EPGU_ORDER_TYPES``).
NAMESPACE: Final = "http://example.org/visit/1.0.0"
QUESTION: Final = "Прошу перенести запись на другой день"
ANSWER: Final = "Запись перенесена на 3 декабря, 10:30"
SECONDS: Final = 60
#: Seconds between a message's departure and the kill.
_ON_ITS_WAY: Final = 0.05
_CLERK: Final = "Петрова А.В."
_VISIT: Final = "<t:service>Запись на приём</t:service><t:day>2026-12-01</t:day>"


class Account:
    """The simulated personal account: what a citizen does and sees, and what СМЭВ3 saw pass."""

    def __init__(self, url: str) -> None:
        """``url`` is the root of the СМЭВ3 simulator."""
        self._url = f"{url.rstrip('/')}/_sim"

    async def __aenter__(self) -> Self:
        """Open the session."""
        self._session = make_session(timeout=SECONDS)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the session."""
        await self._session.close()

    async def order(self) -> int:
        """Order a visit; returns the order's number."""
        _, told = await self._post("/account/orders", {"namespace": NAMESPACE, "content": _VISIT})
        number: int = told["order_id"]
        return number

    async def write(self, order: int, text: str) -> tuple[int, dict[str, Any]]:
        """Write to the agency; returns the HTTP status and what the account says."""
        return await self._post(f"/account/orders/{order}/messages", {"text": text})

    async def cancel(self, order: int, reason: str) -> tuple[int, dict[str, Any]]:
        """Ask to cancel."""
        return await self._post(f"/account/orders/{order}/cancel", {"reason": reason})

    async def view(self, order: int) -> dict[str, Any]:
        """Return the order as its citizen sees it."""
        found: dict[str, Any] = await self._get(f"/account/orders/{order}")
        return found

    async def shows(self, order: int, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until the account shows what is ``wanted``; returns what it shows in the end."""
        view = await self.view(order)
        for _ in range(SECONDS * 10):
            if wanted(view):
                break
            await asyncio.sleep(0.1)
            view = await self.view(order)
        return view

    async def answers(self, message_id: str) -> list[dict[str, Any]]:
        """Return what СМЭВ3 took as answers to a message, waiting for the first one."""
        for _ in range(SECONDS * 10):
            found: list[dict[str, Any]] = await self._get(f"/answers?original={message_id}")
            if found:
                return found
            await asyncio.sleep(0.1)
        return []

    async def _get(self, path: str) -> Any:
        async with self._session.get(self._url + path) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def _post(self, path: str, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        async with self._session.post(self._url + path, json=body) as answer:
            told = await answer.json() if answer.content_type == "application/json" else {}
            return answer.status, told


class Talk:
    """One conversation; every step returns what is wrong, or nothing."""

    def __init__(
        self, account: Account, upstream: Upstream, trace: Callable[[str], str], kill: Callable[[], None]
    ) -> None:
        """``trace`` returns what ``adapter trace ID --json`` prints, ``kill`` ends the adapter and starts it again."""
        self._account = account
        self._upstream = upstream
        self._trace = trace
        self._kill = kill
        self._order = 0
        self._order_message = ""
        self._message = ""

    async def order(self) -> str:
        """Order; the event is on its queue."""
        self._order = await self._account.order()
        event = await self._event("epgu.order.received")
        self._order_message = event["message_id"]
        visit = event["content"].get("order", {})
        return "" if visit.get("service") == "Запись на приём" else f"the event tells another order: {event}"

    async def acknowledged(self) -> str:
        """Look at the status after the Ack."""
        view = await self._account.shows(self._order, lambda view: view["status"] == "2")
        return "" if [status["code"] for status in view["statuses"]] == ["21", "2"] else f"it shows {view['statuses']}"

    async def silent(self) -> str:
        """Try to write before anybody allowed it."""
        status, _ = await self._account.write(self._order, QUESTION)
        return "" if status == 409 else f"the account answers {status}"

    async def allow(self) -> str:
        """Let the agency allow messages by a status."""
        command = {"tech_code": 6, "comment": "Проверяем документы", "send_message_allowed": True}
        wrong = await self._command("epgu.order.set-status", command)
        view = await self._account.shows(self._order, lambda view: view["status"] == "6")
        return wrong or ("" if view["can_write"] else f"it shows {view}")

    async def write(self) -> str:
        """Write; the event is on its queue."""
        status, told = await self._account.write(self._order, QUESTION)
        if "message_id" not in told:
            return f"the account answers {status}"
        event = await self._event("epgu.message.received")
        self._message = event["message_id"]
        return "" if (event["text"], self._message) == (QUESTION, told["message_id"]) else f"the event tells {event}"

    async def said_ok(self) -> str:
        """Look for the one «ОК» and for what the account does not show."""
        answers = await self._account.answers(self._message)
        view = await self._account.view(self._order)
        if [answer["kind"] for answer in answers] != ["content"] or "ОК" not in answers[0]["content"]:
            return f"СМЭВ3 has {answers}"
        shown = [message["text"] for message in view["messages"]]
        return "" if (shown, view["status"]) == ([QUESTION], "6") else f"it shows {view}"

    async def answer(self) -> str:
        """Let the agency write back."""
        wrong = await self._command("epgu.message.send", {"text": ANSWER, "author": _CLERK})
        view = await self._account.shows(self._order, lambda view: len(view["messages"]) > 1)
        shown = [(message["from"], message["text"]) for message in view["messages"]]
        return wrong or ("" if shown == [("citizen", QUESTION), ("agency", ANSWER)] else f"it shows {shown}")

    async def own_answer(self) -> str:
        """Answer the order in the вид сведений itself, over the status of before."""
        command = {"tech_code": 3, "cancel_allowed": True, "send_message_allowed": False}
        talk = await self._upstream.ask("epgu.order.answer", {"message_id": self._order_message, **command})
        view = await self._account.shows(self._order, lambda view: view["status"] == "3")
        good = "result" in talk.body and view["status"] == "3" and view["can_cancel"] and not view["can_write"]
        return "" if good else f"the reply is {talk.body}, the account shows {view}"

    async def cancel(self) -> str:
        """Ask to cancel, and let the agency answer."""
        status, told = await self._account.cancel(self._order, "Передумал")
        if "message_id" not in told:
            return f"the account answers {status}"
        event = await self._event("epgu.cancel.requested")
        command = {"message_id": event["message_id"], "result": "OK", "comment": "Запись отменена"}
        talk = await self._upstream.ask("epgu.cancel.answer", command)
        view = await self._account.shows(self._order, lambda view: view["cancellations"][0]["answer"] is not None)
        shown = (view["cancellations"][0]["answer"] or {}).get("comment")
        return "" if shown == "Запись отменена" else f"the reply is {talk.body}, the account shows {shown}"

    async def trace(self) -> str:
        """Trace the order."""
        told = json.loads(await asyncio.to_thread(self._trace, str(self._order)))
        found = [(one["direction"], one["action"], one["state"]) for one in told.get("conversation", [])]
        wanted = [
            ("in", "epgu.order.request", "replied"),
            ("out", "epgu.order.set-status", "replied"),
            ("in", "epgu.order.request", "replied"),
            ("out", "epgu.message.send", "replied"),
            ("out", "epgu.order.answer", "replied"),
            ("in", "epgu.order.request", "replied"),
            ("out", "epgu.cancel.answer", "replied"),
        ]
        return "" if found == wanted else f"it shows {found}"

    async def killed_order(self) -> str:
        """Kill the adapter while an order is on its way."""
        self._order = await self._account.order()
        await self._killed()
        await self._event("epgu.order.received")
        view = await self._account.shows(self._order, lambda view: view["status"] == "2")
        return "" if view["status"] == "2" else f"it shows {view['statuses']}"

    async def killed_status(self) -> str:
        """Kill it while a status is on its way."""
        command = {"tech_code": 6, "send_message_allowed": True}
        wrong, _ = await asyncio.gather(self._command("epgu.order.set-status", command), self._killed())
        view = await self._account.view(self._order)
        return wrong or ("" if view["status"] == "6" else f"it shows {view['statuses']}")

    async def killed_message(self) -> str:
        """Kill it while a citizen's message is on its way."""
        _, told = await self._account.write(self._order, QUESTION)
        self._message = told["message_id"]
        await self._killed()
        await self._event("epgu.message.received")
        return await self.said_ok()

    async def killed_answer(self) -> str:
        """Kill it while the agency's message is on its way."""
        wrong, _ = await asyncio.gather(self._command("epgu.message.send", {"text": ANSWER}), self._killed())
        view = await self._account.view(self._order)
        return wrong or ("" if len(view["messages"]) > 1 else f"it shows {view['messages']}")

    async def counted(self) -> str:
        """Count what the four kills left: events by their ids, answers, statuses, messages, exchanges."""
        told = {
            (name, message_id)
            for name, message_id, body in self._upstream.told
            if json.loads(body).get("order_id") == self._order
        }
        view = await self._account.view(self._order)
        answers = await self._account.answers(self._message)
        trace = json.loads(await asyncio.to_thread(self._trace, str(self._order)))["conversation"]
        found = {
            "events": sorted(name for name, _ in told),
            "answers": [answer["kind"] for answer in answers],
            "statuses": [status["code"] for status in view["statuses"]],
            "messages": [message["text"] for message in view["messages"]],
            "exchanges": [(one["direction"], one["state"]) for one in trace],
        }
        wanted = {
            "events": ["epgu.message.received", "epgu.order.received"],
            "answers": ["content"],
            "statuses": ["21", "2", "6"],
            "messages": [QUESTION, ANSWER],
            "exchanges": [(direction, "replied") for direction in ("in", "out", "in", "out")],
        }
        return "" if found == wanted else f"found {found}"

    async def _killed(self) -> None:
        await asyncio.sleep(_ON_ITS_WAY)
        await asyncio.to_thread(self._kill)

    async def _event(self, name: str) -> dict[str, Any]:
        return await self._upstream.event(name, lambda body: body.get("order_id") == self._order)

    async def _command(self, action: str, body: Mapping[str, Any]) -> str:
        """Send a command about the order; returns what is wrong with its reply."""
        talk = await self._upstream.ask(action, {"order_id": self._order, **body})
        expected = {"result": {"order_id": self._order, "code": 0}}
        return "" if talk.body == expected else f"the reply is {talk.body}"


#: Every step with its title, in order.
STEPS: Final[Sequence[tuple[str, Callable[[Talk], Awaitable[str]]]]] = (
    ("the citizen orders; the order is an event on its queue", Talk.order),
    ("Ack: the account shows 2", Talk.acknowledged),
    ("the account does not let the citizen write yet", Talk.silent),
    ("the agency sets 6 with sendMessageAllowed=true", Talk.allow),
    ("the citizen writes; the message is an event on its queue", Talk.write),
    ("«ОК» went back once, is not shown, and no status changed", Talk.said_ok),
    ("the agency answers; the account shows both messages", Talk.answer),
    ("the agency's own answer: the account follows the latest status", Talk.own_answer),
    ("the citizen cancels; the agency answers", Talk.cancel),
    ("adapter trace shows both directions in order", Talk.trace),
    ("kill -9 while an order is on its way", Talk.killed_order),
    ("kill -9 while a status is on its way", Talk.killed_status),
    ("kill -9 while the citizen's message is on its way", Talk.killed_message),
    ("kill -9 while the agency's message is on its way", Talk.killed_answer),
    ("after four kills nothing is lost and nothing is doubled", Talk.counted),
)


def tracer(database: Mapping[str, str]) -> Callable[[str], str]:
    """Return what runs ``adapter trace ID --json`` on the journal of these variables; it raises StepError."""

    def trace(identifier: str) -> str:
        argv = [str(Path(sys.executable).with_name("adapter")), "trace", identifier, "--json"]
        environment = clean_environment(**database)
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=SECONDS * 2, check=False)
        if done.returncode:
            raise StepError(f"adapter trace ended with {done.returncode}: {done.stderr.strip()[-500:]}")
        return done.stdout

    return trace


def close(demo: Callable[[], int]) -> int:
    """Run the demo, which returns how many steps held, and say so in the last line; return the exit code."""
    good = 0
    try:
        good = demo()
    except (StepError, OSError) as fault:
        say(f"\n{paint('Stopped.', 'red')} {fault}")
    finally:
        say(f"demo-correspondence: {good} of {len(STEPS)} steps")
    return 0 if good == len(STEPS) else 1


def main(variables: Mapping[str, str], trace: Callable[[str], str], kill: Callable[[], None]) -> int:
    """Run the demo against the stack ``variables`` lead to; return how many steps held."""
    return asyncio.run(_run(variables, trace, kill))


async def _run(variables: Mapping[str, str], trace: Callable[[str], str], kill: Callable[[], None]) -> int:
    good = 0
    async with Account(variables["SIM_SMEV_URL"]) as account, Upstream(variables) as upstream:
        talk = Talk(account, upstream, trace, kill)
        for number, (title, take) in enumerate(STEPS, start=1):
            try:
                wrong = await take(talk)
            except (StepError, aiohttp.ClientError, TimeoutError, ValueError, KeyError, IndexError) as fault:
                wrong = f"{type(fault).__name__}: {fault}"
            good += not wrong
            verdict = paint("ok  ", "green") if not wrong else paint("fail", "red")
            say(f"  {number:>2}  {verdict}  {title}{f': {wrong}' if wrong else ''}")
    return good

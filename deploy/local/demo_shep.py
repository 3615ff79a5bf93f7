"""The demo of the ШЭП: both channels and both contours over real queues and HTTP, each step checked by what came back.

The adapter is both sides of the order: it calls the services of another system, and answers as the owner of its own.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from adapter.http import make_session
from adapter.signing.gost import GostUnavailableError
from adapter.signing.kz import KzEngine
from adapter.xml.wssecurity import verify_document
from deploy.local.console import say
from deploy.local.stories import WrongError, demand, tell
from deploy.local.upstream import Upstream
from simulators.shep.keys import OTHER_BIN, OWN_BIN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import aiohttp

    from deploy.local.stories import Story

#: Seconds to wait for an HTTP answer, which a synchronous provider may take a minute for, and for an event.
HTTP_SECONDS: Final = 90
EVENT_SECONDS: Final = 40
ELEMENT: Final = "<r:запрос xmlns:r='urn:example'  номер='1'><r:текст>Сведения &amp; ответ</r:текст></r:запрос>"
DATA: Final = {"form": "child", "content": ELEMENT}
#: Numbers of our delivery points at the simulated gateway: messages, requests, and one that is made to err.
MESSAGES, REQUESTS, ERRING = 71, 72, 73
BOTH: Final = ("adapter", "other")


@dataclass(frozen=True, slots=True)
class Where:
    """Where the simulated gateway is, and where it calls us."""

    gateway: str
    door: str


def main(variables: Mapping[str, str], where: Where) -> tuple[int, int]:
    """Run the demo; return how many steps hold and how many there are."""
    return asyncio.run(_run(variables, where))


async def _run(variables: Mapping[str, str], where: Where) -> tuple[int, int]:
    async with Upstream(variables) as upstream, make_session(timeout=HTTP_SECONDS) as session:
        demo = Demo(upstream, session, where)
        await demo.register()
        good, total = await tell(demo.stories())
    say()
    return good, total


class Demo:
    """The stories; what the gateway knows is registered anew each time."""

    def __init__(self, upstream: Upstream, session: aiohttp.ClientSession, where: Where) -> None:
        """Commands go by ``upstream``, what other parties do by ``session``."""
        self._upstream = upstream
        self._session = session
        self._where = where
        self._receipt: dict[str, Any] = {}
        self._request: dict[str, Any] = {}

    async def register(self) -> None:
        """Register our system, its delivery points and its services at the simulated gateway."""
        point = {"repeat_delay": 0, "security": 1}
        ours, sealed = {"owner": "adapter", "users": BOTH}, {"encrypted": True}
        await self._post("/_sim/reset")
        world = {
            "parties": [
                {"sender_id": "adapter", "password": "adapter-password", "bin": OWN_BIN, "point": MESSAGES},
                {"sender_id": "other", "password": "other-password", "bin": OTHER_BIN},
            ],
            "points": [
                {"id": MESSAGES, "url": f"{self._where.door}/async", **point},
                {"id": REQUESTS, "url": f"{self._where.door}/sync", **point},
            ],
            "services": [
                {"service_id": "DemoSync", "mode": "sync", "point": REQUESTS, **ours},
                {"service_id": "DemoAsync", "mode": "async", "point": MESSAGES, **ours},
                {
                    "service_id": "DemoNotified",
                    "mode": "async",
                    "point": MESSAGES,
                    "delivery_notifications": True,
                    **ours,
                },
                {"service_id": "DemoPull", "mode": "async", "delivery": "PULL", **ours},
                {"service_id": "DemoSealed", "owner": "other", "mode": "sync", "point": 1, "users": BOTH, **sealed},
                {"service_id": "DemoSealedOwn", "mode": "async", "point": MESSAGES, **sealed, **ours},
                {"service_id": "DemoErring", "mode": "async", "point": MESSAGES, **ours},
            ],
        }
        await self._post("/_sim/world", world)

    def stories(self) -> list[Story]:
        """Return what is told, in order."""
        return [
            (
                "Another system's services",
                [
                    ("Synchronous call", self._sync),
                    ("Through the service's own queue", self._own_queue),
                    ("Data signed and stamped", self._signed),
                    ("Asynchronous call: receipt", self._send),
                    ("Its answer by PUSH", self._answer),
                    ("Status of the message", self._status),
                    ("Change of status told", self._status_told),
                    ("The outer contour (ВШЭП)", self._outside),
                    ("Encrypted, then signed, both ways", self._encrypted),
                    ("A refusal, with its inner error", self._refusal),
                    ("Answer lost: uncertain, sent once", self._lost),
                ],
            ),
            (
                "Our own services",
                [
                    ("Message delivered twice: one event", self._twice),
                    ("Delivery notified by ourselves", self._notified),
                    ("Delivery refused by a command", self._not_accepted),
                    ("Wrapped and unsigned: not believed", self._not_believed),
                    ("Synchronous request: event", self._asked),
                    ("Its answer by a command", self._answered),
                    ("A second answer: refused by name", self._answered_again),
                    ("Message fetched (PULL)", self._fetched),
                ],
            ),
            (
                "A delivery point on a bad day",
                [
                    ("Switched off after five errors", self._switched_off),
                    ("Switched on by an administrator", self._switched_on),
                ],
            ),
        ]

    async def _sync(self) -> str:
        said = await self._result("sync.send", _asked("SyncEcho"))
        demand(said["response_data"]["data"] == DATA, "the data are not as they were")
        return f"{said['response_info']['status']['code']}; the data byte for byte"

    async def _own_queue(self) -> str:
        said = await self._result("SyncEcho", {"content": ELEMENT})
        demand(said["response_data"]["data"] == DATA, "the data are not as they were")
        return "shep.SyncEcho: the business data alone"

    async def _signed(self) -> str:
        said = await self._result("sync.send", {**_asked("SyncEcho"), "sign_data": "official", "tsp": True})
        document = said["response_data"]["data"]["content"].encode()
        try:
            (verdict,) = verify_document(document, KzEngine.open())
        except GostUnavailableError as error:
            raise WrongError(str(error)) from None
        demand(verdict.math, f"the signature is not right: {verdict.reason}")
        demand(verdict.stamp is not None and verdict.stamp.verdict == "right", f"the time stamp is {verdict.stamp}")
        assert verdict.stamp is not None  # noqa: S101  — demanded above; this tells the type checker
        return f"the official's signature is right, stamped at {verdict.stamp.at[:19]}Z"

    async def _send(self) -> str:
        self._receipt = await self._result("async.send", _sent("AsyncEcho"))
        demand(set(self._receipt) == {"message_id", "correlation_id", "response_date", "session_id"}, "no receipt")
        return f"message {self._receipt['message_id']}, chain {self._receipt['correlation_id']}"

    async def _answer(self) -> str:
        event = await self._heard("shep.message.received", correlation_id=self._receipt["correlation_id"])
        demand((event["message_type"], event["data"], event["signature"]) == ("RESPONSE", DATA, "right"), str(event))
        demand("command" in event, "the event does not name its command")
        return f"{event['message_type']} of the chain, signature {event['signature']}, joined to the command"

    async def _status(self) -> str:
        told = await self._result("async.status", {"message_id": self._receipt["message_id"]})
        demand(told["message_state"] == "DELIVERED", f"{told}")
        return str(told["message_state"])

    async def _status_told(self) -> str:
        receipt = await self._result("async.send", _sent("AsyncNotified"))
        event = await self._heard("shep.status.changed", message_id=receipt["message_id"])
        demand(event["message_state"] == "DELIVERED", f"{event}")
        return f"event: {event['message_state']}"

    async def _outside(self) -> str:
        said = await self._result("sync.send", _asked("SyncOutside"))
        demand(said["response_data"]["data"] == DATA, "the data are not as they were")
        receipt = await self._result("async.send", _sent("AsyncOutside"))
        await self._heard("shep.message.received", correlation_id=receipt["correlation_id"])
        return "a call and a message, both answered"

    async def _encrypted(self) -> str:
        said = await self._result("sync.send", _asked("DemoSealed"))
        demand(said["response_data"]["data"] == DATA, "the data are not as they were")
        number = await self._arrive("DemoSealedOwn")
        event = await self._heard("shep.message.received", message_id=number)
        demand((event["data"], event["signature"]) == (DATA, "right"), f"{event}")
        return "a call with its answer, and a message to us"

    async def _refusal(self) -> str:
        await self._scenario(operation="SendMessage", service_id="SyncEcho", fault="BUS-17", sub_error=True)
        error = await self._refused("sync.send", _asked("SyncEcho"), "BUS-17")
        inner = error["details"]["sub_error"]["error_code"]
        return f"BUS-17 verbatim, inside it {inner}"

    async def _lost(self) -> str:
        before = await self._calls("sendMessage")
        await self._scenario(operation="sendMessage", service_id="AsyncEcho", drop="after")
        await self._refused("async.send", _sent("AsyncEcho"), "ADAPTER-UNCERTAIN")
        made = await self._calls("sendMessage") - before
        demand(made == 1, f"the gateway was called {made} times")
        return "ADAPTER-UNCERTAIN; one call at the gateway"

    async def _twice(self) -> str:
        await self._scenario(operation="push.sendMessage", service_id="DemoAsync", twice=True)
        number = await self._arrive("DemoAsync")
        await self._heard("shep.message.received", message_id=number)
        later = await self._arrive("DemoAsync")
        await self._heard("shep.message.received", message_id=later)
        count = sum(body.get("message_id") == number for _, body in self._upstream.events)
        demand(count == 1, f"{count} events")
        return "one event"

    async def _notified(self) -> str:
        number = await self._arrive("DemoNotified")
        await self._heard("shep.message.received", message_id=number)
        told = await self._letter(number, lambda letter: letter["delivery_notification"])
        demand(told["delivery_notification"]["receive_status"] == "MESSAGE_ACCEPTED", f"{told}")
        return "MESSAGE_ACCEPTED at the gateway, after the event"

    async def _not_accepted(self) -> str:
        number = await self._arrive("DemoAsync")
        await self._heard("shep.message.received", message_id=number)
        error = {"error_code": "NO", "error_message": "Не для нас"}
        status = {"receive_status": "MESSAGE_NOT_ACCTEPTED", "error": error}
        command = {"message_id": number, "service_id": "DemoAsync", "delivery_status": status}
        await self._result("async.notify-delivery", command)
        told = await self._letter(number, lambda letter: letter["delivery_notification"])
        demand(told["state"] == "NOT_DELIVERED", f"the message is {told['state']}")
        return f"the message is {told['state']} to its sender"

    async def _not_believed(self) -> str:
        for effect in ("wrapped", "unsigned", "spoilt"):
            await self._scenario(operation="push.sendMessage", service_id="DemoAsync", **{effect: True})
        number = await self._arrive("DemoAsync")
        event = await self._heard("shep.message.received", message_id=number)
        letter = await self._letter(number, lambda letter: letter["state"] == "DELIVERED")
        demand((letter["attempts"], event["signature"]) == (4, "right"), f"{letter['attempts']} attempts")
        return "three SOAP faults; the fourth delivery is right and taken"

    async def _asked(self) -> str:
        self._question = asyncio.create_task(self._ask())
        event = await self._heard("shep.sync.requested", service_id="DemoSync")
        demand((event["data"], event["signature"]) == (DATA, "right"), f"{event}")
        self._request = event
        return f"shep.sync.requested, message {event['message_id'][:8]}…"

    async def _answered(self) -> str:
        answer = {"form": "child", "content": "<r:ответ xmlns:r='urn:example'>да</r:ответ>"}
        command = {"message_id": self._request["message_id"], "data": answer}
        await self._result("sync.answer", command)
        status, body = await asyncio.wait_for(self._question, EVENT_SECONDS)
        demand((status, body.get("response_data", {}).get("data")) == (200, answer), f"HTTP {status} {body}")
        return f"the caller reads it: {body['response_info']['status']['code']}"

    async def _answered_again(self) -> str:
        command = {"message_id": self._request["message_id"], "data": DATA}
        await self._refused("sync.answer", command, "ADAPTER-ALREADY-ANSWERED")
        return "ADAPTER-ALREADY-ANSWERED"

    async def _fetched(self) -> str:
        number = await self._arrive("DemoPull")
        event = await self._heard("shep.message.received", message_id=number)
        letter = await self._letter(number, lambda letter: letter["state"] == "DELIVERED")
        demand((letter["attempts"], event["data"]) == (0, DATA), f"{letter}")
        return "by getMessages; nobody called us"

    async def _switched_off(self) -> str:
        """Let deliveries err at a point of their own: the gateway's fifth error within its interval ends them."""
        point = {"id": ERRING, "url": f"{self._where.door}/async", "security": 1, "repeat_delay": 0}
        rows = {"points": [{**point, "max_errors": 5, "max_interval": 60, "repeats": 10}]}
        party = {"sender_id": "adapter", "password": "adapter-password", "bin": OWN_BIN, "point": ERRING}
        await self._post("/_sim/world", {**rows, "parties": [party]})
        await self._scenario(operation="push.sendMessage", service_id="DemoErring", spoilt=True, times=5)
        self._stopped = [await self._arrive("DemoErring") for _ in range(3)]
        off = await self._until("/_sim/points", lambda points: [p for p in points if p["id"] == ERRING and p["off"]])
        for number in self._stopped:
            await self._letter(number, lambda letter: letter["state"] == "DELIVERY_STOPPED")
        heard = {body.get("message_id") for _, body in self._upstream.events}
        demand(not heard & set(self._stopped), "a message was told that was not right")
        return f"{off[0]['waiting']} messages wait, DELIVERY_STOPPED"

    async def _switched_on(self) -> str:
        was = await self._post(f"/_sim/points/{ERRING}/on")
        demand(was == {"was_off": True}, f"{was}")
        for number in self._stopped:
            await self._heard("shep.message.received", message_id=number)
            await self._letter(number, lambda letter: letter["state"] == "DELIVERED")
        return f"{len(self._stopped)} messages delivered, none lost"

    async def _ask(self) -> tuple[int, dict[str, Any]]:
        """Ask our synchronous service as the other system does."""
        asked = {"sender_id": "other", "service_id": "DemoSync", "data": DATA}
        async with self._session.post(f"{self._where.gateway}/_sim/ask", json=asked) as answer:
            return answer.status, await answer.json()

    async def _arrive(self, service_id: str) -> str:
        """Have the other system send us a message; return its number."""
        sent = {"sender_id": "other", "service_id": service_id, "data": DATA}
        return str((await self._post("/_sim/send", sent))["message_id"])

    async def _letter(self, number: str, wanted: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """Wait until a message at the gateway is as ``wanted``."""
        (letter,) = await self._until(
            "/_sim/messages", lambda letters: [one for one in letters if one["message_id"] == number and wanted(one)]
        )
        found: dict[str, Any] = letter
        return found

    async def _until(self, path: str, wanted: Callable[[Any], Any]) -> Any:
        async with asyncio.timeout(EVENT_SECONDS):
            while not (found := wanted(await self._get(path))):  # noqa: ASYNC110  — another process gives no signal
                await asyncio.sleep(0.05)
        return found

    async def _heard(self, name: str, **wanted: str) -> dict[str, Any]:
        """Wait for an event."""
        async with asyncio.timeout(EVENT_SECONDS):
            while True:
                for heard, body in self._upstream.events:
                    if heard == name and all(body.get(key) == value for key, value in wanted.items()):
                        return body
                await asyncio.sleep(0.05)

    async def _result(self, action: str, command: Mapping[str, Any]) -> Any:
        body = (await self._upstream.ask(f"shep.{action}", command)).body
        demand("result" in body, f"{body.get('error')}")
        return body["result"]

    async def _refused(self, action: str, command: Mapping[str, Any], code: str) -> dict[str, Any]:
        body = (await self._upstream.ask(f"shep.{action}", command)).body
        error: dict[str, Any] = body.get("error", {})
        demand(error.get("error_code") == code, f"{body}")
        return error

    async def _scenario(self, **rule: Any) -> None:
        await self._post("/_sim/scenario", {"times": 1, **rule})

    async def _calls(self, operation: str) -> int:
        return sum(entry["operation"] == operation for entry in await self._get("/_sim/ledger"))

    async def _get(self, path: str) -> Any:
        async with self._session.get(f"{self._where.gateway}{path}") as answer:
            answer.raise_for_status()
            return await answer.json()

    async def _post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        async with self._session.post(f"{self._where.gateway}{path}", json=body) as answer:
            answer.raise_for_status()
            return await answer.json() if "json" in answer.content_type else None


def _asked(service_id: str) -> dict[str, Any]:
    return {"request_info": {"service_id": service_id}, "request_data": {"data": DATA}}


def _sent(service_id: str) -> dict[str, Any]:
    info = {"service_id": service_id, "message_type": "REQUEST"}
    return {"message_info": info, "message_data": {"data": DATA}}

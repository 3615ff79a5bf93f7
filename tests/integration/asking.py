"""A provider whose messages say what becomes of them, and the command that answers them."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import orjson

from adapter.errors import Code, KnownError
from adapter.exchange import Call, Event, Progress, Reply, Word
from adapter.incoming import Done, Incoming, Look, Say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapter.exchange import Answer, Command
    from adapter.incoming import Found

RECEIVED = "ask.received"


class Asked:
    """Tells of a message, calls the gateway for it, or fails, as its content says."""

    action = "ask"
    title = "Запрос"
    gateway = "scripted"
    deadline = timedelta(minutes=5)
    events = (RECEIVED, "ask.answered")
    provides = ()

    def __init__(self) -> None:
        """Nothing has begun; ``refuses`` decides whether messages that ask for it are refused."""
        self.begun: list[str] = []
        self.refuses = True

    def subject(self, incoming: Incoming) -> str:
        subject: str = orjson.loads(incoming.content).get("subject", "")
        return subject

    def begin(self, incoming: Incoming) -> Done | Call:
        self.begun.append(incoming.key)
        body = orjson.loads(incoming.content)
        told = Event(RECEIVED, {"message_id": incoming.key, "n": body.get("n")})
        match body.get("do"):
            case "explode":
                raise RuntimeError("a defect with a secret value")
            case "refuse" if self.refuses:
                return Done([told], KnownError(Code.UNKNOWN_REQUEST))
            case "call":
                return Call("scripted", "Send", incoming.content, events=[told], word=Word(), subject=incoming.subject)
        return Done([told])

    def proceed(self, incoming: Incoming, answer: Answer) -> Done | Call:
        return Done([Event("ask.answered", {"message_id": incoming.key, "answer": orjson.loads(answer.content)})])


class Answering:
    """Answers a message: by a call of the gateway, or to whoever holds it open."""

    action = "ask.answer"
    title = "Ответ"
    gateway = "scripted"
    deadline = timedelta(minutes=5)
    schema = None
    examples = ()
    events = ("ask.answer.failed",)

    def start(self, command: Command) -> Look:
        return Look(("ask",), orjson.loads(command.body)["key"])

    def found(self, command: Command, found: Found) -> Call | Reply | Say:
        body = orjson.loads(command.body)
        if found.request is None:
            raise KnownError(Code.REQUEST_NOT_FOUND, details={"notes": sorted(found.notes)})
        if "say" in body:
            return Say(found.request.id, body["say"].encode(), {"result": "said"}, subject=body["key"])
        if found.request.answered:
            raise KnownError(Code.ALREADY_ANSWERED)
        last = not body.get("status")
        return Call(
            "scripted",
            "Send",
            command.body,
            lane=body["key"],
            instead=None if last else Progress("1", "идёт"),
            word=Word(found.request.id, last=last),
            subject=found.request.incoming.subject or body["key"],
            note=body.get("note", ""),
        )

    def resume(self, command: Command, answer: Answer) -> Reply:
        return Reply({"result": {"message_id": answer.reference}})

    def command_schema(self) -> Mapping[str, Any]:
        return {}


def message(key: str | None = None, **content: Any) -> Incoming:
    """Return a message of the gateway."""
    raw = orjson.dumps(content)
    facts = {"sender": "EXAMPLE"}
    return Incoming("scripted", key or str(uuid4()), "ask", b"raw " + raw, raw, reply_to="there", facts=facts)


async def events(queue: asyncio.Queue[Any], count: int, seconds: float = 15) -> list[dict[str, Any]]:
    """Return the bodies of the next events."""
    return [orjson.loads((await asyncio.wait_for(queue.get(), seconds)).body) for _ in range(count)]

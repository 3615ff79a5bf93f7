"""Whose a gateway's message is: the command that an earlier answer tied to the same subject, on whichever worker.

A message may overtake that answer. It waits, durably, while the answer of any call that it could belong to is still on
its way into the journal; then it is told as the command's own news, or is the answer that the command waits for.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import orjson
import structlog

from adapter.exchange import Answer, AnswerKind, State
from adapter.incoming import Owner
from adapter.journal.requests import Join

if TYPE_CHECKING:
    from adapter.exchange import Intake
    from adapter.incoming import Done, Incoming, Match
    from adapter.journal.journal import Journal
    from adapter.journal.records import Exchange
    from adapter.journal.requests import RequestReader

log = structlog.get_logger(__name__)

#: How long a message waits for calls that do not end: a call's timeout, a dead worker's lease and its row's rescue.
_PATIENCE: Final = timedelta(minutes=5)


class Undecided(Exception):  # noqa: N818 — no fault: it is asked again soon
    """Whose the message is cannot be known yet."""


async def find_owner(journal: Journal, reader: RequestReader, exchange: Exchange, step: Match) -> Owner | None:
    """Return the command that a message belongs to, ``None`` for none. Raises Undecided."""
    found = await reader.owner(step.subject, step.note)
    if found is not None:
        return _owner(found)
    untied = await reader.untied(step.operations, step.room, exchange, step.subject, step.note)
    if any(one.state is not State.UNCERTAIN for one in untied):
        if datetime.now(UTC) - exchange.received_at < _PATIENCE:
            raise Undecided
        log.warning("message told without a command: calls that it may belong to do not end")
        return None
    # The call's end may have been journaled between the two questions.
    found = await reader.owner(step.subject, step.note)
    if found is not None:
        return _owner(found)
    if len(untied) != 1:
        return None
    (alone,) = untied
    await journal.write(Join(alone.id, step.subject, step.note))
    log.info("message belongs to the only command whose answer was lost", exchange_id=str(alone.id))
    return _owner(alone, assumed=True)


async def hand_over(intake: Intake, incoming: Incoming, step: Done) -> None:
    """Make a message news of its owner, or its answer; done twice it is done once."""
    assert step.to is not None  # noqa: S101 — the caller asked; this tells the type checker
    (event,) = step.events
    await intake.take(
        Answer(
            source=step.to.gateway,
            key=f"{incoming.source}:{incoming.key}",
            reference=step.to.gateway_id,
            kind=AnswerKind.ANSWER if step.answers else AnswerKind.STATUS,
            raw=incoming.raw,
            content=orjson.dumps(event.body),
            event=event,
            verdicts=incoming.verdicts,
        )
    )


def _owner(row: Exchange, *, assumed: bool = False) -> Owner:
    return Owner(row.id, row.gateway or "", row.gateway_id or "", row.operation or "", assumed)

"""How actions of ЕПГУ are joined to the follower of orders: what it is told of them, and the events it tells. Pure.

An accepted application is put on the follower's list in the transaction of its reply: what was answered is followed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from adapter.exchange import Reply
from adapter.gateways.epgu.follow_news import EVENTS
from adapter.gateways.epgu.keeping import identifier_of
from adapter.incoming import Local
from adapter.services.epgu_common import ActedCommand, EpguAction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adapter.exchange import Answer, Call, Command

REGISTER: Final = "epgu"
ActedT = TypeVar("ActedT", bound=ActedCommand)


class FollowedAction(EpguAction[ActedT]):
    """An action about orders whose good outcome the follower has to know."""

    #: What the follower is asked for: ``follow``, ``cancelled`` or ``token``.
    wish: str
    events: Sequence[str] = EVENTS

    def resume(self, command: Command, answer: Answer) -> Call | Reply | Local:
        """Return what follows an answer; a result goes with word to the follower. Raises AnswerUnreadableError."""
        step = super().resume(command, answer)
        if not isinstance(step, Reply) or step.code is not None:
            return step
        model = self.read(command)
        return self.told(command, model, step.outcome["result"]) if self.concerns(model) else step

    def concerns(self, model: ActedT) -> bool:  # noqa: ARG002  — for subclasses to use
        """Tell whether the follower has to know."""
        return True

    def told(self, command: Command, model: ActedT, result: dict[str, Any]) -> Local:
        """Return the word to the follower, which replies ``result``."""
        content = {
            "command": str(command.id),
            "order_id": result["order_id"],
            "who": holder(model),
            "profile": model.profile,
            "result": result,
        }
        return Local(REGISTER, self.wish, content, subject=str(result["order_id"]))


def holder(model: ActedCommand) -> dict[str, str]:
    """Return whose token serves a command's order; of a token that it brought, the digest that the shelf knows."""
    who = dict(model.who)
    if "token" in who:
        who["token"] = identifier_of(who["token"])
    return who

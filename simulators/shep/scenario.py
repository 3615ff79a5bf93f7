"""Bad days on demand: rules that a test or a demo puts in force through ``/_sim/scenario``."""

from __future__ import annotations

from itertools import count
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

#: The gateway's own operations, and those that it calls on participants.
OperationName = Literal[
    "SendMessage",
    "sendMessage",
    "sendDeliveryNotification",
    "getMessageStatus",
    "getMessages",
    "push.SendMessage",
    "push.sendMessage",
    "push.changeMassageStatusNotification",
]


class Effects(BaseModel):
    """What happens to a message; everything absent happens as usual.

    ``delay`` waits so many seconds first. ``fault`` refuses with an ErrorInfo of that code (``sub_error`` with a nested
    one), ``bare_fault`` without one, blaming Server or Client. ``drop`` cuts the connection before the operation, or
    after it without a byte. ``status`` replaces that of HTTP.

    Of what the gateway says, answers and its calls on participants (operations ``push.…``) alike: ``body`` replaces the
    bytes, ``change`` one text in the payload by another before it is signed; ``unsigned`` leaves the signature out,
    ``spoilt`` makes it wrong, ``wrapped`` is over another Body than the one that is read, ``issuer_serial`` only names
    the certificate, ``signed_by`` is by another pair of the key folder. A call that has been taken is made again where
    ``twice`` says so.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    delay: float = Field(0, ge=0, le=600)
    fault: str | None = None
    sub_error: bool = False
    bare_fault: Literal["Server", "Client"] | None = None
    drop: Literal["before", "after"] | None = None
    body: Literal["html", "dtd", "garbage", "empty", "truncated", "huge"] | None = None
    status: int | None = Field(None, ge=200, le=599)
    unsigned: bool = False
    spoilt: bool = False
    wrapped: bool = False
    issuer_serial: bool = False
    signed_by: Literal["other", "foreign", "revoked", "expired", "strange-bin", "gateway-gost"] | None = None
    change: tuple[str, str] | None = None
    twice: bool = False


class Rule(Effects):
    """One switch: effects, for which operation (any of the gateway's own when absent) and service, and how often."""

    operation: OperationName | None = None
    service_id: str | None = None
    times: int | None = Field(None, ge=1)


NOTHING = Effects()


class Scenarios:
    """The rules in force."""

    def __init__(self) -> None:
        """Start with none."""
        self._numbers = count(1)
        self._rules: dict[int, tuple[Rule, int | None]] = {}

    def add(self, rule: Rule) -> int:
        """Put ``rule`` in force and return its number."""
        number = next(self._numbers)
        self._rules[number] = (rule, rule.times)
        return number

    def apply(self, operation: str, service_id: str | None) -> Effects:
        """Return what the first fitting rule says about one message, and count it as used once."""
        for number, (rule, left) in self._rules.items():
            general = rule.operation is None and not operation.startswith("push.")
            if (general or rule.operation == operation) and rule.service_id in {None, service_id}:
                if left == 1:
                    del self._rules[number]
                elif left is not None:
                    self._rules[number] = (rule, left - 1)
                return rule
        return NOTHING

    def active(self) -> list[dict[str, object]]:
        """Return the rules in force with their numbers, ``times`` being what is left."""
        return [
            {"id": number, **rule.model_dump(mode="json", exclude_unset=True), "times": left}
            for number, (rule, left) in self._rules.items()
        ]

    def remove(self, number: int | None = None) -> None:
        """Take one rule out of force, or all of them."""
        if number is None:
            self._rules.clear()
        else:
            self._rules.pop(number, None)

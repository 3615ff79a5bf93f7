"""The locker API served for the lockers' vendor: portal mode, where the adapter owns the cases.

Source: seeds/002_f03ffb5ed5d4afbc.txt, «API для постаматов». The vendor knows three answers: 200 ``{status, message}``,
400 ``{name, message}`` for whatever is refused, and 500 ``{name, message}``, here only for registers that cannot be
written now: the same call may then be made again and is carried out once.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from secrets import token_bytes
from typing import TYPE_CHECKING, Final, Protocol

import structlog
from aiohttp import web

from adapter.gateways.postamat.api import CASENUM, NUMBERS, PATH, TOKEN, LockerCall, Operation, call_faults
from adapter.incoming import RegistersAwayError
from adapter.lockers.refusals import LockerRefusedError, Refusal

if TYPE_CHECKING:
    from multidict import MultiMapping

    from adapter.lockers.store import Verdict

Clock = Callable[[], datetime]

_log = structlog.get_logger(__name__)

#: Answered while nothing can be written; it tells nothing of what is behind.
AWAY: Final[Mapping[str, str]] = {"name": "Exception", "message": "Временная ошибка, повторите запрос позже"}
_PARAMETERS: Final = (CASENUM, *NUMBERS, TOKEN)
#: Seconds after which the vendor is not kept waiting any longer.
_TIMEOUT: Final = 20.0


class LockerDesk(Protocol):
    """Where calls of lockers are carried out."""

    async def take(self, call: LockerCall, at: datetime) -> Verdict:
        """Make a call that came at ``at`` durable with all that it brings about, once; a repeat is answered alike.

        Raises RegistersAwayError.
        """
        ...


@dataclass(frozen=True, slots=True)
class LockerTokens:
    """Who may call: ``common`` opens every locker that has no token of its own in ``by_locker`` (number -> token)."""

    common: str | None = field(default=None, repr=False)
    by_locker: Mapping[str, str] = field(default_factory=dict, repr=False)

    def fits(self, given: str, locker: str) -> bool:
        """Tell whether ``given`` opens ``locker``, in a time that does not depend on how much of it is right."""
        wanted = self.by_locker.get(locker, self.common)
        expected = token_bytes(16) if wanted is None else _bytes(wanted)
        return hmac.compare_digest(_bytes(given), expected)


def add_routes(
    app: web.Application,
    desk: LockerDesk,
    tokens: LockerTokens,
    *,
    clock: Clock = lambda: datetime.now(UTC),
    timeout: float = _TIMEOUT,
) -> None:
    """Add the API to ``app``: its three calls, and a refusal in its own words for everything else below its path."""

    async def call(request: web.Request) -> web.Response:
        at = clock()
        try:
            told = read_call(request.method, request.match_info["operation"], request.query, tokens)
        except LockerRefusedError as refused:
            _log.info("postamat.call-refused", code=refused.code)
            return _answer(400, refused.to_vendor())
        try:
            async with asyncio.timeout(timeout):
                verdict = await desk.take(told, at)
        except (RegistersAwayError, TimeoutError) as error:
            _log.warning("postamat.call-not-taken", operation=told.operation, error=type(error).__name__)
            return _answer(500, AWAY)
        return _answer(200 if verdict.refusal is None else 400, verdict.body)

    app.router.add_route("*", f"{PATH}{{operation:.*}}", call)


def read_call(method: str, operation: str, query: MultiMapping[str], tokens: LockerTokens) -> LockerCall:
    """Return what a locker tells of. Raises LockerRefusedError: the token is judged before anything else.

    Parameters that the API does not have are passed over: proxies add some.
    """
    given = {name: query.getall(name, []) for name in _PARAMETERS}
    once = {name: values[0] for name, values in given.items() if len(values) == 1}
    if not tokens.fits(once.get(TOKEN, ""), once.get("postamatid", "")):
        raise LockerRefusedError(Refusal.WRONG_TOKEN)
    if operation not in {*Operation}:
        raise LockerRefusedError(Refusal.WRONG_CALL, f"Известны вызовы: {', '.join(Operation)}")
    if method != "GET":
        raise LockerRefusedError(Refusal.WRONG_CALL, "Вызов делается методом GET")
    repeated = [name for name, values in given.items() if len(values) > 1]
    if repeated:
        raise LockerRefusedError(Refusal.WRONG_CALL, f"Параметр указан более одного раза: {', '.join(repeated)}")
    faults = "; ".join(f"{fault.path}: {fault.rule}" for fault in call_faults(once))
    if faults:
        raise LockerRefusedError(Refusal.WRONG_CALL, faults)
    return LockerCall(
        operation=Operation(operation),
        casenum=once[CASENUM],
        postamatid=once["postamatid"],
        timestamp=once["timestamp"],
        userid=once["userid"],
        cellid=once["cellid"],
    )


def _answer(status: int, body: Mapping[str, str]) -> web.Response:
    """Return JSON that nobody between us and the vendor may keep: the next call of the same address is another one."""
    return web.Response(
        status=status,
        text=json.dumps(body, ensure_ascii=False),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def _bytes(token: str) -> bytes:
    return token.encode("utf-8", "surrogatepass")

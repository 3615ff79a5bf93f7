"""What ``adapter check`` asks of ЕПГУ: a dictionary without a token, then what changed, with a token of each API-Key.

Two calls tell three things apart: a network fault (nothing answers), a wrong channel (ЕПГУ answers the first call and
refuses the second by ``access_denied_system``), and a key that ЕСИА or ЕПГУ does not take.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from adapter.bootstrap import epgu_options
from adapter.errors import Code
from adapter.exchange import Accepted
from adapter.gateways.epgu.door import Door, StoppedError
from adapter.gateways.epgu.keeping import TokensInMemory
from adapter.gateways.epgu.limits import Bounds, LimitsInMemory
from adapter.gateways.epgu.operations import Operations
from adapter.gateways.epgu.tokens import Tokens
from adapter.gateways.epgu.wire import UndeliveredError, Wire
from adapter.http import make_session
from adapter.signing.client import SigningClient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapter.errors import AdapterError
    from adapter.settings import Epgu, Settings, Signing

#: Seconds for one call; the whole check has its own bound.
_CALL: Final = 10.0
#: Any code will do: an error of a dictionary is an answer, too.
_DICTIONARY: Final = "OKATO"


async def look(settings: Settings) -> str:
    """Return a sentence about ЕПГУ. Raises LookupError with what is wrong, in plain words."""
    epgu, signing = settings.epgu, settings.signing
    if epgu is None or signing is None:
        return "not needed by the served actions"
    async with AsyncExitStack() as stack:
        operations = await _operations(epgu, signing, stack)
        profile = {"profile": epgu.profile}
        await _ask(operations, "dictionary", profile | _dictionary(), "ЕПГУ")
        keys = list(epgu.api_keys or {})
        for key in keys:
            manifest = profile | {"who": {"key": key}, "after": datetime.now(UTC).isoformat(), "page_size": 1}
            await _ask(operations, "updated-after", manifest, f"key {key}")
    url = epgu_options(epgu, signing.key_ov, 0).url
    told = f"keys taken: {', '.join(keys)}" if keys else "no API-Keys, tokens of persons are not tried"
    return f"{url}{f' as {epgu.host}' if epgu.host else ''} answers, profile {epgu.profile}; {told}"


async def _operations(epgu: Epgu, signing: Signing, stack: AsyncExitStack) -> Operations:
    options = epgu_options(epgu, signing.key_ov, 0)
    session = await stack.enter_async_context(make_session(timeout=_CALL, ssl_context=epgu.ssl_context()))
    signs = await stack.enter_async_context(make_session(timeout=signing.timeout, ssl_context=signing.ssl_context()))
    signer = SigningClient(signing.url, session=signs, tokens=signing.tokens, timeout=signing.timeout)
    stack.push_async_callback(signer.close)
    tokens = Tokens(options.esia, session=session, signer=signer, shelf=TokensInMemory())
    stack.push_async_callback(tokens.close)
    door = Door(Wire(options, session=session), tokens=tokens, limits=LimitsInMemory(Bounds()))
    return Operations(options, door=door, store=None)


async def _ask(operations: Operations, operation: str, manifest: Mapping[str, Any], what: str) -> None:
    """Make one call. Raises LookupError."""
    try:
        async with asyncio.timeout(_CALL):
            await operations.make(operation, manifest, 0)
    except StoppedError as stopped:
        sent = stopped.sent
        if not isinstance(sent, Accepted) and not sent.error.code.startswith("dictionary-"):
            raise LookupError(f"{what}: {_sentence(sent.error)}") from None
    except UndeliveredError as failure:
        raise LookupError(f"{what}: {_sentence(failure.error)}") from None
    except TimeoutError:
        raise LookupError(f"{what}: network fault: no answer within {_CALL:g} s") from None


def _sentence(error: AdapterError) -> str:
    """Say what an error means for whoever sets the adapter up."""
    if error.code == "access_denied_system":
        return (
            "access_denied_system: it answers, and refuses this channel or this system. Is EPGU_URL a proxy that speaks"
            " ГОСТ TLS (EPGU_HOST names the portal), and is there an accepted request for at least one service?"
        )
    esia = "ЕСИА: " if error.details.get("source") == "esia" else ""
    if error.code == Code.GATEWAY_UNAVAILABLE.wire:
        status = error.details.get("http_status")
        reason = f"HTTP {status}" if status else error.details.get("reason", "no answer")
        return f"{esia}network fault: cannot be reached ({reason})"
    return f"{esia}{error.code}: {error.description}"


def _dictionary() -> dict[str, Any]:
    return {"code": _DICTIONARY, "tree_filtering": "ONELEVEL", "page_num": 1, "page_size": 1}

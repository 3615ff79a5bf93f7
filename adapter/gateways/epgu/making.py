"""One gateway of its parts, for the composition root."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapter.gateways.epgu.archive import Archives
from adapter.gateways.epgu.client import EpguGateway
from adapter.gateways.epgu.door import Door
from adapter.gateways.epgu.keeping import TokensInDatabase
from adapter.gateways.epgu.limits import LimitsInDatabase
from adapter.gateways.epgu.operations import Operations
from adapter.gateways.epgu.options import Observe, observe_nothing
from adapter.gateways.epgu.tokens import Tokens
from adapter.gateways.epgu.wire import Wire

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    import aiohttp

    from adapter.files import FilesIn, FileStore
    from adapter.gateways.epgu.keeping import Shared
    from adapter.gateways.epgu.limits import Bounds
    from adapter.gateways.epgu.options import EpguOptions
    from adapter.signing.client import SigningClient


@dataclass(frozen=True, slots=True)
class Parts:
    """What a gateway is made of; each is its owner's to close.

    ``session`` keeps connections to ЕПГУ, ``once`` makes the calls that are never repeated, ``esia`` asks for tokens.
    ``shared`` are the tables that all workers share.
    """

    session: aiohttp.ClientSession
    once: aiohttp.ClientSession
    esia: aiohttp.ClientSession
    signer: SigningClient
    store: FileStore
    files: FilesIn
    bounds: Bounds
    shared: Shared


def make_gateway(
    options: EpguOptions, *, parts: Parts, stack: AsyncExitStack, observe: Observe = observe_nothing
) -> EpguGateway:
    """Return the gateway; ``stack`` ends its fetches of tokens."""
    shelf = TokensInDatabase(parts.shared)
    tokens = Tokens(options.esia, session=parts.esia, signer=parts.signer, shelf=shelf)
    stack.push_async_callback(tokens.close)
    wire = Wire(options, session=parts.session, once=parts.once)
    door = Door(wire, tokens=tokens, limits=LimitsInDatabase(parts.bounds, parts.shared))
    return EpguGateway(
        options,
        operations=Operations(options, door=door, store=parts.store),
        archives=Archives(
            files=parts.files,
            store=parts.store,
            signer=parts.signer,
            sign_key=options.sign_key,
            limit=options.file_limit,
        ),
        shelf=shelf,
        observe=observe,
    )

"""Calls that the information system signs anew each time: those that may be repeated at will."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapter.gateways.smev3.messages import Names, envelope
from adapter.gateways.smev3.options import Observe, Smev3Options, observe_nothing
from adapter.gateways.smev3.transport import SoapReply, SoapTransport

if TYPE_CHECKING:
    import aiohttp

    from adapter.signing.client import SigningClient


class SignedCalls:
    """Signs elements with ЭП-ОВ, lays them into envelopes and posts these."""

    def __init__(
        self,
        options: Smev3Options,
        *,
        session: aiohttp.ClientSession,
        signer: SigningClient,
        observe: Observe = observe_nothing,
    ) -> None:
        """``signer`` holds the key ``options.system_key``."""
        self.names = Names.of(options.version)
        self._key = options.system_key
        self._signer = signer
        self._transport = SoapTransport(options.endpoint, session=session, timeout=options.timeout, observe=observe)

    async def envelope(self, operation: str, element: bytes, *, ahead: bytes = b"") -> bytes:
        """Return the envelope of ``element``, signed; ``ahead`` stands unsigned before it. Raises SignerError."""
        signature = (await self._signer.sign_xml(element, key=self._key)).signature
        return envelope(self.names, operation, signed=element, signature=signature, ahead=ahead)

    async def post(self, operation: str, message: bytes) -> SoapReply:
        """Post an envelope and return the readable answer, faults included. Raises TransportError."""
        return await self._transport.call(operation, message)

    async def call(self, operation: str, element: bytes, *, ahead: bytes = b"") -> SoapReply:
        """Sign ``element`` and post it. Raises SignerError and TransportError."""
        return await self._transport.call(operation, await self.envelope(operation, element, ahead=ahead))

"""The client of the ШЭП on the simulator, through the reference signing service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from adapter.exchange import Accepted, Call, Sent
from adapter.gateways.shep import Level, Profile, ShepGateway, ShepOptions
from simulators.shep.keys import GATEWAY_BIN

if TYPE_CHECKING:
    import aiohttp

    from adapter.signing.kz_client import KzSigningClient
    from tests.contract.shep_stand import Stand


DATA = {"form": "child", "content": "<a  x='1'/>"}


SYNC = {"request_info": {"service_id": "SyncEcho"}, "request_data": {"data": DATA}}


SENT = {"message_info": {"service_id": "AsyncEcho", "message_type": "REQUEST"}, "message_data": {"data": DATA}}


PROFILES = {
    "SyncOpen": Profile(level=Level.NONE),
    "AsyncOpen": Profile(level=Level.NONE),
    "SyncGateway": Profile(level=Level.GATEWAY),
}


class Caller:
    """Gateways of one stand by their options."""

    def __init__(self, stand: Stand, session: aiohttp.ClientSession, signer: KzSigningClient) -> None:
        self.stand, self.session, self.signer = stand, session, signer
        self.observed: list[tuple[str, str]] = []

    def gateway(self, **options: Any) -> ShepGateway:
        given = {
            "sync_url": self.stand.url("/shep/sync"),
            "async_url": self.stand.url("/shep/async"),
            "sender_id": "adapter",
            "password": "adapter-password",
            "gateway_bin": GATEWAY_BIN,
            "system_key": "shep-gost",
            "profiles": PROFILES,
            **options,
        }
        return ShepGateway(
            ShepOptions(**given),
            session=self.session,
            signer=self.signer,
            observe=lambda operation, outcome, *_: self.observed.append((operation, outcome)),
            client_url=self.stand.url("/party/client"),
        )

    async def call(self, operation: str, content: dict[str, Any], **options: Any) -> Sent:
        gateway = self.gateway(**options)
        prepared = await gateway.prepare(Call("shep", operation, orjson.dumps(content)))
        return await gateway.send(prepared, earlier_attempts=0)


def result_of(sent: Sent) -> dict[str, Any]:
    assert isinstance(sent, Accepted), sent
    assert sent.answer is not None
    found: dict[str, Any] = orjson.loads(sent.answer.content)
    return found

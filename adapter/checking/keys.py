"""The signing service, by real signatures that are verified; and the days that every certificate has left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from adapter.checking.findings import Finding, not_needed
from adapter.errors import AdapterError
from adapter.expiry import Expiring, given
from adapter.http import make_session
from adapter.signing.client import KeyInfo, SigningClient

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import aiohttp

    from adapter.settings import Settings, Signing
    from adapter.xml.signature import SignatureVerdict

_ANY: Final = "smev3-xml:*"
_ENVELOPE: Final = "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/basic/1.2"
#: Content of no meaning to anybody; signatures over it are thrown away.
_CONTENT: Final = b"adapter check"
_SOON: Final = 14


async def signing(settings: Settings) -> str | Sequence[Finding]:
    """Have each key that is needed sign something and the service verify it; the faults of all are told."""
    service = settings.signing
    if service is None:
        return not_needed()
    if settings.smev is None and settings.epgu is None:
        return f"{service.url} is for ШЭП alone, see there"
    wanted = dict.fromkeys([service.key_ov, *([service.key_sp] if service.personal else [])])
    if settings.epgu is not None and settings.epgu.sign_key:
        wanted[settings.epgu.sign_key] = None
    async with make_session(timeout=service.timeout, ssl_context=service.ssl_context()) as session:
        return [await _tried(name, service, session) for name in wanted]


async def _tried(name: str, service: Signing, session: aiohttp.ClientSession) -> Finding:
    """Try a key with its own token, so that every token is tried."""
    tokens = {name: service.tokens[name]} if name in service.tokens else {}
    client = SigningClient(service.url, session=session, tokens=tokens, timeout=service.timeout)
    try:
        keys = {key.name: key for key in await client.certificates()}
        if name not in keys:
            return Finding("signing service", ok=False, sentence=f"key {name}: the service has no such key")
        how, verdict = await _signature(client, keys[name])
    except AdapterError as error:
        return Finding("signing service", ok=False, sentence=f"key {name}: {error.code}: {error.description}")
    finally:
        await client.close()
    key = keys[name]
    left = Expiring(name, key.not_after)
    told = f"key {name}: {key.algorithm} {left.sentence()}, {how}"
    if verdict is not None and not verdict.math:
        return Finding("signing service", ok=False, sentence=f"{told} and NOT verified: {verdict.reason}")
    return Finding("signing service", ok=None if verdict is None else left.days() > 0, sentence=told)


async def _signature(client: SigningClient, key: KeyInfo) -> tuple[str, SignatureVerdict | None]:
    """Return how a key was tried and the verdict on its signature. Raises SignerError."""
    names = [word.removeprefix("smev3-xml:") for word in key.allowed if word.startswith("smev3-xml:") and word != _ANY]
    if names or _ANY in key.allowed:
        name, namespace = ("MessageTypeSelector", _ENVELOPE) if names else ("Check", "urn:adapter:check")
        if names and name not in names:
            name = names[0]
        element = b'<c:%b xmlns:c="%b" Id="check">%b</c:%b>' % (
            *(part.encode() for part in (name, namespace)),
            _CONTENT,
            name.encode(),
        )
        signed = await client.sign_xml(element, key=key.name)
        verdicts = await client.verify_xml(b"<check>%b%b</check>" % (element, signed.signature))
    elif "cms" in key.allowed:
        verdicts = await client.verify_cms(await client.sign_cms(_CONTENT, key=key.name), _CONTENT)
    else:
        return f"not tried, it may sign {', '.join(key.allowed) or 'nothing'}", None
    (verdict,) = verdicts
    return "signed" if not verdict.math else "signed and verified", verdict


async def certificates(settings: Settings) -> Sequence[Finding]:
    """Return how long each certificate of the configuration lasts; those of keys are told with the signing service."""
    found = list(_days(given(settings)))
    return found or [Finding("certificates", ok=True, sentence="none is given")]


def _days(entries: Sequence[Expiring]) -> Iterator[Finding]:
    for entry in entries:
        left = entry.days()
        ok = False if left < 0 else None if left <= _SOON else True
        yield Finding("certificates", ok=ok, sentence=f"{entry.name} {entry.sentence()}")

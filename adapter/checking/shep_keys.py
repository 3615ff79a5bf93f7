"""The keys of the ШЭП, by real signatures. Imported only where it is on: its signers are heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from adapter.checking.findings import Finding
from adapter.errors import AdapterError
from adapter.expiry import of_shep_keys
from adapter.http import make_session
from adapter.shep_opening import make_signer
from adapter.xml.wssecurity import SOAP, WSU

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adapter.settings import Settings

_BODY: Final = b'<S:Body xmlns:S="%b" xmlns:wsu="%b" wsu:Id="check">adapter check</S:Body>' % (
    SOAP.encode(),
    WSU.encode(),
)


async def signatures(settings: Settings) -> Sequence[Finding]:
    """Have our system's key sign a Body of no meaning; the signature is checked here before it is believed."""
    shep, signing = settings.shep, settings.signing
    if shep is None or signing is None:
        return []
    name = "ШЭП signing"
    async with make_session(timeout=signing.timeout, ssl_context=signing.ssl_context()) as session:
        signer = make_signer(shep, signing, session)
        try:
            await signer.sign_body(_BODY, key=shep.system_key)
            told = f"key {shep.system_key}: signed and verified"
            lasting = await of_shep_keys(shep, signing, session)
        except AdapterError as error:
            return [Finding(name, ok=False, sentence=f"key {shep.system_key}: {error.code}: {error.description}")]
    ended = [Finding(name, ok=entry.days() > 0, sentence=f"{entry.name} {entry.sentence()}") for entry in lasting]
    return [Finding(name, ok=True, sentence=told), *ended]

"""What the signing service's tests share: a server on loopback, sample elements, and the contract as a judge."""

from __future__ import annotations

import base64
import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SMEV = "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/1.2"
BASIC = "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/basic/1.2"
DS = "{http://www.w3.org/2000/09/xmldsig#}"

REQUEST = (
    f'<t:SenderProvidedRequestData xmlns:t="{SMEV}" Id="SIGNED_BY_CONSUMER">'
    "<t:MessageID>db0486d0-3c08-11e5-95e2-d4c9eff07b77</t:MessageID></t:SenderProvidedRequestData>"
).encode()
BUSINESS = '<b:Request xmlns:b="urn:test:business" Id="BODY"><b:name>Тест</b:name></b:Request>'.encode()

_CONTRACT = Path(__file__).parents[2] / "schemas" / "sign-service.openapi.yaml"


@contextlib.asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    """Serve ``app`` on a free port of loopback; gives its URL."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def wrapped(element: bytes, signature: bytes) -> bytes:
    """Return a document that holds an element and its signature side by side, as envelopes do."""
    return b"<w>" + element + b"<s>" + signature + b"</s></w>"


class Contract:
    """schemas/sign-service.openapi.yaml as a judge of requests and answers."""

    def __init__(self) -> None:
        yaml = pytest.importorskip("yaml", reason="PyYAML comes with the dev extra")
        pytest.importorskip("openapi_spec_validator", reason="openapi-spec-validator comes with the dev extra")
        import jsonschema  # noqa: PLC0415  — comes with openapi-spec-validator
        import referencing.jsonschema  # noqa: PLC0415  — same

        self.document: dict[str, Any] = yaml.safe_load(_CONTRACT.read_text("utf-8"))
        resource = referencing.Resource(contents=self.document, specification=referencing.jsonschema.DRAFT202012)
        self._registry = referencing.Registry().with_resource("urn:contract", resource)
        self._validator = jsonschema.Draft202012Validator

    def check(self, pointer: str, value: Any) -> None:
        """Raise jsonschema.ValidationError unless ``value`` fits the schema at ``pointer``."""
        self._validator({"$ref": f"urn:contract#{pointer}"}, registry=self._registry).validate(value)

    def request(self, path: str, value: Any) -> None:
        place = path.replace("/", "~1")
        self.check(f"/paths/{place}/post/requestBody/content/application~1json/schema", value)

    def answer(self, method: str, path: str, status: int, value: Any) -> None:
        """Check an answer; a status that the operation does not list is a breach."""
        place = path.replace("/", "~1")
        response = self.document["paths"][path][method]["responses"][str(status)]
        pointer = response["$ref"][1:] if "$ref" in response else f"/paths/{place}/{method}/responses/{status}"
        self.check(f"{pointer}/content/application~1json/schema", value)


def tokens_of(keys: Path) -> dict[str, str]:
    tokens: dict[str, str] = json.loads((keys / "tokens.json").read_text("utf-8"))
    return tokens

"""A client of the ЕПГУ simulator made for these tests: it knows nothing of the adapter's gateway."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp

from adapter.signing.certificates import certificates_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from aiohttp.test_utils import TestClient
    from aiohttp.web import Application, Request

    from adapter.signing.gost import GostEngine

#: API-Keys of the fixtures, by whose they are.
HEAD, ATTORNEY, EMPLOYEE, NEIGHBOUR, IP, OTHER_SYSTEM, NO_SERVICES, BLOCKED = (
    f"{n * 8}-{n * 4}-4{n * 3}-8{n * 3}-{n * 12}" for n in "12345678"
)
SYSTEM, HEAD_OID, PERSON_OID, NO_CONSENT_OID = "MNEMONIKA", "1000000101", "1000000201", "1000000202"
#: A service without conditions, and what names it.
PLAIN = {"region": "36000000000", "serviceCode": "10000000113", "targetCode": "-10000000113"}
MOMENT = "2022-12-10T12:31:42.000"


@dataclass(frozen=True)
class Reply:
    """What came back, read whole."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str | None:
        """The code of a refusal; of an answer without one, ``None``."""
        code: str | None = self.json.get("code") if self.body.startswith(b"{") else None
        return code

    @property
    def refusal(self) -> tuple[int, str | None]:
        return self.status, self.code


def service(code: str) -> dict[str, str]:
    """The meta of a service whose target is its own code with a minus."""
    return {"region": "45000000000", "serviceCode": code, "targetCode": f"-{code}"}


def zipped(files: Mapping[str, bytes | str], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive of ``files``."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


@dataclass
class World:
    """A running simulator and one who calls it, by default for the head of an organisation."""

    client: TestClient[Request, Application]
    gost: GostEngine
    keys: Path
    tokens: dict[str, str] = field(default_factory=dict)

    async def call(self, method: str, path: str, *, key: str = HEAD, token: str | None = None, **more: Any) -> Reply:
        headers = {"Authorization": f"Bearer {token or await self.token(key)}"} | more.pop("headers", {})
        return await self.ask(method, path, headers=headers, **more)

    async def ask(self, method: str, path: str, **more: Any) -> Reply:
        """Call without a token."""
        async with self.client.request(method, path, allow_redirects=False, **more) as response:
            return Reply(response.status, await response.read(), response.headers)

    def signed(self, data: bytes, by: str = "ov") -> bytes:
        """Detached PKCS#7 over ``data``."""
        key = self.gost.load_key((self.keys / f"{by}.key.pem").read_bytes())
        return self.gost.sign_cms(key, self.certificate(by), data)

    def raw(self, data: bytes, by: str = "ov") -> bytes:
        """A bare signature value."""
        return self.gost.sign(self.gost.load_key((self.keys / f"{by}.key.pem").read_bytes()), data)

    def certificate(self, name: str) -> bytes:
        return certificates_of((self.keys / f"{name}.crt.pem").read_bytes())[0]

    async def ext_app(self, key: str = HEAD, *, by: str = "ov", signature: str | None = None) -> Reply:
        """Ask ЕСИА for a token by API-Key."""
        told = base64.urlsafe_b64encode(self.signed(key.encode(), by)).decode() if signature is None else signature
        path = f"/esia-rs/api/public/v1/orgs/ext-app/{key}/tkn"
        return await self.ask("GET", path, params={"signature": told} if told else {})

    async def token(self, key: str = HEAD) -> str:
        if key not in self.tokens:
            by = "ov512" if key == OTHER_SYSTEM else "ov"
            self.tokens[key] = (await self.ext_app(key, by=by)).json["accessTkn"]
        return self.tokens[key]

    async def person(self, oid: str = PERSON_OID) -> str:
        """The token of a person who logged in."""
        told = await self.ask("POST", "/_sim/persons", json={"client_id": SYSTEM, "oid": oid})
        return str(told.json["access_token"])

    async def order(self, meta: Mapping[str, str] = PLAIN, **more: Any) -> Reply:
        return await self.call("POST", "/api/gusmev/order", json=meta, **more)

    async def reserved(self, meta: Mapping[str, str] = PLAIN, **more: Any) -> int:
        reply = await self.order(meta, **more)
        assert reply.status == 200, reply.body
        return int(reply.json["orderId"])

    async def push(self, archive: bytes, meta: Mapping[str, str] | None = PLAIN, **more: Any) -> Reply:
        return await self.call("POST", "/api/gusmev/push", data=form(archive, meta=meta), **more)

    async def chunk(
        self,
        number: int | str,
        data: bytes,
        place: tuple[int, int] | None = None,
        *,
        meta: Mapping[str, str] | None = PLAIN,
        **more: Any,
    ) -> Reply:
        fields = {"orderId": str(number)}
        if place is not None:
            fields |= {"chunk": str(place[0]), "chunks": str(place[1])}
        name = "archive.zip" if place is None else f"archive.z{place[0] + 1:03d}"
        return await self.call(
            "POST", "/api/gusmev/push/chunked", data=form(data, fields, meta=meta, name=name), **more
        )

    async def sent(self, files: Mapping[str, bytes | str], meta: Mapping[str, str] = PLAIN, **more: Any) -> int:
        """Reserve a number, send an archive for it in one chunk, and return the number."""
        number = await self.reserved(meta, **more)
        reply = await self.chunk(number, zipped(files), meta=meta, **more)
        assert reply.status == 200, reply.body
        return number

    async def details(self, number: int | str, **more: Any) -> Reply:
        return await self.call("POST", f"/api/gusmev/order/{number}", **more)

    async def cancel(self, number: int | str, **more: Any) -> Reply:
        return await self.call("POST", f"/api/gusmev/order/{number}/cancel", **more)

    async def updated_after(self, moment: str = MOMENT, page: int = 0, size: int = 50, **more: Any) -> Reply:
        query = {"pageNum": str(page), "pageSize": str(size), "updatedAfter": moment}
        return await self.call("GET", "/api/gusmev/order/getUpdatedAfter/", params=query, **more)

    async def statuses(self, *numbers: int | str, size: int = 50, **more: Any) -> Reply:
        query = {"pageNum": "0", "pageSize": str(size), "orderIds": ",".join(map(str, numbers))}
        return await self.call("GET", "/api/gusmev/order/getOrdersStatus/", params=query, **more)

    async def process_codes(self, number: int) -> list[str]:
        """The process codes that an order passes until it stands, by details."""
        codes: list[str] = []
        for _ in range(20):
            code = (await self.details(number)).json["code"]
            if codes[-1:] != [code]:
                codes.append(code)
            await self.advance(0.1)
        return codes

    async def opened(self, number: int) -> dict[str, Any]:
        """The fields of an order."""
        opened: dict[str, Any] = json.loads((await self.details(number)).json["order"])
        return opened

    async def admin(self, method: str, path: str, body: Any = None, status: int | None = None) -> Any:
        reply = await self.ask(method, f"/_sim/{path}", json=body)
        assert reply.status == status or (status is None and reply.status < 300), reply.body
        return reply.json if reply.body else None

    async def set(self, **settings: Any) -> None:
        await self.admin("POST", "settings", settings, 204)

    async def scenario(self, **rule: Any) -> None:
        await self.admin("POST", "scenario", rule, 201)

    async def advance(self, seconds: float) -> None:
        await self.admin("POST", "clock", {"advance": seconds}, 200)

    async def put(self, *statuses: Mapping[str, Any], **more: Any) -> list[int]:
        """Orders of an earlier day."""
        new = {"client_id": SYSTEM, "oid": HEAD_OID, "service_code": PLAIN["serviceCode"], "statuses": statuses}
        ids: list[int] = (await self.admin("POST", "orders", new | more, 201))["order_ids"]
        return ids


def form(
    data: bytes,
    fields: Mapping[str, str] | None = None,
    *,
    meta: Mapping[str, str] | str | None = PLAIN,
    name: str | None = "archive.zip",
    meta_type: str = "application/json",
) -> aiohttp.FormData:
    """The multipart body of an upload."""
    made = aiohttp.FormData()
    if meta is not None:
        made.add_field("meta", meta if isinstance(meta, str) else json.dumps(meta), content_type=meta_type)
    for title, value in (fields or {}).items():
        made.add_field(title, value)
    if name is not None:
        made.add_field("file", data, filename=name, content_type="application/octet-stream")
    return made

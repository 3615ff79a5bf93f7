"""Tokens of ЕСИА: fetched by API-Key or renewed for a person, kept until shortly before their end, one fetch at a time.

Nothing of a token, of an API-Key or of a signature over it is logged or put into an error: the URL of a fetch is a
secret as a whole. Source: methodical recommendations of ЕСИА, Б.12 and В.2, as their clients implement them.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote
from uuid import uuid4

import aiohttp
import orjson
import structlog
from yarl import URL

from adapter.errors import AdapterError, Code, KnownError, SignerError
from adapter.gateways.epgu.errors import ErrorClass, Failure, of_esia, token_refused
from adapter.gateways.epgu.options import Clock, EsiaOptions, utc_now
from adapter.gateways.epgu.statements import AwayError
from adapter.signing.libcrypto import GostUnavailableError
from adapter.signing.streebog import StreamingStreebog

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapter.gateways.epgu.keeping import TokenShelf
    from adapter.signing.client import SigningClient

#: Life of a token that does not say when it ends.
_UNSAID: Final = timedelta(seconds=300)
#: A token is renewed so long before its end, or in the last tenth of a short life.
_EARLY: Final = timedelta(seconds=30)
_ANSWER_LIMIT: Final = 64 * 1024
_TIMESTAMP: Final = "%Y.%m.%d %H:%M:%S +0000"

_log = structlog.get_logger(__name__)


class TokenError(Exception):
    """There is no token to be had. ``retryable`` tells whether asking again may help."""

    def __init__(self, error: AdapterError, *, retryable: bool) -> None:
        """``error`` is what the one who asked will read."""
        super().__init__(error.code)
        self.error = error
        self.retryable = retryable


@dataclass(frozen=True, slots=True)
class Who:
    """Whose token a call goes with: an API-Key by its ``name``, a person by ``oid``, or a token that a command brought.

    Exactly one is set, or none: then it is the first API-Key. ``token`` is the id under which the shelf keeps it.
    """

    key: str = ""
    person: str = ""
    token: str = ""

    def told(self) -> dict[str, str]:
        """Return it as JSON."""
        return {name: value for name in ("key", "person", "token") if (value := getattr(self, name))}


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token: ``ends`` is when it does, ``got_at`` when it came; ``claims`` are what it says of itself."""

    text: str = field(repr=False)
    ends: datetime
    got_at: datetime
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def fresh_until(self) -> datetime:
        """Until when it is used."""
        return self.ends - min(_EARLY, (self.ends - self.got_at) / 10)

    @property
    def account(self) -> str:
        """Whose orders these are: the organisation's, or the person's own; empty where the token does not say."""
        return str(self.claims.get("org_oid") or self.claims.get("urn:esia:sbj_id") or "")

    def told(self) -> dict[str, Any]:
        """Return what an incident asks for, under the names of its form."""
        names = {"client_id": "client_id", "org_oid": "org_oid", "urn:esia:sbj_id": "subject"}
        said = {name: str(self.claims[claim]) for claim, name in names.items() if self.claims.get(claim)}
        return {"token_at": self.got_at.isoformat(timespec="seconds"), **said}


def bearer_of(text: str, got_at: datetime) -> Bearer:
    """Return a token as it says itself when it ends; what is no JWT lives five minutes."""
    claims = _claims(text)
    try:
        ends = datetime.fromtimestamp(float(claims["exp"]), UTC)
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        ends = got_at + _UNSAID
    return Bearer(text, ends, got_at, claims)


class Tokens:
    """Gives tokens. Callers who ask at once for the same one share a fetch, and its failure."""

    def __init__(
        self,
        options: EsiaOptions,
        *,
        session: aiohttp.ClientSession,
        signer: SigningClient,
        shelf: TokenShelf,
        clock: Clock = utc_now,
    ) -> None:
        """``session`` is closed by its owner; ``shelf`` has the tokens that commands brought."""
        self._options = options
        self._session = session
        self._signer = signer
        self._shelf = shelf
        self._clock = clock
        self._known: dict[Who, Bearer] = {}
        self._fetching: dict[Who, asyncio.Task[Bearer]] = {}
        self._timeout = aiohttp.ClientTimeout(total=options.timeout, sock_connect=options.timeout / 3)

    async def get(self, who: Who) -> Bearer:
        """Return a token that is not about to end. Raises TokenError."""
        known = self._known.get(who)
        if known is not None and self._clock() < known.fresh_until:
            return known
        task = self._fetching.get(who)
        if task is None:
            task = self._fetching[who] = asyncio.create_task(self._fetch(who))
            task.add_done_callback(lambda done: self._fetched(who, done))
        return await asyncio.shield(task)

    def drop(self, who: Who, bearer: Bearer) -> bool:
        """Forget a token that was refused; tell whether another one can be had."""
        if self._known.get(who) is bearer:
            del self._known[who]
        return not who.token

    async def close(self) -> None:
        """End fetches that are under way."""
        tasks = list(self._fetching.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _fetched(self, who: Who, task: asyncio.Task[Bearer]) -> None:
        del self._fetching[who]
        if not task.cancelled() and task.exception() is None:
            self._known[who] = task.result()

    async def _fetch(self, who: Who) -> Bearer:
        if who.token:
            bearer = await self._brought(who.token)
        else:
            try:
                text = await (self._renewed(who.person) if who.person else self._by_key(who.key))
            except SignerError as error:
                raise TokenError(error, retryable=error.retryable) from None
            bearer = bearer_of(text, self._clock())
        if bearer.ends <= self._clock():
            raise TokenError(
                token_refused({"rule": "the token has ended"}, "Срок маркера доступа истёк"), retryable=False
            )
        self._look_at_scopes(bearer)
        return bearer

    async def _brought(self, identifier: str) -> Bearer:
        try:
            text = await self._shelf.find(identifier)
        except AwayError:
            raise TokenError(
                KnownError(Code.INTERNAL, "Маркер доступа из команды сейчас не прочитать: база данных недоступна"),
                retryable=True,
            ) from None
        if text is None:
            raise TokenError(
                token_refused({"rule": "the token has ended"}, "Маркер доступа из команды истёк"), retryable=False
            )
        return bearer_of(text, self._clock())

    async def _by_key(self, name: str) -> str:
        """Return a token by API-Key: the detached PKCS#7 over the key's own text goes into the query."""
        name = name or next(iter(self._options.keys), "")
        key = self._options.keys.get(name)
        if key is None:
            raise TokenError(
                token_refused({"rule": "unknown key"}, "API-Key с таким именем не настроен"), retryable=False
            )
        signature = _base64url(await self._signer.sign_cms(key.value.encode(), key=key.sign_key))
        path = f"/esia-rs/api/public/v1/orgs/ext-app/{quote(key.value, safe='')}/tkn?signature={signature}"
        return await self._ask("GET", path, None, ("accessTkn", "access_token"))

    async def _renewed(self, oid: str) -> str:
        """Return a new token of a person who gave consent: OAuth 2.0, client_credentials, client_secret signed."""
        options = self._options
        if not options.client_id:
            raise TokenError(
                token_refused({"rule": "no client_id"}, "Маркеры физических лиц не настроены"), retryable=False
            )
        form = {
            "client_id": options.client_id,
            "grant_type": "client_credentials",
            "scope": options.person_scope.format(oid=oid),
            "state": str(uuid4()),
            "timestamp": self._clock().astimezone(UTC).strftime(_TIMESTAMP),
            "token_type": "Bearer",
        }
        if options.renewal == "v3":
            form |= await self._signed_bare(form)
            return await self._ask("POST", "/aas/oauth2/v3/te", form, ("access_token", "accessTkn"))
        signed = _joined(form, "scope", "timestamp", "client_id", "state")
        form["client_secret"] = _base64url(await self._signer.sign_cms(signed, key=options.sign_key))
        return await self._ask("POST", "/aas/oauth2/te", form, ("access_token", "accessTkn"))

    async def _signed_bare(self, form: Mapping[str, str]) -> dict[str, str]:
        """Return what the third version adds: the bare GOST value over its parameters, and whose certificate it is."""
        redirect = {"redirect_uri": self._options.redirect_uri} if self._options.redirect_uri else {}
        signed = _joined({**form, **redirect}, "client_id", "scope", "timestamp", "state", "redirect_uri")
        value, certificate = await self._signer.sign_bare(signed, key=self._options.sign_key)
        try:
            streebog = StreamingStreebog()
        except GostUnavailableError:
            rule = {"rule": "no GOST engine for the certificate's digest"}
            raise TokenError(token_refused(rule), retryable=False) from None
        streebog.update(certificate)
        thumbprint = streebog.digest().hex().upper()
        return {**redirect, "client_secret": _base64url(value), "client_certificate_hash": thumbprint}

    async def _ask(self, method: str, target: str, form: Mapping[str, str] | None, names: tuple[str, ...]) -> str:
        """Make one call of ЕСИА and return the token of its answer. Raises TokenError."""
        url = URL(self._options.url.rstrip("/") + target, encoded=True)
        try:
            async with self._session.request(
                method, url, data=form, headers={"Accept": "application/json"}, timeout=self._timeout,
                allow_redirects=False,
            ) as response:  # fmt: skip
                status, body = response.status, await response.content.read(_ANSWER_LIMIT)
                while len(body) < _ANSWER_LIMIT and (more := await response.content.read(_ANSWER_LIMIT)):
                    body += more
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            details = {"source": "esia", "reason": type(error).__name__}
            raise TokenError(
                KnownError(Code.GATEWAY_UNAVAILABLE, "ЕСИА недоступна", details=details), retryable=True
            ) from None
        if status != 200:
            raise _refused(of_esia(status, body))
        text = _token_in(body, names)
        if not text:
            details = {"source": "esia", "rule": "answer without a token"}
            raise TokenError(
                KnownError(Code.GATEWAY_PROTOCOL, "Ответ ЕСИА не читается", details=details), retryable=True
            )
        return text

    def _look_at_scopes(self, bearer: Bearer) -> None:
        """Say in the log what a token lacks: ЕПГУ would answer access_denied_system without a word on it."""
        said = bearer.claims.get("scope")
        if not isinstance(said, str):
            return
        had = {scope.partition("?")[0] for scope in said.split()}
        lacking = [scope for scope in self._options.scopes if scope.partition("?")[0] not in had]
        if lacking:
            _log.warning("epgu.token-lacks-scopes", source="esia", count=len(lacking))


def _joined(form: Mapping[str, str], *names: str) -> bytes:
    """Return the values of parameters one after another: what a client_secret is over."""
    return "".join(form.get(name, "") for name in names).encode()


def _refused(failure: Failure) -> TokenError:
    _log.warning("epgu.no-token", source="esia", code=failure.error.code)
    return TokenError(failure.error, retryable=failure.kind is ErrorClass.RETRY)


def _token_in(body: bytes, names: tuple[str, ...]) -> str:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    values = [said.get(name) for name in names] if isinstance(said, dict) else []
    found = next((value for value in values if isinstance(value, str) and value), "")
    return found if found.isascii() and found.isprintable() and " " not in found else ""


def _claims(text: str) -> dict[str, Any]:
    """Return what a JWT says; nothing for anything else. Its signature is ЕПГУ's to verify."""
    parts = text.split(".")
    try:
        payload = parts[1].encode("ascii")
        claims = orjson.loads(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
    except (IndexError, ValueError, binascii.Error):
        return {}
    return claims if isinstance(claims, dict) else {}


def _base64url(data: bytes) -> str:
    """Return base64url without padding: nothing in it needs escaping in a URL."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")

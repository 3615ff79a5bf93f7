"""Access tokens: JWTs that ЕСИА issues here and the gateway reads here.

They are sealed by a secret of this process (HS256): the real ones are signed by ЕСИА's own key, which no client checks.
After a restart every earlier token is refused, as after its end.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from simulators.epgu.accounts import API_ORDER, ORG_OGRN
from simulators.epgu.faults import refuse, refuse_bare

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from simulators.epgu.accounts import Accounts, System, User

_HEADER = {"alg": "HS256", "typ": "JWT", "ver": 1, "sbt": "access"}
_CONSENT = "APIPGU"


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose token came with a call, and through which system; ``claims`` are what it says."""

    system: System
    user: User
    claims: dict[str, Any]


class Tokens:
    """Mints tokens and knows them again."""

    def __init__(self, accounts: Accounts) -> None:
        """``accounts`` say who a token is for."""
        self._accounts = accounts
        self._secret = secrets.token_bytes(32)

    def mint(
        self, system: System, user: User, now: datetime, life: float, scopes: Sequence[str] | None = None
    ) -> tuple[str, int]:
        """Return (token, the moment it ends as a number); without ``scopes`` it has those that orders need."""
        if scopes is None:
            scopes = [API_ORDER, *([f"{ORG_OGRN}?org_oid={user.org_oid}"] if user.org_oid else [])]
        ends = int((now + timedelta(seconds=life)).timestamp())
        claims: dict[str, Any] = {
            "iss": "http://esia.gosuslugi.ru/",
            "client_id": system.client_id,
            "urn:esia:sid": str(uuid4()),
            "urn:esia:sbj_id": int(user.oid),
            "scope": " ".join(scopes),
            "iat": int(now.timestamp()),
            "nbf": int(now.timestamp()),
            "exp": ends,
        }
        if user.org_oid:
            claims["org_oid"] = int(user.org_oid)
        elif user.consent:
            claims["permissions"] = [{"sysname": _CONSENT, "scopes": [API_ORDER], "expire": 525_600}]
        body = ".".join(_encoded(json.dumps(part, ensure_ascii=False).encode()) for part in (_HEADER, claims))
        return f"{body}.{_encoded(self._seal(body))}", ends

    def holder(self, authorization: str, now: datetime) -> Holder:
        """Return whose token stands in the Authorization header.

        Raises RefusedError: 401 for none, for one that ended or was never issued here; 403 for one that lacks the scope
        of the API or its holder's consent.
        """
        scheme, _, token = authorization.partition(" ")
        claims = self._claims(token.strip()) if scheme == "Bearer" else None
        if claims is None or claims["exp"] <= now.timestamp():
            raise refuse_bare(401)
        system = self._accounts.systems.get(claims["client_id"])
        user = self._accounts.users.get(str(claims["urn:esia:sbj_id"]))
        if system is None or user is None:
            raise refuse_bare(401)
        scopes = claims["scope"].split()
        org_scope = any(scope.partition("?")[0].rpartition("/")[2].startswith("org_") for scope in scopes)
        if API_ORDER not in scopes or (user.org_oid and not org_scope):
            raise refuse("access_denied_system", "Маркер доступа не содержит необходимых областей доступа")
        if not user.org_oid and _CONSENT not in json.dumps(claims.get("permissions", "")):
            raise refuse("access_denied_person_permissions")
        return Holder(system, user, claims)

    def _claims(self, token: str) -> dict[str, Any] | None:
        body, _, seal = token.rpartition(".")
        try:
            if not hmac.compare_digest(decoded(seal), self._seal(body)):
                return None
            claims: dict[str, Any] = json.loads(decoded(body.partition(".")[2]))
        except (ValueError, UnicodeEncodeError):
            return None
        return claims

    def _seal(self, body: str) -> bytes:
        return hmac.digest(self._secret, body.encode(), hashlib.sha256)


def decoded(text: str) -> bytes:
    """Return the bytes of base64url, with its padding or without. Raises ValueError."""
    try:
        data = text.rstrip("=").encode("ascii")
        if set(data) & set(b"+/"):
            raise ValueError("not base64url")
        return base64.b64decode(data + b"=" * (-len(data) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("not base64url") from None


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")

"""ЕСИА: a token by API-Key for organisations, and the renewal of a person's token without the person.

Every signature is verified: PKCS#7 over the API-Key, PKCS#7 (v1) or a bare GOST R 34.10-2012 value (v3) over the
parameters of a renewal. What ext-app says when it refuses is not known; its errors here have the form of OAuth 2.0.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from adapter.signing.certificates import CertificateError
from simulators.epgu.faults import refuse_esia
from simulators.epgu.signatures import names_organisation
from simulators.epgu.tokens import decoded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulators.epgu.accounts import Accounts, System, User
    from simulators.epgu.settings import Settings
    from simulators.epgu.signatures import SignatureDesk
    from simulators.epgu.tokens import Tokens

#: How far a timestamp may be from the server's clock.
SKEW = timedelta(minutes=5)

_TIMESTAMP = "%Y.%m.%d %H:%M:%S %z"
_REQUIRED = ("client_id", "client_secret", "grant_type", "scope", "state", "timestamp", "token_type")
#: What client_secret is over, by version.
_SIGNED = {
    "v1": ("scope", "timestamp", "client_id", "state"),
    "v3": ("client_id", "scope", "timestamp", "state", "redirect_uri", "code"),
}
_NEW_SCOPE = "prm_chg?oid="


class Esia:
    """The authorisation service."""

    def __init__(self, accounts: Accounts, tokens: Tokens, desk: SignatureDesk) -> None:
        """``desk`` verifies what systems signed."""
        self._accounts = accounts
        self._tokens = tokens
        self._desk = desk
        #: refresh_token -> (client_id, oid); each works once.
        self._renewals: dict[str, tuple[str, str]] = {}

    def ext_app(self, key: str, signature: str, now: datetime, life: float) -> dict[str, object]:
        """Return the answer to a request for a token by API-Key. Raises RefusedError."""
        if not signature:
            raise refuse_esia("ESIA-007014")
        entry = self._accounts.api_keys.get(key.lower())
        if entry is None or entry.blocked:
            raise refuse_esia("ESIA-007005")
        system, user = self._accounts.systems[entry.client_id], self._accounts.users[entry.oid]
        try:
            # The bytes that were signed are those of the key as it stands in the path.
            certificate = self._desk.check(decoded(signature), key.encode(), now)
        except ValueError:
            raise refuse_esia("ESIA-008010") from None
        if not names_organisation(certificate) or certificate not in self._registered(system):
            raise refuse_esia("ESIA-008010")
        token, ends = self._tokens.mint(system, user, now, life, entry.scopes)
        return {"accessTkn": token, "expiresIn": ends - int(now.timestamp())}

    def authorise(self, client_id: str, oid: str, now: datetime, life: float) -> dict[str, object]:
        """Return tokens as if the person had just logged in to the system. Raises ValueError for strangers."""
        system, user = self._accounts.systems.get(client_id), self._accounts.users.get(oid)
        if system is None or user is None:
            raise ValueError("no such system or user")
        return self._answer(system, user, now, life)

    def renew(self, form: Mapping[str, str], *, version: str, now: datetime, settings: Settings) -> dict[str, object]:
        """Return the answer to a request for a new token of a person, ``version`` being ``v1`` or ``v3``.

        grant_type is client_credentials with the scope ``prm_chg?oid={sbj_id}``, or refresh_token. Raises RefusedError.
        """
        state = form.get("state", "")
        for name in (*_REQUIRED, *(("client_certificate_hash",) if version == "v3" else ())):
            if not form.get(name):
                raise refuse_esia("ESIA-007014", state)
        _check_time(form["timestamp"], now, state)
        system = self._accounts.systems.get(form["client_id"])
        if system is None:
            raise refuse_esia("ESIA-008010", state)
        self._check_secret(form, system, version, now)
        user = self._accounts.users.get(self._subject(form, system, state))
        if user is None:
            raise refuse_esia("ESIA-007011", state)
        if not user.consent:
            raise refuse_esia("ESIA-007019", state)
        return self._answer(system, user, now, settings.person_token_life) | {"state": state}

    def reset(self) -> None:
        """Forget every refresh_token."""
        self._renewals.clear()

    def _subject(self, form: Mapping[str, str], system: System, state: str) -> str:
        if form["token_type"] != "Bearer":  # noqa: S105  — the name of a kind
            raise refuse_esia("ESIA-007003", state)
        match form["grant_type"]:
            case "client_credentials":
                scope = next((s for s in form["scope"].split() if s.startswith(_NEW_SCOPE)), None)
                if scope is None:
                    raise refuse_esia("ESIA-007006", state)
                return scope.removeprefix(_NEW_SCOPE)
            case "refresh_token":
                client_id, oid = self._renewals.pop(form.get("refresh_token", ""), ("", ""))
                if client_id != system.client_id:
                    raise refuse_esia("ESIA-007011", state)
                return oid
            case _:
                raise refuse_esia("ESIA-007009", state)

    def _check_secret(self, form: Mapping[str, str], system: System, version: str, now: datetime) -> None:
        signed = "".join(form.get(name, "") for name in _SIGNED[version]).encode()
        registered = self._registered(system)
        wanted = form.get("client_certificate_hash", "").upper()
        try:
            secret = decoded(form["client_secret"])
            if version == "v1":
                certificate = self._desk.check(secret, signed, now)
            else:
                certificate = next((c for c in registered if self._desk.thumbprint(c) == wanted), b"")
                self._desk.check_raw(certificate, signed, secret, now)
        except ValueError:  # SignatureError among them
            raise refuse_esia("ESIA-007053", form["state"]) from None
        if certificate not in registered:
            raise refuse_esia("ESIA-007053", form["state"])

    def _answer(self, system: System, user: User, now: datetime, life: float) -> dict[str, object]:
        token, ends = self._tokens.mint(system, user, now, life)
        renewal = secrets.token_urlsafe(24)
        self._renewals[renewal] = (system.client_id, user.oid)
        return {
            "access_token": token,
            "expires_in": ends - int(now.timestamp()),
            "token_type": "Bearer",
            "refresh_token": renewal,
        }

    def _registered(self, system: System) -> list[bytes]:
        try:
            return [self._desk.certificate(name) for name in system.certificates]
        except (OSError, CertificateError):
            return []


def _check_time(timestamp: str, now: datetime, state: str) -> None:
    try:
        moment = datetime.strptime(timestamp, _TIMESTAMP).astimezone(UTC)
    except ValueError:
        raise refuse_esia("ESIA-007003", state) from None
    if abs(moment - now) > SKEW:
        raise refuse_esia("ESIA-007015", state)

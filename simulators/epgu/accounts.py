"""Who may talk to the gateway: information systems, people and organisations, and the API-Keys that join them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Digits = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,20}$")]
Guid = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", to_lower=True)]
Kind = Literal["LEGAL", "IP", "PERSON"]

API_ORDER = "http://lk.gosuslugi.ru/api-order"
ORG_OGRN = "http://esia.gosuslugi.ru/org_ogrn"


class System(BaseModel):
    """An information system: ``client_id`` is its mnemonic in ЕСИА, ``number`` what orders name as their source.

    ``certificates`` are names in the key folder whose signatures ЕСИА takes for this system. ``services`` are those it
    may use, ``*`` all, none at all is access_denied_system. For ``owner_only`` services only ``owner`` (an org_oid) may
    be the applicant. ``personal_data`` lets it fetch results.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    client_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    number: Digits = "774216"
    certificates: tuple[str, ...] = ("ov", "ov512", "sp")
    services: tuple[str, ...] = ("*",)
    owner: str = ""
    owner_only: tuple[str, ...] = ()
    personal_data: bool = True

    def may_use(self, service_code: str) -> bool:
        """Tell whether this system was given the service."""
        return "*" in self.services or service_code in self.services


class User(BaseModel):
    """Who applies: a person, or an employee of an organisation or of an entrepreneur (``org_oid``).

    ``head`` is the head of the organisation; others send with a power of attorney (``attorney``) and create with the
    powers a service wants (``powers``). ``consent`` is a person's to the system. For a ``barred`` user processing ends
    in CREATE_ORDER_FORBIDDEN.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    oid: Digits
    kind: Kind
    name: str = "Тестов Тест"
    org_oid: str = ""
    ogrn: str = ""
    inn: str = ""
    snils: str = ""
    head: bool = True
    attorney: bool = False
    powers: tuple[str, ...] = ()
    consent: bool = True
    barred: bool = False

    @property
    def account(self) -> str:
        """Whose orders these are: the organisation's, or the person's own."""
        return self.org_oid or self.oid


class ApiKey(BaseModel):
    """One API-Key: one employee and one system. ``scopes`` are those its token has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: Guid
    client_id: str
    oid: Digits
    blocked: bool = False
    scopes: tuple[str, ...] | None = None


class AccountsEntry(BaseModel):
    """What is put in: by the fixtures, or by ``POST /_sim/accounts``; what has a known name is replaced."""

    model_config = ConfigDict(extra="forbid")

    systems: tuple[System, ...] = ()
    users: tuple[User, ...] = ()
    api_keys: tuple[ApiKey, ...] = Field(())


class Accounts:
    """All of them, by name."""

    def __init__(self) -> None:
        """Start with none."""
        self.systems: dict[str, System] = {}
        self.users: dict[str, User] = {}
        self.api_keys: dict[str, ApiKey] = {}

    def put(self, entry: AccountsEntry) -> None:
        """Add or replace. Raises ValueError for a key of nobody, or that leads to no system."""
        self.systems |= {system.client_id: system for system in entry.systems}
        self.users |= {user.oid: user for user in entry.users}
        for key in entry.api_keys:
            if key.client_id not in self.systems or key.oid not in self.users:
                raise ValueError(f"API-Key {key.key}: no such system or user")
            self.api_keys[key.key] = key

    def clear(self) -> None:
        """Forget all of them."""
        for known in (self.systems, self.users, self.api_keys):
            known.clear()

    def told(self) -> dict[str, object]:
        """Return everything as JSON."""
        return AccountsEntry(
            systems=tuple(self.systems.values()),
            users=tuple(self.users.values()),
            api_keys=tuple(self.api_keys.values()),
        ).model_dump(mode="json")

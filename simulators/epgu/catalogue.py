"""Services: who may get them, what their archive has to hold, what the agency usually says."""

from __future__ import annotations

from typing import Annotated

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, StringConstraints

from simulators.epgu.accounts import Digits, Kind  # noqa: TC001  — pydantic reads the annotations at run time
from simulators.epgu.codes import FINAL_STATUSES, STATUS_NAMES

_Pattern = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class WantedFile(BaseModel):
    """A file of a result: ``content_base64``, or ``size`` bytes that look random and are always the same."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, StringConstraints(pattern=r"^[^/\x00]{1,200}$")] = "result.pdf"
    mime_type: str = "application/pdf"
    content_base64: Base64Bytes | None = None
    size: int = Field(16, ge=0, le=2**31)
    signed: bool = False

    @property
    def length(self) -> int:
        """Bytes of the file."""
        return self.size if self.content_base64 is None else len(self.content_base64)


class WantedStatus(BaseModel):
    """A status that the portal shows, ``after`` so many seconds (default: ``status_step`` of the settings).

    Without ``title`` it has the portal's usual name; without ``final`` the table says. ``org_code`` and ``org_name``
    are the agency's own status.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    status_id: int
    title: str = ""
    comment: str = ""
    org_code: str = ""
    org_name: str = ""
    cancel_allowed: bool = False
    send_message_allowed: bool = False
    final: bool | None = None
    files: tuple[WantedFile, ...] = Field((), max_length=100)
    after: float | None = Field(None, ge=0)

    @property
    def name(self) -> str:
        """What the portal calls it."""
        return self.title or STATUS_NAMES.get(self.status_id, STATUS_NAMES[8])

    @property
    def ends(self) -> bool:
        """Tell whether nothing comes after it."""
        return self.status_id in FINAL_STATUSES if self.final is None else self.final


class Service(BaseModel):
    """A service; patterns are regular expressions of whole file names.

    ``transport`` is the file that must be there (REQ_NOT_FOUND), ``business`` those that must be beside it
    (MPC_NOT_FOUND), ``others`` what may. Files of ``signed`` need a ``.sig``. ``roots`` are the local names of XML
    roots by pattern. ``order_element`` and ``snils_element`` are local names in the transport file whose text is the
    order's number and the applicant's СНИЛС, ``ogrn_element`` the organisation's ОГРН; ``link_element`` names the
    business file. ``power`` is what an employee needs to create an order; without ``power_exists`` nobody has it.
    ``orders_limit`` replaces the usual one. ``nested`` lets archives be in the archive.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    service_code: Digits
    target_code: Annotated[str, StringConstraints(pattern=r"^-?[0-9]{1,20}$")]
    title: str = "Тестовая услуга"
    org_id: int = 266
    org_code: str = "test"
    org_name: str = "Тестовое ведомство"
    users: tuple[Kind, ...] = ("LEGAL", "IP", "PERSON")
    transport: _Pattern = r"req\.xml"
    business: tuple[_Pattern, ...] = ()
    others: tuple[_Pattern, ...] = ()
    signed: tuple[_Pattern, ...] = ()
    roots: dict[str, str] = Field(default_factory=dict)
    order_element: str = ""
    snils_element: str = ""
    ogrn_element: str = ""
    link_element: str = ""
    most_files: int = 100
    most_bytes: int = 2**30
    nested: bool = False
    power: str = ""
    power_exists: bool = True
    orders_limit: int | None = Field(None, ge=0)
    statuses: tuple[WantedStatus, ...] = ()


class Catalogue:
    """All services by code."""

    def __init__(self) -> None:
        """Start with none."""
        self._services: dict[str, Service] = {}

    def put(self, service: Service) -> None:
        """Add or replace a service."""
        self._services[service.service_code] = service

    def find(self, service_code: str) -> Service | None:
        """Return the service of a code."""
        return self._services.get(service_code)

    def all(self) -> list[Service]:
        """Return every service."""
        return list(self._services.values())

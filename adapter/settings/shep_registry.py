"""The registry of the ШЭП: who owns which service, who uses it, and where it is delivered (SHEP_SERVICES_FILE, TOML).

Every row of the forms of order № 104 (Приложения 1, 3 and 5) has a field here, in the form's own units («45 секунд»).
Throttling, repeats and switch-off are what the gateway does to a delivery point: they are declared, never assumed. The
last part of a service is ours: how this adapter calls it.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adapter.settings.values import WrongValueError, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

_UNITS: Final = {
    "секунд": 1,
    "сек": 1,
    "минут": 60,
    "мин": 60,
    "час": 3600,
    "сут": 86_400,
    "дн": 86_400,
    "день": 86_400,
}
_PERIOD: Final = re.compile(r"([0-9]{1,6})\s*(секунд|сек|минут|мин|час|сут|день|дн)(?:а|у|ы|ов|ки|ок|я|ей)?\.?")

#: ``shep.<key>`` names an action of the adapter's own.
_TAKEN: Final = frozenset({"message", "status", "notice", "sync", "async"})

Text = Annotated[str, Field(min_length=1, max_length=4000)]
Bin = Annotated[str, Field(pattern=r"^[0-9]{12}$")]
Key = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,99}$")]
Flag = Literal[0, 1]
Period = Annotated[str, Field(pattern=_PERIOD.pattern.join("^$"))]
Count = Annotated[int, Field(ge=0, le=1_000_000)]


def seconds_of(period: str) -> int:
    """Return a time as the forms write it (45 секунд, 1 минута) in seconds. Raises ValueError."""
    match = _PERIOD.fullmatch(period.strip())
    if match is None:
        raise ValueError("not a time with its unit")
    return int(match[1]) * _UNITS[match[2]]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Organisation(_Row):
    """An owner of information systems: Приложение 1, rows 1 to 3; Приложение 3, rows 1 to 3."""

    key: Key
    name: Text
    short_name: Text
    bin: Bin


class System(_Row):
    """An information system and who runs it: Приложение 1, rows 4 to 13; Приложение 3, 4 to 6; Приложение 5, 1 to 5."""

    key: Key
    owner: Key
    name: Text
    short_name: Text
    operator_name: Text | None = None
    operator_short_name: Text | None = None
    department: Text | None = None
    head: Text | None = None
    responsible: Text | None = None
    developers: Text | None = None
    stage: Literal["Опытная эксплуатация", "Промышленная эксплуатация"] | None = None
    availability: Annotated[str, Field(pattern=r"^[0-9]{1,2}/[0-9]{1,3}$")] | None = None
    answers_url: Text | None = None


class Point(_Row):
    """A delivery point: «Параметры доставки сервиса», rows 1 to 11. ``call``: 1 synchronous, 2 asynchronous."""

    id: Annotated[int, Field(ge=1)]
    url: Text
    call: Literal[1, 2]
    throttling: Flag | None = None
    throttling_timeout: Period | None = None
    requests: Count | None = None
    repeats: Count | None = None
    async_timeout: Period | None = None
    max_errors: Count | None = None
    max_interval: Period | None = None
    security: Literal[0, 1, 2]


class User(_Row):
    """A user of a service: its number in the form, its information system, on what basis it uses it (Приложение 2)."""

    number: Annotated[int, Field(ge=1)]
    system: Key
    basis: Text | None = None


class Route(_Row):
    """One of the addresses of a routed service."""

    name: Key
    point: int


class Service(_Row):
    """A service: Приложение 1, rows 14 to 27; Приложение 5, 6 to 17. What stands after ``routes`` is ours.

    ``xsd`` is the file of its messages' schema beside the registry, with the names of their root elements where these
    are not plain.
    ``contour`` is where it is published. ``revocation`` soft believes certificates of which nobody knows whether they
    are revoked; ``unsigned_faults`` believes refusals that are not signed; with ``encryption`` messages are
    encrypted, then signed (Приложение 8, scenario 3); ``repeatable`` says that asking twice does
    no harm. ``data_form`` and ``sign_data`` are for commands that do not say. ``reply`` says what a command to an
    asynchronous service is answered with: the receipt, or the business answer, within ``answer_within`` of the receipt.
    ``notify`` says whether the adapter tells the gateway by itself that a message was taken, where
    ``delivery_notifications`` want that. With ``poll_interval`` messages that wait at the gateway (PULL) are fetched by
    the adapter, ``poll_amount`` at once.
    """

    key: Key
    system: Key
    name: Text
    description: Text | None = None
    mode: Literal["Синхронный", "Асинхронный", "Синхронный/Асинхронный"]
    wsdl_url: Text | None = None
    routing: Flag = 0
    point: int | None = None
    delivery: Literal["PUSH", "PULL"] | None = None
    status_notifications: Flag = 0
    delivery_notifications: Flag = 0
    basis: Text | None = None
    specification: Text | None = None
    formats: Text | None = None
    test_addresses: Text | None = None
    test_data: Text | None = None
    users: list[User] = []
    routes: list[Route] = []
    xsd: Text | None = None
    xsd_request: Text | None = None
    xsd_answer: Text | None = None
    contour: Literal["ШЭП", "ВШЭП"] = "ШЭП"
    security: Literal[0, 1, 2] = 2
    revocation: Literal["hard", "soft"] = "hard"
    unsigned_faults: bool = False
    encryption: Flag = 0
    repeatable: bool = False
    data_form: Literal["child", "text", "typed"] = "child"
    sign_data: Literal["none", "system", "official"] = "none"
    reply: Literal["receipt", "answer"] = "receipt"
    answer_within: Period | None = None
    notify: Literal["auto", "manual"] | None = None
    poll_interval: Period | None = None
    poll_amount: Annotated[int, Field(ge=1, le=100_000)] | None = None

    @property
    def notifies(self) -> bool:
        """Whether the adapter sends delivery notifications by itself."""
        return bool(self.delivery_notifications) and self.notify != "manual"

    @property
    def is_sync(self) -> bool:
        """Whether it answers at once."""
        return self.mode.startswith("Синхронный")

    @property
    def is_async(self) -> bool:
        """Whether it answers by a message of its own."""
        return self.mode.endswith("синхронный")

    @property
    def gateway(self) -> str:
        """Our name of its contour."""
        return "shep" if self.contour == "ШЭП" else "vshep"


class ShepRegistry(_Row):
    """Everything registered."""

    organisations: list[Organisation] = []
    systems: list[System] = []
    services: list[Service] = []
    points: list[Point] = []

    def service(self, key: str) -> Service | None:
        """Return a service by its key, which is the serviceId on the wire."""
        return next((service for service in self.services if service.key == key), None)


def read_registry(text: str) -> ShepRegistry:
    """Read the file at the path ``text``. Raises WrongValueError with every fault by its place."""
    try:
        tree = tomllib.loads(Path(text).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValueError) as error:
        raise WrongValueError(f"names a file that cannot be read ({unreadable(error)})") from None
    try:
        registry = ShepRegistry.model_validate(tree)
    except ValidationError as error:
        faults = [f"{_place(detail['loc'])}: {detail['msg']}" for detail in error.errors(include_url=False)]
    else:
        faults = list(_faults(registry))
        if not faults:
            return registry
    raise WrongValueError("; ".join(faults))


def _place(path: tuple[int | str, ...]) -> str:
    """Write a place as an operator finds it: rows are counted from 1."""
    place = ""
    for step in path:
        place += f"[{step + 1}]" if isinstance(step, int) else f".{step}"
    return place.lstrip(".")


def _faults(registry: ShepRegistry) -> Iterator[str]:
    """Yield what no row can say alone."""
    yield from _twice("organisations", [row.key for row in registry.organisations])
    yield from _twice("systems", [row.key for row in registry.systems])
    yield from _twice("services", [row.key for row in registry.services])
    yield from _twice("points", [str(row.id) for row in registry.points])
    organisations = {row.key for row in registry.organisations}
    systems = {row.key for row in registry.systems}
    for number, system in enumerate(registry.systems, 1):
        if system.owner not in organisations:
            yield f"systems[{number}].owner: names no organisation"
    for number, point in enumerate(registry.points, 1):
        yield from (f"points[{number}].{fault}" for fault in _point_faults(point))
    for number, service in enumerate(registry.services, 1):
        yield from (f"services[{number}].{fault}" for fault in _service_faults(service, systems, registry))


def _twice(table: str, keys: list[str]) -> Iterator[str]:
    if any(count > 1 for count in Counter(keys).values()):
        yield f"{table}: the same key or id is given twice"


def _point_faults(point: Point) -> Iterator[str]:
    if point.throttling == 1 and (point.throttling_timeout is None or not point.requests):
        yield "throttling: 1 needs throttling_timeout and requests"
    if (point.max_errors is None) != (point.max_interval is None):
        yield "max_errors: goes with max_interval"
    only_async = ("throttling_timeout", "requests", "repeats", "async_timeout")
    for name in only_async:
        if point.call == 1 and getattr(point, name) is not None:
            yield f"{name}: is for asynchronous calls (call = 2)"


def _references(service: Service, systems: set[str], points: set[int]) -> Iterator[str]:
    if service.key in _TAKEN:
        yield "key: is the name of another action"
    if service.system not in systems:
        yield "system: names no system"
    if service.point is not None and service.point not in points:
        yield "point: names no delivery point"
    for number, route in enumerate(service.routes, 1):
        if route.point not in points:
            yield f"routes[{number}].point: names no delivery point"
    for number, user in enumerate(service.users, 1):
        if user.system not in systems:
            yield f"users[{number}].system: names no system"


def _service_faults(service: Service, systems: set[str], registry: ShepRegistry) -> Iterator[str]:
    yield from _references(service, systems, {point.id for point in registry.points})
    if service.routing and (not service.routes or service.point is not None):
        yield "routing: 1 needs routes and no point"
    if not service.routing and service.routes:
        yield "routes: are for routing = 1"
    if service.encryption and service.security != 2:
        yield "encryption: is for security = 2"
    yield from _twice("users", [str(user.number) for user in service.users])
    yield from _twice("routes", [route.name for route in service.routes])
    if service.is_async and service.delivery is None:
        yield "delivery: PUSH or PULL is required of an asynchronous service"
    if not service.is_async and (service.delivery or service.status_notifications or service.delivery_notifications):
        yield "delivery: with notifications it is for asynchronous services"
    yield from _flow_faults(service)


def _flow_faults(service: Service) -> Iterator[str]:
    """Yield what is wrong with how its messages are answered, fetched and notified of."""
    if not service.is_async and (service.reply == "answer" or service.notify):
        yield "reply: with notify it is for asynchronous services"
    if service.reply == "answer" and service.is_sync:
        yield "reply: answer is for services that are asynchronous alone"
    if service.answer_within is not None and service.reply != "answer":
        yield "answer_within: goes with reply = answer"
    if service.poll_interval is not None and service.delivery != "PULL":
        yield "poll_interval: is for delivery = PULL"
    if service.poll_interval is not None and not seconds_of(service.poll_interval):
        yield "poll_interval: must be above zero"
    if service.poll_amount is not None and service.poll_interval is None:
        yield "poll_amount: goes with poll_interval"
    if service.notify == "auto" and not service.delivery_notifications:
        yield "notify: auto needs delivery_notifications = 1"

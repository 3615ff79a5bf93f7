"""Forms 1, 2, 3 and 5 of order № 104, filled in from the registry of services. What nobody has said is named."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from adapter.documents.grid import Grid
from adapter.documents.shep_forms import read_form, read_rows
from adapter.documents.word import MISSING, Paper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from adapter.settings.shep_registry import Point, Service, ShepRegistry, User

#: What stands where the form itself says that nothing is to be filled in.
NOT_APPLICABLE: Final = "не применяется"
_FLAGS: Final = {0: "0 - нет", 1: "1 - да"}
_NEEDS: Final = {0: "0 - не требуется", 1: "1 - требуется"}
_CALLS: Final = {1: "1 - синхронный", 2: "2 - асинхронный"}
_ONLY_ASYNC: Final = ("throttling_timeout", "requests", "repeats", "async_timeout")
_SHARES: Final = (0.5, 2.2, 2.8, 2.4, 2.6)
_FORMAT_SHARES: Final = (1, 2.5, 1.6, 2.4, 1.2, 2)
_FORMS: Final = (1, 3, 5)
Values = dict[str, str | None]


@dataclass(slots=True)
class Filled:
    """A form with its values. ``missing`` names the rows that nobody has filled in, as a person finds them."""

    title: str
    appendix: str
    tables: list[tuple[str, Sequence[str], list[list[str]], Sequence[float]]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def fill(
    number: int,
    registry: ShepRegistry,
    service: Service,
    *,
    applicant: str | None = None,
    formats: Sequence[list[str]] | None = None,
) -> Filled:
    """Return form 1, 3 or 5 of ``service``.

    ``applicant`` is the key of the system that asks to use it (form 3), ``formats`` the rows of its messages (form 1).
    """
    form = read_form(number)
    filled = Filled(form["title"], form["appendix"])
    values = _service_values(registry, service) | _applicant_values(registry, applicant)
    for part in form["parts"]:
        match part["of"]:
            case "formats":
                _put_formats(filled, part, formats)
            case "service":
                _put_service(filled, part, form["headings"], values)
            case of:
                rows = read_rows(part["rows"])
                _put_each(filled, part["title"], form["headings"], rows, _each(registry, service, of))
    return filled


def _put_service(filled: Filled, part: Mapping[str, Any], headings: Sequence[str], values: Values) -> None:
    rows: list[list[str]] = []
    for section in part["sections"]:
        rows.append([section["title"]])
        rows += _filled_rows(filled, part["title"] or section["title"], section["rows"], values)
    filled.tables.append((part["title"], headings, rows, _SHARES))


def _put_each(
    filled: Filled, title: str, headings: Sequence[str], template: Sequence[Mapping[str, Any]], found: Sequence[Values]
) -> None:
    """Write the rows of a table once for each user, route or delivery point."""
    rows: list[list[str]] = []
    for number, values in enumerate(found, 1):
        name = f"{title} ({number})" if len(found) > 1 else title
        if len(found) > 1:
            rows.append([f"{title}: {number} из {len(found)}"])
        rows += _filled_rows(filled, name, template, values)
    if not found:
        rows = [[_nothing(filled, title)]]
    filled.tables.append((title, headings, rows, _SHARES))


def _nothing(filled: Filled, title: str) -> str:
    """Tell that a table has no rows: of routes that is an answer, of anything else it is missing."""
    if "Маршруты" in title:
        return NOT_APPLICABLE
    filled.missing.append(title)
    return MISSING


def _filled_rows(filled: Filled, part: str, template: Sequence[Mapping[str, Any]], values: Values) -> list[list[str]]:
    rows = []
    for row in template:
        value = values.get(row["field"])
        if value is None:
            filled.missing.append(f"{part}, строка {row['n']}: {row['element']}")
        cells = str(row["n"]), row["element"], row.get("description", ""), row.get("rule", "")
        rows.append([*cells, value or MISSING])
    return rows


def _put_formats(filled: Filled, part: Mapping[str, Any], formats: Sequence[list[str]] | None) -> None:
    if not formats:
        filled.missing.append(part["title"])
    rows = [list(row) for row in formats or [[MISSING]]]
    filled.tables.append((part["title"], part["headings"], rows, _FORMAT_SHARES))


def _service_values(registry: ShepRegistry, service: Service) -> Values:
    """Return what the registry says of a service, its information system and the organisation that owns it."""
    system = next(row for row in registry.systems if row.key == service.system)
    owner = next(row for row in registry.organisations if row.key == system.owner)
    point = next((row for row in registry.points if row.id == service.point), None)
    only_async = None if service.is_async else NOT_APPLICABLE
    routed = NOT_APPLICABLE if service.routing else None
    told = {
        **{f"owner.{name}": value for name, value in owner.model_dump().items()},
        **{f"system.{name}": value for name, value in system.model_dump().items()},
        **{f"service.{name}": value for name, value in service.model_dump().items()},
        "service.routing": _FLAGS[service.routing],
        "service.url": routed or (point.url if point else None),
        "service.point": routed or (str(point.id) if point else None),
        "service.delivery": only_async or service.delivery,
        "service.status_notifications": only_async or _NEEDS[service.status_notifications],
        "service.delivery_notifications": only_async or _NEEDS[service.delivery_notifications],
    }
    return {name: None if value is None else str(value) for name, value in told.items()}


def _applicant_values(registry: ShepRegistry, applicant: str | None) -> Values:
    system = next((row for row in registry.systems if row.key == applicant), None)
    if system is None:
        return {}
    owner = next(row for row in registry.organisations if row.key == system.owner)
    return {
        "applicant.owner": owner.name,
        "applicant.owner_short_name": owner.short_name,
        "applicant.bin": owner.bin,
        "applicant.name": system.name,
        "applicant.short_name": system.short_name,
        "applicant.answers_url": system.answers_url,
    }


def _each(registry: ShepRegistry, service: Service, of: str) -> list[Values]:
    """Return the values of each user, route or delivery point of a service."""
    if of == "users":
        return [
            {
                "user.number": str(user.number),
                "user.owner": values["applicant.owner"],
                "user.name": values["applicant.name"],
                "user.short_name": values["applicant.short_name"],
            }
            for user in service.users
            if (values := _applicant_values(registry, user.system))
        ]
    if of == "routes":
        return [{"route.name": route.name, "route.point": str(route.point)} for route in service.routes]
    wanted = {route.point for route in service.routes} | {service.point}
    return [_point_values(point) for point in registry.points if point.id in wanted]


def _point_values(point: Point) -> Values:
    found: Values = {f"point.{name}": None if v is None else str(v) for name, v in point.model_dump().items()}
    found["point.call"] = _CALLS[point.call]
    if point.throttling is not None:
        found["point.throttling"] = _FLAGS[point.throttling]
    for name in _ONLY_ASYNC:
        if point.call == 1 or (name in ("throttling_timeout", "requests") and point.throttling == 0):
            found[f"point.{name}"] = NOT_APPLICABLE
    return found


def as_docx(filled: Filled, at: datetime) -> bytes:
    """Return a form as a document to be printed and signed."""
    paper = Paper(filled.title[:255], at, landscape=True)
    paper.text(filled.appendix, right=True, size=9)
    paper.heading(filled.title)
    for title, headings, rows, shares in filled.tables:
        if title:
            paper.heading(title)
        paper.table(headings, rows, shares)
    paper.text("")
    paper.text("Руководитель: ______________________ / ______________________ /        «___» ____________ 20___ г.")
    return paper.finished()


def interactions(registry: ShepRegistry, zone: Any, service: Service | None = None) -> tuple[Grid, list[str]]:
    """Return form 2, «Журнал регистрации взаимодействий ИС», and the rows that lack something."""
    form = read_form(2)
    rows: list[list[Any]] = []
    missing: list[str] = []
    for one in [service] if service else registry.services:
        values = _service_values(registry, one)
        users: list[User | None] = [*one.users] or [None]
        for user in users:
            asked = _applicant_values(registry, user.system if user else None)
            cells = [
                *(values[name] for name in ("owner.name", "system.name", "service.name", "service.description")),
                *(asked.get("applicant.owner"), asked.get("applicant.name")),
                *(values["service.basis"], user.basis if user else None),
            ]
            who = f"{one.key}, пользователь {user.number}" if user else one.key
            named = zip(form["headings"][1:], cells, strict=True)
            missing += [f"{who}: {heading}" for heading, cell in named if cell is None]
            rows.append([len(rows) + 1, *(cell or MISSING for cell in cells)])
    groups = [(group["title"], group["first"], group["last"]) for group in form["groups"]]
    return Grid(form["title"], form["headings"], form["widths"], rows, zone, groups=groups), missing

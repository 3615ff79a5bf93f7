"""Who and what the simulated gateway knows: the rows of Приложения 1, 3 and 5 that it acts by (order № 104)."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from simulators.shep.keys import OTHER_BIN, OWN_BIN


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Party(_Row):
    """An information system: its login, the БИН of its owner, and where it is told things (``None``: it fetches)."""

    sender_id: str = Field(min_length=1)
    password: str
    bin: str
    point: int | None = None


class Point(_Row):
    """A delivery point («Параметры доставки»), times in seconds. Without a URL the simulator itself answers there.

    ``repeat_delay`` is the pause before a repeat, which the order does not tell.
    """

    id: int
    url: str | None = None
    throttling: bool = False
    throttling_timeout: float = Field(45, gt=0)
    requests: int = Field(45, ge=1)
    repeats: int = Field(10, ge=0)
    timeout: float = Field(40, gt=0)
    max_errors: int = Field(5, ge=1)
    max_interval: float = Field(60, gt=0)
    security: Literal[0, 1, 2] = 2
    repeat_delay: float = Field(1, ge=0)


class Service(_Row):
    """A service of the registry. ``answers`` tells whether its simulated owner answers requests, by an echo.

    With ``routes`` every request has to name one; each leads to a delivery point. ``pull_again`` keeps fetched messages
    fetchable until their receiver has told that it took them. Where ``encrypted`` all that names the service is.
    """

    service_id: str = Field(min_length=1)
    owner: str
    mode: Literal["sync", "async"]
    contour: Literal["shep", "vshep"] = "shep"
    users: tuple[str, ...] = ()
    point: int | None = None
    routes: dict[str, int] = {}
    delivery: Literal["PUSH", "PULL"] = "PUSH"
    security: Literal[0, 1, 2] = 2
    encrypted: bool = False
    status_notifications: bool = False
    delivery_notifications: bool = False
    answers: bool = True
    answer_delay: float = Field(0, ge=0)
    pull_again: bool = False


class World(_Row):
    """Everything registered; what refers has to refer to something."""

    parties: list[Party] = []
    points: list[Point] = []
    services: list[Service] = []

    @model_validator(mode="after")
    def _refers(self) -> World:
        points = {point.id for point in self.points}
        parties = {party.sender_id for party in self.parties}
        for party in self.parties:
            if party.point is not None and party.point not in points:
                raise ValueError(f"no delivery point {party.point}")
        for service in self.services:
            named = {point for point in (service.point, *service.routes.values()) if point is not None}
            if not named <= points:
                raise ValueError(f"{service.service_id}: no such delivery point")
            if not {service.owner, *service.users} <= parties:
                raise ValueError(f"{service.service_id}: no such party")
        return self

    def party(self, sender_id: str) -> Party | None:
        """Return a party by its login."""
        return next((party for party in self.parties if party.sender_id == sender_id), None)

    def service(self, service_id: str, contour: str) -> Service | None:
        """Return a service of one contour."""
        wanted = (service_id, contour)
        return next((found for found in self.services if (found.service_id, found.contour) == wanted), None)


def default_world() -> World:
    """Return the world of the demo: the adapter's system, another one, and a service of every kind."""
    both = {"users": ("adapter", "other")}
    return World(
        parties=[
            Party(sender_id="adapter", password="adapter-password", bin=OWN_BIN),  # noqa: S106  — of the demo
            Party(sender_id="other", password="other-password", bin=OTHER_BIN),  # noqa: S106  — same
        ],
        points=[Point(id=1, security=1)],
        services=[
            Service(service_id="SyncEcho", owner="other", mode="sync", point=1, **both),
            Service(service_id="SyncOpen", owner="other", mode="sync", point=1, security=0, **both),
            Service(service_id="SyncGateway", owner="other", mode="sync", point=1, security=1, **both),
            Service(service_id="SyncOutside", owner="other", mode="sync", contour="vshep", point=1, **both),
            Service(service_id="SyncRouted", owner="other", mode="sync", routes={"R_ONE": 1}, **both),
            Service(service_id="AsyncEcho", owner="other", mode="async", point=1, **both),
            Service(service_id="AsyncOpen", owner="other", mode="async", point=1, security=0, **both),
            Service(service_id="AsyncPull", owner="other", mode="async", delivery="PULL", answers=False, **both),
            Service(
                service_id="AsyncNotified",
                owner="other",
                mode="async",
                point=1,
                status_notifications=True,
                delivery_notifications=True,
                **both,
            ),
            Service(service_id="AsyncOutside", owner="other", mode="async", contour="vshep", point=1, **both),
        ],
    )

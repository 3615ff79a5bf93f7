"""Everything that this build can serve, whatever is configured: each action, and each event that may be told."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from adapter.pipeline.ports import OWN_EVENTS, Registry
from adapter.services.registry import make_providers, make_services

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapter.exchange import Service
    from adapter.incoming import Provider

#: Switches every part on, so that whatever some deployment may serve is there.
_EVERYTHING: Final[Mapping[str, str]] = {
    "SHEP_SERVICES_FILE": str(Path(__file__).with_name("shep-services.toml")),
    "SHEP_LISTEN": "127.0.0.1:8083",
    "SMEV_PROVIDES": "*",
    "EPGU_ORDER_TYPES": '[{"namespace": "urn:any"}]',
}
_MODES: Final = ("portal", "client")
#: Stands for the queue of any service in the registry of the ШЭП.
OWN_QUEUE: Final = "shep.service"


@cache
def services() -> Mapping[str, Service]:
    """Return every service by action, in the order of their names; actions of all modes stand beside each other."""
    found: dict[str, Service] = {}
    for mode in _MODES:
        found |= make_services({**_EVERYTHING, "POSTAMAT_MODE": mode})
    return dict(sorted(found.items()))


@cache
def providers() -> Mapping[str, Provider]:
    """Return every provider by its own action."""
    return make_providers(services(), _EVERYTHING)


def events() -> tuple[str, ...]:
    """Return the name of every event that may be told, sorted."""
    registry = Registry(services(), {}, providers=providers())
    return tuple(sorted({*OWN_EVENTS, *registry.events}))

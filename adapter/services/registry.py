"""Every service of this package: a module that defines ``make`` is one. A new вид сведений is one file here."""

from __future__ import annotations

import importlib
import os
import pkgutil
from functools import cache
from typing import TYPE_CHECKING

from adapter import services

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from adapter.exchange import Service


@cache
def modules() -> tuple[ModuleType, ...]:
    """Return the service modules of the package, by name."""
    found = (
        importlib.import_module(f"{services.__name__}.{entry.name}")
        for entry in pkgutil.iter_modules(services.__path__)
        if entry.name != "registry"
    )
    return tuple(module for module in found if hasattr(module, "make"))


def make_services(environment: Mapping[str, str] = os.environ) -> dict[str, Service]:
    """Return every service by action, as ``environment`` configures it. Raises ConfigurationError."""
    made = (module.make(environment) for module in modules())
    return {service.action: service for service in made}


def known_actions() -> dict[str, str]:
    """Return the gateway of every action, without reading any configuration."""
    return {action: service.gateway for action, service in make_services({}).items()}

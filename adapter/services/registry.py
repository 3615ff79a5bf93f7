"""Every service of this package: a module that defines ``make`` is one. A new вид сведений is one file here.

A module whose services belong together defines ``make_all`` instead, which returns each of them.

``make_providers`` in a module takes what gateways bring: the exchanges that no command began.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from functools import cache
from typing import TYPE_CHECKING

from adapter import services

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from types import ModuleType

    from adapter.exchange import Service
    from adapter.incoming import Provider


@cache
def modules() -> tuple[ModuleType, ...]:
    """Return the service modules of the package, by name."""
    found = (
        importlib.import_module(f"{services.__name__}.{entry.name}")
        for entry in pkgutil.iter_modules(services.__path__)
        if entry.name != "registry"
    )
    return tuple(module for module in found if hasattr(module, "make") or hasattr(module, "make_all"))


def make_services(environment: Mapping[str, str] = os.environ) -> dict[str, Service]:
    """Return every service by action, as ``environment`` configures it. Raises ConfigurationError."""
    made = (service for module in modules() for service in _made(module, environment))
    return {service.action: service for service in made}


def _made(module: ModuleType, environment: Mapping[str, str]) -> Iterable[Service]:
    if not hasattr(module, "make_all"):
        return (module.make(environment),)
    several: Iterable[Service] = module.make_all(environment)
    return several


def known_actions(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the gateway of every action; of ``environment`` only the modules' ``MODES`` are read.

    These variables decide which actions a module has.
    """
    deciding = {name for module in modules() for name in getattr(module, "MODES", ())}
    modes = {name: environment[name] for name in deciding if name in environment}
    return {action: service.gateway for action, service in make_services(modes).items()}


def make_providers(actions: Collection[str], environment: Mapping[str, str] = os.environ) -> dict[str, Provider]:
    """Return the providers that go with the served ``actions``, by their own action.

    A module's ``make_providers(environment, actions)`` says which. Raises ConfigurationError.
    """
    makers = [module.make_providers for module in modules() if hasattr(module, "make_providers")]
    made: list[Provider] = [provider for make in makers for provider in make(environment, actions)]
    return {provider.action: provider for provider in made}

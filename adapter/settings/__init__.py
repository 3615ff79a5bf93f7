"""The configuration: one table of environment variables, a few checks, typed groups for the rooms.

``load(os.environ, known_actions)`` returns :class:`Settings` or raises ConfigurationError with every fault at once.
Read ``variables.py`` first: it is the table.
"""

from adapter.settings.console import ConsoleSettings, load_console
from adapter.settings.groups import (
    Broker,
    Console,
    Database,
    Elastic,
    Epgu,
    Files,
    Health,
    Logging,
    Pipeline,
    Postamat,
    Services,
    Settings,
    Shep,
    Signing,
    Smev,
)
from adapter.settings.loading import load
from adapter.settings.pem import Pem
from adapter.settings.telemetry import Telemetry, load_telemetry
from adapter.settings.text import describe, env_example
from adapter.settings.variables import VARIABLES, Variable

__all__ = [
    "VARIABLES",
    "Broker",
    "Console",
    "ConsoleSettings",
    "Database",
    "Elastic",
    "Epgu",
    "Files",
    "Health",
    "Logging",
    "Pem",
    "Pipeline",
    "Postamat",
    "Services",
    "Settings",
    "Shep",
    "Signing",
    "Smev",
    "Telemetry",
    "Variable",
    "describe",
    "env_example",
    "load",
    "load_console",
    "load_telemetry",
]

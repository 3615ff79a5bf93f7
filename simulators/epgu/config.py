"""How one simulator is set up."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from simulators.epgu.clock import utc_now
from simulators.epgu.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

FIXTURES = Path(__file__).with_name("fixtures.json")


@dataclass(frozen=True, slots=True)
class SimulatorConfig:
    """``keys`` is a folder made by ``python -m simulators.keys``.

    ``trust`` holds more anchors (PEM) beside the folder's authority. ``fixtures`` are systems, users, API-Keys,
    services and dictionaries to start with. ``settings`` are those after a reset. ``spool`` is where archives are
    kept, by default a temporary folder that goes with the simulator. ``clock`` returns aware moments.
    """

    keys: Path
    trust: Path | None = None
    fixtures: Path = FIXTURES
    settings: Settings = field(default_factory=Settings)
    spool: Path | None = None
    clock: Callable[[], datetime] = field(default=utc_now)

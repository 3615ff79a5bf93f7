"""How one simulator is set up."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from simulators.smev3.attachments import FILES_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable

FIXTURES = Path(__file__).with_name("fixtures.json")


def utc_now() -> datetime:
    """Return the present moment, aware."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class SimulatorConfig:
    """``keys`` is a folder made by ``python -m simulators.keys``.

    ``trust`` holds more anchors (PEM) beside the folder's authority. ``ack_timeout`` is how long a delivery waits for
    its Ack before it returns to the head of the queue. ``answer_delay`` puts every answer off. ``multipart_empty``
    answers an empty queue as multipart/related, like CXF does. ``waiting_limit`` bounds unacked answers: above it the
    door says DestinationOverflow. ``timestamp_age`` is how far the Timestamp of a question may be from now.
    ``files_limit`` bounds the files of one message, in bytes. ``ftp_host`` and ``ftp_port`` are where the file storage
    listens (port 0 takes a free one, ``None`` leaves it out), ``ftp_passive`` where for transfers (anywhere when it is
    empty). ``clock`` returns aware moments.
    """

    keys: Path
    trust: Path | None = None
    fixtures: Path = FIXTURES
    ack_timeout: timedelta = timedelta(minutes=15)
    answer_delay: timedelta = timedelta(0)
    require_personal_signature: bool = False
    multipart_empty: bool = False
    waiting_limit: int = 100_000
    timestamp_age: timedelta = timedelta(hours=24)
    files_limit: int = FILES_LIMIT
    ftp_host: str = "127.0.0.1"
    ftp_port: int | None = 0
    ftp_passive: range = range(0)
    clock: Callable[[], datetime] = field(default=utc_now)

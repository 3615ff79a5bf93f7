"""Real services for tests: one private broker and one private database per session, started when first asked for."""

from __future__ import annotations

import fcntl
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import structlog

from deploy.local.certificates import Certificates
from deploy.local.postgres import LocalPostgres
from deploy.local.rabbitmq import LocalRabbit
from deploy.local.signing_keys import make_signing_keys

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Database:
    """An empty database of one test."""

    host: str
    port: int
    user: str
    password: str
    name: str
    socket_dir: Path

    @property
    def environment(self) -> dict[str, str]:
        """The adapter's variables that lead here."""
        return {
            "DATABASE_HOST": self.host,
            "DATABASE_PORT": str(self.port),
            "DATABASE_NAME": self.name,
            "DATABASE_USER": self.user,
            "DATABASE_PASS": self.password,
        }


@pytest.fixture(autouse=True)
def logging_of_its_own() -> Iterator[None]:
    """Give every test structlog's defaults: a command run in this process configures logging for all of it."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def service_state() -> Iterator[Path]:
    """Give a folder of this session for broker and database; not pytest's own, which other users may not enter."""
    sessions = PROJECT / ".local/test"
    sessions.mkdir(parents=True, exist_ok=True)
    folder = sessions / uuid4().hex[:8]
    with ExitStack() as stack:
        # Sessions begin side by side: none may sweep a folder whose lock is not held yet.
        with (sessions / "lock").open("w") as one_at_a_time:
            fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
            folder.mkdir()
            fcntl.flock(stack.enter_context((folder / "lock").open("w")), fcntl.LOCK_EX)
            for other in sessions.iterdir():
                _sweep(other)
        yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Stop and remove what a killed session left behind; a living one holds its lock."""
    if not folder.is_dir():
        return
    try:
        with (folder / "lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for name in ("rabbitmq", "frail-rabbitmq"):
                LocalRabbit(folder / name, Certificates(folder / "certificates"), quiet=True).stop()
            for name in ("postgres", "frail-postgres"):
                LocalPostgres(folder / name, quiet=True).remove()
    except (BlockingIOError, FileNotFoundError):
        return
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def certificates(service_state: Path) -> Certificates:
    """Give the session's authority; ``certificates.client("adapter")`` is a client's pair."""
    return Certificates(service_state / "certificates")


@pytest.fixture(scope="session")
def rabbit(service_state: Path, certificates: Certificates) -> Iterator[LocalRabbit]:
    """Start the session's broker: mutual TLS on ``rabbit.host``:``rabbit.port``."""
    with LocalRabbit(service_state / "rabbitmq", certificates, quiet=True) as broker:
        yield broker


@pytest.fixture(scope="session")
def postgres(service_state: Path) -> Iterator[LocalPostgres]:
    """Start the session's database server."""
    server = LocalPostgres(service_state / "postgres", quiet=True)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def database(postgres: LocalPostgres) -> Iterator[Database]:
    """Create an empty database for one test."""
    name = f"test_{uuid4().hex[:12]}"
    postgres.start()  # a fault test may have left it down
    postgres.create_database(name)
    yield Database(postgres.host, postgres.port, postgres.user, postgres.password, name, postgres.socket_dir)
    if postgres.running:
        postgres.drop_database(name)


@pytest.fixture(scope="session")
def gost_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the key files of the demo contour: ``ov``, ``sp``, ``smev``, ``giszhkh`` and the others."""
    folder = tmp_path_factory.mktemp("keys")
    make_signing_keys(folder)
    return folder


@pytest.fixture(scope="session")
def shared() -> Path:
    """Give the folder of reference data beside the project, where it is there."""
    folder = PROJECT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the reference data (../shared) is not beside the project")
    return folder

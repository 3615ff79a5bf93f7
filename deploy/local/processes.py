"""Processes that belong to us: started apart from the terminal, recorded on disk, ended by pid and by nothing else.

A pid alone is no proof of ownership, because the system gives it to somebody else later. The record therefore holds
the pid together with the start time the kernel keeps (proc(5), ``/proc/PID/stat`` field 22).
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy.local.console import StepError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

POLL = 0.05
#: Ports below the range of outgoing connections, so that no client holds ours while its server restarts.
PORTS = range(15_000, 32_000)


def _kernel_state(pid: int) -> tuple[str, int] | None:
    """Return the state letter and the start time (clock ticks after boot) of ``pid``; ``None`` when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return fields[0], int(fields[19])


class OwnedProcess:
    """One process of ours, found again by later runs through its record file."""

    def __init__(self, name: str, record: Path) -> None:
        """``record`` is the JSON file that remembers pid and start time."""
        self.name = name
        self.record = record
        self._child: subprocess.Popen[bytes] | None = None

    def spawn(  # noqa: PLR0913  — what a process needs is what it needs
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        log: Path,
        cwd: Path | None = None,
        user: int | None = None,
        group: int | None = None,
    ) -> None:
        """Start ``argv`` in a session of its own, output appended to ``log``, and record it."""
        for path in (log, self.record):
            path.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                list(argv),
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=user,
                group=group,
                extra_groups=None if user is None else [],
            )
        state = _kernel_state(self._child.pid)
        started = state[1] if state else 0
        self.record.write_text(json.dumps({"pid": self._child.pid, "started": started}), encoding="utf-8")

    @property
    def pid(self) -> int | None:
        """The pid while the process lives and is still ours, else ``None``."""
        if self._child is not None:
            self._child.poll()  # reaps our own child, so that a dead one does not linger as a zombie
        try:
            record = json.loads(self.record.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        state = _kernel_state(record["pid"])
        if state is None or state[0] in "ZX" or state[1] != record["started"]:
            return None
        return int(record["pid"])

    def send(self, number: signal.Signals) -> bool:
        """Send ``number`` to the process; return false when it is gone already."""
        pid = self.pid
        if pid is None:
            return False
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True

    def wait_gone(self, seconds: float) -> bool:
        """Return true as soon as the process is gone, false after ``seconds``."""
        return wait_until(lambda: self.pid is None, seconds)

    def stop(self, *, polite: signal.Signals = signal.SIGTERM, seconds: float = 15) -> bool:
        """End the process: politely, after ``seconds`` by force. Return whether there was anything to end."""
        found = self.pid is not None
        if found:
            self.send(signal.SIGCONT)  # a paused process cannot hear
            self.send(polite)
            if not self.wait_gone(seconds):
                self.send(signal.SIGKILL)
                self.wait_gone(5)
        self.record.unlink(missing_ok=True)
        return found


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Return true as soon as ``condition`` holds, false when it still does not after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL)
    return True


def can_bind(port: int) -> bool:
    """Return whether ``port`` is free on loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def accepts(port: int) -> bool:
    """Return whether something listens on ``port`` of loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def post(port: int, path: str, document: Mapping[str, Any]) -> None:
    """Post JSON to 127.0.0.1; raises StepError unless it is taken."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST", path, json.dumps(document), {"Content-Type": "application/json"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise StepError(f"POST {path} failed: {type(error).__name__}") from None
    finally:
        connection.close()
    if status >= http.HTTPStatus.MULTIPLE_CHOICES:
        raise StepError(f"POST {path} was refused: HTTP {status}")


def get(port: int, path: str) -> tuple[int, bytes]:
    """Return status and body of a GET on loopback, past any proxy of the environment; (0, b"") without an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def remembered_ports(file: Path, names: Sequence[str]) -> dict[str, int]:
    """Return a free loopback port for each name: the one remembered in ``file`` where it is still free."""
    try:
        known: dict[str, int] = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        known = {}
    taken = set(known.values())
    ports: dict[str, int] = {}
    for name in names:
        port = known.get(name)
        if port is None or not can_bind(port):
            port = _free_port(taken)
        taken.add(port)
        ports[name] = port
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(known | ports), encoding="utf-8")
    return ports


def _free_port(taken: set[int]) -> int:
    for _ in range(1000):
        port = random.choice(PORTS)  # noqa: S311  — spreads neighbours, guards nothing
        if port not in taken and can_bind(port):
            return port
    raise StepError("No free port was found on 127.0.0.1")


def clean_environment(**variables: str) -> dict[str, str]:
    """Return an environment that holds ``variables`` and only what every program needs besides.

    A service must not change its mind because of a variable left in somebody's shell. Coverage variables pass, so
    that a measured test run also measures the processes it starts.
    """
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "TZ") if name in os.environ}
    kept |= {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    return {"PATH": os.defpath, "LANG": "C.UTF-8"} | kept | variables


def last_lines(log: Path, count: int = 12) -> str:
    """Return the last ``count`` lines of ``log``, indented, to be shown with a failure."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return "    (nothing was logged)"
    return "\n".join(f"    {line}" for line in lines[-count:]) or "    (nothing was logged)"

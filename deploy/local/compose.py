"""The stack from docker-compose.yml, for machines that have a docker engine and no apt."""

from __future__ import annotations

import http
import os
import subprocess
from typing import TYPE_CHECKING

from deploy.local.console import StepError, step
from deploy.local.debian import LOCAL, PROJECT
from deploy.local.processes import get, wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

UP_SECONDS = 1800
READY_SECONDS = 180
#: Ports published on loopback; the names are docker-compose.yml's variables.
PORTS = {
    "MQ_PORT": 5671,
    "SIM_SMEV_PORT": 8090,
    "SIM_EPGU_PORT": 8092,
    "SIM_SHEP_PORT": 8093,
    "HEALTH_PORT": 8080,
    "CONSOLE_PORT": 8086,
    "DATABASE_PORT": 5432,
    "ELASTIC_PORT": 9200,
}
#: Says that the running containers are ours to stop.
OWNED = LOCAL / "run/compose"
#: Where the ``setup`` container leaves the upstream system's certificate.
CERTIFICATES = LOCAL / "compose-upstream"


def available() -> bool:
    """Return whether a docker engine answers; the command alone may be there without one."""
    try:
        engine = subprocess.run(["docker", "info"], capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return engine.returncode == 0


def owned() -> bool:
    """Return whether :func:`up` started the containers and :func:`down` has not stopped them yet."""
    return OWNED.exists()


def up() -> dict[str, str]:
    """Build and start every container, wait for the adapter, and return the variables of an upstream system."""
    with step("Containers of docker-compose.yml") as running:
        running.note = "building and starting"
        for folder in (OWNED.parent, CERTIFICATES):
            folder.mkdir(parents=True, exist_ok=True)
        OWNED.touch()
        _compose("up", "--detach", "--build")
        running.note = "waiting for the adapter"
        if not wait_until(lambda: get(PORTS["HEALTH_PORT"], "/readyz")[0] == http.HTTPStatus.OK, READY_SECONDS):
            raise StepError("The adapter did not get ready; see: docker compose logs adapter")
    return {
        "MQ_HOST": "localhost",
        "MQ_PORT": str(PORTS["MQ_PORT"]),
        "CA_CERT": str(CERTIFICATES / "ca.crt.pem"),
        "CLIENT_CERT": str(CERTIFICATES / "upstream.crt.pem"),
        "CLIENT_KEY": str(CERTIFICATES / "upstream.key.pem"),
        "SIM_SMEV_URL": f"http://127.0.0.1:{PORTS['SIM_SMEV_PORT']}",
        "SIM_EPGU_URL": f"http://127.0.0.1:{PORTS['SIM_EPGU_PORT']}",
    }


def down() -> None:
    """Stop and remove the containers; their volumes stay."""
    with step("Containers of docker-compose.yml"):
        _compose("down")
        OWNED.unlink(missing_ok=True)


def kill_adapter() -> None:
    """End the adapter as a crash would, and start it again. Raises StepError."""
    _compose("kill", "--signal", "KILL", "adapter")
    up()


def trace(identifier: str) -> str:
    """Return what ``adapter trace`` prints of one id, as JSON."""
    return _compose("exec", "-T", "adapter", "adapter", "trace", identifier, "--json")


def _compose(*arguments: str) -> str:
    """Run docker compose and return what it printed. Raises StepError."""
    argv: Sequence[str] = ("docker", "compose", "--project-directory", str(PROJECT), *arguments)
    try:
        done = subprocess.run(
            argv,
            cwd=PROJECT,
            env=os.environ | {"HOST_UID": str(os.getuid())} | {name: str(port) for name, port in PORTS.items()},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=UP_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as fault:
        raise StepError(f"docker compose {arguments[0]} did not end within {UP_SECONDS} s") from fault
    if done.returncode != 0:
        words = "\n".join(f"    {line}" for line in (done.stderr or done.stdout).strip().splitlines()[-8:])
        raise StepError(f"docker compose {arguments[0]} failed:\n{words}")
    return done.stdout

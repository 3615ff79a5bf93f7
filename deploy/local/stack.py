"""The whole stack as private processes; ``python -m deploy.local.commands`` brings it up and down.

Broker, database, signing service, simulators and adapter are processes of their own on loopback; logs are in
``.local/log``, pid files in ``.local/run``, data in ``.local/state``.
"""

from __future__ import annotations

import http
import json
import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.local import debian
from deploy.local.certificates import Certificates
from deploy.local.console import paint, say, step
from deploy.local.postgres import LocalPostgres
from deploy.local.processes import get, post, remembered_ports
from deploy.local.program import Places, Program
from deploy.local.rabbitmq import LocalRabbit
from deploy.local.signing_keys import make_signing_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

DATABASE = "adapter"
#: One вид сведений that brings orders of ЕПГУ, as the demo of correspondence sends them.
VISIT = "http://example.org/visit/1.0.0"
ORDER_TYPES = json.dumps([{"namespace": VISIT}])
#: API-Keys of the ЕПГУ simulator: of the head of an organisation, and of an employee with an attorney.
API_KEYS = ",".join(
    f"{name}={n * 8}-{n * 4}-4{n * 3}-8{n * 3}-{n * 12}" for name, n in (("head", "1"), ("attorney", "2"))
)
#: Outgoing variables that a checked-out project may want to add to the adapter of this stack.
PASSED_ON = ("LOG_LEVEL", "LOG_FORMAT")
#: The real gateway hands an unconfirmed answer out again after 15 minutes; nobody at a desk waits that long.
ACK_WINDOW = ("--ack-timeout", "30")


class Stack:
    """Everything between an upstream system's queue and a simulated ГИС ЖКХ."""

    def __init__(self, local: Path = debian.LOCAL) -> None:
        """``local`` holds all state; nothing is started yet."""
        self.places = Places(local)
        log, run = self.places.log, self.places.run
        self.certificates = self.places.state / "certificates"
        self.keys = local / "keys"
        self.files = self.places.state / "files"
        #: Files that commands may name by their path.
        self.given = self.places.state / "given"
        self.upstream_env = local / "upstream.env"
        self.postgres = LocalPostgres(self.places.state / "postgres", log_dir=log, run_dir=run)
        self.signing = Program("sign-service", "Signing service", self.places)
        self.simulator = Program("smev3-simulator", "СМЭВ3 simulator with ГИС ЖКХ", self.places)
        self.epgu = Program("epgu-simulator", "ЕПГУ simulator with ЕСИА", self.places)
        self.adapter = Program("adapter", "Adapter", self.places)
        self.console = Program("console", "Console", self.places)
        #: A demo needs no console, and starts sooner without it.
        self.with_console = True
        self.console_token = local / "console.token"
        # Client mode of постаматы, for its demo alone: one more worker, and the portal that it calls.
        self.portal = Program("postamat-simulator", "Simulated portal of the МФЦ", self.places)
        self.caller = Program("adapter-postamat", "Adapter in client mode", self.places)
        # The ШЭП, for its demo alone: the gateway, and a worker that calls it and is called by it (shep_beside.py).
        self.gateway = Program("shep-simulator", "ШЭП simulator", self.places)
        self.shep = Program("adapter-shep", "Adapter of the ШЭП", self.places)
        self._rabbit: LocalRabbit | None = None

    @property
    def rabbit(self) -> LocalRabbit:
        """The broker; its certificates are made when they are first needed."""
        if self._rabbit is None:
            certificates = Certificates(self.certificates)
            places = self.places
            self._rabbit = LocalRabbit(places.state / "rabbitmq", certificates, log_dir=places.log, run_dir=places.run)
        return self._rabbit

    @property
    def complete(self) -> bool:
        """Whether every part is running."""
        return self.upstream_env.exists() and all(running for _, running in self.parts())

    def parts(self) -> list[tuple[str, bool]]:
        """Return every part's title and whether it runs."""
        programs = (self.signing, self.simulator, self.epgu, self.adapter, self.console)
        made = (self.certificates / "ca.crt.pem").exists()
        return [
            ("RabbitMQ", made and self.rabbit.running),
            ("PostgreSQL", self.postgres.running),
            *((program.title, program.running) for program in programs),
        ]

    def up(self) -> None:
        """Start what does not run; return when the adapter consumes every action. Cleans up after a failure."""
        before = {title for title, running in self.parts() if running}
        try:
            self._start()
        except BaseException:
            if not before:
                say(f"  {paint('Stopping what was started.', 'dim')}")
                self.down()
            raise

    def down(self) -> list[str]:
        """Stop everything this stack started, the adapter first; return the titles of what ran."""
        stopped = [title for title, running in self.parts() if running]
        self.upstream_env.unlink(missing_ok=True)
        beside = (self.console, self.caller, self.portal, self.shep, self.gateway)
        for program in (*beside, self.adapter, self.epgu, self.simulator, self.signing):
            program.stop()
        if (self.certificates / "ca.crt.pem").exists():
            self.rabbit.stop()
        self.postgres.stop()
        return stopped

    def _start(self) -> None:
        for folder in (self.places.state, self.places.log, self.places.run, self.files, self.given):
            folder.mkdir(parents=True, exist_ok=True)
        self._make_keys()
        self.rabbit.start()
        self.postgres.start()
        if not self.postgres.has_database(DATABASE):
            self.postgres.create_database(DATABASE)
        ports = self.ports()
        sign_url = self.serve(self.signing, "simulators.sign_service", ports["sign"])
        storage = ("--ftp-port", str(ports["ftp"]))
        simulator_url = self.serve(self.simulator, "simulators.smev3", ports["smev3"], *ACK_WINDOW, *storage)
        # Registered at СМЭВ3 before anybody asks for its requests, as a provider's type is.
        post(ports["smev3"], "/_sim/types", {"namespace": VISIT, "request_root": "FormData"})
        epgu_url = self.serve(self.epgu, "simulators.epgu", ports["epgu"])
        files = {"FILES_ROOT": str(self.files), "FILES_IN_PATHS": str(self.given), "SMEV_FTP_PORT": str(ports["ftp"])}
        environment = self._adapter_environment(sign_url, simulator_url, ports["health"]) | files
        environment |= {
            "POSTAMAT_TOKEN": f"file:{self.locker_token}",
            "POSTAMAT_LISTEN": f"127.0.0.1:{ports['lockers']}",
            "EPGU_URL": epgu_url,
            "ESIA_URL": epgu_url,
            "EPGU_SYSTEM": "MNEMONIKA",
            "ESIA_API_KEYS": API_KEYS,
            # People at a desk want to see news at once.
            "EPGU_FOLLOW_FIRST": "0.5",
            "EPGU_FOLLOW_POLL": "1",
        }
        self.run_adapter(self.adapter, ports["health"], "consumes every action", environment)
        if self.with_console:
            self._run_console(ports)
        self._write_upstream(simulator_url, epgu_url)

    @staticmethod
    def run_adapter(program: Program, health: int, result: str, environment: Mapping[str, str]) -> None:
        """Start a worker; return when it is ready."""
        command = [str(Path(sys.executable).with_name("adapter")), "run"]
        program.start(command, lambda: _missing(health), result, environment)

    def _run_console(self, ports: Mapping[str, int]) -> None:
        """Start the console; whoever may read its token's file may do everything in it."""
        if not self.console_token.exists():
            self.console_token.touch(0o600)
            self.console_token.write_text(f"{secrets.token_urlsafe(24)}\n", encoding="ascii")
        token = self.console_token.read_text(encoding="ascii").strip()
        environment = self.common_environment(ports["health"]) | {
            "SERVICES": "*",
            "CONSOLE_LISTEN": f"127.0.0.1:{ports['console']}",
            "CONSOLE_TOKENS": f"operator:view+reveal+replay={token}",
        }
        command = [str(Path(sys.executable).with_name("adapter")), "console"]

        def missing() -> str:
            return "" if get(ports["console"], "/login")[0] == http.HTTPStatus.OK else "starting"

        self.console.start(command, missing, self.console_url, environment)

    @property
    def console_url(self) -> str:
        """Where the console is, once it was started."""
        return f"http://127.0.0.1:{self.ports()['console']}"

    @property
    def locker_token(self) -> Path:
        """The file with the token of the locker API, in both modes."""
        return self.places.state / "postamat.token"

    def start_postamat(self) -> dict[str, str]:
        """Start the portal and a worker that calls it beside the stack; return where lockers and portal are."""
        ports = self.ports()
        token = self.locker_token.read_text(encoding="ascii")
        url = f"http://127.0.0.1:{ports['portal']}"
        command = [sys.executable, "-m", "simulators.postamat", "--port", str(ports["portal"])]
        command += ["--token", str(self.locker_token)]
        self.portal.start(command, lambda: "" if get(ports["portal"], "/_sim/health")[0] else "starting", url)
        environment = self.common_environment(ports["caller"]) | {
            "SERVICES": "postamat.*",
            "POSTAMAT_MODE": "client",
            "POSTAMAT_URL": url,
            "POSTAMAT_TOKEN": f"file:{self.locker_token}",
        }
        self.run_adapter(self.caller, ports["caller"], "calls the portal", environment)
        return {"lockers": f"http://127.0.0.1:{ports['lockers']}", "portal": url, "token": token}

    def stop_postamat(self) -> None:
        """Stop what :meth:`start_postamat` started."""
        self.caller.stop()
        self.portal.stop()

    def _make_keys(self) -> None:
        with step("Certificates and signing keys") as running:
            for client in ("adapter", "upstream"):
                self.rabbit.certs.client(client)
            make_signing_keys(self.keys)
            if not self.locker_token.exists():
                self.locker_token.write_text(secrets.token_urlsafe(24), encoding="ascii")
                self.locker_token.chmod(0o600)
            running.result = str(self.keys)

    def ports(self) -> dict[str, int]:
        """Return the ports of our programs; those in use by the programs themselves stay."""
        file = self.places.state / "ports.json"
        names = {"sign": self.signing, "smev3": self.simulator, "ftp": self.simulator, "epgu": self.epgu}
        names |= {"health": self.adapter, "lockers": self.adapter, "caller": self.caller, "portal": self.portal}
        names |= {"console": self.console}
        names |= {"shep": self.gateway, "shep-health": self.shep, "door": self.shep}
        kept = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        free = remembered_ports(file, [name for name, program in names.items() if not program.running])
        return kept | free

    def serve(self, program: Program, module: str, port: int, *more: str) -> str:
        """Start a simulator and return the URL it announced."""
        url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", module, "--port", str(port), "--keys", str(self.keys), *more]
        program.start(command, lambda: "" if get(port, "/")[0] else "starting", url)
        return url

    def _adapter_environment(self, sign_url: str, simulator_url: str, health_port: int) -> dict[str, str]:
        tokens = json.loads((self.keys / "tokens.json").read_text(encoding="utf-8"))
        return self.common_environment(health_port) | {
            "SMEV_SERVICE": f"{simulator_url}/smev/v1.2/ws",
            "SMEV_TRUST": str(self.keys / "ca.crt.pem"),
            "SMEV_POLL_MAX": "1",
            "SMEV_SIM_HEADERS": "on",
            "USE_PERSONAL_SIGNATURE": "true",
            "SIGN_SERVICE": sign_url,
            "SIGN_TOKEN_OV": tokens["ov"],
            "SIGN_TOKEN_SP": tokens["sp"],
            "SERVICES": "*",
            "EPGU_ORDER_TYPES": ORDER_TYPES,
        }

    def common_environment(self, health_port: int) -> dict[str, str]:
        """Return what every worker of the stack needs: broker, database, health."""
        pair = self.rabbit.certs.client("adapter")
        return {
            "CA_CERT": str(self.rabbit.certs.ca),
            "CLIENT_CERT": str(pair.certificate),
            "CLIENT_KEY": str(pair.key),
            "MQ_HOST": self.rabbit.host,
            "MQ_PORT": str(self.rabbit.port),
            **self.database,
            "HEALTH_PORT": str(health_port),
            "MQ_PREFETCH": "20",
            "MEMORY_LIMIT": "1GB",
        } | {name: os.environ[name] for name in PASSED_ON if name in os.environ}

    def kill_adapter(self) -> None:
        """End the adapter as a crash would, and start it again."""
        self.adapter.kill()
        self.up()

    @property
    def database(self) -> dict[str, str]:
        """The variables of the journal."""
        return {
            "DATABASE_HOST": self.postgres.host,
            "DATABASE_PORT": str(self.postgres.port),
            "DATABASE_NAME": DATABASE,
            "DATABASE_USER": self.postgres.user,
            "DATABASE_PASS": self.postgres.password,
        }

    def _write_upstream(self, simulator_url: str, epgu_url: str) -> None:
        pair = self.rabbit.certs.client("upstream")
        write_upstream(
            self.upstream_env,
            {
                "MQ_HOST": self.rabbit.host,
                "MQ_PORT": str(self.rabbit.port),
                "CA_CERT": str(self.rabbit.certs.ca),
                "CLIENT_CERT": str(pair.certificate),
                "CLIENT_KEY": str(pair.key),
                "SIM_SMEV_URL": simulator_url,
                "SIM_EPGU_URL": epgu_url,
            },
        )


def write_upstream(file: Path, variables: Mapping[str, str]) -> None:
    """Write what an upstream system needs to reach the stack, as KEY=VALUE lines."""
    file.write_text("".join(f"{name}={value}\n" for name, value in variables.items()), encoding="utf-8")


def read_upstream(file: Path) -> dict[str, str]:
    """Read what :func:`write_upstream` wrote."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def _missing(port: int) -> str:
    """Return what the adapter is still waiting for; nothing when it is ready."""
    status, body = get(port, "/readyz")
    if status == http.HTTPStatus.OK:
        return ""
    try:
        failing = json.loads(body).get("failing", [])
    except (ValueError, AttributeError):
        return "starting"
    return f"waiting for {', '.join(map(str, failing))}"

"""A private RabbitMQ with mutual TLS on loopback: own node name, ports, folders, cookie and epmd; no root, no docker.

What was measured on Debian 12 and is kept here: the wrappers in ``/usr/sbin`` refuse foreign users, so the scripts in
``/usr/lib/rabbitmq/bin`` are used; the log-in name is the common name of the client's certificate; a broker starts in
5 to 10 s, so a test session shares one.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import signal
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from deploy.local import debian
from deploy.local.console import StepError, step
from deploy.local.processes import (
    OwnedProcess,
    accepts,
    clean_environment,
    last_lines,
    remembered_ports,
    wait_until,
)

if TYPE_CHECKING:
    from types import TracebackType

    from deploy.local.certificates import Certificates

START_SECONDS = 90
STOP_SECONDS = 30
CTL_SECONDS = 60
ATTEMPTS = 3
#: Users that log in by certificate. The upstream system may not create or remove what belongs to the adapter.
CERTIFICATE_USERS = {"adapter": ".*", "upstream": r"^(?!adapter\.).*"}
PASSWORD_USER = "operator"  # noqa: S105  — a user name


@dataclass(frozen=True, slots=True)
class Programs:
    """Where RabbitMQ's scripts and Erlang's epmd are, and the library path an unpacked Erlang needs."""

    scripts: Path
    epmd: Path
    path: str
    libraries: str

    @classmethod
    def find(cls, *, quiet: bool) -> Programs:
        """Find the installed or unpacked package, or get it from Debian."""
        server = debian.provide("rabbitmq-server", "usr/lib/rabbitmq/bin/rabbitmq-server", quiet=quiet)
        epmd = debian.find("rabbitmq-server", "usr/lib/erlang/erts-*/bin/epmd")
        if epmd is None:
            raise StepError("rabbitmq-server is here but Erlang is not: reinstall Debian's erlang-base")
        root = server.parents[4]
        if root == Path("/"):
            return cls(server.parent, epmd, os.defpath, "")
        libraries = ":".join(
            str(path) for pattern in ("usr/lib/*-linux-gnu", "lib/*-linux-gnu") for path in root.glob(pattern)
        )
        return cls(server.parent, epmd, f"{root}/usr/lib/erlang/bin:{root}/usr/bin:{os.defpath}", libraries)


@dataclass(frozen=True, slots=True)
class Peers:
    """What the nodes of one cluster share: their epmd's port, cookie, the operator's password, all their names."""

    epmd_port: int
    cookie: str
    password: str
    names: tuple[str, ...]


class LocalRabbit:
    """One broker in ``state_dir``; a context manager that starts it and stops exactly it.

    ``host`` and ``port`` speak AMQP over mutual TLS. The users ``adapter`` and ``upstream`` log in by certificate
    (SASL EXTERNAL), ``operator`` by password (PLAIN) and certificate. ``node`` is the Erlang node name.
    """

    def __init__(
        self,
        state_dir: Path,
        certs: Certificates,
        *,
        log_dir: Path | None = None,
        run_dir: Path | None = None,
        quiet: bool = False,
    ) -> None:
        """Prepare names and paths; nothing is started or written yet.

        Logs and pid files go below ``state_dir`` unless ``log_dir`` and ``run_dir`` say otherwise. ``peers`` is set by
        whoever makes a cluster of several, and runs the epmd that they share (rabbitmq_cluster.py).
        """
        self.peers: Peers | None = None
        self.state_dir = state_dir.resolve()
        self.certs = certs
        self.quiet = quiet
        self.node = f"rabbit-{hashlib.sha256(str(self.state_dir).encode()).hexdigest()[:10]}@localhost"
        self.log = (log_dir or self.state_dir / "log").resolve() / "rabbitmq.log"
        self._output = self.log.with_name("rabbitmq-start.log")
        pids = run_dir or self.state_dir
        self._broker = OwnedProcess("rabbitmq", pids / "rabbitmq.pid")
        self._epmd = OwnedProcess("epmd", pids / "rabbitmq-epmd.pid")
        self._ports: dict[str, int] = {}
        self._found: Programs | None = None

    @property
    def host(self) -> str:
        """A name of the server certificate that this machine can resolve: ``localhost``, else the address itself."""
        try:
            socket.getaddrinfo("localhost", None, socket.AF_INET)
        except OSError:
            return "127.0.0.1"
        return "localhost"

    @property
    def port(self) -> int:
        """The AMQPS port; known once the broker has been started."""
        return self._port("amqps")

    @property
    def pid(self) -> int | None:
        """The Erlang VM's pid while it runs."""
        return self._broker.pid

    @property
    def running(self) -> bool:
        """Whether the broker's process lives; a paused one lives."""
        return self._broker.pid is not None

    @property
    def username(self) -> str:
        """The user that logs in by password."""
        return PASSWORD_USER

    @property
    def password(self) -> str:
        """The password of :attr:`username`, made at the first start and kept."""
        return self.peers.password if self.peers else self._secret("password")

    def start(self) -> None:
        """Start the broker and return when it takes TLS connections; do nothing when it runs."""
        if self.running and accepts(self.port):
            return
        _ = self._programs  # may have to be fetched, which is a step of its own
        with step("RabbitMQ", quiet=self.quiet) as running:
            for _ in range(ATTEMPTS):
                self.stop()
                running.note = "starting"
                self._configure()
                self._output.unlink(missing_ok=True)
                self._spawn()
                if self._ready():
                    running.result = f"amqps://{self.host}:{self.port}"
                    return
                self.stop()
                if "eaddrinuse" not in self._last_words():
                    break  # only a port that was taken meanwhile is worth another attempt
            raise StepError(f"RabbitMQ did not start; its last words in {self.log.parent}:\n{self._last_words()}")

    def stop(self) -> None:
        """Stop the broker, then its epmd; both only when they are ours."""
        self._broker.stop(seconds=STOP_SECONDS)
        self._epmd.stop(seconds=5)

    def kill(self) -> None:
        """End the broker at once (SIGKILL), as a power cut would.

        Measured on 3.10: a quorum queue declared less than half a second ago comes back without its Raft name and
        never elects a leader (the registry is written every 500 ms). Let a new queue settle before you kill.
        """
        self._broker.send(signal.SIGKILL)
        self._broker.wait_gone(10)

    def pause(self) -> None:
        """Freeze the broker: connections stay open and nobody answers."""
        self._broker.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen broker go on."""
        self._broker.send(signal.SIGCONT)

    def restart(self) -> None:
        """Stop what still runs and start again on the same port with the same data."""
        self.stop()
        self.start()

    def ctl(self, *args: str) -> str:
        """Run ``rabbitmqctl`` against this node and return what it prints. Raises StepError with its words."""
        argv = [str(self._programs.scripts / "rabbitmqctl"), "--quiet", "--node", self.node, *args]
        try:
            done = subprocess.run(
                argv,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=CTL_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as fault:
            raise StepError(f"rabbitmqctl {args[0]} did not answer within {CTL_SECONDS} s") from fault
        if done.returncode != 0:
            raise StepError(f"rabbitmqctl {args[0]}: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def __enter__(self) -> Self:
        """Start the broker."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the broker."""
        self.stop()

    @property
    def _programs(self) -> Programs:
        if self._found is None:
            self._found = Programs.find(quiet=self.quiet)
        return self._found

    def _port(self, name: str) -> int:
        if not self._ports:
            file = self.state_dir / "ports.json"
            if not file.exists():
                raise StepError("This broker has never been started, so it has no port yet")
            self._ports = json.loads(file.read_text(encoding="utf-8"))
        return self._ports[name]

    def _secret(self, name: str) -> str:
        file = self.state_dir / f"{name}.secret"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch(mode=0o600)
            file.write_text(secrets.token_hex(20), encoding="ascii")
        return file.read_text(encoding="ascii")

    def _configure(self) -> None:
        """Choose ports and write everything the node reads."""
        home = self.state_dir / "home"
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        names = ("amqps", "distribution", *(f"ctl{number}" for number in range(4)), *(() if self.peers else ("epmd",)))
        self._ports = remembered_ports(self.state_dir / "ports.json", names)
        cookie = home / ".erlang.cookie"
        if not cookie.exists():
            cookie.touch(mode=0o600)
            cookie.write_text(self.peers.cookie if self.peers else secrets.token_hex(16).upper(), encoding="ascii")
            cookie.chmod(0o400)
        (self.state_dir / "rabbitmq.conf").write_text(self._configuration(), encoding="utf-8")
        (self.state_dir / "env.conf").write_text("", encoding="utf-8")
        (self.state_dir / "inetrc").write_text(_name_resolution(), encoding="ascii")
        (self.state_dir / "plugins").write_text("[rabbitmq_auth_mechanism_ssl].\n", encoding="utf-8")
        definitions = self.state_dir / "definitions.json"
        definitions.touch(mode=0o600)
        definitions.write_text(json.dumps(self._definitions()), encoding="utf-8")

    def _configuration(self) -> str:
        server = self.certs.server
        return "\n".join(
            (
                "listeners.tcp = none",
                f"listeners.ssl.1 = 127.0.0.1:{self.port}",
                f"ssl_options.cacertfile = {self.certs.ca}",
                f"ssl_options.certfile = {server.certificate}",
                f"ssl_options.keyfile = {server.key}",
                "ssl_options.verify = verify_peer",
                "ssl_options.fail_if_no_peer_cert = true",
                "ssl_options.versions.1 = tlsv1.3",
                "ssl_options.versions.2 = tlsv1.2",
                "auth_mechanisms.1 = EXTERNAL",
                "auth_mechanisms.2 = PLAIN",
                "ssl_cert_login_from = common_name",
                f"load_definitions = {self.state_dir}/definitions.json",
                "disk_free_limit.absolute = 200MB",
                # The write-ahead log of quorum queues is kept in memory too: 64 MiB is plenty for one machine.
                "raft.wal_max_size_bytes = 67108864",
                f"log.file = {self.log}",
                "log.file.level = info",
                "log.console = false",
                *self._membership(),
                "",
            )
        )

    def _membership(self) -> list[str]:
        """Return how a node finds its cluster: it joins one that is up, keeps still in a minority, spreads leaders."""
        if self.peers is None:
            return []
        return [
            "cluster_partition_handling = pause_minority",
            "queue_leader_locator = balanced",
            "cluster_formation.peer_discovery_backend = classic_config",
            *(f"cluster_formation.classic_config.nodes.{n} = {name}" for n, name in enumerate(self.peers.names, 1)),
        ]

    def _definitions(self) -> dict[str, object]:
        users = [{"name": name, "password_hash": "", "tags": ""} for name in CERTIFICATE_USERS]
        users.append({"name": PASSWORD_USER, "password_hash": _password_hash(self.password), "tags": ""})
        rights = CERTIFICATE_USERS | {PASSWORD_USER: ".*"}
        return {
            "users": [user | {"hashing_algorithm": "rabbit_password_hashing_sha256"} for user in users],
            "vhosts": [{"name": "/"}],
            "permissions": [
                {"user": name, "vhost": "/", "configure": configure, "write": ".*", "read": ".*"}
                for name, configure in rights.items()
            ],
        }

    def _environment(self) -> dict[str, str]:
        state, found = self.state_dir, self._programs
        loopback = "-kernel inet_dist_use_interface {127,0,0,1}"
        epmd = self.peers.epmd_port if self.peers else self._port("epmd")
        control = sorted(port for name, port in self._ports.items() if name.startswith("ctl"))
        environment = clean_environment(
            PATH=found.path,
            HOME=str(state / "home"),
            RABBITMQ_NODENAME=self.node,
            RABBITMQ_MNESIA_BASE=str(state / "data"),
            RABBITMQ_LOG_BASE=str(self.log.parent),
            RABBITMQ_PID_FILE=str(state / "rabbitmq.own.pid"),
            RABBITMQ_CONFIG_FILE=str(state / "rabbitmq"),
            RABBITMQ_CONF_ENV_FILE=str(state / "env.conf"),
            RABBITMQ_ENABLED_PLUGINS_FILE=str(state / "plugins"),
            RABBITMQ_DIST_PORT=str(self._port("distribution")),
            ERL_EPMD_PORT=str(epmd),
            ERL_EPMD_ADDRESS="127.0.0.1",
            ERL_INETRC=str(state / "inetrc"),
            # Idle schedulers do not spin: on a small machine they would take the processors from what they wait for.
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=f"{loopback} -start_epmd false +sbwt none +sbwtdcpu none +sbwtdio none",
            RABBITMQ_CTL_ERL_ARGS=loopback,
            # The script then becomes the Erlang VM instead of staying its parent: the pid we record is the broker's.
            RUNNING_UNDER_SYSTEMD="true",
            ERL_CRASH_DUMP_SECONDS="0",
        )
        if control:
            environment["RABBITMQ_CTL_DIST_PORT_MIN"] = str(control[0])
            environment["RABBITMQ_CTL_DIST_PORT_MAX"] = str(control[0] + 10)
        if found.libraries:
            environment["LD_LIBRARY_PATH"] = found.libraries
        return environment

    def _spawn(self) -> None:
        environment = self._environment()
        if self.peers is None:
            spawn_epmd(self._epmd, self._programs, self._port("epmd"), self._output)
        self._broker.spawn((str(self._programs.scripts / "rabbitmq-server"),), env=environment, log=self._output)

    def _ready(self) -> bool:
        """Wait for the TLS listener, which opens last; give up at once when the process dies."""
        wait_until(lambda: accepts(self.port) or not self.running, START_SECONDS)
        return self.running and accepts(self.port)

    def _last_words(self) -> str:
        """Return the end of the log, or what was said before there was one."""
        return last_lines(self._output if "Kernel pid terminated" in last_lines(self._output) else self.log)


def spawn_epmd(process: OwnedProcess, programs: Programs, port: int, log: Path) -> None:
    """Start the port mapper through which Erlang nodes find each other, on loopback alone."""
    libraries = {"LD_LIBRARY_PATH": programs.libraries} if programs.libraries else {}
    argv = (str(programs.epmd), "-port", str(port), "-address", "127.0.0.1")
    process.spawn(argv, env=clean_environment(PATH=programs.path, **libraries), log=log)
    wait_until(lambda: accepts(port), 10)


def _name_resolution() -> str:
    """Return an Erlang inetrc that knows this machine: a sandbox may have no /etc/hosts, and no DNS is asked."""
    names = json.dumps(["localhost", socket.gethostname().partition(".")[0]])
    return f"{{host, {{127,0,0,1}}, {names}}}.\n{{lookup, [file, native]}}.\n"


def _password_hash(password: str) -> str:
    """Return RabbitMQ's salted SHA-256 form of a password (rabbitmq.com/docs/passwords)."""
    salt = secrets.token_bytes(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode("ascii")

"""Broker, database, signing service and simulator of one chaos run, private and gone afterwards."""

from __future__ import annotations

import json
import shutil
import ssl
import sys
from typing import TYPE_CHECKING, Any, Self
from urllib.request import ProxyHandler, build_opener

from deploy.local.certificates import Certificates
from deploy.local.console import StepError
from deploy.local.debian import PROJECT
from deploy.local.postgres import LocalPostgres
from deploy.local.processes import OwnedProcess, clean_environment, get, last_lines, remembered_ports, wait_until
from deploy.local.rabbitmq import LocalRabbit
from deploy.local.rabbitmq_cluster import RabbitCluster
from deploy.local.signing_keys import make_signing_keys

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

DATABASE = "chaos"
#: An answer that a killed adapter fetched and never acked comes back after so many seconds.
ACK_WINDOW = "3"


class Contour:
    """A context manager: everything is up inside, and exactly that is stopped at the end."""

    def __init__(self, folder: Path, *, nodes: int = 1) -> None:
        """``folder`` holds all state; what an earlier run left there is stopped and removed.

        With several ``nodes`` the broker is a cluster, and ``cluster`` is set.
        """
        self.folder = folder
        self._size = nodes
        self._open()
        self._stop()
        shutil.rmtree(folder, ignore_errors=True)
        self._open()
        self._ports: dict[str, int] = {}

    def _open(self) -> None:
        """Make certificates and name the processes; nothing is started."""
        folder = self.folder
        self.certificates = Certificates(folder / "certificates")
        self.cluster = RabbitCluster(folder / "cluster", self.certificates, size=self._size)
        self.rabbit = LocalRabbit(folder / "rabbitmq", self.certificates)
        self.postgres = LocalPostgres(folder / "postgres")
        self._servers = {name: OwnedProcess(name, folder / f"{name}.pid") for name in ("sign_service", "smev3")}

    def __enter__(self) -> Self:
        """Start everything."""
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop everything; the logs stay."""
        self._stop()

    @property
    def simulator_url(self) -> str:
        """Root of the simulator."""
        return f"http://127.0.0.1:{self._ports['smev3']}"

    @property
    def broker_hosts(self) -> list[str]:
        """``host:port`` of every node of the broker."""
        return self.cluster.hosts if self._size > 1 else [f"{self.rabbit.host}:{self.rabbit.port}"]

    @property
    def broker_urls(self) -> list[str]:
        """AMQP URLs of the upstream system, which logs in by certificate."""
        return [f"amqps://{host}/?auth=external" for host in self.broker_hosts]

    def upstream_tls(self) -> ssl.SSLContext:
        """Return the upstream system's own TLS."""
        pair = self.certificates.client("upstream")
        context = ssl.create_default_context(cafile=str(self.certificates.ca))
        context.load_cert_chain(str(pair.certificate), str(pair.key))
        return context

    def adapter_environment(self) -> dict[str, str]:
        """Return what an operator would set."""
        pair = self.certificates.client("adapter")
        keys = self.folder / "keys"
        tokens = json.loads((keys / "tokens.json").read_text(encoding="utf-8"))
        return {
            "CA_CERT": str(self.certificates.ca),
            "CLIENT_CERT": str(pair.certificate),
            "CLIENT_KEY": str(pair.key),
            "MQ_HOST": ",".join(self.broker_hosts),
            "MQ_HEARTBEAT": "5",
            "SMEV_SERVICE": f"{self.simulator_url}/smev/v1.2/ws",
            "SMEV_TRUST": str(keys / "ca.crt.pem"),
            "SMEV_POLL_MAX": "0.5",
            "USE_PERSONAL_SIGNATURE": "true",
            "SIGN_SERVICE": f"http://127.0.0.1:{self._ports['sign_service']}",
            "SIGN_TOKEN_OV": tokens["ov"],
            "SIGN_TOKEN_SP": tokens["sp"],
            "DATABASE_HOST": self.postgres.host,
            "DATABASE_PORT": str(self.postgres.port),
            "DATABASE_NAME": DATABASE,
            "DATABASE_USER": self.postgres.user,
            "DATABASE_PASS": self.postgres.password,
            "HEALTH_PORT": "0",
            "LOG_FORMAT": "json",
        }

    def ledger(self) -> list[dict[str, Any]]:
        """Return what came to the simulator's door."""
        opener = build_opener(ProxyHandler({}))
        with opener.open(f"{self.simulator_url}/_sim/ledger", timeout=30) as answer:
            entries: list[dict[str, Any]] = json.loads(answer.read())
        return entries

    def _start(self) -> None:
        for client in ("adapter", "upstream"):
            self.certificates.client(client)
        make_signing_keys(self.folder / "keys")
        (self.cluster if self._size > 1 else self.rabbit).start()
        self.postgres.start()
        self.postgres.create_database(DATABASE)
        self._ports = remembered_ports(self.folder / "ports.json", list(self._servers))
        self._serve("sign_service")
        self._serve("smev3", "--ack-timeout", ACK_WINDOW)

    def _serve(self, name: str, *more: str) -> None:
        port, log = self._ports[name], self.folder / f"{name}.log"
        argv = [sys.executable, "-m", f"simulators.{name}", "--port", str(port), "--keys", str(self.folder / "keys")]
        self._servers[name].spawn([*argv, *more], env=clean_environment(), log=log, cwd=PROJECT)
        if not wait_until(lambda: get(port, "/")[0] != 0, 30):
            raise StepError(f"simulators.{name} did not start:\n{last_lines(log)}")

    def _stop(self) -> None:
        for server in self._servers.values():
            server.stop()
        self.rabbit.stop()
        self.cluster.stop()
        self.postgres.remove()

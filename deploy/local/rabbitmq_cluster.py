"""Several private RabbitMQ nodes on loopback that form one cluster: nodes may be killed and brought back.

They share one epmd, which outlives each of them. Measured on 3.10: a node joins on its first start by
``classic_config`` when the one before it takes connections; a killed one finds its cluster again by itself.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Self

from deploy.local.console import StepError
from deploy.local.processes import OwnedProcess, accepts, remembered_ports, wait_until
from deploy.local.rabbitmq import LocalRabbit, Peers, Programs, spawn_epmd

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from deploy.local.certificates import Certificates

_SECONDS = 90


class RabbitCluster:
    """A context manager: ``nodes`` run inside and are stopped at the end."""

    def __init__(self, state_dir: Path, certs: Certificates, *, size: int = 3, quiet: bool = False) -> None:
        """Name the nodes; nothing is started or written yet."""
        self.state_dir = state_dir.resolve()
        self.quiet = quiet
        folders = [self.state_dir / f"node-{number}" for number in range(1, size + 1)]
        self.nodes = [LocalRabbit(folder, certs, quiet=quiet) for folder in folders]
        self._epmd = OwnedProcess("epmd", self.state_dir / "epmd.pid")

    @property
    def hosts(self) -> list[str]:
        """``host:port`` of every node."""
        return [f"{node.host}:{node.port}" for node in self.nodes]

    def start(self) -> None:
        """Start the nodes one after another and return when all know of each other."""
        self.stop()
        port = remembered_ports(self.state_dir / "ports.json", ["epmd"])["epmd"]
        spawn_epmd(self._epmd, Programs.find(quiet=self.quiet), port, self.state_dir / "epmd.log")
        names = tuple(node.node for node in self.nodes)
        peers = Peers(port, secrets.token_hex(16).upper(), secrets.token_hex(20), names)
        for node in self.nodes:
            node.peers = peers
            node.start()
        if not wait_until(lambda: self._running() == set(names), _SECONDS):
            raise StepError(f"the nodes of RabbitMQ did not form a cluster: {sorted(self._running())}")

    def stop(self) -> None:
        """Stop the nodes, the last one first, then the epmd."""
        for node in reversed(self.nodes):
            node.stop()
        self._epmd.stop(seconds=5)

    def leaders(self) -> dict[str, LocalRabbit]:
        """Return the node of the leader of every queue, as a living node tells it."""
        named = {node.node: node for node in self.nodes}
        return {str(row["name"]): named[str(row["leader"])] for row in self._queues() if row["leader"] in named}

    def whole(self) -> bool:
        """Tell whether every queue has all its members online."""
        return all(node.running and accepts(node.port) for node in self.nodes) and all(
            len(list(row["online"])) == len(self.nodes) for row in self._queues()
        )

    def _queues(self) -> list[dict[str, str | list[str]]]:
        told = self._living().ctl("list_queues", "name", "leader", "online", "--formatter", "json")
        rows: list[dict[str, str | list[str]]] = json.loads(told)
        return rows

    def _running(self) -> set[str]:
        return set(json.loads(self._living().ctl("cluster_status", "--formatter", "json"))["running_nodes"])

    def _living(self) -> LocalRabbit:
        return next(node for node in self.nodes if node.running and accepts(node.port))

    def __enter__(self) -> Self:
        """Start the cluster."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the cluster."""
        self.stop()

"""``python -m bench.chaos``: the fault suite's long runs, each on a private stack of its own below ``.local/chaos``.

* ``nodes``: CHAOS_NODE_COMMANDS (default 3000) commands or more, while the three nodes of a RabbitMQ cluster are killed
  and brought back in turn.
* ``backpressure``: CHAOS_BACKLOG (default 100000) commands and 50 bodies of 16 MB wait in the broker; the worker's
  memory keeps its computed bound.
* ``workers``: CHAOS_COMMANDS (default 5000) commands are published while adapters are killed CHAOS_KILLS (default 100)
  times, at every named fault point first, then at random; broker and database are killed, frozen and restarted in
  between.

CHAOS_RUNS (comma-separated) chooses some of them. The last line is JSON: {kills, commands, lost, double_submits,
surplus_replies, repeats} of all runs together, and the figures of each under its own name; exit 0 only when nothing was
lost, doubled or surplus, every kill was made and the memory kept its bound.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.chaos.backpressure import Backpressure
from bench.chaos.contour import Contour
from bench.chaos.nodes import NODES, NodeLoss
from bench.chaos.run import Plan, Run, say
from deploy.local.console import StepError

if TYPE_CHECKING:
    from collections.abc import Callable

#: All runs together, in seconds; what is not answered by then counts as lost.
LIMIT = 28 * 60
#: The longest that one of the shorter runs may take; the last one has what is left.
SHARE = 7 * 60
SUMMED = ("kills", "commands", "lost", "double_submits", "surplus_replies", "repeats")
PLAN = Plan(int(os.environ.get("CHAOS_COMMANDS", "5000")), int(os.environ.get("CHAOS_KILLS", "100")))


def _nodes(deadline: float) -> dict[str, Any]:
    commands = int(os.environ.get("CHAOS_NODE_COMMANDS", "3000"))
    with _contour("nodes", nodes=NODES) as contour:
        figures = asyncio.run(NodeLoss(commands, contour, deadline=min(deadline, _now() + SHARE)).go())
    return figures | {"ok": figures["kills"] == NODES and not figures["workers_died"]}


def _backpressure(deadline: float) -> dict[str, Any]:
    commands = int(os.environ.get("CHAOS_BACKLOG", "100000"))
    with _contour("backpressure") as contour:
        figures = asyncio.run(Backpressure(commands, contour, deadline=min(deadline, _now() + SHARE)).go())
    return figures | {"ok": figures["within_bound"]}


def _workers(deadline: float) -> dict[str, Any]:
    with _contour("workers") as contour:
        figures = asyncio.run(Run(PLAN, contour, deadline=deadline).go())
    return figures | {"ok": figures["kills"] >= PLAN.kills}


RUNS: dict[str, Callable[[float], dict[str, Any]]] = {
    "nodes": _nodes,
    "backpressure": _backpressure,
    "workers": _workers,
}


def _contour(name: str, *, nodes: int = 1) -> Contour:
    return Contour(Path(".local/chaos").resolve() / name, nodes=nodes)


def _now() -> float:
    return time.monotonic()


def main() -> int:
    """Run, print, judge."""
    began = _now()
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # a broker that dies is what this is for
    chosen = [name.strip() for name in os.environ.get("CHAOS_RUNS", ",".join(RUNS)).split(",")]
    if unknown := [name for name in chosen if name not in RUNS]:
        print(f"CHAOS_RUNS names {', '.join(unknown)}; there are {', '.join(RUNS)}.", file=sys.stderr)
        return 2
    figures: dict[str, dict[str, Any]] = {}
    try:
        for name in chosen:
            say(f"run: {name}")
            figures[name] = RUNS[name](began + LIMIT)
            say(f"{name}: {json.dumps(figures[name])}")
    except (StepError, OSError) as fault:
        print(f"The chaos run could not be set up: {fault}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    together = {key: sum(run.get(key, 0) for run in figures.values()) for key in SUMMED}
    print(f"{_now() - began:.0f} s in all.", flush=True)
    print(json.dumps(together | figures), flush=True)
    bad = together["lost"] or together["double_submits"] or together["surplus_replies"]
    return 1 if bad or not all(run["ok"] for run in figures.values()) else 0


if __name__ == "__main__":
    sys.exit(main())

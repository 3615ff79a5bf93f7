"""``python -m bench.chaos``: the fault suite's long run on a private stack of its own, below ``.local/chaos``.

CHAOS_COMMANDS (default 5000) commands are published while adapters are killed CHAOS_KILLS (default 100) times, at every
named fault point first, then at random; broker and database are killed, frozen and restarted in between. The last line
is JSON: {kills, commands, lost, double_submits, surplus_replies, repeats}; exit 0 only when the middle three are 0.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from pathlib import Path

from bench.chaos.contour import Contour
from bench.chaos.run import Plan, Run
from deploy.local.console import StepError

#: The whole run, in seconds; what is not answered by then counts as lost.
LIMIT = 27 * 60


def main() -> int:
    """Run, print, judge."""
    plan = Plan(int(os.environ.get("CHAOS_COMMANDS", "5000")), int(os.environ.get("CHAOS_KILLS", "100")))
    began = time.monotonic()
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # a broker that dies is what this is for
    try:
        with Contour(Path(".local/chaos").resolve()) as contour:
            figures = asyncio.run(Run(plan, contour, deadline=began + LIMIT).go())
    except (StepError, OSError) as fault:
        print(f"The chaos run could not be set up: {fault}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    print(f"{time.monotonic() - began:.0f} s in all.", flush=True)
    print(json.dumps(figures), flush=True)
    bad = figures["lost"] or figures["double_submits"] or figures["surplus_replies"]
    return 1 if bad or figures["kills"] < plan.kills else 0


if __name__ == "__main__":
    sys.exit(main())

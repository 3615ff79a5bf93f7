"""Run the ШЭП simulator: ``python -m simulators.shep --port 0 --keys DIR``.

Prints one JSON line when it listens; stops on SIGTERM or SIGINT. Everything it knows is in memory.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from adapter.signing.gost import GostUnavailableError
from simulators.listener import serve
from simulators.shep.app import SimulatorConfig, make_app
from simulators.shep.world import World, default_world

if TYPE_CHECKING:
    from collections.abc import Sequence

_LOOPBACK = "127.0.0.1"


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until told to stop. Returns 0, or 1 with a sentence when it cannot start."""
    options = _options(argv)
    logging.basicConfig(level=logging.INFO if options.verbose else logging.WARNING, stream=sys.stderr)
    try:
        world = World.model_validate_json(options.world.read_bytes()) if options.world else default_world()
        app = make_app(SimulatorConfig(options.keys, options.gateway_key, world))
        return asyncio.run(serve(app, options.listen, options.port))
    except (OSError, ValueError, GostUnavailableError) as error:
        sys.stderr.write(f"the simulator cannot start: {error}\n")
        return 1


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulators.shep", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one")
    parser.add_argument(
        "--keys", type=Path, required=True, metavar="DIR", help="made by python -m simulators.shep.keys"
    )
    parser.add_argument("--listen", default=_LOOPBACK, metavar="ADDRESS", help=f"default {_LOOPBACK}")
    parser.add_argument("--world", type=Path, metavar="FILE", help="JSON of parties, delivery points and services")
    parser.add_argument(
        "--gateway-key", default="gateway", choices=["gateway", "gateway-gost"], help="RSA (the default) or GOST"
    )
    parser.add_argument("--verbose", action="store_true", help="log every refusal")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())

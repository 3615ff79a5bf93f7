"""Run the simulated portal: ``python -m simulators.postamat --port 0 --token FILE``.

Prints one JSON line when it listens; stops on SIGTERM or SIGINT. Everything it knows is in memory.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from simulators.listener import serve
from simulators.postamat.app import make_app

if TYPE_CHECKING:
    from collections.abc import Sequence

_LOOPBACK = "127.0.0.1"


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until told to stop. Returns 0, or 1 with a sentence when it cannot start."""
    options = _options(argv)
    try:
        tokens = [line.strip() for line in options.token.read_text(encoding="utf-8").splitlines() if line.strip()]
        app = make_app(tokens, unknown_cases=options.unknown_cases)
        return asyncio.run(serve(app, options.listen, options.port))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"the simulator cannot start: {error}\n")
        return 1


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulators.postamat", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one")
    parser.add_argument("--token", type=Path, required=True, metavar="FILE", help="accepted tokens, one a line")
    parser.add_argument("--listen", default=_LOOPBACK, metavar="ADDRESS", help=f"default {_LOOPBACK}")
    parser.add_argument("--unknown-cases", action="store_true", help="know every case number, as one to hand out")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())

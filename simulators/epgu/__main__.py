"""Run the ЕПГУ simulator: ``python -m simulators.epgu --port 0 --keys DIR``.

Prints one JSON line when it listens; stops on SIGTERM or SIGINT. What it knows is in memory, archives in a folder.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from adapter.signing.gost import GostUnavailableError
from simulators.epgu.app import make_app
from simulators.epgu.config import FIXTURES, SimulatorConfig
from simulators.epgu.profiles import PROFILES
from simulators.epgu.settings import Settings
from simulators.listener import serve

if TYPE_CHECKING:
    from collections.abc import Sequence

_LOOPBACK = "127.0.0.1"


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until told to stop. Returns 0, or 1 with a sentence when it cannot start."""
    options = _options(argv)
    logging.basicConfig(level=logging.INFO if options.verbose else logging.WARNING, stream=sys.stderr)
    config = SimulatorConfig(
        keys=options.keys,
        trust=options.trust,
        fixtures=options.fixtures,
        settings=Settings(
            profile=options.profile,
            process_step=options.process_step,
            status_step=options.status_step,
            keep=options.keep,
        ),
        spool=options.spool,
    )
    try:
        return asyncio.run(serve(make_app(config), options.listen, options.port))
    except (OSError, ValueError, GostUnavailableError) as error:
        sys.stderr.write(f"the simulator cannot start: {error}\n")
        return 1


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    usual = Settings()
    parser = argparse.ArgumentParser(prog="python -m simulators.epgu", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one")
    parser.add_argument("--keys", type=Path, required=True, metavar="DIR", help="made by python -m simulators.keys")
    parser.add_argument("--listen", default=_LOOPBACK, metavar="ADDRESS", help=f"default {_LOOPBACK}")
    parser.add_argument("--trust", type=Path, metavar="PEM", help="anchors beside the authority of --keys")
    parser.add_argument("--fixtures", type=Path, default=FIXTURES, metavar="FILE", help="accounts, services and so on")
    parser.add_argument("--profile", choices=PROFILES, default=usual.profile, help=f"default {usual.profile}")
    parser.add_argument("--process-step", type=float, default=usual.process_step, metavar="SECONDS")
    parser.add_argument("--status-step", type=float, default=usual.status_step, metavar="SECONDS")
    parser.add_argument("--keep", choices=("archive", "digest"), default=usual.keep, help="what stays of archives")
    parser.add_argument("--spool", type=Path, metavar="DIR", help="where archives are kept; default a temporary folder")
    parser.add_argument("--verbose", action="store_true", help="log every refusal")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())

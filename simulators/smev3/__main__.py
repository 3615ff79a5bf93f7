"""Run the СМЭВ3 simulator: ``python -m simulators.smev3 --port 0 --keys DIR``.

Prints one JSON line when it listens; stops on SIGTERM or SIGINT. Everything it knows is in memory.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from adapter.signing.gost import GostUnavailableError
from simulators.listener import serve
from simulators.smev3.admin import SIMULATOR
from simulators.smev3.app import make_app
from simulators.smev3.config import FIXTURES, SimulatorConfig

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
        ack_timeout=timedelta(seconds=options.ack_timeout),
        answer_delay=timedelta(seconds=options.answer_delay),
        require_personal_signature=options.require_personal_signature,
        multipart_empty=options.multipart_empty_queue,
        ftp_host=options.listen,
        ftp_port=None if options.ftp_port < 0 else options.ftp_port,
        ftp_passive=options.ftp_passive_ports,
    )
    try:
        app = make_app(config)
        area = app[SIMULATOR].area
        return asyncio.run(serve(app, options.listen, options.port, also=lambda: {"ftp": area.port or None}))
    except (OSError, ValueError, GostUnavailableError) as error:
        sys.stderr.write(f"the simulator cannot start: {error}\n")
        return 1


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulators.smev3", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one")
    parser.add_argument("--keys", type=Path, required=True, metavar="DIR", help="made by python -m simulators.keys")
    parser.add_argument("--listen", default=_LOOPBACK, metavar="ADDRESS", help=f"default {_LOOPBACK}")
    parser.add_argument("--trust", type=Path, metavar="PEM", help="anchors beside the authority of --keys")
    parser.add_argument("--fixtures", type=Path, default=FIXTURES, metavar="FILE", help="answered as described")
    parser.add_argument("--ack-timeout", type=float, default=900, metavar="SECONDS", help="default 900")
    parser.add_argument("--answer-delay", type=float, default=0, metavar="SECONDS", help="put every answer off")
    parser.add_argument("--require-personal-signature", action="store_true", help="refuse requests without ЭП-СП")
    parser.add_argument("--multipart-empty-queue", action="store_true", help="answer an empty queue as multipart")
    parser.add_argument(
        "--ftp-port", type=int, default=0, metavar="N", help="file storage; 0 takes a free one, -1 none"
    )
    parser.add_argument(
        "--ftp-passive-ports",
        type=_ports,
        default=range(0),
        metavar="FIRST-LAST",
        help="where the file storage listens for transfers; by default anywhere",
    )
    parser.add_argument("--verbose", action="store_true", help="log every refusal")
    return parser.parse_args(argv)


def _ports(text: str) -> range:
    """Read ``2122-2141``. Raises ValueError, of which argparse makes a sentence."""
    first, _, last = text.partition("-")
    return range(int(first), int(last) + 1)


if __name__ == "__main__":
    sys.exit(main())

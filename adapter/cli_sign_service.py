"""``adapter sign-service --development``: the reference signing service, where the checkout has it."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command; its own arguments are those of ``python -m simulators.sign_service``."""
    parser = subparsers.add_parser("sign-service", help="the reference signing service", add_help=False)
    parser.add_argument("--development", action="store_true")
    parser.set_defaults(run=_serve, rest=[])


def _serve(options: argparse.Namespace) -> int:
    if not options.development:
        print("this service is for development: say --development", file=sys.stderr)
        return 2
    try:
        service = importlib.import_module("simulators.sign_service.__main__")
    except ModuleNotFoundError:
        print("the reference signing service is not part of a production installation", file=sys.stderr)
        return 2
    return int(service.main(options.rest) or 0)

"""The door: ``adapter run``, and what people need around it."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import logging
import os
import sys
from typing import TYPE_CHECKING, Final

from adapter.errors import AdapterError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Modules of subcommands, imported only when their command is asked for: ``adapter smev3 transform`` starts fast.
_COMMANDS: Final = {
    "run": ("adapter.cli_run", "serve the actions of SERVICES until SIGTERM"),
    "migrate": ("adapter.cli_migrate", "bring the database to this version's schema"),
    "check": ("adapter.cli_check", "test the configuration and every connection"),
    "send": ("adapter.cli_send", "publish a command as an upstream system would, and wait for its reply"),
    "render": ("adapter.cli_render", "print the XML of a command without sending anything"),
    "console": ("adapter.cli_console", "serve the console: pages for people, in a browser"),
    "dead": ("adapter.cli_dead", "list, show, replay or drop dead commands and parked replies"),
    "resolve": ("adapter.cli_resolve", "say what became of a request whose fate is uncertain"),
    "trace": ("adapter.cli_trace", "print the timeline of one exchange, found by any id of it"),
    "orphans": ("adapter.cli_orphans", "list answers to requests that this journal has not sent"),
    "proof": ("adapter.cli_proof", "write the proof of one exchange to a zip file"),
    "asyncapi": ("adapter.cli_asyncapi", "print the contract of every service as AsyncAPI 3.0"),
    "retention": ("adapter.cli_retention", "show or remove what is over and older than RETENTION_DAYS"),
    "incident": ("adapter.cli_incident", "write a letter to ЕПГУ's support about one exchange"),
    "docs": ("adapter.cli_docs", "print the generated documents"),
    "new-service": ("adapter.cli_new_service", "draft a service module from an XSD"),
    "smev3": ("adapter.cli_smev3", "transform and verify СМЭВ3 messages without any service"),
    "shep": ("adapter.cli_shep", "verify ШЭП messages; the journals and forms of order № 104"),
    "maintenance": (
        "adapter.cli_maintenance",
        "announce planned work of a gateway or service: commands wait for its end",
    ),
    "sign-service": ("adapter.cli_sign_service", "the reference signing service, for development"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 the answer is no, 2 wrong use or configuration."""
    logging.lastResort = logging.NullHandler()  # what libraries log may hold values: adapter.log is the only way out
    argv = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="adapter", description="Commands on RabbitMQ to official exchanges and back.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    wanted = argv[0] if argv else ""
    for name, (module, sentence) in _COMMANDS.items():
        if name == wanted:
            importlib.import_module(module).add_parser(subparsers)
        elif name not in subparsers.choices:
            subparsers.add_parser(name, help=sentence, add_help=False)
    options, rest = parser.parse_known_args(argv)
    if rest and not hasattr(options, "rest"):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    options.rest = rest
    try:
        return int(options.run(options))
    except (ConfigurationError, AdapterError) as error:
        return _explain(error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130


def _explain(error: ConfigurationError | AdapterError) -> int:
    """Tell a person what is wrong, every fault on a line of its own."""
    if isinstance(error, ConfigurationError):
        print("the configuration is wrong:", file=sys.stderr)
        for name, fault in error.faults.items():
            print(f"  {name}: {fault}", file=sys.stderr)
        return 2
    print(f"{error.code}: {error.description}", file=sys.stderr)
    for field in error.fields:
        print(f"  {field.path}: {field.rule}", file=sys.stderr)
    return 1

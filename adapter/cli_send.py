"""``adapter send ACTION FILE.json``: publish a command and print its reply."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aio_pika
import orjson
from aiormq.exceptions import AMQPError, PublishError

from adapter.broker.topology import Names
from adapter.broker.upstream import ask
from adapter.errors import ConfigurationError
from adapter.recovery.environment import broker_address

if TYPE_CHECKING:
    import argparse


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command; the broker comes from MQ_HOST and its peers, or from an upstream.env file."""
    parser = subparsers.add_parser("send", help="publish a command as an upstream system would, and wait")
    parser.add_argument("action")
    parser.add_argument("file", type=Path, help="a JSON file, or - for standard input")
    parser.add_argument("--env", type=Path, help="file of KEY=VALUE lines; they win over the environment")
    parser.add_argument("--wait", type=float, default=120.0, help="seconds to wait for the reply (120)")
    parser.add_argument("--dry-run", action="store_true", help="have it validated, built and signed, but not sent on")
    parser.add_argument("--json", action="store_true", help="print the reply alone, on one line")
    parser.set_defaults(run=_send)


def _send(options: argparse.Namespace) -> int:
    environment = {**os.environ, **_read_env(options.env)}
    address = broker_address(environment)
    queue = Names(environment.get("MQ_PREFIX", "")).command(options.action)
    try:
        body = sys.stdin.buffer.read() if str(options.file) == "-" else options.file.read_bytes()
    except OSError as error:
        print(f"cannot read {options.file}: {error.strerror}", file=sys.stderr)
        return 2
    headers: dict[str, Any] = {"x-dry-run": True} if options.dry_run else {}
    try:
        reply = asyncio.run(ask(address, queue, body, headers=headers, wait=options.wait))
    except PublishError:
        print(f"no queue {queue}: is an adapter that serves {options.action} running?", file=sys.stderr)
        return 1
    except TimeoutError:
        print(
            f"no reply within {options.wait:g} s; once published, the command runs on: its outcome is in the journal",
            file=sys.stderr,
        )
        return 1
    except (AMQPError, aio_pika.exceptions.AMQPException, OSError) as error:
        print(f"cannot talk to {address.where}: {type(error).__name__}", file=sys.stderr)
        return 1
    outcome = orjson.loads(reply.body)
    print(reply.body.decode() if options.json else orjson.dumps(outcome, option=orjson.OPT_INDENT_2).decode())
    return 1 if "error" in outcome else 0


def _read_env(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigurationError({"--env": f"cannot be read: {error.strerror}"}) from None
    pairs = (line.partition("=") for line in lines if line.strip() and not line.lstrip().startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}

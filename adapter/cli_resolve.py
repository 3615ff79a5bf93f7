"""``adapter resolve ID --sent|--not-sent --reason TEXT``: closes an uncertain exchange."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from adapter.recovery.arguments import reason
from adapter.recovery.door import carry_out, typed
from adapter.recovery.environment import Operator, database_address, open_journal
from adapter.recovery.history import find_one
from adapter.recovery.resolve import resolve_not_sent, resolve_sent
from adapter.services.registry import known_actions

if TYPE_CHECKING:
    import argparse


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("resolve", help="say what became of a request whose fate is uncertain")
    parser.add_argument("id", metavar="ID", help="any id of the exchange")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--sent", action="store_true", help="it arrived: wait for its answer")
    what.add_argument("--not-sent", action="store_true", help="it never arrived: tell the one who asked")
    parser.add_argument("--reason", type=typed(reason), required=True, metavar="TEXT", help="how you know; journaled")
    parser.set_defaults(run=lambda options: carry_out(_resolve(options)))


async def _resolve(options: argparse.Namespace) -> int:
    operator = Operator.current(options.reason)
    async with open_journal(database_address(os.environ)) as connection:
        exchange = await find_one(connection, options.id)
        if options.sent:
            await resolve_sent(connection, exchange.id, operator)
            print(f"{exchange.id} waits for its answer; it will be delivered as late")
        else:
            await resolve_not_sent(connection, exchange.id, operator, known_actions())
            print(f"{exchange.id} has failed; the one who asked is told so once more, as late")
    return 0

"""``adapter proof ID``: everything that one exchange sent and received, as one file for those who ask later."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from adapter.recovery.archive import make_archive
from adapter.recovery.arguments import reason
from adapter.recovery.dead import note_revealed
from adapter.recovery.door import carry_out, typed
from adapter.recovery.environment import Operator, database_address, open_journal
from adapter.recovery.files import write_private
from adapter.recovery.history import find_one, read_history

if TYPE_CHECKING:
    import argparse


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("proof", help="write the proof of one exchange: bytes, certificates, verdicts, page")
    parser.add_argument("id", metavar="ID", help="any id of the exchange")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE.zip", help="by default proof-ID.zip; - for stdout")
    parser.add_argument("--reason", type=typed(reason), metavar="TEXT", help="why; journaled with who took it")
    parser.set_defaults(run=lambda options: carry_out(_proof(options)))


async def _proof(options: argparse.Namespace) -> int:
    operator = Operator.current(options.reason)
    async with open_journal(database_address(os.environ)) as connection:
        exchange = await find_one(connection, options.id)
        # The file holds personal data: who took it is journaled before they have it.
        await note_revealed(connection, exchange.id, operator, "proof")
        archive = make_archive(await read_history(connection, exchange, with_bytes=True))
    output = options.output or Path(f"proof-{exchange.id}.zip")
    if str(output) == "-":
        sys.stdout.buffer.write(archive)
        sys.stdout.buffer.flush()
        return 0
    write_private(output, archive)
    print(f"{output}: {len(archive)} bytes; keep it as you keep personal data")
    return 0

"""``adapter migrate``: asks for DATABASE_* alone, so that a job needs no other secret."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

from adapter.journal.migrate import MigrationError, migrate
from adapter.journal.writer import DATABASE_ERRORS
from adapter.recovery.environment import database_address

if TYPE_CHECKING:
    import argparse

_NOT_MIGRATED: tuple[type[Exception], ...] = (*DATABASE_ERRORS, MigrationError)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("migrate", help="bring the database to this version's schema")
    parser.add_argument("--pre-only", action="store_true", help="leave out what old code cannot live with")
    parser.set_defaults(run=_migrate)


def _migrate(options: argparse.Namespace) -> int:
    address = database_address(os.environ)
    phases = ("pre",) if options.pre_only else ("pre", "post")

    async def apply() -> None:
        connection = await address.connect()
        try:
            applied = await migrate(connection, phases=phases)
        finally:
            await connection.close()
        for migration in applied:
            print(f"applied {migration.number:04} {migration.name} ({migration.phase})")
        print("the database is up to date" if not applied else f"{len(applied)} migrations applied")

    try:
        asyncio.run(apply())
    except _NOT_MIGRATED as error:
        reason = str(error) if isinstance(error, MigrationError) else type(error).__name__
        print(f"the database was not migrated: {reason}", file=sys.stderr)
        return 1
    return 0

"""Numbered SQL migrations: ``NNNN_name.pre.sql`` before new code starts, ``….post.sql`` after old code has gone.

One worker migrates at a time (advisory lock); an applied file may never change (checksum).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

MIGRATIONS: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 7204411901
_TABLE: Final = """
create table if not exists schema_migrations (
    number integer not null,
    phase text not null,
    name text not null,
    checksum text not null,
    applied_at timestamptz not null default now(),
    primary key (number, phase)
)"""


class MigrationError(Exception):
    """The database and the migration files disagree; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: ``phase`` is ``pre`` or ``post``."""

    number: int
    phase: str
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, in hex."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read_migrations(folder: Path = MIGRATIONS) -> list[Migration]:
    """Return all migrations in order of number, pre before post. Raises MigrationError for a misnamed file."""
    found = []
    for path in sorted(folder.glob("*.sql")):
        stem, _, phase = path.stem.rpartition(".")
        number, _, name = stem.partition("_")
        if phase not in ("pre", "post") or not number.isdigit():
            raise MigrationError(f"{path.name} is not named NNNN_name.pre.sql or NNNN_name.post.sql")
        found.append(Migration(int(number), phase, name, path.read_text(encoding="utf-8")))
    return sorted(found, key=lambda migration: (migration.number, migration.phase == "post"))


async def migrate(
    connection: asyncpg.Connection, *, phases: Sequence[str] = ("pre", "post"), folder: Path = MIGRATIONS
) -> list[Migration]:
    """Apply what is missing and return it. Raises MigrationError when an applied file has changed."""
    await connection.execute("select pg_advisory_lock($1)", _LOCK)
    try:
        await connection.execute(_TABLE)
        rows = await connection.fetch("select number, phase, checksum from schema_migrations")
        applied = {(row["number"], row["phase"]): row["checksum"] for row in rows}
        fresh = []
        for migration in read_migrations(folder):
            checksum = applied.get((migration.number, migration.phase))
            if checksum is None and migration.phase in phases:
                await _apply(connection, migration)
                fresh.append(migration)
            elif checksum not in (None, migration.checksum):
                raise MigrationError(
                    f"migration {migration.number:04} {migration.name} was changed after it was applied"
                )
        return fresh
    finally:
        await connection.execute("select pg_advisory_unlock($1)", _LOCK)


async def pending(connection: asyncpg.Connection, folder: Path = MIGRATIONS) -> list[Migration]:
    """Return the migrations that the database still lacks; changes nothing."""
    if await connection.fetchval("select to_regclass('schema_migrations')") is None:
        return read_migrations(folder)
    rows = await connection.fetch("select number, phase from schema_migrations")
    applied = {(row["number"], row["phase"]) for row in rows}
    return [migration for migration in read_migrations(folder) if (migration.number, migration.phase) not in applied]


async def _apply(connection: asyncpg.Connection, migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute(migration.sql)
        await connection.execute(
            "insert into schema_migrations (number, phase, name, checksum) values ($1, $2, $3, $4)",
            migration.number,
            migration.phase,
            migration.name,
            migration.checksum,
        )

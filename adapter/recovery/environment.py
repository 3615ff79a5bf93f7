"""Where the journal and the broker are: read as ``adapter run`` reads them, and nothing else is asked for."""

from __future__ import annotations

import os
import pwd
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from adapter.broker.connection import BrokerAddress
from adapter.errors import ConfigurationError
from adapter.journal.journal import DatabaseAddress
from adapter.journal.writer import DATABASE_ERRORS
from adapter.recovery.errors import RecoveryError
from adapter.recovery.retention import Rule
from adapter.settings import VARIABLES, Broker, Database
from adapter.settings.checks import CHECKS
from adapter.settings.values import WrongValueError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    import asyncpg

#: What Postgres says of a table that is not there, and of a role that may not.
_SENTENCES: Final = {
    "42P01": "the database has no journal yet: run adapter migrate",
    "42501": "the database does not allow this to DATABASE_USER",
}

#: Seconds for a goodbye; what was committed stands without it.
_CLOSING: Final = 5.0


@dataclass(frozen=True, slots=True)
class Operator:
    """Who asks, as the operating system knows them, and why; journaled with everything that is done."""

    name: str
    host: str
    reason: str | None = None

    @classmethod
    def current(cls, reason: str | None = None) -> Operator:
        """Return who runs this process; the user's name comes from the system, not from the environment."""
        try:
            name = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:  # a container may run under a number without a name
            name = f"uid {os.getuid()}"
        return cls(name, socket.gethostname(), reason)

    def meta(self, **facts: Any) -> bytes:
        """Return the JSON of a proof row."""
        return orjson.dumps({"by": self.name, "host": self.host, "reason": self.reason, **facts})


def database_address(environment: Mapping[str, str]) -> DatabaseAddress:
    """Read DATABASE_*. Raises ConfigurationError with every fault."""
    return DatabaseAddress(Database(**_read_group(environment, "database")).connect_arguments())


def broker_address(environment: Mapping[str, str]) -> BrokerAddress:
    """Read MQ_* and the certificate variables. Raises ConfigurationError with every fault."""
    return BrokerAddress.of(Broker(**_read_group(environment, "broker")))


def retention_rule(environment: Mapping[str, str], days: int | None = None) -> Rule:
    """Read RETENTION_DAYS, unless ``days`` are given, and its peers. Raises ConfigurationError, RecoveryError."""
    limits = _read_group(environment, "pipeline")
    days = days or limits.get("retention_days")
    if days is None:
        raise RecoveryError("say how long things are kept: RETENTION_DAYS, or --days")
    files = _read_group(environment, "files") if environment.get("FILES_ROOT", "").strip() else {"root": None}
    return Rule(days, limits["dedupe_days"], files["root"])


def _read_group(environment: Mapping[str, str], group: str) -> dict[str, Any]:
    """Return the values of one group of variables by field, checked as for a worker."""
    variables = [variable for variable in VARIABLES if variable.group == group]
    values: dict[str, Any] = {}
    faults: dict[str, str] = {}
    for variable in variables:
        given = environment.get(variable.name, "")
        text = (given if variable.secret and given.strip() else given.strip()) or variable.default
        try:
            values[variable.name] = None if text is None else variable.read(text)
        except WrongValueError as error:
            faults[variable.name] = str(error)
        if text is None and variable.required:
            faults[variable.name] = "is required"
    for names, check in CHECKS:
        if all(name in values and name not in faults for name in names):
            faults |= dict(check(*(values[name] for name in names)))
    if faults:
        raise ConfigurationError(faults)
    return {variable.field: values[variable.name] for variable in variables}


def read_some(environment: Mapping[str, str], *names: str) -> dict[str, Any]:
    """Return the values of single variables by name, ``None`` where nothing is said. Raises ConfigurationError."""
    values: dict[str, Any] = {}
    faults: dict[str, str] = {}
    for variable in (variable for variable in VARIABLES if variable.name in names):
        text = environment.get(variable.name, "").strip() or variable.default
        try:
            values[variable.name] = None if text is None else variable.read(text)
        except WrongValueError as error:
            faults[variable.name] = str(error)
    if faults:
        raise ConfigurationError(faults)
    return values


@asynccontextmanager
async def open_journal(address: DatabaseAddress) -> AsyncIterator[asyncpg.Connection]:
    """Open one connection for one command. Raises RecoveryError for whatever the database does not do."""
    connection: asyncpg.Connection | None = None
    try:
        connection = await address.connect()
        yield connection
        await connection.close(timeout=_CLOSING)
    except DATABASE_ERRORS as error:
        # Texts of these errors may hold values; class and SQLSTATE say what happened.
        state = str(getattr(error, "sqlstate", None) or "")
        sentence = f"the database did not do it: {type(error).__name__} {state}".rstrip()
        raise RecoveryError(_SENTENCES.get(state, sentence)) from None
    finally:
        if connection is not None:
            connection.terminate()

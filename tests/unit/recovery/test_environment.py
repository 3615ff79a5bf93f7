"""What the commands for operators read from the environment, and what they leave alone."""

from __future__ import annotations

import os
import pwd
from datetime import UTC, datetime
from uuid import UUID

import orjson
import pytest

from adapter.errors import ConfigurationError
from adapter.exchange import State
from adapter.journal.records import Exchange
from adapter.recovery.environment import Operator, broker_address, database_address
from adapter.recovery.resolve import names_of

DATABASE = {"DATABASE_HOST": "db", "DATABASE_NAME": "n", "DATABASE_USER": "u", "DATABASE_PASS": " with blanks "}


def test_the_database_alone_is_enough_and_its_secret_keeps_its_blanks() -> None:
    arguments = database_address(DATABASE).arguments
    assert (arguments["host"], arguments["port"], arguments["password"]) == ("db", 5432, " with blanks ")


def test_what_variables_must_fulfil_together_is_checked_as_for_a_worker() -> None:
    with pytest.raises(ConfigurationError) as refused:
        broker_address({"MQ_HOST": "mq", "MQ_USER": "u", "MQ_TLS": "off"})
    assert list(refused.value.faults) == ["MQ_PASSWORD"]


def test_a_broker_without_tls_is_read_as_for_a_worker() -> None:
    address = broker_address({"MQ_HOST": "mq", "MQ_USER": "u", "MQ_PASSWORD": "p", "MQ_TLS": "off", "MQ_PORT": "5672"})
    assert (address.host, address.port, address.user, address.context) == ("mq", 5672, "u", None)


def test_the_operator_is_who_the_system_says_not_who_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "somebody-else")
    monkeypatch.setenv("LOGNAME", "somebody-else")
    told = orjson.loads(Operator.current("why").meta(what="x"))
    assert (told["by"], told["reason"], told["what"]) == (pwd.getpwuid(os.getuid()).pw_name, "why", "x")


def test_a_user_without_a_name_is_told_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    assert Operator.current().name == "uid 4000000000"


@pytest.mark.parametrize(
    ("source", "prefix"), [("echo", ""), ("t1.echo", "t1."), ("t1.adapter.returned", "t1."), ("foreign", "")]
)
def test_the_prefix_of_a_deployment_is_told_by_the_queue_a_command_came_from(source: str, prefix: str) -> None:
    now = datetime.now(UTC)
    exchange = Exchange(UUID(int=1), "echo", source, State.UNCERTAIN, now, now, b"", b"", 0, b"")
    assert names_of(exchange).prefix == prefix

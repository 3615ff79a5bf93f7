"""The commands that people type, run as they are typed."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import aio_pika
import pytest

from adapter.services.zhkh_debt_requests import EXAMPLES
from tests.integration.conftest import upstream_context

if TYPE_CHECKING:
    from pathlib import Path

    from deploy.local.certificates import Certificates
    from deploy.local.postgres import LocalPostgres
    from deploy.local.rabbitmq import LocalRabbit
    from tests.e2e.conftest import Process, Stack


@pytest.fixture
def example(tmp_path: Path) -> Path:
    file = tmp_path / "example.json"
    file.write_text(json.dumps(EXAMPLES[0].request, ensure_ascii=False), encoding="utf-8")
    return file


def test_render_prints_the_xml_without_any_configuration(stack: Stack, example: Path) -> None:
    done = stack.command("render", "zhkh-debt-requests", str(example), MQ_HOST="", SIGN_SERVICE="")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"<")
    assert b"ImportDebtRequestsRequest" in done.stdout


def test_render_names_every_fault_of_a_bad_command(stack: Stack) -> None:
    done = stack.command("render", "zhkh-debt-requests", "-", stdin=b'{"actions": []}')
    assert done.returncode == 1
    assert "information_system_id" in done.stderr.decode()
    assert "actions" in done.stderr.decode()


def test_render_of_an_unknown_action_lists_the_known_ones(stack: Stack, example: Path) -> None:
    done = stack.command("render", "nonsense", str(example))
    assert done.returncode == 2
    assert b"zhkh-debt-requests" in done.stderr


def test_send_waits_for_the_reply_and_prints_it(stack: Stack, running: Process, example: Path) -> None:
    done = stack.command("send", "zhkh-debt-requests", str(example), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == EXAMPLES[0].reply


def test_send_of_a_refused_command_prints_the_error_and_fails(stack: Stack, running: Process) -> None:
    done = stack.command("send", "zhkh-debt-requests", "-", stdin=b"{}")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["error_code"] == "ADAPTER-INVALID-COMMAND"


def test_send_to_an_action_that_nobody_serves_says_so(stack: Stack, running: Process, example: Path) -> None:
    done = stack.command("send", "nobody", str(example))
    assert done.returncode == 1
    assert b"no queue nobody" in done.stderr


def test_send_without_a_broker_says_so_in_one_line(stack: Stack, example: Path) -> None:
    done = stack.command("send", "zhkh-debt-requests", str(example), MQ_HOST="127.0.0.1", MQ_PORT="1")
    assert done.returncode == 1
    assert done.stderr.decode() == "cannot talk to 127.0.0.1:1: AMQPConnectionError\n"


def test_check_tests_every_connection_and_hides_secrets(stack: Stack, running: Process) -> None:
    done = stack.command("check")
    text = done.stdout.decode()
    assert done.returncode == 0, text
    for part in ("broker", "database", "signing service", "СМЭВ3", "everything answers"):
        assert part in text
    for line in (
        "✓ queues            every queue",
        "✓ schema            up to date",
        "✓ database clock",
        "✓ СМЭВ3 clock",
    ):
        assert line in text
    assert text.count("signed and verified") == 2
    assert "✓ certificates      CLIENT_CERT until" in text
    assert "✓ schemas           2 compile" in text
    for secret in ("SIGN_TOKEN_OV", "SIGN_TOKEN_SP", "DATABASE_PASS"):
        assert stack.environment[secret] not in text


def test_check_names_what_cannot_be_reached_and_fails(stack: Stack) -> None:
    done = stack.command("check", "--json", SIGN_SERVICE="http://127.0.0.1:1")
    findings = {finding["name"]: finding["ok"] for finding in json.loads(done.stdout)}
    assert done.returncode == 1
    assert findings["signing service"] is False
    assert findings["broker"] is True


def test_check_tries_the_token_of_every_key(stack: Stack) -> None:
    done = stack.command("check", SIGN_TOKEN_SP="nobody's", USE_PERSONAL_SIGNATURE="true")
    assert done.returncode == 1
    assert "✗ signing service   key sp: ADAPTER-SIGNATURE-REFUSED" in done.stdout.decode()


def test_check_tells_every_fault_and_not_the_first_alone(stack: Stack) -> None:
    done = stack.command(
        "check", "--json", SIGN_SERVICE="http://127.0.0.1:1", SMEV_SERVICE="http://127.0.0.1:1/smev/v1.2/ws",
        DATABASE_PORT="1",
    )  # fmt: skip
    failed = {finding["name"] for finding in json.loads(done.stdout) if finding["ok"] is False}
    assert done.returncode == 1
    assert failed == {"signing service", "СМЭВ3", "database"}


async def test_check_judges_queues_that_somebody_else_has_declared(
    stack: Stack, rabbit: LocalRabbit, certificates: Certificates
) -> None:
    prefix = "others."
    address = f"amqps://{rabbit.host}:{rabbit.port}/?auth=external"
    async with await aio_pika.connect(address, ssl_context=upstream_context(certificates)) as connection:
        channel = await connection.channel()
        limited = {"x-queue-type": "quorum", "x-delivery-limit": 5, "x-overflow": "reject-publish"}
        await channel.declare_queue(f"{prefix}zhkh-debt-requests", durable=True, arguments=limited)
        await channel.declare_queue(f"{prefix}adapter.returned", durable=True)
        await channel.declare_queue(f"{prefix}zhkh-debt-requests.reply", durable=True)
        done = await asyncio.to_thread(stack.command, "check", "--json", MQ_PREFIX=prefix)
    queues = [finding for finding in json.loads(done.stdout) if finding["name"] == "queues"]
    assert done.returncode == 1
    faults = " | ".join(finding["sentence"] for finding in queues if finding["ok"] is False)
    for argument in ("x-dead-letter-exchange is not set", "x-dead-letter-routing-key", "x-dead-letter-strategy"):
        assert f"zhkh-debt-requests: {argument}" in faults
    assert "x-delivery-limit is '5', should be 1000000: commands are dropped after so many reconnects" in faults
    assert "adapter.returned: x-queue-type is 'classic', should be 'quorum'" in faults
    assert [finding["ok"] for finding in queues if ".reply" in finding["sentence"]] == [None]


def test_check_tells_a_machine_of_a_wrong_configuration_too(stack: Stack) -> None:
    done = stack.command("check", "--json", MQ_PORT="none")
    assert done.returncode == 2
    (finding,) = json.loads(done.stdout)
    assert (finding["name"], finding["ok"]) == ("MQ_PORT", False)


def test_a_wrong_configuration_is_refused_with_all_faults_and_no_secret(stack: Stack) -> None:
    done = stack.command("run", MQ_PORT="many", USE_PERSONAL_SIGNATURE="perhaps", SIGN_SERVICE="", SERVICES="zhkh-*")
    text = done.stderr.decode()
    assert done.returncode == 2
    for name in ("MQ_PORT", "USE_PERSONAL_SIGNATURE", "SIGN_SERVICE"):
        assert name in text
    assert stack.environment["SIGN_TOKEN_OV"] not in text


def test_migrate_says_that_there_is_nothing_to_do_twice(stack: Stack, running: Process) -> None:
    done = stack.command("migrate")
    assert done.returncode == 0
    assert b"up to date" in done.stdout


def test_an_unknown_command_is_wrong_use(stack: Stack) -> None:
    assert stack.command("fly").returncode == 2
    assert stack.command().returncode == 2


def test_the_signing_service_wants_to_be_called_a_development_one(stack: Stack) -> None:
    done = stack.command("sign-service")
    assert done.returncode == 2
    assert b"--development" in done.stderr


def test_run_waits_for_a_database_that_is_not_there_yet_and_still_ends_when_told(stack: Stack) -> None:
    process = stack.start(DATABASE_PORT="1")
    process.wait_line("the database is not there yet")
    assert process.end() == 0, process.output


def test_run_on_a_database_of_another_version_says_so_in_one_line(stack: Stack, postgres: LocalPostgres) -> None:
    postgres.create_database("another_version")
    assert stack.command("migrate", DATABASE_NAME="another_version").returncode == 0
    postgres.psql("update schema_migrations set checksum = 'changed'", database="another_version")
    process = stack.start(DATABASE_NAME="another_version")
    assert process.process.wait(30) == 1
    assert "the database is not of this version" in process.output
    assert "uncaught" not in process.output

"""The programs of docs/integrator, run as they stand against the running adapter."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from adapter.services.zhkh_debt_requests import EXAMPLES
from deploy.local.console import StepError
from deploy.local.debian import provide

if TYPE_CHECKING:
    from deploy.local.certificates import Certificates
    from tests.e2e.conftest import Process, Stack

PROGRAMS = Path(__file__).resolve().parents[2] / "docs/integrator"
#: The seed's request that ГИС ЖКХ does not know: its reply is the same whoever asked before.
EXAMPLE = EXAMPLES[1]


@pytest.fixture
def environment(stack: Stack, running: Process, certificates: Certificates) -> dict[str, str]:
    upstream = certificates.client("upstream")
    own = {"CLIENT_CERT": str(upstream.certificate), "CLIENT_KEY": str(upstream.key), "PATH": os.environ["PATH"]}
    return {name: stack.environment[name] for name in ("MQ_HOST", "MQ_PORT", "CA_CERT")} | own


@pytest.fixture
def command(tmp_path: Path) -> Path:
    file = tmp_path / "command.json"
    file.write_text(json.dumps(EXAMPLE.request, ensure_ascii=False), encoding="utf-8")
    return file


def run(argv: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_the_python_program_publishes_a_command_and_prints_its_reply(
    environment: dict[str, str], command: Path
) -> None:
    program = [sys.executable, str(PROGRAMS / "publish_and_read.py"), "zhkh-debt-requests"]
    done = run([*program, str(command)], environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == EXAMPLE.reply
    command.write_text("{}", encoding="utf-8")
    refused = run([*program, str(command)], environment)
    assert refused.returncode == 1, refused.stderr
    assert json.loads(refused.stdout)["error"]["error_code"] == "ADAPTER-INVALID-COMMAND"


def test_the_java_program_does_the_same(environment: dict[str, str], command: Path, tmp_path: Path) -> None:
    if shutil.which("javac") is None:
        pytest.skip("there is no JDK here")
    try:
        jars = [
            provide("librabbitmq-client-java", "usr/share/java/amqp-client.jar", quiet=True),
            provide("libslf4j-java", "usr/share/java/slf4j-api.jar", quiet=True),
        ]
    except StepError as fault:
        pytest.skip(f"RabbitMQ's Java client cannot be had here: {fault}")
    store, path = tmp_path / "upstream.p12", ":".join(map(str, [tmp_path, *jars]))
    pair = ["-in", environment["CLIENT_CERT"], "-inkey", environment["CLIENT_KEY"], "-passout", "pass:example"]
    subprocess.run(["openssl", "pkcs12", "-export", "-out", str(store), *pair], check=True, timeout=30)
    source = str(PROGRAMS / "PublishAndRead.java")
    subprocess.run(["javac", "-d", str(tmp_path), "-cp", path, source], check=True, timeout=120)
    done = run(
        ["java", "-cp", path, "PublishAndRead", "zhkh-debt-requests", str(command)],
        environment | {"CLIENT_P12": str(store), "CLIENT_P12_PASSWORD": "example"},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == EXAMPLE.reply

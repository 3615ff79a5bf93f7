"""``adapter shep selftest SERVICE``: the exchange of rule 9 of order № 104, and its protocol.

The message goes the way of every other: by the broker to a worker, and from there to the gateway. So what is tested is
what will run, nothing leaves without being journaled, and the log of messages has it.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aio_pika
import orjson
from aiormq.exceptions import AMQPError, PublishError

from adapter.broker.topology import Names
from adapter.broker.upstream import ask
from adapter.cli_shep_journal import save
from adapter.recovery.arguments import printable
from adapter.recovery.door import carry_out
from adapter.recovery.environment import broker_address, database_address, open_journal, read_some
from adapter.recovery.errors import RecoveryError
from adapter.shep_journals.selftest import Protocol, Step, as_docx, journaled_steps, reply_step

if TYPE_CHECKING:
    from adapter.settings.shep_registry import Service, ShepRegistry

_EXAMPLE: Final = """\
example:
  adapter shep selftest SyncEcho --data request.xml -o protocol.docx
  adapter shep selftest AsyncEcho --channel async --data request.xml --json

The message is published as a command; a worker that serves the ШЭП has to run. Exit code 0: the exchange of rule 9 was
made (asynchronous: the message's unique id came; synchronous: the answer came); 1: it was not. The protocol is written
either way."""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    test = verbs.add_parser(
        "selftest",
        help="make the test exchange of order № 104 with a service and write its protocol",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    test.add_argument("service", metavar="SERVICE", help="its key in the registry")
    test.add_argument("--channel", choices=("sync", "async"), help="of a service that has both; by default the first")
    test.add_argument(
        "--data", type=Path, metavar="FILE", help="business data: XML or text, or a JSON object as commands have"
    )
    test.add_argument("--route", metavar="NAME", help="route of a service that has routes")
    test.add_argument("--wait", type=float, default=120.0, metavar="SECONDS", help="for the reply (120)")
    test.add_argument("-o", "--output", type=Path, metavar="FILE.docx", help="the protocol; selftest-SERVICE.docx")
    test.add_argument("--json", action="store_true", help="one JSON object for machines")
    test.set_defaults(run=lambda options: carry_out(_selftest(options)))


async def _selftest(options: argparse.Namespace) -> int:
    known = read_some(os.environ, "SHEP_SERVICES_FILE", "SHEP_TIMEZONE", "SHEP_SENDER_ID")
    registry: ShepRegistry | None = known["SHEP_SERVICES_FILE"]
    if registry is None:
        raise RecoveryError("SHEP_SERVICES_FILE: is required, it says how the service is called")
    service = registry.service(options.service)
    if service is None:
        raise RecoveryError(
            f"SERVICE: must be a key of the registry: {', '.join(row.key for row in registry.services)}"
        )
    channel = _channel(options.channel, service)
    protocol = Protocol(service, channel, datetime.now(UTC))
    note = f"режим «{service.mode}», безопасность {service.security}"
    protocol.steps.append(
        Step("Сервис найден в реестре", protocol.began, passed=True, ids={"Ключ": service.key}, note=note)
    )
    await _exchange(protocol, _command(options, service, channel), options.wait)
    file = options.output or Path(f"selftest-{service.key}.docx")
    save(file, as_docx(protocol, registry, known["SHEP_SENDER_ID"] or "", known["SHEP_TIMEZONE"]))
    if options.json:
        told = {"passed": protocol.passed, "protocol": str(file), "steps": [asdict(step) for step in protocol.steps]}
        print(orjson.dumps(told).decode())
    else:
        for step in protocol.steps:
            ids = " ".join(f"{name}={value}" for name, value in step.ids.items())
            print(printable(f"{'FAIL' if step.passed is False else 'ok  '}  {step.name}  {ids}  {step.note}".rstrip()))
        print(f"{file} written: {'passed' if protocol.passed else 'not passed'}")
    return 0 if protocol.passed else 1


def _channel(wanted: str | None, service: Service) -> str:
    """Return the channel of the test. Raises RecoveryError for one that the service does not have."""
    channel = wanted or ("sync" if service.is_sync else "async")
    if not (service.is_sync if channel == "sync" else service.is_async):
        raise RecoveryError(f"--channel: by the registry the service is «{service.mode}»")
    return channel


def _command(options: argparse.Namespace, service: Service, channel: str) -> bytes:
    """Return the command. Raises RecoveryError, naming the option."""
    file = options.data
    if file is None and service.test_data is not None:
        file = Path(os.environ["SHEP_SERVICES_FILE"].strip()).parent / service.test_data
    if file is None or not file.is_file():
        raise RecoveryError("--data: is required, a file; the registry's test_data names none that is there")
    try:
        text = file.read_text(encoding="utf-8")
        data: Any = orjson.loads(text) if file.suffix == ".json" else {"content": text}
    except (OSError, UnicodeDecodeError, orjson.JSONDecodeError) as error:
        raise RecoveryError(f"--data: {file} cannot be read ({type(error).__name__})") from None
    info = {"service_id": service.key} | ({"route_id": options.route} if options.route else {})
    if channel == "sync":
        return orjson.dumps({"request_info": info, "request_data": {"data": data}})
    return orjson.dumps({"message_info": {**info, "message_type": "REQUEST"}, "message_data": {"data": data}})


async def _exchange(protocol: Protocol, body: bytes, wait: float) -> None:
    """Publish the command, wait for its reply, and note every step. Raises RecoveryError where a neighbour is away."""
    address = broker_address(os.environ)
    queue = Names(os.environ.get("MQ_PREFIX", "")).command(f"shep.{protocol.channel}.send")
    protocol.steps.append(
        Step("Сообщение направлено в очередь", datetime.now(UTC), passed=True, ids={"Очередь": queue})
    )
    try:
        reply = await ask(address, queue, body, wait=wait)
    except PublishError:
        raise RecoveryError(f"no queue {queue}: is an adapter that serves the ШЭП running?") from None
    except TimeoutError:
        note = f"ответ не получен за {wait:g} с; обмен продолжается, его исход — в журнале"
        protocol.steps.append(Step("Получен ответ", datetime.now(UTC), passed=False, note=note))
        return
    except (AMQPError, aio_pika.exceptions.AMQPException, OSError) as error:
        raise RecoveryError(f"cannot talk to {address.where}: {type(error).__name__}") from None
    answered = datetime.now(UTC)
    async with open_journal(database_address(os.environ)) as connection:
        protocol.steps += await journaled_steps(connection, reply.correlation_id, protocol)
    protocol.steps.append(reply_step(protocol, orjson.loads(reply.body), answered))

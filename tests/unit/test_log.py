"""Log lines say what happened and never what was in it."""

from __future__ import annotations

import ast
import asyncio
import io
import json
import logging
import ssl
import sys
import threading
import warnings
from contextlib import contextmanager
from enum import Enum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid1, uuid4

import asyncpg
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from adapter import log, redaction
from adapter.errors import AdapterError, Code, ConfigurationError, KnownError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
CANARY = "canary7f3a"
PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIE\n-----END PRIVATE KEY-----"


@contextmanager
def recorded(level: str = "DEBUG", fmt: str = "json", *, stacktrace: bool = False) -> Iterator[io.StringIO]:
    """Send the log of the block to a text; put everything back after it."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, logging.lastResort, logging.raiseExceptions
    out = io.StringIO()
    try:
        log.configure(level, fmt, stacktrace=stacktrace, stream=out)
        yield out
    finally:
        structlog.reset_defaults()
        root.handlers, root.level, logging.lastResort, logging.raiseExceptions = before
        redaction.forget_secrets()


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def line_of(event: str = "something happened", **values: Any) -> dict[str, Any]:
    with recorded() as out:
        structlog.get_logger("adapter.test").info(event, **values)
    (line,) = lines(out)
    return line


def test_a_line_names_its_time_level_place_and_exchange() -> None:
    exchange, message = uuid4(), uuid1()
    with recorded() as out:
        with log.bind_exchange(action="zhkh-debt-requests", exchange_id=exchange, message_id=str(message)):
            structlog.get_logger("adapter.pipeline").info("call sent", gateway="smev3", attempt=2)
        structlog.get_logger("adapter.pipeline").info("idle")
    first, second = lines(out)
    assert list(first)[:4] == ["timestamp", "level", "logger", "event"]
    assert first["timestamp"].endswith("Z")
    assert (first["level"], first["logger"], first["event"]) == ("info", "adapter.pipeline", "call sent")
    assert (first["exchange_id"], first["message_id"]) == (str(exchange), str(message))
    assert (first["action"], first["gateway"], first["attempt"]) == ("zhkh-debt-requests", "smev3", 2)
    assert "exchange_id" not in second


async def test_tasks_started_inside_a_bound_block_carry_its_names() -> None:
    async def work() -> None:
        structlog.get_logger().info("in a task")

    with recorded() as out:
        with log.bind_exchange(action="zhkh-debt-requests", command_id=uuid4()):
            task = asyncio.create_task(work())
        await task
    assert lines(out)[0]["action"] == "zhkh-debt-requests"


def test_the_level_holds_back_what_is_lower() -> None:
    with recorded("WARNING") as out:
        structlog.get_logger().info("quiet")
        structlog.get_logger().warning("loud")
    assert [line["event"] for line in lines(out)] == ["loud"]


def test_a_second_configuration_replaces_the_first() -> None:
    with recorded() as first, recorded() as second:
        structlog.get_logger().info("once")
        logging.getLogger("aiormq").warning("once too")
    assert first.getvalue() == ""
    assert len(lines(second)) == 2


def test_the_console_form_is_one_readable_line_without_values_either() -> None:
    with recorded(fmt="console") as out:
        structlog.get_logger("adapter").warning(
            "call failed", gateway="smev3", body=CANARY, exc_info=ValueError(CANARY)
        )
    assert "call failed" in out.getvalue()
    assert "gateway=smev3" in out.getvalue()
    assert CANARY not in out.getvalue()
    assert out.getvalue().count("\n") == 1


def test_auto_means_json_where_nobody_looks() -> None:
    with recorded(fmt="auto") as out:
        structlog.get_logger().info("x")
    assert lines(out)[0]["event"] == "x"


PERSONAL = {
    "pem": PEM,
    "pem without its end": "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIE",
    "bearer": "Authorization: Bearer abcd.efgh",
    "basic": "sent Basic dXNlcjpwdw==",
    "url password": "amqps://user:pa/ss@w0rd@mq.example.org:5671/",
    "password assignment": "login with password=hunter2",
    "quoted password": '{"password": "hunter two"}',
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "email": "sent to ivan.petrov@example.org today",
    "snils": "снилс 11223344595",
    "snils with dashes": "112-233-445 95",
    "phone": "+7 (912) 345-67-89",
    "passport": "4509 123456",
    "inn glued to a word": "inn770708389312",
    "base64": "content MIIBVgIBADANBgkqhkiG9w0BAQEFAASCAUAwggE8AgEAAkEAq7BFUpkGp3 end",
    "name": "заявитель Иванов Иван",
}


@pytest.mark.parametrize("text", PERSONAL.values(), ids=list(PERSONAL))
def test_a_sentence_is_searched_for_what_must_not_be_said(text: str) -> None:
    said = line_of(f"x {text}", reason=text)
    for word in (
        "MC4C",
        "abcd",
        "dXNl",
        "ss@w0rd",
        "user:",
        "hunter",
        "eyJ",
        "ivan",
        "1122",
        "445",
        "345",
        "4509",
        "7707",
        "MIIB",
        "ванов",
    ):
        assert word not in said["event"], said
        assert word not in said["reason"], said


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-21T18:58:37.123456Z",
        "12345678-1234-1234-1234-123456789012",
        "answer 7a4c3b0e-6f80-11eb-9439-0242ac130002 taken",
        "digest 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "zhkh-debt-requests",
        "SMEV-403",
        "EXP001000",
        "adapter.events",
        "http://smev3-n0.test.gosuslugi.ru:7500/smev/v1.2/ws",
        "at most 200 of 5000 commands, prefetch 200",
    ],
)
def test_technical_texts_pass_as_they_are(text: str) -> None:
    assert line_of(text, reason=text)["event"] == text


def test_a_text_passes_only_under_a_listed_key() -> None:
    said = line_of(body=CANARY, firstname=CANARY, reply_to=CANARY, filename=Path(CANARY), queue="epgu.order.submit")
    assert CANARY not in json.dumps(said)
    assert said["body"] == "[10 characters]"
    assert said["queue"] == "epgu.order.submit"


def test_an_id_is_shown_only_when_it_is_a_uuid() -> None:
    ours = "7a4c3b0e-6f80-11eb-9439-0242ac130002"
    first, again, other = (line_of(message_id=text)["message_id"] for text in (CANARY, CANARY, CANARY + "x"))
    assert first.startswith("hash:")
    assert CANARY not in first
    assert first == again != other
    assert line_of(message_id=ours, exchange_id=UUID(ours))["message_id"] == ours


class _Colour(StrEnum):
    RED = "red"


class _Plain(Enum):
    TWO = (2, CANARY)


class _Spiteful:
    def __repr__(self) -> str:
        raise AssertionError("a log line must not call repr")

    __str__ = __repr__


def test_values_are_shown_by_type_and_never_by_repr() -> None:
    said = line_of(
        state=_Colour.RED,
        kind=_Plain.TWO,
        count=3,
        snils=11223344595,
        raw=b"canary",
        thing=_Spiteful(),
        done=True,
        none=None,
        faults={"reason": "short", CANARY: CANARY, "thing": {CANARY}},
        actions=["a.b", "c.d"],
        people=[CANARY, CANARY],
        cause=KeyError(CANARY),
        duration=1.5,
    )
    assert (said["state"], said["kind"], said["count"], said["snils"]) == ("red", "TWO", 3, "[number]")
    assert (said["raw"], said["thing"], said["done"], said["none"]) == ("[6 bytes]", "[_Spiteful]", True, None)
    assert said["faults"] == {"reason": "short", "hidden": 2}
    assert said["actions"] == ["a.b", "c.d"]
    assert said["cause"] == {"class": "KeyError"}
    assert said["duration"] == 1.5
    assert CANARY not in json.dumps(said)


def test_hostile_depth_length_and_numbers_stay_one_bounded_line() -> None:
    deep: dict[str, Any] = {}
    for _ in range(100):
        deep = {"reason": deep}
    said = line_of(
        "a " * 5000,
        faults=deep,
        actions=["x"] * 5000,
        status=10**400,
        ratio=float("nan"),
        reason="\ud800\n\x1b[31m\u2028",
    )
    assert len(json.dumps(said)) < 3000
    assert (said["ratio"], said["status"]) == ("[number]", "[number]")
    assert "\x1b" not in said["reason"]


def test_registered_secrets_vanish_from_every_place_and_coding() -> None:
    secret = "S3cr3t p/w+ü"
    with recorded() as out:
        log.register_secret(secret)
        log.register_secret("abc")
        structlog.get_logger().info(f"x {secret} S3cr3t%20p%2Fw%2B%C3%BC abc", reason=secret, code="UzNjcjN0IHAvdyvDvA")
    (line,) = lines(out)
    assert line["event"] == "x [secret] [secret] abc"
    assert (line["reason"], line["code"]) == ("[secret]", "[secret]")


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause  # noqa: TRY301  — a raised exception has a traceback
    except BaseException as caught:  # noqa: BLE001  — the test hands it on
        return caught


def test_exceptions_are_reduced_to_class_codes_and_place() -> None:
    unique = asyncpg.UniqueViolationError(CANARY)
    with recorded() as out:
        structlog.get_logger().error("lost", exc_info=raised(unique, raised(OSError(111, CANARY))))
    (line,) = lines(out)
    failure = line["failure"]
    assert failure["class"] == "asyncpg.exceptions.UniqueViolationError"
    assert failure["sqlstate"] == "23505"
    assert failure["at"].startswith("tests/unit/test_log.py:")
    assert failure["cause"]["errno"] == 111
    assert CANARY not in out.getvalue()


def test_our_own_errors_show_their_code_and_configuration_faults_but_no_description() -> None:
    code = line_of(error=KnownError(Code.EXPIRED, f"Срок {CANARY}"))
    foreign = line_of(error=AdapterError("EXP001000", CANARY, details={"x": CANARY}))
    wrong = line_of(error=ConfigurationError({"MQ_PORT": "must be a whole number"}))
    assert code["error"]["code"] == "ADAPTER-EXPIRED"
    assert foreign["error"] == {"class": "adapter.errors.AdapterError", "code": "EXP001000"}
    assert wrong["error"]["faults"] == {"MQ_PORT": "must be a whole number"}
    assert CANARY not in json.dumps([code, foreign, wrong])


def test_groups_and_tls_errors_say_their_parts() -> None:
    refused = ssl.SSLError(1, CANARY)
    refused.reason = "CERTIFICATE_VERIFY_FAILED"
    said = line_of(error=ExceptionGroup(CANARY, [refused, ValueError(CANARY)]))
    assert [member["class"] for member in said["error"]["members"]] == ["ssl.SSLError", "ValueError"]
    assert said["error"]["members"][0]["reason"] == "CERTIFICATE_VERIFY_FAILED"
    assert CANARY not in json.dumps(said)


def test_frames_are_listed_only_on_demand_and_without_machine_folders() -> None:
    def fail() -> None:
        json.loads(f"{{{CANARY}")

    def logged(*, stacktrace: bool) -> dict[str, Any]:
        with recorded(stacktrace=stacktrace) as out:
            try:
                fail()
            except ValueError:
                structlog.get_logger().exception("broken")
        (line,) = lines(out)
        assert CANARY not in out.getvalue()
        assert str(ROOT) not in out.getvalue()
        return dict(line["failure"])

    assert "frames" not in logged(stacktrace=False)
    places = logged(stacktrace=True)["frames"]
    assert any(place.startswith("tests/unit/test_log.py:") for place in places)
    assert places[-1].startswith("decoder.py:")


def test_libraries_join_from_warning_on_with_their_arguments_reduced() -> None:
    with recorded() as out:
        library = logging.getLogger("aiormq.connection")
        library.info("frame %r", CANARY)
        library.warning("closed %r by %s after %d s", object(), CANARY, 5)
        library.warning("%(who)s left", {"who": CANARY})
        library.warning("misfit %d", CANARY)
        library.error(ValueError(CANARY))
        library.error("Task was never retrieved\nfuture: <Task result=%s>" % CANARY)  # noqa: UP031  — preformatted, as asyncio does
        library.error("callback failed", exc_info=raised(ValueError(CANARY)))
    said = [line["event"] for line in lines(out)]
    assert said == [
        "closed [object] by [str] after 5 s",
        "[str] left",
        "misfit %d [arguments do not fit]",
        "[ValueError]",
        "Task was never retrieved",
        "callback failed",
    ]
    assert CANARY not in out.getvalue()
    assert lines(out)[-1]["failure"]["class"] == "ValueError"


async def test_what_asyncio_says_of_a_lost_task_holds_no_values() -> None:
    with recorded() as out:
        asyncio.get_running_loop().call_exception_handler(
            {"message": "Task exception was never retrieved", "exception": raised(ValueError(CANARY)), "result": CANARY}
        )
    assert lines(out)[0]["failure"]["class"] == "ValueError"
    assert CANARY not in out.getvalue()


def test_last_words_of_the_process_pass_the_redaction(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for place, name in (
        (sys, "excepthook"),
        (sys, "unraisablehook"),
        (threading, "excepthook"),
        (warnings, "showwarning"),
    ):
        monkeypatch.setattr(place, name, getattr(place, name))

    def die() -> None:
        raise ValueError(CANARY)

    with recorded() as out:
        log.take_over_last_words()
        sys.excepthook(ValueError, ValueError(CANARY), None)
        thread = threading.Thread(target=die)
        thread.start()
        thread.join(10)
        warnings.showwarning(UserWarning(CANARY), UserWarning, "/somewhere/models.py", 7)
        sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert [line["event"] for line in lines(out)] == [
        "uncaught exception",
        "uncaught exception in a thread",
        "python warning",
    ]
    assert lines(out)[2]["where"] == "models.py:7"
    captured = capsys.readouterr()
    assert CANARY not in out.getvalue() + captured.out + captured.err


def test_a_broken_stdout_costs_a_counter_and_not_the_work() -> None:
    class Closed(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    before = log._Lines.lost
    with recorded():
        log.configure("INFO", "json", stream=Closed())
        structlog.get_logger().info("x")
    assert log._Lines.lost == before + 1


def _paths(canary: str) -> list[Callable[[Any], None]]:
    """Every way in which a value reaches a log call."""
    error = AdapterError(canary, canary, details={canary: canary})
    return [
        lambda logger: logger.info("x", body=canary),
        lambda logger: logger.info("x", **{canary: canary}),
        lambda logger: logger.info("x", message_id=canary, command_id=canary, exchange_id=canary),
        lambda logger: logger.info("x", headers={canary: canary}, rows=[canary], pair=(canary,)),
        lambda logger: logger.info("x", faults={canary: {canary: canary}}),
        lambda logger: logger.info("x", raw=canary.encode("utf-8", "surrogatepass")),
        lambda logger: logger.info("x", error=ValueError(canary)),
        lambda logger: logger.error("x", exc_info=ValueError(canary)),
        lambda logger: logger.error("x", exc_info=raised(ValueError(canary), raised(KeyError(canary)))),
        lambda _: logging.getLogger("foreign").error("%s %r", canary, {canary: canary}),
        lambda _: logging.getLogger("foreign").error("x", exc_info=error.__cause__ or ValueError(canary)),
        lambda _: logging.getLogger("foreign").error("x", extra={"more": canary}),
    ]


@given(name=st.text(alphabet="абвгдежзиклмнопрст", min_size=5, max_size=12), digits=st.integers(10**10, 10**11 - 1))
def test_no_canary_leaves_by_any_path(name: str, digits: int) -> None:
    for canary in (f"Ивaн-{name}", str(digits), f"{name}@example.org"):
        with recorded() as out:
            for path in _paths(canary):
                path(structlog.get_logger())
        assert len(lines(out)) == len(_paths(canary))
        assert canary not in out.getvalue()
        assert json.dumps(canary)[1:-1] not in out.getvalue()


@given(text=st.text(max_size=300))
def test_no_text_breaks_a_line_or_the_caller(text: str) -> None:
    said = line_of(text, reason=text, body=text)
    assert "\n" not in said["event"]


def test_every_log_call_of_ours_has_a_constant_sentence_and_keywords() -> None:
    """A sentence with values in it would pass the redaction as program text."""
    wrong = []
    for file in sorted((ROOT / "adapter").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            logger = node.func.value
            if not (isinstance(logger, ast.Name) and logger.id.strip("_") in {"log", "logger"}):
                continue
            constant = len(node.args) == 1 and isinstance(node.args[0], ast.Constant)
            if node.func.attr in {"debug", "info", "warning", "error", "exception", "critical"} and not constant:
                wrong.append(f"{file.relative_to(ROOT)}:{node.lineno}")
    assert not wrong

"""``adapter incident ID``: what ЕПГУ's support wants to know of a call, as text and as a Word document."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from adapter.documents.letter import as_docx, as_text
from adapter.recovery.arguments import printable
from adapter.recovery.dead import note_revealed
from adapter.recovery.door import carry_out
from adapter.recovery.environment import Operator, database_address, open_journal
from adapter.recovery.errors import RecoveryError
from adapter.recovery.files import write_private
from adapter.recovery.history import find, find_subject, read_history
from adapter.recovery.incident import Sender, incident

if TYPE_CHECKING:
    import argparse

    import asyncpg

    from adapter.journal.records import Exchange

_ENVIRONMENTS: Final = ("SVCDEV", "PROD")
_MOST: Final = 100_000
_SENDING: Final = frozenset({"epgu.order.submit", "epgu.order.push", "epgu.order.push-chunked"})


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("incident", help="write a letter to ЕПГУ's support about one exchange (txt, docx)")
    parser.add_argument("id", metavar="ID", help="any id of the exchange, or the order's number")
    parser.add_argument("--description", type=Path, metavar="FILE", help="what happened, in your words (UTF-8 text)")
    parser.add_argument(
        "--analysis", type=Path, metavar="FILE", help="what you have checked, in your words (UTF-8 text)"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="STEM", help="STEM.txt and STEM.docx; incident-ID")
    parser.set_defaults(run=lambda options: carry_out(_incident(options)))


async def _incident(options: argparse.Namespace) -> int:
    sender = Sender(
        mnemonic=os.environ.get("EPGU_SYSTEM", "").strip(),
        environment=_environment(),
        description=_words(options.description),
        analysis=_words(options.analysis),
    )
    operator = Operator.current()
    async with open_journal(database_address(os.environ)) as connection:
        exchange = await _chosen(connection, options.id)
        # The letter may hold personal data: who took it is journaled before they have it.
        await note_revealed(connection, exchange.id, operator, "incident")
        letter = incident(await read_history(connection, exchange, with_bytes=True), sender)
    stem = options.output or Path(f"incident-{exchange.id}")
    files = [stem.with_name(stem.name + ending) for ending in (".txt", ".docx")]
    write_private(files[0], as_text(letter).encode("utf-8", "replace"))
    write_private(files[1], as_docx(letter))
    print(f"about    {exchange.action}, exchange {exchange.id}, {exchange.state}")
    print(f"to       {letter.address}")
    print(f"subject  {printable(letter.subject)}")
    print(f"files    {files[0]}, {files[1]}; read them before you send them")
    return 0


async def _chosen(connection: asyncpg.Connection, text: str) -> Exchange:
    """Return what an id means: of several exchanges the last that went wrong, else the last. Raises RecoveryError."""
    found = await find_subject(connection, text) or await find(connection, text)
    ours = [one for one in found if one.repeat_of is None and _of_epgu(one)]
    if not ours:
        raise RecoveryError("no exchange of ЕПГУ has this id" if found else "no exchange has this id")
    # Of applications that were taken, the command that sent it: what became of it later is told there.
    sent = [one for one in ours if one.action in _SENDING]
    return next((one for one in reversed(ours) if one.outcome_code), (sent or ours)[-1])


def _of_epgu(exchange: Exchange) -> bool:
    return exchange.gateway == "epgu" or (exchange.gateway is None and exchange.action.startswith("epgu."))


def _environment() -> str:
    given = os.environ.get("EPGU_ENV", "").strip() or _ENVIRONMENTS[0]
    if given not in _ENVIRONMENTS:
        raise RecoveryError(f"EPGU_ENV must be one of {', '.join(_ENVIRONMENTS)}")
    return given


def _words(path: Path | None) -> str:
    """Return the words of a file of an operator. Raises RecoveryError."""
    if path is None:
        return ""
    try:
        text = path.read_bytes()[: _MOST + 1].decode("utf-8-sig")
    except OSError as error:
        raise RecoveryError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RecoveryError(f"{path} is not UTF-8 text") from None
    if len(text) > _MOST:
        raise RecoveryError(f"{path} is longer than {_MOST} characters")
    return text.strip()

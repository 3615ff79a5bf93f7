"""``adapter docs``: the documents that are generated from the code, so that they cannot lie about it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from adapter.errors import Code, Retry
from adapter.gateways.smev3.faults import CODE_RULES, RULES, FaultRule, Outcome
from adapter.lockers.refusals import Refusal
from adapter.paths import SCHEMAS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Mapping, Sequence

#: Where the documents of a checkout are.
DOCS: Final = SCHEMAS.parent / "docs"
_SERVICES: Final = "services"

#: What each retry class means to the one who published the command.
_RETRY: Final[Mapping[Retry, str]] = {
    Retry.FIX: "Change the command and publish it under a new message_id: the same one is refused again.",
    Retry.LATER: (
        "The same content may be published again later, under a new message_id: under the old one the recorded outcome "
        "is told again. First see in the code's own row whether the earlier request may still be answered."
    ),
    Retry.NEVER: "Do not repeat: the request may have reached the gateway. Ask the adapter's operator.",
    Retry.OPERATOR: "Nothing upstream can change it: the adapter's operator has to act.",
}

#: What each code says, for integrators and operators.
_MEANING: Final[Mapping[Code, str]] = {
    Code.INVALID_COMMAND: (
        "The command breaks its contract. `fields` names every field and rule that was found (at most 100). No gateway "
        "was called."
    ),
    Code.MESSAGE_ID_REUSED: (
        "Another body came earlier under the same (action, user_id, message_id). This one was not run; the first is "
        "not disturbed."
    ),
    Code.EXPIRED: (
        "The deadline passed without an answer, or the broker dropped the command by its expiration. If the request "
        "had left already, an answer may still come: it is sent as one more reply with x-adapter-late."
    ),
    Code.UNCERTAIN: (
        "Nobody knows whether the gateway took the request, and the operation's repeat rule forbids another attempt. "
        "`details.cause` names the last failure where one is known. If an answer comes after all, it is sent as one "
        "more reply with x-adapter-late."
    ),
    Code.GATEWAY_UNAVAILABLE: (
        "The gateway could not be reached, or answered with an error of HTTP or a bare server fault. The adapter "
        "retries by itself until the deadline, so this code is seen in the journal and in `details.cause`."
    ),
    Code.MAINTENANCE: (
        "As `details.cause` of `ADAPTER-EXPIRED`: planned work on the gateway or service went on until the deadline, "
        "and nothing was sent. [operations.md](operations.md#planned-work)"
    ),
    Code.BEHIND_ANOTHER: (
        "An earlier exchange of the same order or case has not ended, and order is kept: nothing was sent yet. Seen in "
        "the journal alone."
    ),
    Code.THROTTLED: (
        "The registry of the ШЭП declares a throttled delivery point, and as many messages as it takes have left: this "
        "one waits its turn inside the deadline. As `details.cause` of `ADAPTER-EXPIRED` nothing was sent."
    ),
    Code.GATEWAY_PROTOCOL: (
        "The gateway's answer breaks its protocol: no SOAP envelope, another MessageId, a client fault without a "
        "class. As a reply it is final; of an unreadable answer to a send it is the cause of a retry."
    ),
    Code.ANSWER_UNREADABLE: (
        "The provider's answer was verified and is in the journal with its exact bytes, but breaks the schema of the "
        "вид сведений. The exchange is parked; `details` names the broken rules."
    ),
    Code.SIGNATURE_UNAVAILABLE: (
        "The signing service cannot be reached or is overloaded. The adapter retries until the deadline by itself, so "
        "this code is seen in the journal."
    ),
    Code.SIGNATURE_REFUSED: (
        "The signing service refused: unknown key, wrong token, or the key may not sign this. Nothing was sent."
    ),
    Code.SIGNATURE_WRONG: (
        "The signing service answered with a signature of another element, another content or another certificate "
        "than the key's. Nothing was sent."
    ),
    Code.ATTACHMENT_REFUSED: (
        "An attachment of the command cannot be sent: not allowed, not there, too large, or not of its content type. "
        "`fields` names it and the rule. Nothing was sent."
    ),
    Code.ATTACHMENT_UNAVAILABLE: (
        "The source of an attachment, or the gateway's file storage, is away. The adapter retries until the deadline "
        "by itself, so this code is seen in the journal."
    ),
    Code.ATTACHMENT_WRONG: (
        "The gateway's answer came with an attachment that is missing or is not what was signed; `fields` names it. "
        "The answer is in the journal with its exact bytes, attachments that are right lie below FILES_ROOT, and the "
        "gateway was told that it was received."
    ),
    Code.UNSUPPORTED_ALGORITHM: (
        "A message is signed by an algorithm, or names its certificate in a way, that is not verified here. It was not "
        "believed; `details.rule` names what is unsupported."
    ),
    Code.GATEWAY_SIGNATURE: (
        "A message of the ШЭП is not believed: `details` has the verdicts apart (signature, chain, period, revocation, "
        "БИН). As the answer to a send it is the cause of `ADAPTER-UNCERTAIN`."
    ),
    Code.TOKEN_REFUSED: (
        "ЕСИА gave no token, or ЕПГУ did not take a fresh one; nothing was done. A token that came with the command "
        "cannot be renewed."
    ),
    Code.UPLOAD_LOST: (
        "The chunks of an archive did not all arrive within five minutes. The application was not sent; "
        "`details.order_id` is the number that was reserved for it."
    ),
    Code.REJECTED_BY_PROVIDER: (
        "The provider rejected the request without naming a reason code of its own. With one, that code "
        "(`NO_DATA`, `ACCESS_DENIED`, `UNKNOWN_REQUEST_DESCRIPTION`, `FAILURE`) stands here instead."
    ),
    Code.REQUEST_NOT_FOUND: (
        "The journal has no request with the `message_id` that the command names: a slip, or the event is of another "
        "deployment."
    ),
    Code.NO_ANSWER_WANTED: "The request is a broadcast, or could not be read: there is nowhere to send a word.",
    Code.ALREADY_ANSWERED: (
        "Another command has had the last word to this request: content or a rejection. Nothing may be said after it, "
        "no status either. A word that the gateway refused gives way to another one."
    ),
    Code.TOO_LATE: "Whoever asked has been told that no answer came in time, and has gone.",
    Code.MESSAGE_NOT_ALLOWED: (
        "With `EPGU_UNASKED_MESSAGES=refuse`: no status of the order that was sent from here has ever said that the "
        "citizen may write. Nothing was sent."
    ),
    Code.UNKNOWN_REQUEST: (
        "A request came whose вид сведений is not among `SMEV_PROVIDES`. It is confirmed and kept with its exact bytes "
        "(`dead`), and told by the event `smev3.request.unknown`; after a change of the configuration `adapter dead "
        "replay` runs it again."
    ),
    Code.REQUEST_UNREADABLE: (
        "A request came that is signed and breaks the protocol. It is confirmed, because its redelivery would read the "
        "same, and kept with its exact bytes (`dead`); `details.rule` names the rule."
    ),
    Code.UNKNOWN_ACTION: (
        "The command came back through the dead-letter queue and its action is not served by this process."
    ),
    Code.DEAD: "The process died on this command more than three times while it ran alone. It is kept for a person.",
    Code.INTERNAL: "A defect of the adapter, or a row that the journal refuses. The command is kept for a person.",
}

#: What the adapter does about each outcome of a fault.
_OUTCOME: Final[Mapping[Outcome, str]] = {
    Outcome.REFUSED: "final: the exchange becomes `failed`, the reply carries the gateway's code and words",
    Outcome.LATER: "the same bytes are sent again under the same MessageID until the deadline",
    Outcome.REMINT: (
        "this MessageID was refused: at the first attempt a new one is minted, else the exchange becomes `uncertain`"
    ),
    Outcome.DUPLICATE: "success when an earlier attempt of ours is recorded, else final",
    Outcome.UNNEEDED: "success for an Ack, final for anything else",
}

_HEAD: Final = """\
# Error codes

Generated by `adapter docs errors` from adapter/errors.py, adapter/gateways/smev3/faults.py and
adapter/lockers/refusals.py. Do not edit: a test compares this file with the code.

An error reply is `{"error": {"error_code", "description", "fields"?, "details"?, "recommendation"?}}`, see
[wire.md](wire.md#outcomes). Codes that begin with `ADAPTER-` are the adapter's own. Every other code belongs to a
gateway or a provider and travels as it came, its description too. Descriptions are Russian, because upstream systems
show them to people.
"""

_LOCKERS_HEAD: Final = """
## Codes of the lockers

Refusals of the application of постаматы ([postamat.md](postamat.md)); nothing was changed. Their class is `fix`. The
name is what the vendor of a locker reads in HTTP 400 `{"name", "message"}`.

"""

_SMEV3_HEAD: Final = """
## Codes of СМЭВ3

The error code of a fault is `SMEV-NNN` when the gateway's own words begin with one, else the fault's class, else
`ADAPTER-GATEWAY-UNAVAILABLE` (the fault blames the server) or `ADAPTER-GATEWAY-PROTOCOL`. `details.fault` names the
class, `recommendation` is the advice below. A rejection that arrives later through the reply queue
(AsyncProcessingStatus) is always final and carries code and words in the same way; `details.category` names its
status category.

What stands in neither table: a fault with a class or an `SMEV-NNN` of its own is final; a bare server fault is tried
again; a bare fault that blames the client is final.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("docs", help="print a document that is generated from the code")
    parser.add_argument("document", choices=[*sorted(DOCUMENTS), _SERVICES])
    parser.add_argument("action", nargs="?", help="services: print this action's page alone")
    parser.add_argument("--write", action="store_true", help="renew the files below docs/ of this checkout instead")
    parser.set_defaults(run=_print)


def _print(options: argparse.Namespace) -> int:
    if options.document != _SERVICES:
        pages = {DOCS / f"{options.document}.md": DOCUMENTS[options.document]()}
    else:
        from adapter.contract.pages import pages as generated  # noqa: PLC0415  — every service is loaded for it

        present = {path.name: path.read_text("utf-8") for path in (DOCS / _SERVICES).glob("*.md")}
        pages = {DOCS / _SERVICES / name: text for name, text in generated(present).items()}
    wanted = {path: text for path, text in pages.items() if options.action in (None, path.stem)}
    if not wanted:
        print(f"no page is generated for {options.action}", file=sys.stderr)
        return 1
    for path, text in wanted.items():
        if options.write:
            path.write_text(text, "utf-8")
        else:
            sys.stdout.write(text)
    return 0


def errors_page() -> str:
    """Return the text of docs/errors.md."""
    return "".join(
        (
            _HEAD,
            "\n## Retry classes\n\n",
            _table(("class", "what to do"), ((f"`{retry}`", _RETRY[retry]) for retry in Retry)),
            "\n## Codes of the adapter\n\n",
            _table(
                ("code", "description", "class", "meaning"),
                ((f"`{code.wire}`", code.sentence, f"`{code.retry}`", _MEANING[code]) for code in Code),
            ),
            _LOCKERS_HEAD,
            _table(
                ("code", "name", "description"),
                ((f"`{refusal.wire}`", f"`{refusal.vendor_name}`", refusal.sentence) for refusal in Refusal),
            ),
            _SMEV3_HEAD,
            "\n### What an outcome means\n\n",
            _table(("outcome", "what the adapter does"), ((f"`{key}`", text) for key, text in _OUTCOME.items())),
            "\n### By class\n\n",
            _fault_table("class", RULES),
            "\n### By code, where the class is absent or unknown\n\n",
            _fault_table("code", CODE_RULES),
        )
    )


def _fault_table(heading: str, rules: Mapping[str, FaultRule]) -> str:
    rows = (
        (f"`{name}`", f"`{rule.outcome}`", "" if rule.after is None else f"{rule.after:g} s", rule.advice)
        for name, rule in rules.items()
    )
    return _table((heading, "outcome", "pause", "recommendation"), rows)


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


#: Documents by name.
DOCUMENTS: Final[Mapping[str, Callable[[], str]]] = {"errors": errors_page}

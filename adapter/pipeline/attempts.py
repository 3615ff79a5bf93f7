"""What is written of an attempt to call, and what a rehearsed one is told by."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import orjson

from adapter.errors import Code, KnownError
from adapter.exchange import Reply
from adapter.journal.records import ProofRow
from adapter.xml.multipart import soap_message

if TYPE_CHECKING:
    from uuid import UUID

    from adapter.errors import AdapterError
    from adapter.exchange import Prepared
    from adapter.journal.records import Exchange


def request_proof(exchange_id: UUID, prepared: Prepared) -> ProofRow:
    """Return the intent to send: the exact bytes, who signed them, what files go along."""
    meta: dict[str, object] = {"operation": prepared.operation, "signed_by": list(prepared.signed_by)}
    if prepared.files:
        meta["files"] = _files(prepared)
    return ProofRow(exchange_id, "request", prepared.gateway_id, prepared.body, meta=orjson.dumps(meta))


def retry_proof(exchange: Exchange, error: AdapterError, *, sent: bool, raw: bytes = b"") -> ProofRow:
    """Return an attempt that ended without an answer; ``sent`` when it may have reached the gateway."""
    meta = {"code": error.code, "attempt": exchange.attempts, "sent": sent}
    return ProofRow(exchange.id, "retry", exchange.gateway_id, raw or None, meta=orjson.dumps(meta))


def cause_of(error: AdapterError) -> dict[str, str]:
    """Return what stood in the way, for the details of an error that is about something else."""
    return {"cause": error.code, "cause_description": error.description}


def uncertain(error: AdapterError) -> KnownError:
    """Return the error of a call that may have got through and may not be made again; ``error`` ended it."""
    return KnownError(Code.UNCERTAIN, details=cause_of(error))


def dry_run(prepared: Prepared) -> Reply:
    """Return what would have been sent: JSON as it is, of a package its envelope with everything in its place.

    Bytes that are neither JSON nor UTF-8 go out as base64. Files that would go along are listed.
    """
    content = _json(prepared.body)
    if content is None:
        try:
            content = {"xml": soap_message(prepared.body).decode()}
        except UnicodeDecodeError:
            content = {"content_base64": base64.b64encode(prepared.body).decode()}
    if prepared.files:
        content["files"] = _files(prepared)
    return Reply({"result": {"dry_run": True, "message_id": prepared.gateway_id, **content}})


def _json(body: bytes) -> dict[str, Any] | None:
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return {"json": told} if isinstance(told, dict) else None


def _files(prepared: Prepared) -> list[dict[str, Any]]:
    return [{"name": file.name, "size": file.size, "sha256": file.sha256} for file in prepared.files]

"""multipart/form-data read as it comes: small fields in memory, the file block by block into the store."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import BodyPartReader, hdrs, web

from simulators.epgu.faults import refuse, refuse_bare
from simulators.epgu.visit import CutError

if TYPE_CHECKING:
    from collections.abc import Collection

    from simulators.epgu.store import Piece, Store

_BLOCK = 1 << 18
_FIELD_MAX = 64 * 1024
#: A sender that says nothing for so long has gone.
_SILENCE = 60.0


@dataclass(slots=True)
class Upload:
    """What one request brought. ``meta`` is its JSON; ``too_large`` says that the file was longer than allowed."""

    fields: dict[str, str] = field(default_factory=dict)
    meta: dict[str, Any] | None = None
    file: Piece | None = None
    too_large: bool = False


async def read_upload(request: web.Request, store: Store, *, known: Collection[str], most: int, keep: bool) -> Upload:
    """Read a request whose parts are named in ``known``; of a file, ``most`` bytes are kept.

    The body is read to its end whatever is wrong, so that the sender reads the answer. Raises RefusedError; CutError
    when the sender has gone.
    """
    if request.content_type != "multipart/form-data":
        raise refuse_bare(415, "Content type is not supported: multipart/form-data is required")
    upload = Upload()
    faults: list[str] = []
    whole = False
    try:
        async for part in await request.multipart():
            if isinstance(part, BodyPartReader) and part.name == "file":
                await _read_file(part, upload, store, faults, most=most, keep=keep)
            elif isinstance(part, BodyPartReader) and part.name in known:
                await _read_field(part, upload, faults)
            else:
                faults.append("Неизвестная часть запроса")
        if upload.file is None:
            faults.append("Required request part 'file' is not present")
        whole = not faults
    except (ConnectionError, TimeoutError, web.RequestPayloadError):
        raise CutError from None
    except (ValueError, RuntimeError, AssertionError):
        # What aiohttp raises for a body that is no multipart; the rest cannot be read.
        faults.append("Тело запроса не является multipart/form-data")
    finally:
        if upload.file is not None and not whole:
            store.drop(upload.file)
    if faults:
        raise refuse("bad_request", faults[0])
    return upload


async def _read_file(  # noqa: PLR0913  — the part, where it goes and by which rules
    part: BodyPartReader, upload: Upload, store: Store, faults: list[str], *, most: int, keep: bool
) -> None:
    if upload.file is not None or not part.filename:
        faults.append("Часть file должна быть одна и иметь имя файла")
        await part.release()
        return
    with store.receiver(part.filename, keep=keep) as receiver:
        whole = False
        try:
            while block := await asyncio.wait_for(part.read_chunk(_BLOCK), _SILENCE):
                if receiver.size + len(block) > most:
                    upload.too_large = True
                else:
                    receiver.write(block)
            whole = True
        finally:
            if not whole:
                store.drop(receiver.piece)
    upload.file = receiver.piece


async def _read_field(part: BodyPartReader, upload: Upload, faults: list[str]) -> None:
    name = part.name or ""
    text = bytearray()
    while block := await asyncio.wait_for(part.read_chunk(_FIELD_MAX), _SILENCE):
        if len(text) <= _FIELD_MAX:
            text += block
    if len(text) > _FIELD_MAX or name in upload.fields:
        faults.append(f"Параметр {name} повторён или слишком велик")
        return
    try:
        upload.fields[name] = text.decode("utf-8")
    except UnicodeDecodeError:
        faults.append(f"Параметр {name} не в UTF-8")
        return
    if name == "meta":
        _read_meta(part, upload, faults)


def _read_meta(part: BodyPartReader, upload: Upload, faults: list[str]) -> None:
    kind = part.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip().lower()
    try:
        meta = json.loads(upload.fields["meta"])
    except ValueError:
        meta = None
    if kind != "application/json" or not isinstance(meta, dict):
        faults.append("Параметр meta должен быть JSON с Content-Type = application/json")
        return
    upload.meta = meta

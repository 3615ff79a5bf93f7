"""Attachments that the simulator makes itself: with the answers of its providers, and with requests put in by hand."""

from __future__ import annotations

import base64
import random
from typing import TYPE_CHECKING, Annotated, Literal
from uuid import uuid1

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, StringConstraints

from simulators.smev3.attachments import FILES_LIMIT, INLINE_LIMIT, Attachment
from simulators.smev3.streebog import digest_file, sign_again, sign_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from adapter.signing.gost import GostEngine
    from simulators.smev3.ftp import FtpArea
    from simulators.smev3.messages import Signer

_BLOCK = random.Random(3).randbytes(1 << 16)  # noqa: S311  — content of a test file


class WantedAttachment(BaseModel):
    """An attachment to be made: ``content_base64``, or ``size`` bytes that look random and are always the same.

    ``flaw`` makes it wrong: another ``hash`` in the header (FTP), a PKCS#7 over something else (``signature``) or none
    (``unsigned``), a header whose content is ``missing``, or a content that is ``short`` of its last byte.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, StringConstraints(pattern=r"^[^/\x00]{1,200}$")] = "file.txt"
    mime_type: str = "text/plain"
    content_base64: Base64Bytes | None = None
    size: int = Field(16, ge=0, le=FILES_LIMIT)
    by: Literal["mtom", "ftp"] = "mtom"
    flaw: Literal["hash", "signature", "unsigned", "missing", "short"] | None = None


class AttachmentMaker:
    """Makes attachments, signed by one key; large ones are written piece by piece."""

    def __init__(self, gost: GostEngine, area: FtpArea) -> None:
        """``area`` keeps those that go by FTP."""
        self._gost = gost
        self._area = area

    def make(self, wanted: Iterable[WantedAttachment], signer: Signer) -> tuple[Attachment, ...]:
        """Return what is wanted. Raises OSError, ValueError for one that is too large for where it should go."""
        return tuple(
            self._file(item, signer) if item.by == "ftp" else self._inline(item, signer, number)
            for number, item in enumerate(wanted, start=1)
        )

    def again(self, attachments: Iterable[Attachment], signer: Signer) -> tuple[Attachment, ...]:
        """Return ``attachments`` as ``signer``'s own, with new identifiers; files are shared, not copied."""
        made = []
        for number, item in enumerate(attachments, start=1):
            if item.path is None:
                data = item.data or b""
                signature = self._gost.sign_cms(signer.key, signer.certificate, data)
                made.append(Attachment(f"A{number}", item.name, item.mime_type, signature, item.size, data=data))
            else:
                signature = sign_again(self._gost, signer.key, signer.certificate, item.path, item.hash)
                made.append(
                    Attachment(
                        str(uuid1()), item.name, item.mime_type, signature, item.size, path=item.path, hash=item.hash
                    )
                )
        return tuple(made)

    def _inline(self, item: WantedAttachment, signer: Signer, number: int) -> Attachment:
        data = b"".join(_pieces(item))
        if len(data) > INLINE_LIMIT:
            raise ValueError("an attachment above 5 MB goes by ftp")
        signature = b"" if item.flaw == "unsigned" else self._signed(data, item, signer)
        sent = None if item.flaw == "missing" else data[:-1] if item.flaw == "short" else data
        return Attachment(f"A{number}", item.name, item.mime_type, signature, len(data), data=sent)

    def _signed(self, data: bytes, item: WantedAttachment, signer: Signer) -> bytes:
        return self._gost.sign_cms(signer.key, signer.certificate, data + b"!" if item.flaw == "signature" else data)

    def _file(self, item: WantedAttachment, signer: Signer) -> Attachment:
        path = self._area.new_file(item.name)
        with path.open("wb") as file:
            for piece in _pieces(item):
                file.write(piece)
        size = path.stat().st_size
        digest = digest_file(path)
        if item.flaw == "unsigned":
            signature = b""
        elif item.flaw == "signature":
            signature = self._signed(b"", item, signer)
        else:
            signature = sign_file(self._gost, signer.key, signer.certificate, path)
        if item.flaw == "hash":
            digest = digest[::-1]
        elif item.flaw == "missing":
            path.unlink()
        elif item.flaw == "short":
            with path.open("r+b") as file:
                file.truncate(max(0, size - 1))
        encoded = base64.b64encode(digest).decode()
        return Attachment(str(uuid1()), item.name, item.mime_type, signature, size, path=path, hash=encoded)


def _pieces(item: WantedAttachment) -> Iterable[bytes]:
    if item.content_base64 is not None:
        yield item.content_base64
        return
    for start in range(0, item.size, len(_BLOCK)):
        yield _BLOCK[: item.size - start]

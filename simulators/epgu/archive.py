"""Archives judged as the portal judges them: what the process code of an order becomes.

A flat zip, without archives inside; the files that the service wants, well-formed, about this order and this applicant;
detached signatures that are right.
"""

from __future__ import annotations

import errno
import hashlib
import lzma
import re
import struct
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

from lxml import etree

from adapter.xml.parser import MAX_BYTES, XmlError, parse
from simulators.epgu.signatures import SignatureError
from simulators.epgu.store import Member

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from simulators.epgu.accounts import User
    from simulators.epgu.catalogue import Service
    from simulators.epgu.profiles import Profile
    from simulators.epgu.signatures import SignatureDesk
    from simulators.epgu.store import Archive

_SIGNATURE = ".sig"
_SIGN_CONFIG = "sign_config.xml"
_SIGNATURE_MAX = 1 << 20
_PIECE = 1 << 20
#: More than this unpacked is no application but a bomb.
_UNPACKED_MAX = 4 * 2**30
_ARCHIVES = (".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".z", ".arj", ".cab")
_ARCHIVE_STARTS = (b"PK\x03\x04", b"PK\x05\x06", b"Rar!", b"7z\xbc\xaf", b"\x1f\x8b", b"BZh", b"\xfd7zXZ")
#: Documents that are zip files inside.
_ZIPPED_DOCUMENTS = (".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp", ".epub")

#: What reading a broken zip raises; OSError when its own offsets lead out of the file.
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    NotImplementedError,
    RuntimeError,
    EOFError,
    ValueError,
    OSError,
)


class ArchiveError(Exception):
    """An archive is not taken: ``code`` is of Приложение 1, the text what details say."""

    def __init__(self, code: str, text: str) -> None:
        """Keep both."""
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True)
class Application:
    """Whose archive, for what: all that it is held against."""

    order_id: int
    service: Service
    user: User
    profile: Profile
    now: datetime


def judge(archive: Archive, application: Application, desk: SignatureDesk) -> None:
    """Check an archive that is kept, and fill its ``members``; takes time, run it in a thread.

    Raises ArchiveError, OSError.
    """
    try:
        with archive.open() as file, zipfile.ZipFile(file) as opened:
            _Judge(opened, archive, application, desk).judge()
    except _UNREADABLE as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        raise ArchiveError("INVALID_FILES_STRUCTURE", "Архив не является zip-архивом") from None


class _Judge:
    def __init__(
        self, opened: zipfile.ZipFile, archive: Archive, application: Application, desk: SignatureDesk
    ) -> None:
        self._zip = opened
        self._archive = archive
        self._for = application
        self._service = application.service
        self._desk = desk
        self._names = [info.filename for info in opened.infolist()]

    def judge(self) -> None:
        self._structure()
        self._presence()
        self._read_members()
        roots = self._documents()
        self._data(roots)
        self._signatures(roots)

    def _structure(self) -> None:
        for info in self._zip.infolist():
            if "/" in info.filename or "\\" in info.filename:
                raise ArchiveError("INVALID_FILES_STRUCTURE", f"Архив содержит папку: {info.filename[:100]}")
            if info.flag_bits & 1:
                raise ArchiveError("INVALID_FILES_STRUCTURE", f"Файл зашифрован: {info.filename[:100]}")
        twice = next((name for name, number in Counter(self._names).items() if number > 1), None)
        if twice is not None:
            raise ArchiveError("INVALID_FILES_STRUCTURE", f"Файл повторяется: {twice[:100]}")
        if sum(info.file_size for info in self._zip.infolist()) > min(self._service.most_bytes, _UNPACKED_MAX):
            raise ArchiveError("VALIDATION_ERROR", "Файлы заявления слишком велики")
        if not self._service.nested:
            self._refuse_nested()

    def _refuse_nested(self) -> None:
        for name in self._names:
            lower = name.lower()
            inside = lower.endswith(_ARCHIVES)
            if not inside and not lower.endswith(_ZIPPED_DOCUMENTS):
                with self._zip.open(name) as file:
                    inside = file.read(8).startswith(_ARCHIVE_STARTS)
            if inside:
                raise ArchiveError("INVALID_FILES_STRUCTURE", f"Архив содержит вложенный архив: {name[:100]}")

    def _presence(self) -> None:
        service = self._service
        if not any(_is(name, service.transport) for name in self._names):
            raise ArchiveError("REQ_NOT_FOUND", "Не найден транспортный файл")
        for pattern in service.business:
            if not any(_is(name, pattern) for name in self._names):
                raise ArchiveError("MPC_NOT_FOUND", "Не найден файл с бизнес-данными")
        mains = {name for name in self._names if not name.endswith(_SIGNATURE)}
        allowed = (service.transport, *service.business, *service.others)
        for name in self._names:
            main = name.removesuffix(_SIGNATURE)
            config = name == _SIGN_CONFIG and self._for.profile.sign_config
            free = name.endswith(_SIGNATURE) and _SIGN_CONFIG in mains and self._for.profile.sign_config
            if not config and not free and (main not in mains or not any(_is(main, p) for p in allowed)):
                raise ArchiveError("VALIDATION_ERROR", f"Файл не предусмотрен спецификацией услуги: {name[:100]}")
        if len(mains) > service.most_files:
            raise ArchiveError("VALIDATION_ERROR", f"В архиве более {service.most_files} файлов")

    def _read_members(self) -> None:
        """Read everything once: a member whose CRC is wrong makes the archive unreadable."""
        for info in self._zip.infolist():
            digest = hashlib.sha256()
            with self._zip.open(info) as file:
                while piece := file.read(_PIECE):
                    digest.update(piece)
            self._archive.members.append(Member(info.filename, info.file_size, digest.hexdigest()))

    def _documents(self) -> dict[str, etree._Element]:
        roots = {}
        for name in self._names:
            if not name.lower().endswith(".xml"):
                continue
            try:
                roots[name] = parse(self._content(name, MAX_BYTES))
            except XmlError as error:
                raise ArchiveError("VALIDATION_ERROR", f"{name[:100]}: {error.rule}") from None
            for pattern, local in self._service.roots.items():
                if _is(name, pattern) and etree.QName(roots[name]).localname != local:
                    raise ArchiveError("VALIDATION_ERROR", f"{name[:100]}: ожидается корневой элемент {local}")
        return roots

    def _data(self, roots: dict[str, etree._Element]) -> None:
        service, user = self._service, self._for.user
        root = next((roots[name] for name in roots if _is(name, service.transport)), None)
        if root is None:
            return
        told = (
            (service.order_element, str(self._for.order_id), "Номер заявления"),
            (service.snils_element, user.snils, "СНИЛС"),
            (service.ogrn_element, user.ogrn, "ОГРН"),
        )
        for element, expected, title in told:
            if element and expected and re.sub(r"[ -]", "", _text(root, element)) != expected:
                raise ArchiveError("REQ_VERIFY_FAILED", f"{title} не соответствует данным заявления")
        if service.link_element and _text(root, service.link_element) not in self._names:
            raise ArchiveError("MPC_NOT_FOUND", "Не найден файл, указанный в транспортном файле")

    def _signatures(self, roots: dict[str, etree._Element]) -> None:
        beside = self._configured(roots.get(_SIGN_CONFIG))
        for name in self._names:
            if name.endswith(_SIGNATURE) or name == _SIGN_CONFIG:
                continue
            signatures = beside.get(name) or [name + _SIGNATURE]
            wanted = name in beside or any(_is(name, pattern) for pattern in self._service.signed)
            for signature in signatures:
                if signature in self._names:
                    self._signature(name, signature)
                elif wanted:
                    raise ArchiveError("FILES_VERIFICATION_FAILED", f"Отсутствует подпись файла {name[:100]}")

    def _configured(self, config: etree._Element | None) -> dict[str, list[str]]:
        """Return the names of signatures that sign_config.xml gives for each document."""
        if config is None or not self._for.profile.sign_config:
            return {}
        found: dict[str, list[str]] = {}
        for document in config.iter("{*}signedDocument", "signedDocument"):
            name = _text(document, "documentFileName")
            if name not in self._names:
                raise ArchiveError("VALIDATION_ERROR", f"{_SIGN_CONFIG}: нет файла {name[:100]}")
            found[name] = [_all_text(element) for element in document.iter() if _local(element) == "signFileName"]
        return found

    def _signature(self, name: str, signature: str) -> None:
        try:
            with self._zip.open(name) as file:
                self._desk.check_stream(self._content(signature, _SIGNATURE_MAX), cast("BinaryIO", file), self._for.now)
        except SignatureError as error:
            text = f"Подпись {signature[:100]} не прошла проверку: {error}"
            raise ArchiveError("FILES_VERIFICATION_FAILED", text) from None

    def _content(self, name: str, most: int) -> bytes:
        with self._zip.open(name) as file:
            data = file.read(most + 1)
        if len(data) > most:
            raise ArchiveError("VALIDATION_ERROR", f"Файл слишком велик: {name[:100]}")
        return data


def _is(name: str, pattern: str) -> bool:
    return re.fullmatch(pattern, name) is not None


def _elements(root: etree._Element) -> Iterable[etree._Element]:
    return root.iter(etree.Element)


def _local(element: etree._Element) -> str:
    return etree.QName(element).localname if isinstance(element.tag, str) else ""


def _text(root: etree._Element, local: str) -> str:
    """Return the text of the first element of a local name, "" when there is none."""
    return next((_all_text(element) for element in _elements(root) if _local(element) == local), "")


def _all_text(element: etree._Element) -> str:
    return "".join(str(text) for text in element.itertext()).strip()

"""The files of an application as a command says them, judged by name before anything is done. Pure."""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from adapter.errors import FieldFault, InvalidCommandError
from adapter.exchange import Attachment
from adapter.gateways.epgu.rules import SIGN_CONFIG, SIGNATURE, name_faults, rules_of
from adapter.services.epgu_common import CommandModel, ServiceCommand, ruled
from adapter.services.fields import broken
from adapter.services.json_body import capped

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Characters that hide in a name.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_URL = re.compile(r"(https?|ftp)://[^\s/?#]+(/\S*)?")


def _name(value: str) -> str:
    hidden = any(unicodedata.category(letter) in _HIDDEN for letter in value)
    if hidden or value != value.strip() or len(value.encode("utf-8", "surrogatepass")) > 255:
        raise broken("no_file_name", "имя файла не может содержать управляющие символы и пробелы по краям")
    return value


def _base64(value: str) -> str:
    try:
        binascii.a2b_base64(value.encode("ascii"), strict_mode=True)
    except ValueError:  # binascii.Error and UnicodeEncodeError are
        raise broken("no_base64", "значение не является base64") from None
    return value


class Content(CommandModel):
    """Where the bytes of a file are."""

    content_base64: Annotated[str, Field(min_length=1), AfterValidator(_base64)] | None = Field(
        None, description="Содержимое файла"
    )
    url: Annotated[str, Field(max_length=2048), ruled(_URL, "no_url", "ожидается адрес http, https или ftp")] | None = (
        Field(None, description="Адрес http, https или ftp на узле из FILES_IN_HOSTS")
    )
    path: (
        Annotated[
            str, Field(max_length=4096), ruled(re.compile("/.*", re.DOTALL), "no_path", "ожидается абсолютный путь")
        ]
        | None
    ) = Field(None, description="Абсолютный путь к файлу в одной из папок FILES_IN_PATHS")

    @model_validator(mode="after")
    def _one_source(self) -> Content:
        if sum(value is not None for value in (self.content_base64, self.url, self.path)) != 1:
            raise broken("one_source", "нужно указать одно из полей content_base64, url, path")
        return self

    def attachment(self, name: str, mime_type: str) -> Attachment:
        """Return the file as gateways take it."""
        content = None if self.content_base64 is None else base64.b64decode(self.content_base64)
        return Attachment(name, mime_type, content, self.url, self.path)


class FileOfApplication(Content):
    """One file of the archive."""

    name: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_name)] = Field(
        description="Имя файла в архиве, без папок"
    )
    sign: bool | None = Field(
        None, description="Подписать файл: рядом ляжет <name>.sig; без поля решают требования услуги"
    )


class ArchivedCommand(ServiceCommand):
    """A command that sends an archive: made of ``files``, or ready."""

    files: Annotated[list[FileOfApplication], Field(min_length=1, max_length=1000)] | None = Field(
        None, description="Файлы, из которых составляется плоский архив"
    )
    archive: Content | None = Field(None, description="Готовый архив zip, вместо files")

    @model_validator(mode="after")
    def _files_or_archive(self) -> ArchivedCommand:
        if (self.files is None) == (self.archive is None):
            raise broken("files_or_archive", "нужно указать одно из полей files, archive")
        return self

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """The files as gateways take them."""
        if self.archive is not None:
            return (self.archive.attachment("archive.zip", "application/zip"),)
        return tuple(file.attachment(file.name, "application/octet-stream") for file in self.files or ())

    def wanted(self, substitute: tuple[str, ...] = ()) -> dict[str, Any]:
        """Return what the gateway is to do with the files."""
        names = {file.name for file in self.files or ()}
        rules = rules_of(self.service_code)
        sign = [
            file.name
            for file in self.files or ()
            if file.sign or (file.sign is None and rules.wants_signature(file.name) and not _signed(file.name, names))
        ]
        return {"ready": self.archive is not None, "sign": sign, "substitute": list(substitute)}


def check_files(model: ArchivedCommand, substitute: list[str] | None = None) -> None:
    """Raise InvalidCommandError for every file of a command that its archive could not hold."""
    faults = [*_file_faults(model), *_substitute_faults(model, substitute or [])]
    if faults:
        raise InvalidCommandError(capped(faults))


def _file_faults(model: ArchivedCommand) -> Iterator[FieldFault]:
    files = model.files or []
    names = [file.name for file in files]
    if not files:
        return
    rules = rules_of(model.service_code)
    for position, rule in name_faults(names, rules, nested=False):
        yield FieldFault("files" if position is None else f"files[{position}].name", rule)
    for position, file in enumerate(files):
        given = _signed(file.name, set(names))
        if file.sign and (given or file.name.endswith(SIGNATURE)):
            yield FieldFault(f"files[{position}].sign", "подпись этого файла уже есть среди файлов")
        if file.sign is False and rules.wants_signature(file.name) and not given:
            yield FieldFault(f"files[{position}].sign", "услуга требует подпись этого файла")


def _substitute_faults(model: ArchivedCommand, substitute: list[str]) -> Iterator[FieldFault]:
    if substitute and model.archive is not None:
        yield FieldFault("substitute", "в готовый архив номер заявления не подставляется")
        return
    names = {file.name for file in model.files or ()}
    for position, name in enumerate(substitute):
        if name not in names:
            yield FieldFault(f"substitute[{position}]", "такого файла нет среди files")
        elif name + SIGNATURE in names or SIGN_CONFIG in names:
            yield FieldFault(f"substitute[{position}]", "файл уже подписан: подстановка номера нарушит подпись")


def _signed(name: str, names: set[str]) -> bool:
    return name + SIGNATURE in names or SIGN_CONFIG in names

"""An answer as it is journaled and read back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import Code, FieldFault, KnownError
from adapter.exchange import Answer, AnswerKind, StoredFile
from adapter.pipeline.answers import _record, read_answer

FILES = st.builds(
    StoredFile,
    name=st.text(max_size=20),
    mime_type=st.sampled_from(["text/plain", "application/pdf"]),
    size=st.integers(0, 2**40),
    sha256=st.sampled_from(["ab" * 32]),
    path=st.sampled_from(["ab/" + "ab" * 32]),
    content=st.none() | st.binary(max_size=50),
)


def read_back(answer: Answer) -> Answer:
    row = _record(answer)
    facts: Any = {"meta": row.meta, "message_id": row.message_id, "data": row.data, "content": row.content}
    exchange: Any = SimpleNamespace(gateway_id=answer.reference)
    return read_answer([facts], exchange)


@given(st.lists(FILES, max_size=4).map(tuple))
def test_files_are_read_back_as_they_came(files: tuple[StoredFile, ...]) -> None:
    answer = Answer("smev3", "key", "reference", AnswerKind.ANSWER, b"raw", b"<a/>", attachments=files)
    assert read_back(answer).attachments == files


def test_a_fault_of_an_attachment_is_read_back_with_the_place_it_names() -> None:
    fault = KnownError(Code.ATTACHMENT_WRONG, fields=[FieldFault("attachments[1]", "не тот")])
    answer = Answer("smev3", "key", "reference", AnswerKind.REJECTION, b"raw", b"<a/>", fault=fault)
    read = read_back(answer)
    assert read.fault is not None
    assert read.fault.to_wire() == fault.to_wire()


def test_an_answer_without_files_says_nothing_of_any() -> None:
    row = _record(Answer("smev3", "key", "reference", AnswerKind.ANSWER, b"raw"))
    assert "attachments" not in orjson.loads(row.meta or b"")

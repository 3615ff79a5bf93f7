"""Answers to nothing that was sent here: listed for a person, their bytes handed out with a reason."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING
from uuid import UUID

from adapter.exchange import Answer, AnswerKind
from tests.integration.test_recovery_commands import Desk, desk, kinds, meta  # noqa: F401 — the same desk

if TYPE_CHECKING:
    from tests.integration.conftest import House

RAW = b"<Envelope>\x00 exactly as it came</Envelope>"


async def brought(house: House, key: str) -> None:
    """Have the gateway bring an answer to a request that nobody has sent."""
    await house.source.bring(Answer("scripted", key, "not-ours", AnswerKind.ANSWER, RAW, b"<a/>"))


async def test_orphans_are_listed_with_the_request_that_they_name(house: House, desk: Desk) -> None:  # noqa: F811
    assert (await desk.type("orphans")).out == "no orphans in this time\n"
    await brought(house, "stray")
    (row,) = (await desk.type("orphans", "--json")).json
    assert (row["message_id"], row["reference"], row["source"], row["size"]) == (
        *("stray", "not-ours", "scripted"),
        len(RAW),
    )
    assert "stray  answer  about not-ours" in (await desk.type("orphans", "--since", "1h")).out
    assert (await desk.type("orphans", "--until", "1h", "--json")).json == []


async def test_the_bytes_of_an_orphan_are_handed_out_with_a_reason_alone(house: House, desk: Desk) -> None:  # noqa: F811
    await brought(house, "stray")
    assert (await desk.type("orphans", "stray")).code == 2
    shown = subprocess.run(  # noqa: ASYNC221 — nothing else runs meanwhile
        [sys.executable, "-m", "adapter", "orphans", "stray", "--reveal", "asked by support"],
        env=house.environment | {"PATH": "/usr/bin:/bin"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (shown.returncode, shown.stdout) == (0, RAW), shown.stderr
    (row,) = (await desk.type("orphans", "--json")).json
    assert await kinds(house, UUID(row["id"])) == ["answer", "revealed"]
    assert (await meta(house, UUID(row["id"]), "revealed"))["reason"] == "asked by support"
    assert (await desk.type("orphans", "nobody", "--reveal", "why not")).code == 1

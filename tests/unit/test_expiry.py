"""The calendar of certificates: all that the configuration names, said at 30, 14 and 3 days, once each."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import structlog
import trustme

from adapter.expiry import THRESHOLDS, Calendar, Expiring, given
from adapter.settings.pem import Pem, anchors, certificates, private_key

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def issued(authority: trustme.CA, days: float) -> bytes:
    leaf = authority.issue_cert("localhost", not_after=datetime.now(UTC) + timedelta(days=days))
    return leaf.cert_chain_pems[0].bytes()


def configured(**groups: Any) -> Any:
    empty = dict.fromkeys(("broker", "database", "smev", "signing", "shep", "epgu", "postamat", "elastic"))
    return SimpleNamespace(**(empty | groups))


@pytest.mark.parametrize(
    ("days", "threshold"), [(31, None), (30, 30), (29.5, 30), (14, 14), (3.5, 14), (3, 3), (-1, 3)], ids=str
)
def test_the_smallest_threshold_that_is_reached_counts(days: float, threshold: int | None) -> None:
    entry = Expiring("CLIENT_CERT", NOW + timedelta(days=days))
    assert entry.threshold(NOW) == threshold
    assert ("ended" in entry.sentence(NOW)) is (days < 0)


def test_every_certificate_that_the_configuration_names_is_in_the_calendar(tmp_path: Path) -> None:
    authority = trustme.CA()
    file = tmp_path / "client.pem"
    file.write_bytes(issued(authority, 20))
    ca = authority.cert_pem.bytes().decode()
    key = private_key(authority.issue_cert("x").private_key_pem.bytes().decode())
    broker = SimpleNamespace(ca=certificates(ca + trustme.CA().cert_pem.bytes().decode()), key=key)
    broker.certificate = certificates(str(file))
    smev = SimpleNamespace(trust=anchors(ca))
    settings = configured(broker=broker, smev=smev)
    found = {entry.name: entry for entry in given(settings)}
    assert set(found) == {"CA_CERT.1", "CA_CERT.2", "CLIENT_CERT", "SMEV_TRUST"}
    assert 19 < found["CLIENT_CERT"].days() < 20
    file.write_bytes(issued(authority, 400))
    assert {entry.name: entry for entry in given(settings)}["CLIENT_CERT"].days() > 398
    file.unlink()
    assert "CLIENT_CERT" not in {entry.name for entry in given(settings)}


async def test_each_threshold_is_said_once_and_again_for_a_renewed_certificate(tmp_path: Path) -> None:
    authority = trustme.CA()
    file = tmp_path / "client.pem"
    file.write_bytes(issued(authority, 20))
    settings = configured(broker=SimpleNamespace(certificate=certificates(str(file)), ca=None, key=None))
    calendar = Calendar(settings)
    with structlog.testing.capture_logs() as lines:
        await calendar._read()
        await calendar._read()
        file.write_bytes(issued(authority, 2))
        await calendar._read()
        file.write_bytes(issued(authority, 300))
        await calendar._read()
    said = [line for line in lines if line["event"] == "a certificate nears its end"]
    assert [(line["log_level"], line["days"]) for line in said] == [("warning", 19), ("error", 1)]
    assert 298 < calendar.days()["CLIENT_CERT"] < 300


async def test_a_signing_service_that_is_away_leaves_the_other_certificates(tmp_path: Path) -> None:
    signing = SimpleNamespace(
        url="http://127.0.0.1:1", timeout=1, tokens={"ov": "t"}, personal=False, key_ov="ov", key_sp="sp",
        ssl_context=lambda: None, ca=None, certificate=None,
    )  # fmt: skip
    authority = trustme.CA()
    broker = SimpleNamespace(ca=Pem.of(authority.cert_pem.bytes().decode()), certificate=None, key=None)
    calendar = Calendar(configured(signing=signing, smev=SimpleNamespace(trust=()), broker=broker))
    task = asyncio.create_task(calendar.run())
    async with asyncio.timeout(20):
        while not calendar.entries:  # noqa: ASYNC110 — the calendar gives no signal
            await asyncio.sleep(0.01)
    task.cancel()
    assert [entry.name for entry in calendar.entries] == ["CA_CERT"]


def test_the_thresholds_are_thirty_fourteen_and_three_days() -> None:
    assert THRESHOLDS == (30, 14, 3)

"""With the real gateway of СМЭВ3: what it and the signing service may answer on a bad day stays with them."""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import trustme

from bench.chaos.books import never_submitted
from tests.faults.conftest import later
from tests.faults.crooked import Door
from tests.faults.pulse import Twins
from tests.faults.recorder import Recorder
from tests.faults.test_killed_at_every_point import ACTION, assert_the_books_balance, requests

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from bench.chaos.auditor import Auditor
    from bench.chaos.processes import Victim
    from deploy.local.postgres import LocalPostgres
    from tests.faults.conftest import Contour, Yard

#: Commands of СМЭВ3 before the fault and during it.
BEFORE, DURING = 5, 25


@asynccontextmanager
async def neighbours(
    yard: Yard, postgres: LocalPostgres, contour: Contour, **doors: str
) -> AsyncIterator[tuple[Auditor, Victim, Twins]]:
    """Serve the real action through ``doors`` (variables) and a calm one beside it."""
    async with Recorder.listening() as calm:
        yard.environment |= contour.environment | {"SERVICES": f"{ACTION},calm", "CALM_RECORDER": calm.url}
        yard.environment |= {"SMEV_TIMEOUT": "2", "SIGN_TIMEOUT": "1"} | doors
        async with (
            yard.auditor(ACTION) as auditor,
            yard.worker() as victim,
            Twins.beside(yard, postgres, "calm") as twins,
        ):
            await auditor.publish(requests(BEFORE))
            await auditor.answered(60)
            yield auditor, victim, twins


@pytest.mark.parametrize("way", ["frozen", later("slow"), "html", later("truncated"), "charset"])
async def test_a_gateway_that_answers_crookedly_hurts_only_its_own_commands(
    yard: Yard, postgres: LocalPostgres, contour: Contour, way: str
) -> None:
    async with (
        Door.before(contour.url) as door,
        neighbours(yard, postgres, contour, SMEV_SERVICE=f"{door.url}/smev/v1.2/ws") as (auditor, victim, twins),
    ):
        door.turn(way)
        await auditor.publish(requests(DURING))
        await twins.assert_undisturbed(f"СМЭВ3 {way}")
        if way != "slow":
            await victim.said("the other side is away")
        door.turn("straight")
        await assert_the_books_balance(yard, contour, auditor, BEFORE + DURING)


@pytest.mark.parametrize("way", [later("frozen"), "html", later("truncated")])
async def test_a_signing_service_that_answers_crookedly_hurts_only_who_needs_it(
    yard: Yard, postgres: LocalPostgres, contour: Contour, way: str
) -> None:
    async with (
        Door.before(contour.environment["SIGN_SERVICE"]) as door,
        neighbours(yard, postgres, contour, SIGN_SERVICE=door.url) as (auditor, victim, twins),
    ):
        door.turn(way)
        await auditor.publish(requests(DURING))
        await twins.assert_undisturbed(f"signing {way}")
        await victim.said("smev3 signing")
        door.turn("straight")
        await assert_the_books_balance(yard, contour, auditor, BEFORE + DURING)


def serve_as(context: ssl.SSLContext, authority: trustme.CA, until: datetime) -> None:
    """Shake hands from now on with a certificate that is valid until then."""
    authority.issue_cert("127.0.0.1", not_after=until).configure_cert(context)


async def test_a_gateway_whose_certificate_has_expired_hurts_only_its_own_commands(
    yard: Yard, postgres: LocalPostgres, contour: Contour, tmp_path: Path
) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    now = datetime.now(UTC)
    serve_as(context, authority, now + timedelta(days=1))
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    yard.environment["SSL_CERT_FILE"] = str(tmp_path / "authority.pem")
    async with (
        Door.before(contour.url, context) as door,
        neighbours(yard, postgres, contour, SMEV_SERVICE=f"{door.url}/smev/v1.2/ws") as (auditor, victim, twins),
    ):
        serve_as(context, authority, now - timedelta(minutes=1))
        commands = requests(DURING)
        await auditor.publish(commands)
        await twins.assert_undisturbed("СМЭВ3 with an expired certificate")
        await victim.said("the other side is away")
        names = sorted(name for name, _ in commands)
        assert never_submitted(await contour.ledger(), names) == names
        serve_as(context, authority, now + timedelta(days=1))
        await assert_the_books_balance(yard, contour, auditor, BEFORE + DURING)

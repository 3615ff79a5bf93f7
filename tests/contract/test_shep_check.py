"""What check and the calendar ask for the ШЭП: signatures by its keys, their certificates, its schemas."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from adapter.checking.gateways import schemas
from adapter.checking.shep_keys import signatures
from adapter.expiry import of_keys, of_shep_keys
from adapter.settings.shep_registry import ShepRegistry
from tests.contract.shep_signing import Hand
from tests.contract.sign_service_stand import serving
from tests.contract.test_shep_ncanode import NcaNode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from adapter.signing.kz import KzEngine

pytest_plugins = ("tests.contract.shep_fixtures",)


@pytest.fixture
async def settings(kz: KzEngine, shep_keys: Path) -> AsyncIterator[Any]:
    """A configuration whose keys are sent to NCANode."""
    stand_in = NcaNode(Hand(kz, shep_keys, "shep"))
    async with serving(stand_in.app()) as url:
        shep = SimpleNamespace(
            backend="ncanode", registry=ShepRegistry(),
            system_key="shep", system_p12=b"p12", system_p12_password="Qwerty12", system_p12_alias=None,
            official_key="shep-official", official_p12=None, official_p12_password=None, official_p12_alias=None,
        )  # fmt: skip
        signing = SimpleNamespace(url=url, timeout=10, ssl_context=lambda: None)
        services = SimpleNamespace(actions=("shep.sync.send", "zhkh-debt-requests"))
        found = SimpleNamespace(shep=shep, signing=signing, smev=None, epgu=None, services=services, stand_in=stand_in)
        yield found


async def test_the_certificate_of_a_key_that_is_sent_is_in_the_calendar(settings: Any) -> None:
    (entry,) = await of_keys(settings)
    assert entry.name == "key shep"
    assert entry.days() > 0
    async with aiohttp.ClientSession() as session:
        assert await of_shep_keys(settings.shep, settings.signing, session) == [entry]


async def test_check_has_the_key_sign_and_says_how_long_it_lasts(settings: Any) -> None:
    signed, lasting = await signatures(settings)
    assert (signed.ok, signed.sentence) == (True, "key shep: signed and verified")
    assert lasting.ok
    assert "days left" in lasting.sentence


async def test_a_refused_signature_is_a_fault_of_check(settings: Any) -> None:
    settings.stand_in.status = 400
    (finding,) = await signatures(settings)
    assert finding.ok is False
    assert "ADAPTER-SIGNATURE" in finding.sentence


async def test_check_names_every_schema_that_does_not_compile(
    settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings.shep, settings.smev = None, SimpleNamespace(version="1.3")
    assert (await schemas(settings, {}))[0].sentence.startswith("2 compile, ")
    monkeypatch.setattr("adapter.checking.gateways.SCHEMAS", tmp_path)
    found = await schemas(settings, {})
    assert [finding.ok for finding in found] == [False, False]
    assert "smev3/1.3/service.xsd: does not compile" in found[0].sentence


async def test_check_compiles_the_schemas_of_what_is_served_and_the_wsdls(settings: Any) -> None:
    (finding,) = await schemas(settings, {})
    assert finding.ok
    assert finding.sentence.startswith("5 compile, ")

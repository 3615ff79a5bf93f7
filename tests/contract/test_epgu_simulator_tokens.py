"""ЕСИА beside the ЕПГУ simulator: tokens by API-Key, renewal for persons, the end of tokens."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.epgu_caller import BLOCKED, HEAD, NO_CONSENT_OID, OTHER_SYSTEM, PERSON_OID, SYSTEM

if TYPE_CHECKING:
    from tests.contract.epgu_caller import Reply, World

pytest_plugins = ("tests.contract.epgu_fixtures",)


def claims(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    told: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return told


def told(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.json["error_description"].partition(":")[0]


async def test_a_token_says_whose_it_is_and_when_it_ends(world: World) -> None:
    reply = await world.ext_app()
    assert reply.status == 200
    said = claims(reply.json["accessTkn"])
    assert (said["client_id"], said["org_oid"], said["urn:esia:sbj_id"]) == (SYSTEM, 1000000001, 1000000101)
    scopes = said["scope"].split()
    assert scopes == ["http://lk.gosuslugi.ru/api-order", "http://esia.gosuslugi.ru/org_ogrn?org_oid=1000000001"]
    assert said["exp"] - said["iat"] == reply.json["expiresIn"] == 3600


@pytest.mark.parametrize("by", ["ov", "ov512", "sp"])
async def test_every_registered_certificate_may_sign_the_api_key(world: World, by: str) -> None:
    assert (await world.ext_app(by=by)).status == 200


@pytest.mark.parametrize("by", ["stranger", "expired", "smev"])
async def test_another_certificate_may_not(world: World, by: str) -> None:
    assert told(await world.ext_app(by=by)) == (401, "ESIA-008010")


async def test_a_certificate_of_another_system_may_not(world: World) -> None:
    assert (await world.ext_app(OTHER_SYSTEM, by="ov512")).status == 200
    assert told(await world.ext_app(OTHER_SYSTEM, by="ov")) == (401, "ESIA-008010")


async def test_the_signature_is_over_the_very_text_of_the_key(world: World) -> None:
    for text in (HEAD.upper() + " ", "", HEAD + "\n", f'"{HEAD}"'):
        signature = base64.urlsafe_b64encode(world.signed(text.encode())).decode()
        assert told(await world.ext_app(signature=signature)) == (401, "ESIA-008010")


async def test_padding_may_be_left_out_and_other_alphabets_are_refused(world: World) -> None:
    for _ in range(50):  # one of them has to have a character that the alphabets write differently
        der = world.signed(HEAD.encode())
        plain = base64.b64encode(der).decode()
        if "+" in plain or "/" in plain:
            break
    assert (await world.ext_app(signature=base64.urlsafe_b64encode(der).decode().rstrip("="))).status == 200
    assert told(await world.ext_app(signature=plain)) == (401, "ESIA-008010")


@pytest.mark.parametrize("signature", ["x", "!", "é", "AAAA", "=" * 4, "MIIB" * 500])
async def test_what_is_no_signature_is_refused(world: World, signature: str) -> None:
    assert told(await world.ext_app(signature=signature)) == (401, "ESIA-008010")


async def test_a_signature_is_wanted(world: World) -> None:
    assert told(await world.ext_app(signature="")) == (400, "ESIA-007014")


async def test_keys_that_are_unknown_or_blocked_get_nothing(world: World) -> None:
    assert told(await world.ext_app(BLOCKED)) == (403, "ESIA-007005")
    assert told(await world.ext_app("99999999-9999-4999-8999-999999999999")) == (403, "ESIA-007005")


async def test_a_token_ends_at_its_time(world: World) -> None:
    await world.set(token_life=300)
    await world.reserved()
    await world.advance(299)
    await world.reserved()
    await world.advance(2)
    reply = await world.order()
    assert (reply.status, reply.body) == (401, b"")
    world.tokens.clear()
    await world.reserved()


async def test_one_token_may_be_made_to_end_early(world: World) -> None:
    await world.scenario(operation="token", token_life=0, times=1)
    assert (await world.order()).status == 401
    world.tokens.clear()
    assert (await world.order()).status == 200


async def test_a_token_that_was_changed_is_nobodys(world: World) -> None:
    head, body, seal = (await world.token()).split(".")
    said = claims(f"{head}.{body}.{seal}") | {"exp": 2**40}
    forged = base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")
    assert (await world.order(token=f"{head}.{forged}.{seal}")).status == 401


async def test_a_user_who_is_gone_has_no_token_after_reset(world: World) -> None:
    user = {"oid": "5", "kind": "PERSON"}
    await world.admin("POST", "accounts", {"users": [user]}, 201)
    token = await world.person("5")
    assert (await world.order(token=token)).status == 200
    await world.admin("POST", "reset")
    assert (await world.order(token=token)).status == 401


class TestRenewal:
    """A person's token renewed without the person."""

    @staticmethod
    async def renew(
        world: World, version: str = "v3", *, by: str = "ov", at: datetime | None = None, **changes: str | None
    ) -> Reply:
        """Ask for a renewal, signed as it stands, except for what is changed afterwards (``None`` leaves it out)."""
        now = at or datetime.fromisoformat((await world.admin("GET", "clock"))["now"])
        values = {
            "client_id": SYSTEM,
            "scope": f"prm_chg?oid={PERSON_OID}",
            "timestamp": now.astimezone(UTC).strftime("%Y.%m.%d %H:%M:%S +0000"),
            "state": "5a5e7f0e-0000-4000-8000-000000000000",
            "redirect_uri": "https://example.test/",
            "grant_type": "client_credentials",
            "token_type": "Bearer",
        } | {name: value for name, value in changes.items() if value is not None and name != "client_secret"}
        if version == "v1":
            text = values["scope"] + values["timestamp"] + values["client_id"] + values["state"]
            secret = world.signed(text.encode(), by)
        else:
            text = "".join(values[name] for name in ("client_id", "scope", "timestamp", "state", "redirect_uri"))
            secret = world.raw(text.encode(), by)
            digest = world.gost.digest(256, world.certificate(by)).hex().upper()
            values.setdefault("client_certificate_hash", digest)
        values["client_secret"] = base64.urlsafe_b64encode(secret).decode()
        form = values | {name: value for name, value in changes.items() if name == "client_secret" and value}
        form = {name: value for name, value in form.items() if changes.get(name, "") is not None}
        return await world.ask("POST", "/aas/oauth2/te" if version == "v1" else "/aas/oauth2/v3/te", data=form)

    @pytest.mark.parametrize("version", ["v1", "v3"])
    async def test_a_renewed_token_works_for_a_day(self, world: World, version: str) -> None:
        reply = await self.renew(world, version)
        assert reply.status == 200, reply.body
        assert (reply.json["token_type"], reply.json["expires_in"]) == ("Bearer", 86_400)
        assert reply.json["state"] == "5a5e7f0e-0000-4000-8000-000000000000"
        said = claims(reply.json["access_token"])
        assert said["urn:esia:sbj_id"] == int(PERSON_OID)
        assert "APIPGU" in json.dumps(said["permissions"])
        assert (await world.order(token=reply.json["access_token"])).status == 200

    @pytest.mark.parametrize("version", ["v1", "v3"])
    @pytest.mark.parametrize("by", ["stranger", "expired", "smev"])
    async def test_a_stranger_renews_nothing(self, world: World, version: str, by: str) -> None:
        assert told(await self.renew(world, version, by=by)) == (400, "ESIA-007053")

    @pytest.mark.parametrize("version", ["v1", "v3"])
    async def test_the_secret_is_over_what_is_asked(self, world: World, version: str) -> None:
        other = (await self.renew(world, version)).json["state"]
        assert other
        for secret in ("AAAA", "!", base64.urlsafe_b64encode(world.signed(b"another")).decode()):
            assert told(await self.renew(world, version, client_secret=secret)) == (400, "ESIA-007053")

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"scope": None}, "ESIA-007014"),
            ({"timestamp": None}, "ESIA-007014"),
            ({"state": None}, "ESIA-007014"),
            ({"client_certificate_hash": None}, "ESIA-007014"),
            ({"scope": "openid"}, "ESIA-007006"),
            ({"scope": "prm_chg?oid=404"}, "ESIA-007011"),
            ({"scope": f"prm_chg?oid={NO_CONSENT_OID}"}, "ESIA-007019"),
            ({"grant_type": "password"}, "ESIA-007009"),
            ({"token_type": "Basic"}, "ESIA-007003"),
            ({"timestamp": "yesterday"}, "ESIA-007003"),
            ({"client_id": "NOBODY"}, "ESIA-008010"),
            ({"client_certificate_hash": "00"}, "ESIA-007053"),
        ],
    )
    async def test_every_parameter_is_checked(self, world: World, change: dict[str, str | None], code: str) -> None:
        assert told(await self.renew(world, **change))[1] == code

    @pytest.mark.parametrize("minutes", [-6, 6])
    async def test_a_clock_that_is_off_is_told(self, world: World, minutes: int) -> None:
        now = datetime.fromisoformat((await world.admin("GET", "clock"))["now"])
        reply = await self.renew(world, at=now + timedelta(minutes=minutes))
        assert told(reply) == (400, "ESIA-007015")
        assert reply.json["state"]

    async def test_a_refresh_token_works_once_and_for_its_system(self, world: World) -> None:
        login = {"client_id": SYSTEM, "oid": PERSON_OID}
        first = (await world.admin("POST", "persons", login, 201))["refresh_token"]
        grant = {"grant_type": "refresh_token", "scope": "openid"}
        second = await self.renew(world, **grant, refresh_token=first)
        assert second.status == 200
        assert told(await self.renew(world, **grant, refresh_token=first)) == (400, "ESIA-007011")
        assert (await self.renew(world, **grant, refresh_token=second.json["refresh_token"])).status == 200

    async def test_errors_of_esia_come_on_demand(self, world: World) -> None:
        await world.scenario(operation="renewal", refuse="ESIA-007008", times=1)
        await world.scenario(operation="token", refuse="ESIA-007008", times=1)
        assert told(await self.renew(world)) == (503, "ESIA-007008")
        assert told(await world.ext_app()) == (503, "ESIA-007008")
        assert (await world.ext_app()).status == 200

    async def test_a_renewal_may_end_early_too(self, world: World) -> None:
        await world.scenario(operation="renewal", token_life=60, times=1)
        assert (await self.renew(world)).json["expires_in"] == 60

    async def test_nobody_logs_in_a_stranger(self, world: World) -> None:
        await world.admin("POST", "persons", {"client_id": SYSTEM, "oid": "404"}, 400)

"""What the follower asks of ЕПГУ, against the simulator: pages and details know a change by the same words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from adapter.gateways.epgu.follow_asking import (
    AwayFromGatewayError,
    GatewayAsking,
    NoTokenError,
    RefusedByGatewayError,
)
from adapter.gateways.epgu.follow_news import Followed, Stage, news_of
from adapter.gateways.epgu.limits import Bounds
from adapter.gateways.epgu.profiles import PROFILES
from adapter.gateways.epgu.tokens import Who
from tests.contract.epgu_caller import SYSTEM

if TYPE_CHECKING:
    from tests.contract.epgu_stand import Parts, Stand

pytest_plugins = ("tests.contract.epgu_fixtures", "tests.contract.epgu_gateway_fixtures")

STATUSES = [{"status_id": 17, "after": 60}, {"status_id": 21, "after": 30}, {"status_id": 2}]


def asking(stand: Stand) -> GatewayAsking:
    gateway: Any = stand.gateway
    return GatewayAsking(gateway._options, gateway._operations)


def followed(number: int, **who: str) -> Followed:
    return Followed(
        order_id=number,
        exchange_id=UUID(int=1),
        who=Who(**who),
        profile=None,
        stage=Stage.STATUSES,
        from_cancel=False,
        looks=0,
        seen=None,
        told=(),
        needs_token=False,
        version=0,
    )


async def made(parts: Parts, count: int = 1) -> list[int]:
    order = {"client_id": SYSTEM, "oid": "1000000101", "service_code": "10000000113"}
    said = await parts.world.admin("POST", "orders", {**order, "count": count, "statuses": STATUSES})
    numbers: list[int] = said["order_ids"]
    return numbers


@pytest.mark.parametrize("profile", PROFILES)
async def test_pages_and_details_name_a_status_by_the_same_moment(parts: Parts, profile: str) -> None:
    await parts.world.set(profile=profile)
    ask = asking(parts.stand(PROFILES[profile]))
    (number,) = await made(parts)
    (changed,) = (await ask.changed(Who(), datetime.now(UTC), 10)).items()
    details, record, zone = await ask.details(followed(number))
    news = news_of(followed(number), details, zone)
    assert [event.body["status_id"] for event in news.events] == [17, 21, 2]
    assert changed == (number, news.told[-1])
    assert await ask.statuses(Who(), [number, 5]) == {number: news.told[-1]}
    assert b"Authorization" in record
    assert b"eyJ" not in record


async def test_every_page_is_read_and_what_changed_long_ago_is_not_asked_for(parts: Parts) -> None:
    ask = asking(parts.stand())
    numbers = await made(parts, 230)
    assert set(await ask.changed(Who(), datetime.now(UTC), 10)) == set(numbers)
    assert await ask.changed(Who(), datetime.now(UTC) + timedelta(seconds=20), 10) == {}


async def test_a_no_is_about_a_token_about_one_order_or_about_everything(parts: Parts) -> None:
    stand = parts.stand()
    ask, (number,) = asking(stand), await made(parts)
    for who in ({"key": "blocked"}, {"key": "nobody"}, {"token": "a" * 64}, {"key": "neighbour"}):
        with pytest.raises(NoTokenError):
            await ask.details(followed(number, **who))
    with pytest.raises(RefusedByGatewayError):
        await ask.details(followed(5))
    await parts.world.scenario(operation="details", refuse="internal_error", times=1)
    with pytest.raises(RefusedByGatewayError):
        await ask.details(followed(number))
    for effect in ({"status": 503}, {"drop": "before"}, {"status": 429}):
        await parts.world.scenario(operation="details", times=1, **effect)
        with pytest.raises(AwayFromGatewayError):
            await ask.details(followed(number))
    with pytest.raises(AwayFromGatewayError):
        await asking(parts.stand(bounds=Bounds(minute=0))).details(followed(number))

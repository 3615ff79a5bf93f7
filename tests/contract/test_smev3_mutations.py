"""The simulator cannot be fooled: every single change of a good signed message is refused with a fault."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

import pytest

from simulators.smev3.config import SimulatorConfig
from simulators.smev3.faults import RefusedError
from simulators.smev3.names import VERSIONS
from simulators.smev3.simulator import Simulator, Visit
from tests.contract.smev3_caller import message_id
from tests.contract.smev3_mutations import Good
from tests.contract.smev3_wrapping import EQUIVALENTS, MUTATIONS

if TYPE_CHECKING:
    from pathlib import Path

    from adapter.signing.gost import GostEngine
    from tests.contract.smev3_caller import Caller, Clock
    from tests.contract.smev3_world import World

pytest_plugins = ("tests.contract.smev3_fixtures",)

#: What the service says in so many words; other changes may be found out by the schema or by the sums alike.
FINDINGS = {
    "a letter of a name is another": "SignatureIsInvalid",
    "a space is doubled inside a value": "SignatureIsInvalid",
    "the NodeID is another": "SignatureIsInvalid",
    "a bit of the digest is another": "SignatureIsInvalid",
    "a bit of the signature value is another": "SignatureIsInvalid",
    "white space stands between the parts of the signature": "SignatureIsInvalid",
    "the service's transform is left out, signed anew": "SignatureIsInvalid",
    "the certificate is another trusted one": "SignatureIsInvalid",
    "a stranger signed it": "CertificateIsNotFound",
    "an expired certificate signed it": "CertificateIsExpired",
    "the signature's place is gone": "NoSignatureFound",
    "the reference names another element": "IncorrectSignatureTarget",
    "the reference names nothing": "IncorrectSignatureTarget",
    "the signed element is parked in the header": "IncorrectSignatureTarget",
    "the signed element is parked in the header, another Id in its place": "IncorrectSignatureTarget",
    "the signed element is parked in the header, its Id on both": "SignatureIsInvalid",
    "the Id is given twice, signed anew": "SignatureIsInvalid",
    "the official's signature is gone": "SignatureIsInvalid",
    "the envelope is of SOAP 1.2": "PoorSOAPEnvelopeFormat",
    "something follows the body": "PoorSOAPEnvelopeFormat",
}


@pytest.fixture
def good(world: World) -> Good:
    return Good.make(world.caller, world.fresh(), message_id(world.clock.now - timedelta(hours=25)))


@pytest.mark.parametrize("name", EQUIVALENTS)
async def test_a_message_is_accepted_when(world: World, good: Good, name: str) -> None:
    message = EQUIVALENTS[name](good)
    assert (message == good.message) == (name == "nothing is changed")
    reply = await world.post(message)
    assert (reply.status, reply.fault()) == (200, None), reply.body.decode()
    assert (await world.poll(node="node-1")).text(".//t:Response/t:OriginalMessageId") == good.identifier


@pytest.mark.parametrize("name", MUTATIONS)
async def test_a_message_is_refused_when(world: World, good: Good, name: str) -> None:
    message = MUTATIONS[name](good)
    assert message != good.message
    reply = await world.post(message)
    assert reply.status == 500, reply.body.decode()
    assert reply.fault() is not None
    if name in FINDINGS:
        assert reply.finding() == FINDINGS[name]
    assert await world.admin("requests") == []
    assert (await world.poll(node="node-1")).text(".//t:Response") is None
    accepted = await world.post(good.message)
    assert accepted.status == 200, "the good message itself has to be accepted after the changed one"


def test_no_changed_byte_changes_what_is_acted_on(keys: Path, gost: GostEngine, caller: Caller, clock: Clock) -> None:
    good = Good.make(caller, message_id(clock.now), message_id(clock.now - timedelta(hours=25)))
    simulator = Simulator(SimulatorConfig(keys=keys, clock=clock), gost)
    choice = Random(3)  # noqa: S311  — the same bytes every time

    def outcome(message: bytes) -> object:
        """What was taken: the id, the node and the content, or the refusal's code."""
        simulator.reset()
        visit = Visit(VERSIONS["1.2"], message, "urn:SendRequest")
        try:
            arrival, effects = simulator.admit(visit)
            asyncio.run(simulator.perform(visit, arrival, effects))
        except RefusedError as refusal:
            return refusal.code
        ((address, letter),) = simulator.office.queues.waiting()
        return letter.original, address.node, [request.data for request in simulator.debt_requests.all()]

    expected = outcome(good.message)
    assert not isinstance(expected, str)
    refused = 0
    for _ in range(1500):
        changed = bytearray(good.message)
        changed[choice.randrange(len(changed))] ^= 1 << choice.randrange(8)
        found = outcome(bytes(changed))
        assert found == expected or isinstance(found, str)
        refused += isinstance(found, str)
    assert refused > 1400


def test_there_are_enough_changes() -> None:
    assert len(MUTATIONS) >= 40
    assert FINDINGS.keys() <= MUTATIONS.keys()

"""One simulator: keys, queues, stores and switches put together, and the way of a message through them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapter.signing.certificates import certificates_of
from adapter.signing.gost import GostEngine
from simulators.smev3 import ledger
from simulators.smev3.core import Core
from simulators.smev3.door import Arrival, Door, open_envelope
from simulators.smev3.faults import RefusedError, fault_envelope, fault_named, refuse_bare
from simulators.smev3.giszhkh import DebtRequests, information_type
from simulators.smev3.ledger import Ledger
from simulators.smev3.messages import CORE, Signer, Writer
from simulators.smev3.names import VERSIONS
from simulators.smev3.queues import Queues
from simulators.smev3.registry import Registry
from simulators.smev3.scenario import NOTHING, Effects, Scenarios
from simulators.smev3.signatures import SignatureDesk

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from lxml import etree

    from simulators.smev3.config import SimulatorConfig
    from simulators.smev3.names import Version

_PROVIDER_KEYS = {"GISZHKH": "giszhkh"}


@dataclass(slots=True)
class Visit:
    """One message on its way: what came, what was found out about it so far."""

    version: Version
    data: bytes
    soap_action: str
    message_id: str = ""
    actions: tuple[ledger.Action, ...] = ()
    sends: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """What goes back: the SOAP envelope, its HTTP status and what a scenario does to it on the wire."""

    body: bytes
    status: int = 200
    effects: Effects = NOTHING
    empty_queue: bool = False


class Simulator:
    """Everything in memory; one per application."""

    def __init__(self, config: SimulatorConfig, gost: GostEngine | None = None) -> None:
        """Read the keys. Raises OSError or ValueError (bad keys, bad fixtures) or GostUnavailableError."""
        self.config = config
        gost = gost or GostEngine.open()
        anchors = certificates_of((config.keys / "ca.crt.pem").read_bytes())
        if config.trust is not None:
            anchors += certificates_of(config.trust.read_bytes())
        desk = SignatureDesk(gost, anchors, certificates_of((config.keys / "sp.crt.pem").read_bytes()))
        self.ledger = Ledger()
        self.scenarios = Scenarios()
        self.queues = Queues(config.ack_timeout, limit=config.waiting_limit)
        self.debt_requests = DebtRequests.from_file(config.fixtures)
        self._registry = Registry([information_type(self.debt_requests)])
        core = load_signer(gost, config.keys, CORE)
        providers = {mnemonic: load_signer(gost, config.keys, name) for mnemonic, name in _PROVIDER_KEYS.items()}
        self._doors = {version: Door(version, desk) for version in VERSIONS.values()}
        self._cores = {
            version: Core(version, Writer(version, core), self.queues, self._registry, providers)
            for version in VERSIONS.values()
        }

    def reset(self) -> None:
        """Forget every message, request, rule and entry."""
        self.ledger.clear()
        self.scenarios.remove()
        self.queues.clear()
        for entry in self._registry.types:
            entry.provider.reset()
        for core in self._cores.values():
            core.reset()

    def admit(self, visit: Visit) -> tuple[Arrival, Effects]:
        """Let a message through the door and tell which effects are meant for it. Raises RefusedError."""
        root = self._read(visit)
        arrival = self._doors[visit.version].admit(visit.data, root, visit.soap_action, self.config.clock())
        transports = [transport for transport, _ in visit.actions]
        return arrival, self.scenarios.apply(arrival.operation.name, transports)

    def _read(self, visit: Visit) -> etree._Element:
        """Parse the message, and read what the ledger says of it even where it cannot be parsed."""
        visit.sends = b"SendRequestRequest" in visit.data or "SendRequest" in visit.soap_action
        try:
            root = open_envelope(visit.data)
        except RefusedError:
            if visit.sends:
                visit.message_id, visit.actions = ledger.read_bytes(visit.data)
            raise
        if visit.sends:
            visit.message_id, visit.actions = ledger.read_tree(root)
        return root

    def perform(self, visit: Visit, arrival: Arrival, effects: Effects) -> Answered:
        """Do what the message asks for. Raises RefusedError."""
        if effects.fault:
            raise RefusedError(fault_named(effects.fault))
        core, now = self._cores[visit.version], self.config.clock()
        match arrival.operation.name:
            case "SendRequest":
                official = self.config.require_personal_signature or effects.require_personal_signature
                body = core.send_request(arrival, effects, now, delay=self.config.answer_delay, official=official)
                self.ledger.record(visit.message_id, visit.actions, None)
                return Answered(body, effects=effects)
            case "GetResponse":
                return self._deliver(core, arrival, effects, now)
            case "Ack":
                return Answered(core.ack(arrival, now), effects=effects)
            case other:
                raise refuse_bare(f"Операция {other} не поддерживается этим сервисом", side="Server")

    def _deliver(self, core: Core, arrival: Arrival, effects: Effects, now: datetime) -> Answered:
        letter = core.take_response(arrival, now)
        if letter is not None:
            # Which request an answer is about is known only now.
            effects = self.scenarios.apply("GetResponse", letter.transports, general=False).over(effects)
            if effects.fault:
                raise RefusedError(fault_named(effects.fault))
        body = core.deliver(letter, now, broken=effects.bad_smev_signature)
        return Answered(body, effects=effects, empty_queue=letter is None)

    def refused(self, visit: Visit, refusal: RefusedError) -> Answered:
        """Return the fault that says ``refusal``, and write it down."""
        if visit.sends:
            self.ledger.record(visit.message_id, visit.actions, refusal.code)
        return Answered(fault_envelope(refusal, visit.version), status=500)


def load_signer(gost: GostEngine, folder: Path, name: str) -> Signer:
    """Return the key pair ``name`` of a key folder. Raises OSError, KeyUnreadableError, CertificateError."""
    key = gost.load_key((folder / f"{name}.key.pem").read_bytes())
    certificate = certificates_of((folder / f"{name}.crt.pem").read_bytes())[0]
    return Signer(gost, key, certificate, gost.key_bits(key))

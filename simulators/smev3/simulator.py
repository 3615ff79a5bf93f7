"""One simulator: keys, queues, stores and switches put together, and the way of a message through them."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapter.signing.certificates import certificates_of
from adapter.signing.gost import GostEngine
from simulators.smev3 import ledger
from simulators.smev3.account import Account
from simulators.smev3.attachments import Attachment, AttachmentDesk
from simulators.smev3.core import Core
from simulators.smev3.door import Arrival, Door, check_media, open_envelope
from simulators.smev3.faults import RefusedError, fault_envelope, fault_named
from simulators.smev3.ftp import FtpArea, NoFolderError
from simulators.smev3.giszhkh import PARTY, DebtRequests, information_type
from simulators.smev3.giszhkh_responses import responses_type
from simulators.smev3.incoming import Postbox
from simulators.smev3.ledger import Ledger
from simulators.smev3.makings import AttachmentMaker
from simulators.smev3.messages import CORE, Signer, Writer
from simulators.smev3.mtom import Package, unpack
from simulators.smev3.names import VERSIONS
from simulators.smev3.office import Office
from simulators.smev3.registry import Registry
from simulators.smev3.scenario import NOTHING, Effects, Scenarios
from simulators.smev3.signatures import SignatureDesk
from simulators.smev3.wish import effects_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from lxml import etree

    from simulators.smev3.config import SimulatorConfig
    from simulators.smev3.names import Version

_log = logging.getLogger(__name__)

_PROVIDER_KEYS = {PARTY.mnemonic: "giszhkh"}


@dataclass(slots=True)
class Visit:
    """One message on its way: what came, what was found out about it so far. ``wish`` is its X-Sim header."""

    version: Version
    data: bytes
    soap_action: str
    content_type: str = "text/xml"
    wish: str = ""
    message_id: str = ""
    actions: tuple[ledger.Action, ...] = ()
    sends: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """What goes back: the SOAP envelope, its HTTP status, and what a scenario does on the wire.

    ``parts`` come beside the envelope, by Content-ID; without any, ``None`` sends the envelope alone.
    """

    body: bytes
    status: int = 200
    effects: Effects = NOTHING
    empty_queue: bool = False
    parts: Mapping[str, bytes] | None = None


class Simulator:
    """Everything in memory but files; one per application."""

    def __init__(self, config: SimulatorConfig, gost: GostEngine | None = None) -> None:
        """Read the keys. Raises OSError or ValueError (bad keys, bad fixtures) or GostUnavailableError."""
        self.config = config
        self._gost = gost = gost or GostEngine.open()
        anchors = certificates_of((config.keys / "ca.crt.pem").read_bytes())
        if config.trust is not None:
            anchors += certificates_of(config.trust.read_bytes())
        desk = SignatureDesk(gost, anchors, certificates_of((config.keys / "sp.crt.pem").read_bytes()))
        self.ledger = Ledger()
        self.scenarios = Scenarios()
        self.area = FtpArea(
            config.ftp_host, config.ftp_port or 0, passive=config.ftp_passive, fault_of=self.scenarios.fault_of
        )
        self.attachments = AttachmentDesk(gost, anchors, self.area, config.files_limit)
        self.debt_requests = DebtRequests.from_file(config.fixtures)
        self.account = Account()
        types = [information_type(self.debt_requests), responses_type(self.debt_requests)]
        self.office = Office(
            Registry([*types, self.account.information_type()]),
            self.area,
            AttachmentMaker(gost, self.area),
            {mnemonic: self.signer_of(name) for mnemonic, name in _PROVIDER_KEYS.items()},
            ack_timeout=config.ack_timeout,
            waiting_limit=config.waiting_limit,
        )
        self.postbox = Postbox(self.office, self.signer_of)
        self.account.connect(self.office, self.postbox)
        core = self.signer_of(CORE)
        versions = VERSIONS.values()
        self._doors = {version: Door(version, desk, config.timestamp_age) for version in versions}
        self._cores = {version: Core(version, Writer(version, core), self.office) for version in versions}

    def signer_of(self, name: str) -> Signer:
        """Return a key of the key folder. Raises OSError, KeyUnreadableError, CertificateError."""
        return load_signer(self._gost, self.config.keys, name)

    def start(self) -> None:
        """Open the file storage, where there is a place for files. Raises OSError when its address cannot be taken."""
        if self.config.ftp_port is None:
            return
        try:
            self.area.start()
        except NoFolderError as error:
            _log.warning("there is no file storage, attachments by FTP are refused: %s", error)

    def reset(self) -> None:
        """Forget every message, request, rule, file and entry; settings are those of the start again."""
        self.ledger.clear()
        self.scenarios.remove()
        self.office.reset()
        self.office.queues.ack_timeout = self.config.ack_timeout
        self.office.queues.limit = self.config.waiting_limit
        self.attachments.files_limit = self.config.files_limit
        self.attachments.check_files = True
        self.debt_requests.reset()
        self.account.reset()

    def admit(self, visit: Visit) -> tuple[Arrival, Effects]:
        """Let a message through the door and tell which effects are meant for it. Raises RefusedError."""
        check_media(visit.content_type)
        package = unpack(visit.data, visit.content_type)
        root = self._read(visit, package)
        arrival = self._doors[visit.version].admit(package, root, visit.soap_action, self.config.clock())
        transports = [transport for transport, _ in visit.actions]
        effects = self.scenarios.apply(arrival.operation.name, transports)
        if arrival.operation.name in {"SendRequest", "SendResponse"}:
            effects = effects_of(visit.wish).over(effects)
        return arrival, effects

    def _read(self, visit: Visit, package: Package) -> etree._Element:
        """Parse the message, and read what the ledger says of it even where it cannot be parsed."""
        visit.sends = b"SendRequestRequest" in package.envelope or "SendRequest" in visit.soap_action
        try:
            root = open_envelope(package.envelope)
        except RefusedError:
            if visit.sends:
                visit.message_id, visit.actions = ledger.read_bytes(package.envelope)
            raise
        if visit.sends:
            visit.message_id, visit.actions = ledger.read_tree(root)
        return root

    async def perform(self, visit: Visit, arrival: Arrival, effects: Effects) -> Answered:
        """Do what the message asks for. Raises RefusedError."""
        if effects.fault:
            raise RefusedError(fault_named(effects.fault))
        core, now = self._cores[visit.version], self.config.clock()
        match arrival.operation.name:
            case "SendRequest":
                body = await self._take_request(core, visit, arrival, effects)
            case "SendResponse":
                interaction = core.provider.check(arrival, now)
                attachments = await self._weigh(visit, arrival)
                body = core.provider.send_response(arrival, interaction, attachments, effects, self.config.clock())
            case "GetResponse" | "GetRequest":
                return self._deliver(core, arrival, effects, now)
            case "GetStatus":
                body = core.status(arrival)
            case "Ack":
                body = core.ack(arrival, now)
            case _:
                body = core.statistics(arrival, now)
        return Answered(body, effects=effects)

    async def _take_request(self, core: Core, visit: Visit, arrival: Arrival, effects: Effects) -> bytes:
        official = self.config.require_personal_signature or effects.require_personal_signature
        kind = core.consumer.check(arrival, self.config.clock(), official=official)
        attachments = await self._weigh(visit, arrival)
        now, delay = self.config.clock(), self.config.answer_delay
        body = core.consumer.send_request(arrival, kind, attachments, effects, now, delay=delay)
        self.ledger.record(visit.message_id, visit.actions, None)
        return body

    async def _weigh(self, visit: Visit, arrival: Arrival) -> tuple[Attachment, ...]:
        """Check the attachments of a message; large files are read aside from the event loop."""
        now = self.config.clock()
        arguments = (arrival.body, visit.version, arrival.contents, now)
        if not self.attachments.has_files(arrival.body, visit.version):
            return self.attachments.check(*arguments)
        try:
            return await asyncio.to_thread(self.attachments.check, *arguments)
        except (RefusedError, OSError):
            # A copy of the same message may have taken the files over meanwhile: say that first.
            data = arrival.target
            self.office.seen.check(data.findtext(visit.version.type("MessageID"), ""), now)
            raise

    def _deliver(self, core: Core, arrival: Arrival, effects: Effects, now: datetime) -> Answered:
        operation = arrival.operation.name
        letter = core.take(arrival, now)
        if letter is None:
            return Answered(core.deliver(operation, None, now, broken=False), effects=effects, empty_queue=True)
        # Which request a message is about is known only now.
        effects = self.scenarios.apply(operation, letter.transports, general=False).over(effects)
        if effects.fault:
            raise RefusedError(fault_named(effects.fault))
        body = core.deliver(operation, letter, now, broken=effects.bad_smev_signature)
        inline = [item for item in letter.attachments if item.path is None]
        parts = {item.identifier: item.data for item in inline if item.data is not None}
        return Answered(body, effects=effects, parts=parts if inline else None)

    def refused(self, visit: Visit, refusal: RefusedError) -> Answered:
        """Return the fault that says ``refusal``, and write it down."""
        if visit.sends:
            self.ledger.record(visit.message_id, visit.actions, refusal.code)
        return Answered(fault_envelope(refusal, visit.version), status=refusal.status)


def load_signer(gost: GostEngine, folder: Path, name: str) -> Signer:
    """Return the key pair ``name`` of a key folder. Raises OSError, KeyUnreadableError, CertificateError."""
    key = gost.load_key((folder / f"{name}.key.pem").read_bytes())
    certificate = certificates_of((folder / f"{name}.crt.pem").read_bytes())[0]
    return Signer(gost, key, certificate, gost.key_bits(key))

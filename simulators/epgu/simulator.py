"""One simulator: accounts, services, orders, archives and switches put together, and who may come in."""

from __future__ import annotations

import json
from datetime import UTC
from typing import TYPE_CHECKING, Any

from adapter.signing.certificates import certificates_of
from adapter.signing.gost import GostEngine
from simulators.epgu.accounts import Accounts, AccountsEntry
from simulators.epgu.catalogue import Catalogue, Service, WantedStatus
from simulators.epgu.chunks import Uploads
from simulators.epgu.clock import SimulatedClock
from simulators.epgu.dictionaries import Dictionaries, Dictionary
from simulators.epgu.esia import Esia
from simulators.epgu.faults import refuse, refuse_bare
from simulators.epgu.ledger import Ledger
from simulators.epgu.limits import OrderWindows, RequestCounters
from simulators.epgu.orders import Orders
from simulators.epgu.profiles import MOSCOW
from simulators.epgu.scenario import Scenarios
from simulators.epgu.signatures import SignatureDesk
from simulators.epgu.store import Store
from simulators.epgu.tokens import Tokens

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

    from simulators.epgu.config import SimulatorConfig
    from simulators.epgu.orders import Order
    from simulators.epgu.settings import Settings
    from simulators.epgu.tokens import Holder
    from simulators.epgu.visit import Visit


class Simulator:
    """Everything in memory but archives; one per application."""

    def __init__(self, config: SimulatorConfig, gost: GostEngine | None = None) -> None:
        """Read keys and fixtures. Raises OSError or ValueError (bad keys, bad fixtures) or GostUnavailableError."""
        self.config = config
        anchors = certificates_of((config.keys / "ca.crt.pem").read_bytes())
        if config.trust is not None:
            anchors += certificates_of(config.trust.read_bytes())
        self.desk = SignatureDesk(gost or GostEngine.open(), config.keys, anchors)
        self._fixtures: dict[str, Any] = json.loads(config.fixtures.read_text("utf-8"))
        self.clock = SimulatedClock(config.clock)
        self.accounts = Accounts()
        self.tokens = Tokens(self.accounts)
        self.esia = Esia(self.accounts, self.tokens, self.desk)
        self.orders = Orders()
        self.uploads = Uploads()
        self.store = Store(config.spool)
        self.counters = RequestCounters()
        self.windows = OrderWindows()
        self.scenarios = Scenarios()
        self.ledger = Ledger()
        self.reset()

    def reset(self) -> None:
        """Forget every order, archive, rule and line; accounts, services and settings are those of the start again."""
        self.settings: Settings = self.config.settings.model_copy()
        self.clock.reset()
        self.accounts.clear()
        self.accounts.put(AccountsEntry.model_validate(self._fixtures["accounts"]))
        self.catalogue = Catalogue()
        for service in self._fixtures["services"]:
            self.catalogue.put(Service.model_validate(service))
        self.usual_statuses = tuple(WantedStatus.model_validate(status) for status in self._fixtures["statuses"])
        self.dictionaries = Dictionaries()
        for dictionary in self._fixtures["dictionaries"]:
            self.dictionaries.put(Dictionary.model_validate(dictionary))
        for part in (self.orders, self.esia):
            part.reset()
        for forgetful in (self.uploads, self.counters, self.windows, self.ledger, self.store):
            forgetful.clear()
        self.scenarios.remove()

    def now(self) -> datetime:
        """Return the moment it is here, everything that was due by then being done."""
        now = self.clock()
        self.orders.advance(now)
        return now

    @property
    def zone(self) -> tzinfo:
        """The zone of moments in pages of statuses, and of ``updatedAfter``."""
        if self.settings.zone is None:
            return self.settings.version.zone
        return MOSCOW if self.settings.zone == "Moscow" else UTC

    def admit(self, visit: Visit) -> Holder:
        """Let a call in by its token, its channel and the limits of its system. Raises RefusedError."""
        now = self.now()
        if self.settings.hosts and visit.request.host not in self.settings.hosts:
            raise refuse("access_denied_system", "ValidationCommonError.notAllowed")
        holder = visit.known(self.tokens.holder(visit.request.headers.get("Authorization", ""), now))
        if self.counters.take(holder.system.client_id, self.settings, now):
            raise refuse_bare(429, "Too Many Requests")
        if not holder.system.services:
            raise refuse("access_denied_system")
        return holder

    def own(self, order: Order, holder: Holder) -> Order:
        """Return an order if its applicant asks through its system. Raises RefusedError."""
        if order.system.client_id != holder.system.client_id or order.user.account != holder.user.account:
            raise refuse("order_access")
        return order

"""What is allowed but should be said loudly at start: English sentences without values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from adapter.settings.pem import Pem, expiry
from adapter.settings.values import CONTOURS
from adapter.settings.variables import VARIABLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_SOON = timedelta(days=14)
#: Characters of a token that nobody guesses.
_LONG_ENOUGH = 16


def cautions(environment: Mapping[str, str], values: Mapping[str, Any], now: datetime | None = None) -> Iterator[str]:
    """Yield what an operator should know about this configuration."""
    if not values["MQ_TLS"]:
        yield "MQ_TLS is off: commands, replies and the password travel to RabbitMQ in the clear"
    if values.get("EPGU_ORDER_TYPES") and not {"epgu.order.answer", "epgu.cancel.answer"} & set(values["SERVICES"]):
        yield "EPGU_ORDER_TYPES has no effect: SERVICES serves neither epgu.order.answer nor epgu.cancel.answer"
    if values.get("SMEV_PROVIDES") is not None and "smev3.request.answer" not in values["SERVICES"]:
        yield "SMEV_PROVIDES has no effect: SERVICES does not serve smev3.request.answer"
    if values.get("SMEV_SIM_HEADERS"):
        yield "SMEV_SIM_HEADERS is on: whoever sends commands can ask for failures; this is for a simulator alone"
    url = urlsplit(values.get("SIGN_SERVICE") or "")
    if url.scheme == "http" and url.hostname not in _LOOPBACK:
        yield "SIGN_SERVICE is plain http: tokens and documents travel in the clear"
    if (
        values.get("ELASTIC_SCHEME") == "http"
        and values.get("ELASTIC_PASS")
        and values["ELASTIC_HOST"] not in _LOOPBACK
    ):
        yield "ELASTIC_SCHEME is http: ELASTIC_PASS travels in the clear"
    if values.get("SMEV_SERVICE") == CONTOURS["smev3-prod-1.2"]:
        yield "SMEV_SERVICE names the production contour as publicly known: compare its address with your letter"
    if values.get("FILES_ROOT") and any(
        values["FILES_ROOT"].resolve().is_relative_to(path.resolve()) for path in values["FILES_IN_PATHS"] or ()
    ):
        yield "FILES_ROOT lies in FILES_IN_PATHS: any command may send any received file"
    yield from _epgu(values)
    yield from _shep(values)
    yield from _postamat(values)
    yield from _ageing(values, now or datetime.now(UTC))
    yield from _similar(environment)


def _epgu(values: Mapping[str, Any]) -> Iterator[str]:
    for name, what in (("EPGU_URL", "tokens and applications"), ("ESIA_URL", "API-Keys and tokens")):
        url = urlsplit(values.get(name) or "")
        if url.scheme == "http" and url.hostname not in _LOOPBACK:
            yield f"{name} is plain http: {what} travel in the clear as far as there"


def _shep(values: Mapping[str, Any]) -> Iterator[str]:
    listen, registry = values.get("SHEP_LISTEN"), values.get("SHEP_SERVICES_FILE")
    if listen is None or listen[0] in _LOOPBACK or registry is None:
        return
    if values.get("SHEP_LISTEN_CERT") is None:
        yield "SHEP_LISTEN is plain http beyond this machine: business data travel in the clear"
    guarded = values.get("SHEP_LISTEN_CLIENT_CA") or values.get("SHEP_LISTEN_NETWORKS")
    if not guarded and any(service.security == 0 for service in registry.services):
        yield "SHEP_SERVICES_FILE has services of level 0: whoever reaches SHEP_LISTEN is believed about them"


def _postamat(values: Mapping[str, Any]) -> Iterator[str]:
    url = urlsplit(values.get("POSTAMAT_URL") or "")
    if url.scheme == "http" and url.hostname not in _LOOPBACK:
        yield "POSTAMAT_URL is plain http: the token and the numbers of cases travel in the clear"
    listen = values.get("POSTAMAT_LISTEN") if values.get("POSTAMAT_MODE") == "portal" else None
    if listen is not None and listen[0] not in _LOOPBACK and values.get("POSTAMAT_TLS_CERT") is None:
        yield "POSTAMAT_LISTEN is plain http beyond this machine: tokens and numbers of cases travel in the clear"
    tokens = {
        "POSTAMAT_TOKEN": [values.get("POSTAMAT_TOKEN")],
        "POSTAMAT_LOCKER_TOKENS": list((values.get("POSTAMAT_LOCKER_TOKENS") or {}).values()),
    }
    for name, given in tokens.items():
        if values.get("POSTAMAT_MODE") == "portal" and any(len(token) < _LONG_ENOUGH for token in given if token):
            yield f"{name} holds a token of fewer than {_LONG_ENOUGH} characters: who guesses it can move cases"


def _ageing(values: Mapping[str, Any], now: datetime) -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, Pem) and not name.endswith("KEY"):
            end = expiry(value)
            if end < now + _SOON:
                yield f"{name} {'ended' if end < now else 'ends'} on {end:%Y-%m-%d}"


def _similar(environment: Mapping[str, str]) -> Iterator[str]:
    """Unknown variables that look like a slip of the pen: same first word, nearly the same name."""
    known = [variable.name for variable in VARIABLES]
    families = {name.partition("_")[0] for name in known}
    for name in sorted(set(environment) - set(known)):
        close = get_close_matches(name, known, n=1, cutoff=0.8)
        if close and name.partition("_")[0] in families:
            yield f"{name} is not a variable of the adapter and has no effect: did you mean {close[0]}?"

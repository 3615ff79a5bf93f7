"""Requests of other systems on their way to the pipeline: each to the provider of its вид сведений."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lxml import etree

from adapter.incoming import Incoming
from adapter.xml.parser import XmlError, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapter.gateways.smev3.requests import ProvidedRequest, Smev3RequestSource
    from adapter.incoming import Arrivals


class Smev3Arrivals:
    """Hands what a source of requests fetched to the pipeline; implements :class:`adapter.incoming.ArrivalSource`."""

    def __init__(self, source: Smev3RequestSource, routes: Mapping[tuple[str, str], str], otherwise: str) -> None:
        """``routes`` name the action of a business root, ``otherwise`` takes what has no route."""
        self.name = source.name
        self._source = source
        self._routes = routes
        self._otherwise = otherwise

    async def run(self, arrivals: Arrivals) -> None:
        """Poll until cancelled."""
        await self._source.run(_Desk(arrivals, self._routes, self._otherwise))


class _Desk:
    """Implements :class:`adapter.gateways.smev3.RequestIntake`."""

    def __init__(self, arrivals: Arrivals, routes: Mapping[tuple[str, str], str], otherwise: str) -> None:
        self._arrivals = arrivals
        self._routes = routes
        self._otherwise = otherwise

    async def take(self, request: ProvidedRequest) -> bool:
        """Make ``request`` durable; true when it may be confirmed."""
        return await self._arrivals.receive(to_incoming(request, self._routes, self._otherwise))


def to_incoming(request: ProvidedRequest, routes: Mapping[tuple[str, str], str], otherwise: str) -> Incoming:
    """Return the message that begins an exchange; ``facts`` hold what only СМЭВ3 knows of it."""
    namespace, root, unreadable = _root(request)
    end = request.end_of_life
    facts: dict[str, Any] = {
        "namespace": namespace,
        "root": root,
        "sender": request.sender,
        "broadcast": request.broadcast,
        "node_id": request.node_id,
        "transaction_code": request.transaction_code,
        "reference_message_id": request.reference_id,
        "cancels": request.cancels,
        "end_of_life": end.isoformat() if end else "",
        "business_process_xml": request.business_process.decode(errors="replace"),
    }
    if request.attachments_fault is not None:
        facts["attachments_fault"] = request.attachments_fault.to_wire()
    return Incoming(
        source=request.source,
        key=request.key,
        action=routes.get((namespace, root), otherwise),
        raw=request.raw,
        content=request.content,
        reply_to=request.reply_to,
        facts={name: value for name, value in facts.items() if value},
        verdicts=request.verdicts,
        test=request.test,
        deadline=end,
        unreadable=unreadable,
        attachments=request.attachments,
    )


def _root(request: ProvidedRequest) -> tuple[str, str, str]:
    """Return namespace and local name of the business root, and the rule that the message breaks."""
    if request.unreadable or not request.content:
        return "", "", request.unreadable
    try:
        name = etree.QName(parse(request.content))
    except XmlError as error:
        return "", "", f"business content: {error}"
    return name.namespace or "", name.localname, ""

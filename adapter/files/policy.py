"""The allow-list of what commands may name: folders of this machine, and hosts with the networks they may lie in."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from yarl import URL

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Schemes that are fetched, with their own ports.
DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ftp": 21}
# Addresses of these networks stand for an IPv4 address: NAT64 (RFC 6052).
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_ENTRY: Final = re.compile(
    r"(?:\[(?P<six>[^\]]+)\]|(?P<name>[^\[\]:=\s/@]+))(?::(?P<port>\d{1,5}))?(?:=(?P<nets>\S+))?"
)


@dataclass(frozen=True, slots=True)
class AllowedHost:
    """A host as URLs write it, in lower case.

    Without ``port`` it is the scheme's own. Its addresses must be public, unless they lie in ``networks``; a host
    that is an address itself is allowed with it.
    """

    name: str
    port: int | None = None
    networks: Sequence[Network] = ()

    @classmethod
    def parse(cls, text: str) -> AllowedHost:
        """Read ``host``, ``host:port`` or ``host=10.1.0.0/16+10.2.3.4``, or both. Raises ValueError."""
        match = _ENTRY.fullmatch(text)
        if match is None:
            raise ValueError("not a host")
        host = match["six"] or match["name"]
        port = int(match["port"]) if match["port"] else None
        if port is not None and not 1 <= port <= 65535:
            raise ValueError("not a port")
        networks = [ipaddress.ip_network(network) for network in (match["nets"] or "").split("+") if network]
        name = URL.build(scheme="http", host=host).raw_host
        if not name or name.endswith("."):
            raise ValueError("not a host")
        if (address := literal(name)) is not None:
            networks.append(ipaddress.ip_network(address))
        elif re.fullmatch(r"[\d.]*|0[xX].*", name):
            raise ValueError("not a host")
        return cls(name, port, tuple(networks))

    def admits(self, address: Address) -> bool:
        """Tell whether this host may be reached at ``address``."""
        return is_public(address) or any(address in network for network in self.networks)


@dataclass(frozen=True, slots=True)
class FilesPolicy:
    """What commands may name. ``paths`` are real folders (no links), ``max_size`` is in bytes, times in seconds.

    ``stall`` is how long a source may stay silent, ``whole`` how long one file may take.
    """

    paths: Sequence[Path] = ()
    hosts: Sequence[AllowedHost] = ()
    max_size: int = 10**9
    stall: float = 30
    whole: float = 3600

    def host(self, name: str, port: int, scheme: str) -> AllowedHost | None:
        """Return the entry that allows ``name`` and ``port``."""
        for allowed in self.hosts:
            if allowed.name == name and port == (allowed.port or DEFAULT_PORTS[scheme]):
                return allowed
        return None


def literal(name: str) -> Address | None:
    """Return the address that ``name`` writes out, ``None`` for a name."""
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def is_public(address: Address) -> bool:
    """Tell whether ``address`` is one of the public internet, also one of IPv4 that IPv6 wraps."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address.teredo is not None:
            inner = address.teredo[1]
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast

"""The allow-list of hosts."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.files.policy import AllowedHost, FilesPolicy, is_public

PRIVATE = [
    "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.1", "224.0.0.1",
    "255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1",
    "64:ff9b::a00:1", "2002:a00:1::", "2001:db8::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_not_public_also_wrapped_in_ipv6(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    assert not AllowedHost.parse("files.example.org").admits(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2a00:1450:4001::1", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def test_a_network_is_allowed_to_its_own_host_alone() -> None:
    inside = AllowedHost.parse("files.local=10.1.0.0/16+10.2.3.4")
    assert inside.admits(ipaddress.ip_address("10.1.200.1"))
    assert inside.admits(ipaddress.ip_address("10.2.3.4"))
    assert not inside.admits(ipaddress.ip_address("10.2.3.5"))
    assert not AllowedHost.parse("other.local").admits(ipaddress.ip_address("10.1.200.1"))


@pytest.mark.parametrize(
    ("name", "port", "scheme", "allowed"),
    [
        ("a.example", 443, "https", True),
        ("a.example", 80, "http", True),
        ("a.example", 21, "ftp", True),
        ("a.example", 8443, "https", False),
        ("b.example", 8443, "https", True),
        ("b.example", 443, "https", False),
        ("evil-a.example", 443, "https", False),
        ("a.example.", 443, "https", False),
    ],
)
def test_a_host_is_allowed_on_its_ports(name: str, port: int, scheme: str, allowed: bool) -> None:  # noqa: FBT001  — a parameter
    policy = FilesPolicy(hosts=(AllowedHost.parse("A.example"), AllowedHost.parse("b.example:8443")))
    assert (policy.host(name, port, scheme) is not None) is allowed


@given(st.text(max_size=40))
def test_whatever_is_configured_is_read_or_refused(text: str) -> None:
    try:
        host = AllowedHost.parse(text)
    except ValueError:
        return
    assert host.name

"""Run the reference signing service: ``python -m simulators.sign_service --port N --keys DIR``.

Listens on loopback; any other address only when --listen names it (containers). Prints one JSON line when ready.
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from adapter.signing.gost import GostUnavailableError
from simulators.listener import serve
from simulators.sign_service.app import make_app
from simulators.sign_service.keyring import KeyringError

if TYPE_CHECKING:
    from collections.abc import Sequence

_LOOPBACK = "127.0.0.1"


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. Returns 0, or 1 with a sentence when it cannot start."""
    options = _options(argv)
    try:
        app = make_app(options.keys, trust=options.trust)
        context = _tls(options)
        if not ipaddress.ip_address(options.listen).is_loopback:
            sys.stderr.write(f"development keys are reachable beyond this machine: listening on {options.listen}\n")
        return asyncio.run(serve(app, options.listen, options.port, context))
    except (KeyringError, GostUnavailableError, OSError) as error:
        sys.stderr.write(f"the signing service cannot start: {error}\n")
        return 1


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sign-service", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one")
    parser.add_argument("--keys", type=Path, required=True, metavar="DIR", help="made by python -m simulators.keys")
    parser.add_argument("--listen", default=_LOOPBACK, metavar="ADDRESS", help=f"default {_LOOPBACK}")
    parser.add_argument("--trust", type=Path, action="append", default=[], metavar="FILE", help="anchors, PEM or DER")
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="serve TLS with this certificate chain")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="the private key of --tls-cert")
    parser.add_argument("--client-ca", type=Path, metavar="FILE", help="demand client certificates of this authority")
    options = parser.parse_args(argv)
    if bool(options.tls_cert) != bool(options.tls_key):
        parser.error("--tls-cert and --tls-key go together")
    if options.client_ca and not options.tls_cert:
        parser.error("--client-ca needs --tls-cert and --tls-key")
    if not _is_address(options.listen):
        parser.error("--listen takes an IP address")
    return options


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _tls(options: argparse.Namespace) -> ssl.SSLContext | None:
    if not options.tls_cert:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(options.tls_cert, options.tls_key)
    if options.client_ca:
        context.load_verify_locations(options.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


if __name__ == "__main__":
    sys.exit(main())

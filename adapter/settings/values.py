"""Readers: each turns the text of one variable into its value or says which rule it breaks.

Sentences never repeat the given text: an operator may have pasted a password into the wrong variable.
"""

from __future__ import annotations

import re
from datetime import date, timedelta, timezone
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from adapter.files.policy import AllowedHost
from adapter.xml.fragment import is_of_elements

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import tzinfo

_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})
#: Decimal prefixes count in thousands, binary ones (KiB, MiB, GiB) in 1024s.
_SIZES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}

#: Known contours of СМЭВ3, by name. Test addresses as in public integration material; the production address lies in
#: the closed departmental network and is handed out at connection: the operator has to compare it with the letter.
CONTOURS = {
    "smev3-test-1.2": "http://smev3-n0.test.gosuslugi.ru:7500/smev/v1.2/ws",
    "smev3-dev-1.2": "http://smev3-d.test.gosuslugi.ru:7500/smev/v1.2/ws",
    "smev3-prod-1.2": "http://172.20.3.12:7500/smev/v1.2/ws",
}


class WrongValueError(ValueError):
    """A variable's text breaks its rule; the message is an English sentence without the text."""


def boolean(text: str) -> bool:
    """Read true/false, 1/0, yes/no or on/off in any case."""
    word = text.lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise WrongValueError("must be true or false (also 1/0, yes/no, on/off)")


def integer(low: int, high: int) -> Callable[[str], int]:
    """Return a reader of whole numbers from ``low`` to ``high``."""

    def read(text: str) -> int:
        if text.startswith("tcp://"):
            # Kubernetes sets <SERVICE>_PORT in every pod beside a Service of that name.
            raise WrongValueError("holds an address that Kubernetes sets for a Service of this name: rename it")
        if not re.fullmatch(r"[0-9]{1,12}", text) or not low <= int(text) <= high:
            raise WrongValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return read


def size(low: int, high: int) -> Callable[[str], int]:
    """Return a reader of sizes, in bytes: ``1048576``, ``512kB``, ``1MB``, ``1MiB``."""

    def read(text: str) -> int:
        match = re.fullmatch(r"([0-9]{1,12})\s*([A-Za-z]*)", text)
        unit = _SIZES.get(match[2].lower()) if match else None
        if match is None or unit is None or not low <= int(match[1]) * unit <= high:
            raise WrongValueError(f"must be a size from {human_size(low)} to {human_size(high)}, such as 512kB or 1MB")
        return int(match[1]) * unit

    return read


def human_size(count: int) -> str:
    """Write a number of bytes as :func:`size` reads it, rounded to whole units."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.4g}{unit}"
    return f"{count}B"


def seconds(low: float, high: float) -> Callable[[str], float]:
    """Return a reader of durations, in seconds: ``30``, ``0.2``, ``200ms``, ``2m``."""

    def read(text: str) -> float:
        match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*([a-z]*)", text)
        unit = _SECONDS.get(match[2]) if match else None
        if match is None or unit is None or not low <= float(match[1]) * unit <= high:
            raise WrongValueError(f"must be a number of seconds from {low:g} to {high:g}")
        return float(match[1]) * unit

    return read


def choice(*words: str) -> Callable[[str], str]:
    """Return a reader of one of ``words``, in any case."""
    known = {word.lower(): word for word in words}

    def read(text: str) -> str:
        if text.lower() not in known:
            raise WrongValueError(f"must be one of {', '.join(words)}")
        return known[text.lower()]

    return read


def matching(pattern: str, sentence: str) -> Callable[[str], str]:
    """Return a reader of text that ``pattern`` matches whole; ``sentence`` says what is expected."""
    compiled = re.compile(pattern)

    def read(text: str) -> str:
        if not compiled.fullmatch(text):
            raise WrongValueError(sentence)
        return text

    return read


host = matching(
    r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252})|[0-9A-Fa-f:]{2,45}",
    "must be a host name or address alone, without scheme, user or port",
)
_NODE = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[^:\[\]]+)(?::([0-9]{1,5}))?")
_port = integer(1, 65535)


def nodes(text: str) -> tuple[tuple[str, int | None], ...]:
    """Read the nodes of a cluster: comma-separated hosts, each with or without ``:port`` (``[::1]:5671``)."""
    found: dict[tuple[str, int | None], None] = {}
    for item in names(text):
        match = _NODE.fullmatch(item)
        name, port = (match[1].strip("[]"), match[2]) if match else (item, None)
        found[host(name), _port(port) if port else None] = None
    return tuple(found)


def listen(text: str) -> tuple[str, int] | None:
    """Read where to listen, ``HOST:PORT`` (``[::]:8083``); ``off`` is ``None``."""
    if text.lower() == "off":
        return None
    match = _NODE.fullmatch(text)
    if match is None or not match[2]:
        raise WrongValueError("must be HOST:PORT or off")
    return host(match[1].strip("[]")), _port(match[2])


bin_number = matching(r"[0-9]{12}", "must be 12 digits")


def offset(text: str) -> tzinfo:
    """Read an offset from UTC, ``+05:00``."""
    match = re.fullmatch(r"([+-])(0[0-9]|1[0-4]):([0-5][0-9])", text)
    if match is None:
        raise WrongValueError("must be an offset from UTC such as +05:00")
    distance = timedelta(hours=int(match[2]), minutes=int(match[3]))
    return timezone(distance if match[1] == "+" else -distance)


def dates(text: str) -> tuple[date, ...]:
    """Read days, ``2027-01-01,2027-03-08``."""
    try:
        return tuple(date.fromisoformat(word.strip()) for word in text.split(","))
    except ValueError:
        raise WrongValueError("must be days such as 2027-01-01, separated by commas") from None


database_host = matching(
    r"/[^\0]{1,100}|[A-Za-z0-9]([A-Za-z0-9._-]{0,252})|[0-9A-Fa-f:]{2,45}",
    "must be a host name, an address or the folder of a unix socket",
)
plain = matching(r"[^\x00-\x1f\x7f]{1,255}", "must be 1 to 255 characters without control characters")


def url(text: str) -> str:
    """Read an http(s) URL without user, query or fragment."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise WrongValueError("must be a URL, http:// or https:// with a host") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0 or re.search(r"\s", text):
        raise WrongValueError("must be a URL, http:// or https:// with a host")
    if parts.username is not None or parts.password is not None:
        raise WrongValueError("must not hold a user or password")
    if parts.query or parts.fragment or "?" in text:
        raise WrongValueError("must be the address of the service itself, without ?wsdl or any other query")
    return text


def contour(text: str) -> str:
    """Read the СМЭВ3 endpoint: a URL, or a name of :data:`CONTOURS`."""
    if "://" in text:
        return url(text)
    if text not in CONTOURS:
        raise WrongValueError(f"must be a URL or one of the known names {', '.join(CONTOURS)}")
    return CONTOURS[text]


#: Versions of the СМЭВ3 schema that the adapter speaks.
SCHEMA_VERSIONS = ("1.1", "1.2", "1.3")
_VERSION_IN_PATH = re.compile(r"/v(1\.[0-9]{1,2})(?=/|$)")


def version_in(endpoint: str) -> str | None:
    """Return the schema version that the path of a СМЭВ3 endpoint names (``…/smev/v1.3/ws``), if it names one."""
    match = _VERSION_IN_PATH.search(urlsplit(endpoint).path)
    return match[1] if match else None


_SELECTOR = re.compile(r"\{([^{}\s]{1,1000})\}([^\W\d][\w.-]{0,200})")


def selector(text: str) -> tuple[str, str]:
    """Read the name of a вид сведений's root element, ``{NamespaceURI}RootElementLocalName``."""
    match = _SELECTOR.fullmatch(text)
    if match is None:
        raise WrongValueError("must be {NamespaceURI}RootElementLocalName")
    return match[1], match[2]


def provided(text: str) -> tuple[tuple[str, str], ...]:
    """Read roots of виды сведений, comma-separated ``NAMESPACE#ROOT``; ``*`` alone is every one: an empty tuple."""
    if text == "*":
        return ()
    found: dict[tuple[str, str], None] = {}
    for item in names(text):
        namespace, mark, root = item.rpartition("#")
        try:
            found[selector(f"{{{namespace}}}{root}" if mark else "")] = None
        except WrongValueError:
            raise WrongValueError("must be * or comma-separated NAMESPACE#ROOT") from None
    return tuple(found)


def elements(text: str) -> str:
    """Read XML elements, each in a namespace that it declares itself."""
    if not is_of_elements(text.encode()):
        raise WrongValueError("must be XML elements, each in a namespace that it declares")
    return text


def secret(text: str) -> str:
    """Read a secret: the value itself, or ``file:PATH`` of a file that holds it (its last line break is cut)."""
    value = given_or_file(text)
    if not value or re.search(r"[\x00-\x1f\x7f]", value):
        raise WrongValueError("must be one line of text")
    return value


def locker_tokens(text: str) -> Mapping[str, str]:
    """Read tokens by the lockers' numbers, ``1233=TOKEN,77=TOKEN``, or a file of them, one a line."""
    found: dict[str, str] = {}
    for item in re.split(r"[,\r\n]", given_or_file(text)):
        number, mark, token = (part.strip() for part in item.partition("="))
        if not item.strip():
            continue
        if not re.fullmatch("[0-9]{1,18}", number) or not mark or not token or re.search(r"[\x00-\x1f\x7f]", token):
            raise WrongValueError(
                "must be NUMBER=TOKEN pairs, comma-separated or one a line of a file, numbers of digits"
            )
        if number in found:
            raise WrongValueError("names a locker twice")
        found[number] = token
    if not found:
        raise WrongValueError("must name at least one locker")
    return found


def api_keys(text: str) -> Mapping[str, tuple[str, str]]:
    """Read API-Keys by name, ``head=GUID,branch=GUID/KEY``, or a file of them; the second part names a signing key."""
    found: dict[str, tuple[str, str]] = {}
    for item in re.split(r"[,\r\n]", given_or_file(text)):
        match = re.fullmatch(r"([A-Za-z0-9_.-]{1,64})\s*=\s*([0-9A-Fa-f-]{36})(?:/([^\s/,]{1,100}))?", item.strip())
        if not item.strip():
            continue
        if match is None or match[1] in found:
            raise WrongValueError("must be NAME=GUID or NAME=GUID/KEY, comma-separated or one a line, each name once")
        found[match[1]] = (match[2], match[3] or "")
    if not found:
        raise WrongValueError("must name at least one API-Key")
    return found


def scopes(text: str) -> tuple[str, ...]:
    """Read scopes of ЕСИА, comma-separated."""
    found = names(text)
    if not all(re.fullmatch(r"[!-~]{1,300}", scope) for scope in found):
        raise WrongValueError("must list scopes, comma-separated: Latin letters, digits and signs without blanks")
    return found


def numbers(text: str) -> Mapping[str, int]:
    """Read numbers by codes of digits, ``CODE=NUMBER,CODE=NUMBER``."""
    found = {}
    for item in names(text):
        match = re.fullmatch(r"([0-9]{1,20})\s*=\s*([0-9]{1,6})", item)
        if match is None or match[1] in found:
            raise WrongValueError("must be CODE=NUMBER, comma-separated, each code once")
        found[match[1]] = int(match[2])
    return found


def given_or_file(text: str) -> str:
    """Return the text, or what the file holds that it names (its last line break is cut)."""
    if not text.startswith("file:"):
        return text
    try:
        return Path(text.removeprefix("file:")).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise WrongValueError(f"names a file that cannot be read ({unreadable(error)})") from None


def binary(text: str) -> bytes:
    """Read the file at a path, of at most a megabyte."""
    try:
        with Path(text).open("rb") as file:
            content = file.read(1_000_001)
    except (OSError, ValueError) as error:
        raise WrongValueError(f"names a file that cannot be read ({unreadable(error)})") from None
    if not content or len(content) > 1_000_000:
        raise WrongValueError("names a file that is empty or over a megabyte")
    return content


def folder(text: str) -> Path:
    """Read the absolute path of a folder; whether it is there is for a check to say."""
    if not text.startswith("/") or "\0" in text or not text.strip("/."):
        raise WrongValueError("must be the absolute path of a folder, not that of the whole disk")
    return Path(text)


def folders(text: str) -> tuple[Path, ...]:
    """Read a comma-separated list of folders."""
    return tuple(folder(item) for item in names(text))


def allowed_hosts(text: str) -> tuple[AllowedHost, ...]:
    """Read a comma-separated list of hosts with their ports and networks."""
    try:
        return tuple(AllowedHost.parse(item) for item in names(text))
    except ValueError:
        raise WrongValueError(
            "must list hosts without scheme and path: files.example.org, files.example.org:8443 or"
            " files.local=10.1.0.0/16+10.2.3.4"
        ) from None


def names(text: str) -> tuple[str, ...]:
    """Read a comma-separated list; blanks around and empty items fall away."""
    items = tuple(item.strip() for item in text.split(",") if item.strip())
    if not items:
        raise WrongValueError("must name at least one item")
    return items


def networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Read a comma-separated list of networks: 10.1.0.0/16, 10.2.3.4, fd00::/8."""
    try:
        return tuple(ip_network(item) for item in names(text))
    except ValueError as error:
        if isinstance(error, WrongValueError):
            raise
        raise WrongValueError("must list networks and addresses: 10.1.0.0/16, 10.2.3.4") from None


def unreadable(error: Exception) -> str:
    """Say why a file could not be read, without its name."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__

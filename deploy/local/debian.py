"""Debian packages for the private stack: installed as root, otherwise unpacked below ``.local/debs``.

Standard library only. Measured on Debian 12: both ways take seconds, and an unpacked Erlang runs once the
``ROOTDIR=/usr/lib/erlang`` of its start scripts points to where it was unpacked.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.local.console import StepError, say, step

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PROJECT = Path(__file__).resolve().parents[2]
LOCAL = PROJECT / ".local"
UNPACKED = LOCAL / "debs"
POLICY = Path("/usr/sbin/policy-rc.d")
APT_SECONDS = 600


def provide(package: str, pattern: str, *, quiet: bool = False) -> Path:
    """Return the first file matching ``pattern`` (relative to a root folder), getting ``package`` if needed.

    The system's own copy comes first, then an unpacked one. Raises StepError when there is no apt or it fails.
    """
    found = find(package, pattern)
    if found is not None:
        return found
    with exclusive(), step(f"Debian package {package}", quiet=quiet) as running:
        found = find(package, pattern)
        if found is None:
            _get(package)
            found = find(package, pattern)
        if found is None:
            raise StepError(f"Package {package} holds no {pattern}; is this a Debian or Ubuntu of this decade?")
        running.result = str(found)
    return found


def find(package: str, pattern: str) -> Path | None:
    """Return the first file matching ``pattern`` on the system or where ``package`` was unpacked."""
    for root in (Path("/"), UNPACKED / package):
        for path in sorted(root.glob(pattern)):
            return path
    return None


@contextmanager
def exclusive(what: str = "setup") -> Iterator[None]:
    """Let one process at a time do ``what`` in ``.local``: two terminals may run ``make`` at once."""
    LOCAL.mkdir(exist_ok=True)
    with (LOCAL / f"{what}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"  Another {what} is running here, waiting for it to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install(packages: Sequence[str]) -> None:
    """Install ``packages`` as root, without letting their services start (we run private ones)."""
    with _no_services():
        # Somebody else's apt (another checkout, the machine's own upgrades) is waited for, not stumbled over.
        options = ("-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=120")
        apt = ("apt-get", "-y", "-qq", "--no-install-recommends", *options, "install", *packages)
        try:
            _run(apt)
        except StepError:
            _run(("apt-get", "-qq", "update"))
            _run(apt)


def _get(package: str) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise StepError(f"{package} is missing and there is no apt-get here; install it by hand")
    if os.geteuid() == 0:
        install([package])
    else:
        _unpack(package)


def _unpack(package: str) -> None:
    """Download ``package`` with everything it needs that is not installed, and unpack it below ``.local/debs``."""
    target = UNPACKED / package
    archives = UNPACKED / "archives"
    archives.mkdir(parents=True, exist_ok=True)
    options = _own_lists() if not _has_lists() else ()
    plan = _run(("apt-get", *options, "-s", "-qq", "--no-install-recommends", "install", package))
    names = re.findall(r"^Inst (\S+) ", plan, flags=re.MULTILINE) or [package]
    _run(("apt-get", *options, "-qq", "download", *names), cwd=archives)
    draft = target.with_suffix(".new")
    shutil.rmtree(draft, ignore_errors=True)
    for name in names:
        for archive in archives.glob(f"{name.split(':')[0]}_*.deb"):
            _run(("dpkg", "-x", str(archive), str(draft)))
    _relocate_erlang(draft, target)
    shutil.rmtree(target, ignore_errors=True)
    draft.rename(target)
    shutil.rmtree(archives)


def _relocate_erlang(unpacked: Path, target: Path) -> None:
    """Point Erlang's start scripts at ``target``: Debian writes the installed path into them."""
    erlang = unpacked / "usr/lib/erlang"
    for script in (*erlang.glob("bin/*"), *erlang.glob("erts-*/bin/*")):
        if script.is_symlink() or not script.is_file() or not script.read_bytes().startswith(b"#!"):
            continue
        text = script.read_text(encoding="utf-8")
        script.write_text(text.replace("=/usr/lib/erlang", f"={target}/usr/lib/erlang"), encoding="utf-8")


def _has_lists() -> bool:
    return any(Path("/var/lib/apt/lists").glob("*_Packages*"))


def _own_lists() -> tuple[str, ...]:
    """Fetch package lists into a place of our own, for a user who may not write the system's."""
    lists = UNPACKED / "lists"
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    (UNPACKED / "cache/archives/partial").mkdir(parents=True, exist_ok=True)
    options = ("-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={UNPACKED / 'cache'}")
    _run(("apt-get", *options, "-qq", "update"))
    return options


@contextmanager
def _no_services() -> Iterator[None]:
    """Forbid service starts while packages are installed (policy-rc.d, Debian policy 9.3.3.1)."""
    if POLICY.exists() or not POLICY.parent.is_dir():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)


def _run(argv: Sequence[str], *, cwd: Path | None = None) -> str:
    """Run an apt or dpkg command; raise StepError with its own last words when it fails."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            list(argv),
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=APT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as fault:
        raise StepError(f"{' '.join(argv)} did not end within {APT_SECONDS} s") from fault
    if done.returncode != 0:
        words = "\n".join(f"    {line}" for line in (done.stderr or done.stdout).strip().splitlines()[-6:])
        raise StepError(f"{' '.join(argv)} failed:\n{words}")
    return done.stdout

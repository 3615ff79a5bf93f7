"""``make setup``: from a bare Python and apt to ``.venv`` with everything pinned, in one go and quickly the next time.

Standard library only. What is done is remembered in ``.venv/setup.stamp`` under a hash of everything it depends on.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from deploy.local import debian
from deploy.local.console import Step, StepError, paint, say, step
from deploy.local.processes import last_lines

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = debian.PROJECT
VENV = PROJECT / ".venv"
PYTHON = VENV / "bin/python"
STAMP = VENV / "setup.stamp"
LOCK = PROJECT / "requirements-dev.lock"
LOG = debian.LOCAL / "log/setup.log"
OLDEST = (3, 11)
ENGINE_PACKAGE = "libengine-gost-openssl"
ENGINE_FILE = "usr/lib/*/engines-3/gost.so"
PIP_SECONDS = 1200

#: Packages that are published as source alone: pure Python, built on the spot.
SOURCE_ONLY = ("pyftpdlib",)


def main() -> int:
    """Do what is missing; return 0 when the environment is complete."""
    try:
        _setup()
    except StepError as fault:
        say(f"\n{paint('Set-up stopped.', 'red')} {fault}")
        return 1
    except KeyboardInterrupt:
        say("\nInterrupted.")
        return 130
    return 0


def _setup() -> None:
    if sys.version_info < OLDEST:
        raise StepError(f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed, this is {sys.version.split()[0]}")
    mark = _mark()
    if _done(mark):
        return
    say(paint("Setting up", "bold"))
    with debian.exclusive():
        if _done(mark):
            return
        _make_venv()
        _install_packages()
        _install_project()
    _link_engine()
    STAMP.write_text(mark, encoding="ascii")


def _mark() -> str:
    """Return a hash of the interpreter, the lock and the project's metadata: the same hash needs no work."""
    parts = (sys.version.encode(), LOCK.read_bytes(), (PROJECT / "pyproject.toml").read_bytes(), bytes(PROJECT))
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _done(mark: str) -> bool:
    return STAMP.exists() and STAMP.read_text(encoding="ascii") == mark and PYTHON.exists() and _engine_link().exists()


def _make_venv() -> None:
    if PYTHON.exists() and not _runs(PYTHON):
        shutil.rmtree(VENV)  # its interpreter is gone or has another version
    with step("Virtual environment .venv") as running:
        if not PYTHON.exists():
            if importlib.util.find_spec("ensurepip") is None:
                running.note = "python3-venv is missing, installing it"
                _get_venv_module()
            _run(running, [sys.executable, "-m", "venv", "--clear", str(VENV)])
        running.result = f"Python {sys.version.split()[0]}"


def _runs(python: Path) -> bool:
    wanted = f"{sys.version_info.major}.{sys.version_info.minor}"
    code = f"import sys, pip; sys.exit(sys.version.split()[0].rpartition('.')[0] != {wanted!r})"
    try:
        return subprocess.run([str(python), "-c", code], capture_output=True, timeout=60, check=False).returncode == 0
    except OSError:
        return False


def _get_venv_module() -> None:
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise StepError(f"Python's venv module is not installed. Run: sudo apt-get install {package}")
    debian.install([package])


def _install_packages() -> None:
    with step("Pinned packages, hashes checked") as running:
        running.note = "pip install"
        pip = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
        ready_made = ["--only-binary", ":all:", *(f"--no-binary={name}" for name in SOURCE_ONLY)]
        _run(running, [*pip, "--require-hashes", *ready_made, "-r", str(LOCK)])
        running.result = (
            f"{len(re.findall('^[a-z].*==', LOCK.read_text(encoding='utf-8'), flags=re.MULTILINE))} from {LOCK.name}"
        )


def _install_project() -> None:
    with step("The project, editable") as running:
        pip = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-index"]
        _run(running, [*pip, "--no-deps", "--no-build-isolation", "--editable", str(PROJECT)])
        running.result = ".venv/bin/adapter"


def _engine_link() -> Path:
    return VENV / "lib/engines-3/gost.so"


def _link_engine() -> None:
    """Link OpenSSL's GOST engine into the environment, where the adapter looks first, installed or unpacked alike."""
    engine = debian.provide(ENGINE_PACKAGE, ENGINE_FILE)
    link = _engine_link()
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(engine)


def _run(running: Step, argv: list[str]) -> None:
    """Run a long command with its output in the log; on failure show its last words."""
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with LOG.open("w", encoding="utf-8") as log:
        child = subprocess.Popen(argv, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + PIP_SECONDS
        try:
            while child.poll() is None:
                if time.monotonic() > deadline:
                    raise StepError(f"{' '.join(argv[:4])} did not end within {PIP_SECONDS} s; see {LOG}")
                running.note = _doing(LOG) or running.note
                time.sleep(0.2)
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait(10)
    if child.returncode != 0:
        raise StepError(f"{' '.join(argv[:4])} failed; its last words in {LOG}:\n{last_lines(LOG)}")


def _doing(log: Path) -> str:
    """Return what pip says it is doing, short enough for one line."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    words = lines[-1].split() if lines else []
    return " ".join(words[:2])[:40] if words[:1] in (["Collecting"], ["Downloading"], ["Installing"]) else ""


if __name__ == "__main__":
    sys.exit(main())

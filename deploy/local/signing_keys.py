"""The keys of the private stack, made by ``simulators.keys`` and ``simulators.shep.keys`` in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from deploy.local.console import StepError
from deploy.local.debian import PROJECT
from deploy.local.processes import clean_environment

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 120


def make_signing_keys(folder: Path) -> None:
    """Make what is missing in ``folder``. Raises StepError with the maker's own words."""
    for maker in ("simulators.keys", "simulators.shep.keys"):
        _make(maker, folder)


def _make(maker: str, folder: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", maker, str(folder)],
        cwd=PROJECT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if made.returncode != 0:
        raise StepError(f"The signing keys could not be made: {(made.stderr or made.stdout).strip()}")

"""The GOST keys of the private stack, made by ``python -m simulators.keys`` in a process of its own."""

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
    made = subprocess.run(
        [sys.executable, "-m", "simulators.keys", str(folder)],
        cwd=PROJECT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if made.returncode != 0:
        raise StepError(f"The signing keys could not be made: {(made.stderr or made.stdout).strip()}")

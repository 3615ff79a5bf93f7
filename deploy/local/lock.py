"""``make lock``: pin every dependency with the hashes of all its files, for Python 3.11 to 3.13 on x86_64 and aarch64.

The resolver is uv in an environment of its own; the result names no index and holds no address, so that it installs
from whatever index the machine is configured for.
"""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

from deploy.local import debian
from deploy.local.console import StepError, paint, say, step

if TYPE_CHECKING:
    from collections.abc import Sequence

ENVIRONMENT = debian.LOCAL / "lock"
OLDEST_PYTHON = "3.11"
#: What building the editable project needs; part of the development lock, so that nothing is fetched unpinned.
BUILD_REQUIREMENTS = ("hatchling>=1.27", "editables>=0.5")
#: What the container images need beside requirements.lock: to build the wheel, to make the demo's certificates,
#: and to send spans.
IMAGE_REQUIREMENTS = {
    "deploy/requirements-build.lock": BUILD_REQUIREMENTS,
    "deploy/requirements-demo.lock": ("trustme", "pyftpdlib"),
    "deploy/requirements-telemetry.lock": ("opentelemetry-exporter-otlp-proto-http", "opentelemetry-sdk"),
}
HEADER = "# Pinned with hashes by `make lock` from pyproject.toml. Do not edit.\n"


def main() -> int:
    """Write every lock file; ``--upgrade`` takes the newest versions that pyproject.toml allows."""
    renewed = ("--upgrade",) if "--upgrade" in sys.argv else ()
    try:
        _get_resolver()
        _resolve("requirements.lock", ("pyproject.toml", *renewed))
        build = _written("build.in", BUILD_REQUIREMENTS)
        constrained = ("--constraint", "requirements.lock", *renewed)
        _resolve("requirements-dev.lock", ("pyproject.toml", "--extra", "dev", build, *constrained))
        for target, wanted in IMAGE_REQUIREMENTS.items():
            source = _written(f"{target.rpartition('/')[2]}.in", wanted)
            _resolve(target, (source, "--constraint", "requirements-dev.lock", "--upgrade"))
    except StepError as fault:
        say(f"\n{paint('Nothing was locked.', 'red')} {fault}")
        return 1
    return 0


def _written(name: str, requirements: Sequence[str]) -> str:
    file = ENVIRONMENT / name
    file.write_text("\n".join(requirements), encoding="ascii")
    return str(file)


def _get_resolver() -> None:
    if not (ENVIRONMENT / "bin/uv").exists():
        with step("Resolver"):
            _run([sys.executable, "-m", "venv", str(ENVIRONMENT)])
            _run([str(ENVIRONMENT / "bin/python"), "-m", "pip", "install", "--quiet", "uv"])


def _resolve(name: str, arguments: Sequence[str]) -> None:
    """Pin what ``arguments`` of ``uv pip compile`` ask for into the file ``name``."""
    target = debian.PROJECT / name
    quiet = ("--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links")
    with step(name) as running:
        _run(
            [
                *(str(ENVIRONMENT / "bin/uv"), "pip", "compile", "--quiet", "--universal", "--generate-hashes"),
                *("--python-version", OLDEST_PYTHON, *quiet, "--output-file", str(target), *arguments),
            ]
        )
        text = HEADER + re.sub(r"^#.*\n", "", target.read_text(encoding="utf-8"), flags=re.MULTILINE)
        if "://" in text:
            raise StepError(f"{name} would hold an address; look at what pyproject.toml asks for")
        target.write_text(text, encoding="utf-8")
        running.result = f"{len(re.findall('^[a-z].*==', text, flags=re.MULTILINE))} packages"


def _run(argv: Sequence[str]) -> None:
    done = subprocess.run(argv, cwd=debian.PROJECT, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != 0:
        raise StepError(f"{' '.join(argv[:3])} failed:\n{(done.stderr or done.stdout).strip()}")


if __name__ == "__main__":
    sys.exit(main())

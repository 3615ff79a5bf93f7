"""``python -m tests.migration.freeze [REVISION]``: pack the code of a revision, for the tests of the next upgrade.

Writes ``frozen/adapter-VERSION.tar.xz`` with ``adapter/``, ``schemas/`` and the worker of the fault tests as they are
in the revision (HEAD unless another is named). The same revision gives the same bytes: names are sorted, times,
owners and modes are fixed.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
FROZEN = Path(__file__).resolve().parent / "frozen"
#: The small worker that the fault tests kill: it has to speak to the code it is packed with.
WORKER = "tests/faults/worker_program.py"
PACKED = ("adapter", "schemas", WORKER)


def pack(revision: str = "HEAD") -> tuple[str, bytes]:
    """Return the version of ``revision`` and the archive of its code. Raises CalledProcessError outside a checkout."""
    version = tomllib.loads(_git("show", f"{revision}:pyproject.toml").decode())["project"]["version"]
    packed = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(_git("archive", "--format=tar", revision, "--", *PACKED))) as given,
        tarfile.open(fileobj=packed, mode="w:xz", format=tarfile.USTAR_FORMAT, preset=9) as archive,
    ):
        for member in sorted((member for member in given if member.isfile()), key=lambda member: member.name):
            plain = tarfile.TarInfo(Path(WORKER).name if member.name == WORKER else member.name)
            plain.size = member.size
            archive.addfile(plain, given.extractfile(member))
    return str(version), packed.getvalue()


def newest(folder: Path = FROZEN) -> Path:
    """Return the archive of the highest version. Raises FileNotFoundError when there is none."""
    archives = sorted(folder.glob("adapter-*.tar.xz"), key=_version)
    if not archives:
        raise FileNotFoundError(f"no released code in {folder}: run make freeze")
    return archives[-1]


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack an archive into ``folder`` and return it."""
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder


def _version(archive: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in archive.name.removeprefix("adapter-").removesuffix(".tar.xz").split("."))


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", "-C", str(PROJECT), *arguments], check=True, capture_output=True).stdout


def main() -> int:
    """Pack and say where it went."""
    version, packed = pack(*sys.argv[1:2])
    file = FROZEN / f"adapter-{version}.tar.xz"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(packed)
    print(f"{file.relative_to(PROJECT)}: {len(packed)} bytes")  # noqa: T201  — a script speaks
    return 0


if __name__ == "__main__":
    sys.exit(main())

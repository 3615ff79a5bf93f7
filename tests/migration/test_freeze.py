"""The released code, frozen: what the next upgrade starts from."""

from __future__ import annotations

import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from adapter.journal.migrate import read_migrations
from tests.migration.freeze import FROZEN, PROJECT, newest, pack, unpack

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def checkout() -> None:
    if not (PROJECT / ".git").exists():
        pytest.skip("this is no git checkout, so there is no revision to pack")


@pytest.mark.usefixtures("checkout")
def test_the_same_revision_is_packed_into_the_same_bytes() -> None:
    assert pack("HEAD") == pack("HEAD")


@pytest.mark.usefixtures("checkout")
def test_a_revision_that_does_not_exist_is_refused() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        pack("no-such-revision")


def test_the_frozen_code_is_sorted_and_holds_nothing_of_the_machine_it_was_packed_on() -> None:
    with tarfile.open(newest()) as archive:
        members = archive.getmembers()
    names = [member.name for member in members if member.name != "worker_program.py"]
    assert names == sorted(names)
    assert {name.partition("/")[0] for name in names} == {"adapter", "schemas"}
    assert {(member.mtime, member.uid, member.gid, member.uname, member.mode) for member in members} == {
        (0, 0, 0, "", 0o644)
    }


def test_the_newest_version_is_the_highest_number_not_the_last_name(tmp_path: Path) -> None:
    for version in ("0.9.0", "0.10.0", "0.2.11"):
        (tmp_path / f"adapter-{version}.tar.xz").touch()
    assert newest(tmp_path).name == "adapter-0.10.0.tar.xz"


def test_a_folder_without_archives_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="make freeze"):
        newest(tmp_path)


def test_no_released_migration_has_been_changed_or_removed(tmp_path: Path) -> None:
    released = read_migrations(unpack(newest(), tmp_path) / "adapter/journal/migrations")
    assert released
    changed = [migration for migration in released if migration not in read_migrations()]
    assert changed == [], f"changed since {newest().relative_to(FROZEN)}; run make freeze if that was not released yet"

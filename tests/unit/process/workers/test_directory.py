"""The directory of the workers' own sockets, and what killed parents have left."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from wsprism.errors import OperatorError
from wsprism.process.workers import directory
from wsprism.process.workers.directory import OwnDirectory


def test_it_is_nobody_elses_and_goes_with_all_that_is_in_it(tmp_path: Path) -> None:
    own = OwnDirectory.make({"RUNTIME_DIRECTORY": f"{tmp_path}:/elsewhere"})
    assert Path(own.path).parent == tmp_path
    assert stat.S_IMODE(os.stat(own.path).st_mode) == 0o700
    (Path(own.path) / "1-1").touch()
    own.remove()
    assert list(tmp_path.iterdir()) == []


def test_the_next_start_removes_what_a_killed_parent_has_left_and_nothing_else(tmp_path: Path) -> None:
    environment = {"RUNTIME_DIRECTORY": str(tmp_path)}
    living = OwnDirectory.make(environment)
    left = tmp_path / "wsprism-workers-left"
    left.mkdir()
    (left / "1-1").touch()
    others = [tmp_path / "wsprism-something", tmp_path / "wsprism-workers-file", tmp_path / "wsprism-workers-link"]
    others[0].mkdir()
    others[1].touch()
    others[2].symlink_to(others[0])
    second = OwnDirectory.make(environment)
    assert set(tmp_path.iterdir()) == {*others, Path(living.path), Path(second.path)}
    second.remove()
    living.remove()


def test_where_nothing_can_be_written_another_place_is_taken_or_the_start_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "_temporary", lambda: None)
    monkeypatch.setattr(directory, "_LAST_RESORTS", (str(tmp_path),))
    own = OwnDirectory.make({"RUNTIME_DIRECTORY": str(tmp_path / "no" / "such")})
    assert Path(own.path).parent == tmp_path
    own.remove()
    monkeypatch.setattr(directory, "_LAST_RESORTS", ())
    with pytest.raises(OperatorError, match="name one by TMPDIR"):
        OwnDirectory.make({})

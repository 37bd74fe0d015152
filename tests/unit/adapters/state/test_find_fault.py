"""What ``check`` and a reload say of a state file, which a running gateway may hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsprism.adapters.state import StateFile, find_fault


def test_a_new_file_and_one_that_a_gateway_holds_are_good(tmp_path: Path) -> None:
    path = str(tmp_path / "state.db")
    assert find_fault(path) is None
    assert not Path(path).exists()
    state = StateFile.open(path)
    try:
        assert find_fault(path) is None
    finally:
        state.close()
    assert find_fault(path) is None


@pytest.mark.parametrize("place", ["missing/state.db", "folder", "foreign"])
def test_what_a_start_could_not_open_is_told(tmp_path: Path, place: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "foreign").write_bytes(b"SQLite format 3" + bytes(200))
    fault = find_fault(str(tmp_path / place))
    assert fault is not None
    assert fault.startswith("must be a file")

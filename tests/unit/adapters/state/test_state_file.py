"""wsprism.adapters.state: what is kept over a restart, and which files are refused."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from wsprism.adapters.state import Kind, StateFile
from wsprism.errors import OperatorError


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "state.db")


def test_what_was_kept_is_there_after_a_restart(path: str) -> None:
    one = StateFile.open(path)
    one.put("acme", Kind.REVOCATION, b"user\0ann", b"1", 50.0)
    one.put("acme", Kind.REVOCATION, b"user\0bob", b"1", 10.0)
    one.put("other", Kind.GENERATION, b"", b"7")
    one.put("acme", Kind.TICKET, b"t", b"x")
    one.drop("acme", Kind.TICKET, b"t")
    one.close()
    two = StateFile.open(path)
    assert two.entries("acme", Kind.REVOCATION, 20.0) == []
    assert two.entries("other", Kind.GENERATION, 20.0) == [(b"", b"7", None)]
    assert two.entries("acme", Kind.TICKET, 20.0) == []
    two.close()


def test_what_is_settled_survives_a_crash(path: str) -> None:
    script = f"""
        import asyncio, os, signal
        from wsprism.adapters.state import Kind, StateFile
        async def main():
            one = StateFile.open({path!r})
            one.put("acme", Kind.REVOCATION, b"k", b"v")
            await one.settled()
            os.kill(os.getpid(), signal.SIGKILL)
        asyncio.run(main())
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert done.returncode == -signal.SIGKILL
    two = StateFile.open(path)
    assert two.entries("acme", Kind.REVOCATION, 0.0) == [(b"k", b"v", None)]
    two.close()


def test_a_second_gateway_is_refused(path: str) -> None:
    one = StateFile.open(path)
    with pytest.raises(OperatorError, match="in use by another gateway"):
        StateFile.open(path)
    one.close()
    StateFile.open(path).close()


def test_nobody_else_may_read_it(path: str) -> None:
    StateFile.open(path).close()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


@pytest.mark.parametrize("content", [b"hello, this is no database at all" * 40, b"SQLite format 3\0" + b"\xff" * 4096])
def test_what_is_no_database_is_refused_and_left_as_it_is(path: str, content: bytes) -> None:
    Path(path).write_bytes(content)
    with pytest.raises(OperatorError, match="damaged or no SQLite file"):
        StateFile.open(path)
    assert Path(path).read_bytes() == content
    with pytest.raises(OperatorError, match="damaged"):
        StateFile.open(path)


def test_a_damaged_file_is_refused(path: str) -> None:
    one = StateFile.open(path)
    for number in range(2000):
        one.put("acme", Kind.TICKET, str(number).encode(), b"x" * 100)
    one.close()
    raw = bytearray(Path(path).read_bytes())
    raw[8192:12288] = b"\x55" * 4096
    Path(path).write_bytes(raw)
    with pytest.raises(OperatorError, match="damaged"):
        StateFile.open(path)


def test_another_programs_database_is_refused(path: str) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE people (name)")
    other.close()
    with pytest.raises(OperatorError, match="another program"):
        StateFile.open(path)


def test_a_file_of_another_version_is_refused(path: str) -> None:
    StateFile.open(path).close()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(OperatorError, match="another version"):
        StateFile.open(path)


def test_a_place_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="cannot be opened: No such file or directory"):
        StateFile.open(str(tmp_path / "nowhere" / "state.db"))


def test_what_is_taken_is_given_in_order_once_and_is_gone(path: str) -> None:
    one = StateFile.open(path)
    entries = [("b", b"\x02y", b"2"), ("b", b"\x01z", b"1"), ("a", b"\x09", b"0")]
    assert one.put_all(Kind.HISTORY, entries, until=time.monotonic() + 60) == 3
    one.put("b", Kind.TICKET, b"t", b"x")
    one.close()
    two = StateFile.open(path)
    taken: list[tuple[str, bytes, bytes]] = []
    two.take_all(Kind.HISTORY, lambda *entry: taken.append(entry))
    assert taken == sorted(entries)
    two.take_all(Kind.HISTORY, lambda *entry: pytest.fail(f"{entry} is still there"))
    assert two.entries("b", Kind.TICKET, 0.0) == [(b"t", b"x", None)]
    two.close()


def test_of_too_much_as_much_is_kept_as_there_is_time_for(path: str) -> None:
    one = StateFile.open(path)
    entries = [("a", bytes([number]), bytes(600_000)) for number in range(9)]
    assert one.put_all(Kind.HISTORY, entries, until=time.monotonic()) == 0
    assert one.put_all(Kind.HISTORY, entries, until=time.monotonic() + 60) == 9
    one.close()


def test_a_file_that_cannot_be_written_gives_nothing_and_keeps_nothing(path: str) -> None:
    one = StateFile.open(path)
    one.put_all(Kind.HISTORY, [("a", b"k", b"v")], until=time.monotonic() + 60)
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("PRAGMA busy_timeout = 0")
        other.execute("BEGIN IMMEDIATE")
        one._connection.execute("PRAGMA busy_timeout = 0")
        with pytest.raises(OperatorError, match=r"cannot be read and written: database is locked"):
            one.take_all(Kind.HISTORY, lambda *_: None)
        assert one.put_all(Kind.HISTORY, [("a", b"l", b"v")], until=time.monotonic() + 60) == 0
        other.execute("ROLLBACK")
    other.close()
    assert one.entries("a", Kind.HISTORY, 0.0) == [(b"k", b"v", None)]
    one.close()

"""``gateway.state_file``: what one gateway process remembers over a restart, in one SQLite file.

Entries of a tenant by kind and key, each with its end. The file is read once at the start; changes are gathered and
written by a thread of their own, so that nobody waits for a disk; at most ``GATHER_S`` of them are lost in a crash. Who
must not lose one waits for ``settled``. A second gateway, a foreign and a corrupt file are refused at the start.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from wsprism.errors import OperatorError
from wsprism.ports import StateKind as Kind

__all__ = ["GATHER_S", "Kind", "StateFile", "find_fault"]

_log = logging.getLogger("wsprism.gateway")

GATHER_S: Final = 0.5
_APPLICATION_ID: Final = 0x77735072
_SCHEMA_VERSION: Final = 1
_RETRY_S: Final = 5.0
_HEAD_BYTES: Final = 100
_BATCH_BYTES: Final = 1024 * 1024

_SCHEMA: Final = f"""
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_SCHEMA_VERSION};
CREATE TABLE entries (
    tenant TEXT NOT NULL, kind TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, expires_at REAL,
    PRIMARY KEY (tenant, kind, key)
) WITHOUT ROWID;
"""


_Key = tuple[str, str, bytes]
_Value = tuple[bytes, float | None] | None


class StateFile:
    """Open it with ``open``. All methods but the thread's own are the event loop's."""

    def __init__(self, path: str, connection: sqlite3.Connection, lock: int) -> None:
        self._path = path
        self._connection = connection
        self._lock = lock
        self._changes: dict[_Key, _Value] = {}
        self._waiting: list[Callable[[], object]] = []
        self._condition = threading.Condition()
        self._database = threading.Lock()  # held over a write to the disk, so never by who has changes
        self._urgent = False
        self._closing = False
        self._failing = False
        self._thread = threading.Thread(target=self._write_behind, name="wsprism-state", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, path: str) -> StateFile:
        """Open or make the file. Raises OperatorError: it is in use, is not ours, is damaged, or cannot be written."""
        lock = _lock(path)
        try:
            return cls(path, _connect(path), lock)
        except BaseException:
            os.close(lock)
            raise

    def entries(self, tenant: str, kind: Kind, unix_now: float) -> list[tuple[bytes, bytes, float | None]]:
        """Key, value and end of what is kept and has not ended. To be read before anything changes."""
        with self._database:
            rows = self._connection.execute(
                "SELECT key, value, expires_at FROM entries WHERE tenant = ? AND kind = ?"
                " AND (expires_at IS NULL OR expires_at > ?)",
                (tenant, kind.value, unix_now),
            )
            return rows.fetchall()

    def put(self, tenant: str, kind: Kind, key: bytes, value: bytes, expires_at: float | None = None) -> None:
        """Keep an entry, in place of the one that has this key."""
        self._change((tenant, kind.value, key), (value, expires_at))

    def drop(self, tenant: str, kind: Kind, key: bytes) -> None:
        """Keep it no longer."""
        self._change((tenant, kind.value, key), None)

    def take_all(self, kind: Kind, each: Callable[[str, bytes, bytes], object]) -> None:
        """Give every entry of ``kind`` to ``each``: tenant, key, value; by tenant, in the order of keys. Forget them.

        None of them is there any more when this returns, also after a crash. Blocks for the disk. Raises OperatorError.
        """
        with self._database:
            try:
                for row in self._connection.execute(
                    "SELECT tenant, key, value FROM entries WHERE kind = ? ORDER BY tenant, kind, key", (kind.value,)
                ):
                    each(*row)
                with self._connection:
                    self._connection.execute("DELETE FROM entries WHERE kind = ?", (kind.value,))
            except sqlite3.Error as error:
                raise OperatorError(f"gateway.state_file: {self._path} cannot be read and written: {error}") from error

    def put_all(self, kind: Kind, entries: Iterable[tuple[str, bytes, bytes]], until: float) -> int:
        """Keep ``entries`` (tenant, key, value), as many as there is time for; how many of them are on the disk.

        ``until`` is ``time.monotonic()``. Blocks for the disk. An entry is kept whole or not at all.
        """
        written = 0
        batch: list[tuple[str, str, bytes, bytes]] = []
        size_bytes = 0
        for tenant, key, value in entries:
            batch.append((tenant, kind.value, key, value))
            size_bytes += len(value)
            if size_bytes >= _BATCH_BYTES:
                if time.monotonic() >= until or not self._put_batch(batch):
                    return written
                written += len(batch)
                batch, size_bytes = [], 0
        return written + len(batch) if self._put_batch(batch) else written

    def _put_batch(self, batch: list[tuple[str, str, bytes, bytes]]) -> bool:
        try:
            with self._database, self._connection:
                self._connection.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, NULL)", batch)
        except sqlite3.Error as error:
            _log.error("the state file cannot be written", extra={"file": self._path, "why": str(error)})
            return False
        return True

    async def settled(self) -> None:
        """Return when every change so far is on the disk."""
        loop = asyncio.get_running_loop()
        written: asyncio.Future[None] = loop.create_future()

        def settle() -> None:
            if not written.done():
                written.set_result(None)

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has gone: nobody waits any more
                loop.call_soon_threadsafe(settle)

        with self._condition:
            self._waiting.append(tell)
            self._urgent = True
            self._condition.notify()
        await written

    def close(self) -> None:
        """Write what is left, and let the next gateway have the file. Blocks for the disk; idempotent."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        self._thread.join()
        self._connection.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _change(self, key: _Key, value: _Value) -> None:
        with self._condition:
            if not self._changes:
                self._condition.notify()
            self._changes[key] = value

    def _write_behind(self) -> None:
        while True:
            with self._condition:
                while not (self._changes or self._urgent or self._closing):
                    self._condition.wait()
                if not self._urgent and not self._closing:
                    self._condition.wait_for(lambda: self._urgent or self._closing, GATHER_S)
                changes, self._changes = self._changes, {}
                waiting, self._waiting = self._waiting, []
                self._urgent = False
                closing = self._closing
            written = self._write(changes)
            with self._condition:
                if not written:
                    self._changes = changes | self._changes
                    self._waiting = waiting + self._waiting
            if written:
                for tell in waiting:
                    tell()
                if closing and not self._changes:
                    return
            elif closing:
                return
            else:
                with self._condition:
                    self._condition.wait_for(lambda: self._closing, _RETRY_S)

    def _write(self, changes: dict[_Key, _Value]) -> bool:
        """Whether all of ``changes`` are on the disk."""
        put = [(*key, *value) for key, value in changes.items() if value is not None]
        gone = [key for key, value in changes.items() if value is None]
        try:
            with self._database, self._connection:
                self._connection.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?)", put)
                self._connection.executemany("DELETE FROM entries WHERE tenant = ? AND kind = ? AND key = ?", gone)
                self._connection.execute("DELETE FROM entries WHERE expires_at <= ?", (time.time(),))
        except sqlite3.Error as error:
            if not self._failing:
                _log.error("the state file cannot be written", extra={"file": self._path, "why": str(error)})
            self._failing = True
            return False
        if self._failing:
            _log.info("the state file can be written again", extra={"file": self._path})
        self._failing = False
        return True


def find_fault(path: str) -> str | None:
    """What would keep a start from opening the file, as far as a look tells that changes nothing; it may be in use."""
    directory = os.path.dirname(path) or "."
    if not os.path.isdir(directory):
        return f"must be a file in a directory that is there, found {path!r}"
    if not os.access(directory, os.W_OK | os.X_OK):
        return f"must be a file in a directory that can be written, found {path!r}"
    if not os.path.exists(path):
        return None
    if not os.path.isfile(path) or not os.access(path, os.R_OK | os.W_OK):
        return f"must be a file that can be read and written, found {path!r}"
    with open(path, "rb") as stream:
        head = stream.read(_HEAD_BYTES)
    if head and (head[:16] != b"SQLite format 3\0" or head[68:72] != _APPLICATION_ID.to_bytes(4, "big")):
        return f"must be a file that a gateway has made, or a new one, found {path!r}"
    return None


def _lock(path: str) -> int:
    """Hold a lock of this process on a file beside it, which a crash lets go of too."""
    try:
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise OperatorError(f"gateway.state_file: {path} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise OperatorError(f"gateway.state_file: {path} is in use by another gateway; give each its own") from error
    return lock


def _connect(path: str) -> sqlite3.Connection:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        os.chmod(path, 0o600)
    except OSError as error:
        raise OperatorError(f"gateway.state_file: {path} cannot be opened: {error.strerror}") from error
    connection = sqlite3.connect(path, isolation_level="IMMEDIATE", check_same_thread=False)
    try:
        _check(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise OperatorError(
            f"gateway.state_file: {path} is damaged or no SQLite file ({error}); move it away to begin anew"
        ) from error
    except OperatorError:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection, path: str) -> None:
    """Make an empty file ours; refuse one that is not, or not whole."""
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if not tables and not application:
        connection.executescript(_SCHEMA)
    elif application != _APPLICATION_ID:
        raise OperatorError(f"gateway.state_file: {path} belongs to another program; name another file")
    elif version != _SCHEMA_VERSION:
        raise OperatorError(f"gateway.state_file: {path} was written by another version of the gateway ({version})")
    (whole,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if whole != "ok":
        raise OperatorError(f"gateway.state_file: {path} is damaged ({whole}); move it away to begin anew")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.commit()

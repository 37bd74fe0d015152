"""Where workers have their own sockets: a directory of the parent's that nobody else may enter.

The parent holds a lock on it while it lives. What a killed one has left is known by the lock that nobody holds, and
goes with the next start.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Mapping
from typing import Final, Self

from wsprism.errors import OperatorError

__all__ = ["OwnDirectory"]

_PREFIX: Final = "wsprism-workers-"

_LAST_RESORTS: Final = ("/dev/shm",)
"""Where sockets may be when nothing else can be written, as in a container whose files are read-only."""


class OwnDirectory:
    """``make`` it, and ``remove`` it in the end."""

    def __init__(self, path: str, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def make(cls, environment: Mapping[str, str]) -> Self:
        """Raises OperatorError when there is no place for one."""
        named = environment.get("RUNTIME_DIRECTORY", "").split(":")[0]
        for where in (*filter(None, (named,)), _temporary(), *_LAST_RESORTS):
            if where is not None:
                with contextlib.suppress(OSError):
                    _clean(where)
                    return cls._make_in(where)
        raise OperatorError("workers need a directory for their sockets, and none can be written: name one by TMPDIR")

    @classmethod
    def _make_in(cls, where: str) -> Self:
        while True:
            path = tempfile.mkdtemp(prefix=_PREFIX, dir=where)
            lock = _locked(path)
            if lock is not None:  # else another parent, which starts now, has taken it for one that was left
                return cls(path, lock)

    def remove(self) -> None:
        """With all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _temporary() -> str | None:
    try:
        return tempfile.gettempdir()
    except OSError:
        return None


def _clean(where: str) -> None:
    """Remove those of this user whose parents are no more."""
    with os.scandir(where) as entries:
        left = [one.path for one in entries if one.name.startswith(_PREFIX) and _is_own(one)]
    for path in left:
        lock = _locked(path)
        if lock is not None:
            OwnDirectory(path, lock).remove()


def _is_own(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_uid == os.geteuid()
    except OSError:
        return False


def _locked(path: str) -> int | None:
    """A descriptor that holds the directory's lock; None: another process has it, or it is gone."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock), os.stat(path)):
            return lock
    except OSError:
        pass
    os.close(lock)
    return None

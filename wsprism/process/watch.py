"""Notices that files have changed, by looking at them now and then. Knows nothing of what they hold.

A change counts once two looks have seen the same: a file that is being written, or replaced by a rename, is left alone
until it is whole. Used by ``start --watch``.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from typing import Final

__all__ = ["FileWatch"]

INTERVAL_S: Final = 1.0

Fingerprint = dict[str, tuple[int, int, int] | None]
"""Modification time, size and inode of each file, links followed; None: it is not there."""


class FileWatch:
    """Counts changes from its construction on. ``files`` gives the names; they may be others after each change."""

    def __init__(self, files: Callable[[], Iterable[str]]) -> None:
        self._files = files
        self._known = self._last = _fingerprint(files())

    async def run(self, on_change: Callable[[], object]) -> None:
        """Look every second, off the loop, until cancelled; ``on_change`` does not wait."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            if self.look(await asyncio.to_thread(_fingerprint, list(self._files()))):
                on_change()

    def look(self, seen: Fingerprint) -> bool:
        """Whether ``seen`` differs from what is known and is the same as at the last look. A file that was not watched
        before is no change."""
        known = {name: self._known.get(name, state) for name, state in seen.items()}
        settled = seen == self._last and seen != known
        self._last = seen
        self._known = seen if settled else known
        return settled


def _fingerprint(files: Iterable[str]) -> Fingerprint:
    return {name: _stat(name) for name in files}


def _stat(file: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino

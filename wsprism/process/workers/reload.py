"""A reload of all workers or of none: each looks at the same text first, and all put it in force once all could."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from wsprism.config_file import Fault
from wsprism.process.workers.child import Child

if TYPE_CHECKING:
    from wsprism.process.workers.parent import Parent

__all__ = ["Reloads"]

_log = logging.getLogger("wsprism.workers")

Faults = list[dict[str, Any]]


class Reloads:
    """One at a time; a rolling restart holds ``lock`` too."""

    def __init__(self, parent: Parent) -> None:
        self.lock = asyncio.Lock()
        self._parent = parent
        self._next_is_due = False

    def begin(self) -> None:
        """Read the file and put it in force when nothing else is under way; what is wrong is in the log.

        One that waits for its turn reads the file then, so that others meanwhile would find nothing new.
        """
        if not self._next_is_due and not self._parent.draining:
            self._next_is_due = True
            self._parent.do(self._in_turn())

    async def _in_turn(self) -> None:
        async with self.lock:
            self._next_is_due = False
            if not self._parent.draining:
                await self._reload()

    async def reload_for(self, child: Child) -> None:
        """The same, for a worker that has been asked to."""
        async with self.lock:
            faults = await self._reload()
        child.reloaded(faults)

    async def align(self, child: Child) -> None:
        """Give what is in force to one that was started before it was."""
        async with self.lock:
            _, faults = await child.prepare(self._parent.content)
            if not faults:
                await child.commit()

    async def _reload(self) -> Faults:
        parent = self._parent
        parent.tell_reloading()
        try:
            return await self._all_or_none(parent.serving)
        finally:
            parent.tell_manager()

    async def _all_or_none(self, children: Sequence[Child]) -> Faults:
        parent = self._parent
        try:
            content = await asyncio.to_thread(parent.read_again)
        except OSError as error:
            return self._refused([_fault(parent.file, f"cannot be read: {error.strerror}")])
        looks = await asyncio.gather(*(child.prepare(content) for child in children))
        faults = list({str(one): one for _, found in looks for one in found}.values())
        if not faults and len({found for found, _ in looks}) > 1:
            faults = [_fault(parent.file, "the workers do not read the same configuration in it")]
        if faults or not children:
            for child in children:
                child.abandon("another worker cannot have it")
            return self._refused(faults or [_fault(parent.file, "no worker is there")])
        parent.in_force(content, children)
        committed = await asyncio.gather(*(child.commit() for child in children))
        living = [found for child, found in zip(children, committed, strict=True) if not child.gone]
        faults = [one for found in living for one in found]  # what takes a dead one's place has it from the start
        if faults:
            _log.error("a worker could not take the configuration of the others", extra={"faults": _shown(faults)})
        return faults

    @staticmethod
    def _refused(faults: Faults) -> Faults:
        _log.error("configuration rejected, all workers keep the old one", extra={"faults": _shown(faults)})
        return faults


def _fault(file: str, problem: str) -> dict[str, Any]:
    return asdict(Fault(file, 0, "", problem))


def _shown(faults: Faults) -> list[str]:
    return [str(Fault(**one)) for one in faults]

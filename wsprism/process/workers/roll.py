"""A rolling restart: worker by worker a new process takes the place of an old one, with the code and the file of now.

The new one listens on the same sockets and is ready before the old one takes nobody more, so that there is no moment
without a listener. What does not become ready ends the roll: the old ones stay, and those that were replaced are
replaced once more, so that all have one configuration.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from wsprism.process.workers.child import Child

if TYPE_CHECKING:
    from wsprism.process.workers.parent import Parent

__all__ = ["Roll"]

_log = logging.getLogger("wsprism.workers")

_READY_WITHIN_S: Final = 60.0
_LEFT_AFTER_ITS_TIME_S: Final = 15.0
_LOOK_S: Final = 0.02


class Roll:
    """``begin`` it as often as somebody wants; while one is under way others are none."""

    def __init__(self, parent: Parent) -> None:
        self._parent = parent
        self._task: asyncio.Task[None] | None = None

    @property
    def under_way(self) -> bool:
        return self._task is not None and not self._task.done()

    def begin(self) -> None:
        """Not while all drain."""
        if self.under_way:
            _log.warning("a rolling restart is under way already")
        elif not self._parent.draining:
            self._task = self._parent.do(self._run())

    def stop(self) -> None:
        """Replace nobody more."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        parent = self._parent
        async with parent.reloads.lock:
            _log.info("rolling restart", extra={"workers": len(parent.numbers)})
            before = parent.content
            try:
                now = await asyncio.to_thread(parent.read_again)
            except OSError as error:
                _log.error("the rolling restart is given up: the file cannot be read", extra={"error": error.strerror})
                return
            parent.content = before if now == before else now
            for number in parent.numbers:
                if not await self._replace(number):
                    _log.error("the rolling restart is given up, the other workers stay", extra={"worker": number})
                    await self._take_back(before)
                    return
            parent.in_force(parent.content, ())
            _log.info("rolling restart done", extra={"workers": len(parent.numbers)})

    async def _take_back(self, before: bytes) -> None:
        """All are to have the configuration of those that stayed. Where no process comes up, a reload gives it to the
        worker that is there, when the roll has ended: what takes a restart stays then.
        """
        parent = self._parent
        parent.content = before
        for number in parent.numbers:
            child = parent.children.get(number)
            if child is not None and child.content is not before and not await self._replace(number):
                _log.error("a worker keeps of the new configuration what takes a restart", extra={"worker": number})
        _log.info("the rolling restart has ended", extra={"workers": len(parent.numbers)})

    async def _replace(self, number: int) -> bool:
        parent = self._parent
        old = parent.children.get(number)
        try:
            new = await parent.start(number)
        except OSError as error:
            _log.error("a worker cannot be started", extra={"worker": number, "error": str(error)})
            return False
        try:
            ready = await _becomes_ready(new)
            if ready and parent.children.get(number) is not old:
                return await self._superfluous(new)
        except asyncio.CancelledError:
            new.kill()
            raise
        if not ready:
            new.kill()
            await new.ended
            return False
        parent.put(new)
        _log.info("a worker was replaced", extra={"worker": number, "pid": new.pid})
        if old is not None and not old.ended.done():
            old.leave()
            try:
                async with asyncio.timeout(old.standing.ends_within_s + _LEFT_AFTER_ITS_TIME_S):
                    await asyncio.shield(old.ended)
            except TimeoutError:
                _log.error("a worker does not end, and is killed", extra={"worker": number})
                old.kill()
                await old.ended
        return True

    @staticmethod
    async def _superfluous(new: Child) -> bool:
        """The old one has died meanwhile, and was started anew, as this one was."""
        new.drain()
        await new.ended
        return True


async def _becomes_ready(child: Child) -> bool:
    loop = asyncio.get_running_loop()
    until = loop.time() + _READY_WITHIN_S
    while not child.ready:
        if child.ended.done() or loop.time() > until:
            return False
        await asyncio.sleep(_LOOK_S)
    return not child.ended.done()

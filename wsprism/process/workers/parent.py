"""The parent of all workers: starts them, starts anew what dies, and hands on what the process is told.

It owns the sockets that clients come to and serves none of them, so that workers come and go without a moment in which
nobody listens. It reads the configuration for what is its own (addresses, number of workers); the rest is judged by the
workers, with their code.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any, Final

from actors import LoopScheduler
from wsprism.composition.front import build_front
from wsprism.errors import OperatorError
from wsprism.process.systemd import ServiceManager, watchdog_interval_s
from wsprism.process.workers.child import Child
from wsprism.process.workers.directory import OwnDirectory
from wsprism.process.workers.listeners import PublicSockets, bind_public
from wsprism.process.workers.plan import LIVED_LONG_S, accepting, preferred, restart_after_s
from wsprism.process.workers.reload import Reloads
from wsprism.process.workers.roll import Roll
from wsprism.settings import Settings, load_settings
from wsprism.transport.front import Front, WorkerSeen

__all__ = ["Parent"]

_log = logging.getLogger("wsprism.workers")

FAILED: Final = 1

_ENDS_AFTER_ITS_TIME_S: Final = 15.0
"""A worker that says when it ends has this much more, and after a second signal only this; then it is killed."""


class Parent:
    """``run`` it once. What it says in words goes to ``announce``."""

    def __init__(
        self,
        settings: Settings,
        workers: int,
        *,
        file: str,
        content: bytes,
        announce: Callable[[Settings, Parent], object],
    ) -> None:
        self.numbers = range(1, workers + 1)
        self.file = file
        self.content = content
        self.settings = settings
        self.children: dict[int, Child] = {}
        self.restarts = dict.fromkeys(self.numbers, 0)
        self.draining = False
        self.sockets: PublicSockets
        self.front: Front | None = None
        self.reloads = Reloads(self)
        self.roll = Roll(self)
        self._announce = announce
        self._failures = dict.fromkeys(self.numbers, 0)
        self._every: set[Child] = set()
        self._serials = count(1)
        self._directory: OwnDirectory
        self._tasks: set[asyncio.Task[Any]] = set()
        self._told_to_stop = asyncio.Event()
        self._told_twice = asyncio.Event()
        self._manager: ServiceManager

    # Life

    async def run(self) -> int:
        """The exit code. Raises OperatorError when there is nothing to listen on."""
        gateway = self.settings.gateway
        loop = asyncio.get_running_loop()
        self.sockets = bind_public(gateway.listen, len(self.numbers))
        try:
            self._directory = OwnDirectory.make(os.environ)
        except BaseException:
            self.sockets.close()
            raise
        try:
            with contextlib.closing(ServiceManager(os.environ, LoopScheduler(loop))) as self._manager:
                if gateway.internal.listen is not None:
                    self.front = build_front(self.settings, self)
                    await self.front.start(gateway.internal.listen)
                try:
                    code = await self._serve()
                finally:
                    await self._end_tasks()
                    if self.front is not None:
                        await self.front.stop()
        finally:
            self.sockets.close()
            self._directory.remove()
        _log.info("stopped")
        return code

    async def _serve(self) -> int:
        first = await self.start(self.numbers[0])
        self.children[first.number] = first
        up, stop = asyncio.ensure_future(first.up.wait()), asyncio.ensure_future(self._told_to_stop.wait())
        await asyncio.wait((up, stop, first.ended), return_when=asyncio.FIRST_COMPLETED)
        for one in (up, stop):
            one.cancel()
        if first.ended.done() and not self._told_to_stop.is_set():
            return first.ended.result() if first.ended.result() > 0 else FAILED  # the worker has said why
        if not self._told_to_stop.is_set():
            self.look_after(first)
            for number in self.numbers[1:]:
                self.do(self._start_anew(number, 0.0))
            self._announce(self.settings, self)
            self.tell_manager()
            watching = self.do(self._watch_for_hung())
            await self._told_to_stop.wait()
            watching.cancel()
        await self._drain()
        return 0

    def stop(self) -> None:
        """Drain all workers; told again: wait no longer for their clients."""
        if self._told_to_stop.is_set():
            self._told_twice.set()
        self.draining = True
        self._told_to_stop.set()

    async def _drain(self) -> None:
        _log.info("draining", extra={"workers": len(self.children)})
        self.roll.stop()
        loop = asyncio.get_running_loop()
        within_s = max((one.standing.ends_within_s for one in self._all()), default=0.0)
        self._manager.stopping(within_s)
        for child in self._all():
            child.drain()
        deadline = loop.time() + within_s + _ENDS_AFTER_ITS_TIME_S
        twice: asyncio.Future[Any] = asyncio.ensure_future(self._told_twice.wait())
        while left := [one for one in self._all() if not one.ended.done()]:
            waits = [one.ended for one in left] + ([] if self._told_twice.is_set() else [twice])
            done, _ = await asyncio.wait(waits, timeout=deadline - loop.time(), return_when=asyncio.FIRST_COMPLETED)
            self.assign()
            if twice in done:
                deadline = loop.time() + _ENDS_AFTER_ITS_TIME_S
                for child in left:
                    child.end()
            if not done:
                for child in left:
                    _log.error("a worker does not end, and is killed", extra={"worker": child.number})
                    child.kill()
                await asyncio.gather(*(one.ended for one in left))
        twice.cancel()

    # Workers

    async def start(self, number: int) -> Child:
        """A new process for a number. Raises OSError."""
        path = os.path.join(self._directory.path, f"{number}-{next(self._serials)}")
        child = await Child.start(number, self.sockets, path, self.content, self._changed, self._asked)
        self._every.add(child)
        child.ended.add_done_callback(lambda _: self._every.discard(child))
        return child

    def put(self, child: Child) -> None:
        """It has its number from now on; whoever had it is one that leaves."""
        self.children[child.number] = child
        self.look_after(child)
        self.assign()

    def look_after(self, child: Child) -> None:
        """Start another one when it ends."""
        self.do(self._await_end(child))

    async def _await_end(self, child: Child) -> None:
        code = await child.ended
        if self.children.get(child.number) is not child:
            _log.info("a worker has left", extra={"worker": child.number, "exit_code": code})
            return
        del self.children[child.number]
        self.assign()
        self.tell_manager()
        if self.draining:
            return
        lived_s = asyncio.get_running_loop().time() - child.started_at
        number = child.number
        self._failures[number] = 1 if lived_s >= LIVED_LONG_S else self._failures[number] + 1
        after_s = restart_after_s(self._failures[number])
        fields = {"worker": number, "exit_code": code, "lived_s": round(lived_s, 1), "started_anew_after_s": after_s}
        _log.error("a worker has ended, and is started anew", extra=fields)
        await self._start_anew(number, after_s, again=True)

    async def _start_anew(self, number: int, after_s: float, *, again: bool = False) -> None:
        await asyncio.sleep(after_s)
        while not self.draining and number not in self.children:
            try:
                child = await self.start(number)
            except OSError as error:
                _log.error("a worker cannot be started", extra={"worker": number, "error": str(error)})
                self._failures[number] += 1
                await asyncio.sleep(restart_after_s(self._failures[number]))
                continue
            self.restarts[number] += int(again)
            if number in self.children:  # a rolling restart was faster
                child.drain()
                return
            self.put(child)
            if self.draining:
                child.drain()

    def assign(self) -> None:
        """Tell each worker from which slots to accept: one that is not ready leaves it to others, if any are."""
        there = {one.number: one.ready for one in self.children.values() if one.up.is_set() and not one.ended.done()}
        taken = accepting(len(self.sockets.slots), self.numbers, preferred(there))
        for number in there:
            self.children[number].accept_from(taken.get(number, []))

    def _changed(self, child: Child) -> None:
        if child.leaving or child.ended.done():
            return
        self.assign()
        if child.content is not self.content and not self.roll.under_way:
            child.content = self.content
            self.do(self.reloads.align(child))

    def _asked(self, child: Child, what: str) -> None:
        if what == "ask_drain":
            self.stop()
        elif self.draining or self.roll.under_way:
            why = "the gateway drains" if self.draining else "a rolling restart is under way: it reads the file as well"
            child.reloaded([{"file": self.file, "line": 0, "path": "", "problem": why, "elsewhere": False}])
        else:
            self.do(self.reloads.reload_for(child))

    async def _watch_for_hung(self) -> None:
        """The service manager's watchdog is fed by the parent; whose loop hangs among the workers is its business."""
        interval_s = watchdog_interval_s(os.environ)
        if interval_s is None:
            return
        patience_s = max(2 * interval_s, 2.0)
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(patience_s / 4)
            for child in self._all():
                if child.up.is_set() and loop.time() - child.standing.heard_at > patience_s:
                    _log.error("a worker says nothing, and is killed", extra={"worker": child.number})
                    child.kill()

    def _all(self) -> Sequence[Child]:
        return list(self._every)

    # What others see

    @property
    def serving(self) -> list[Child]:
        """Those that listen and stay."""
        return [one for _, one in sorted(self.children.items()) if one.serves]

    def workers(self) -> Iterable[WorkerSeen]:
        """For the internal listener."""
        for number in self.numbers:
            child = self.children.get(number)
            if child is None or not child.up.is_set() or child.ended.done():
                yield WorkerSeen(number, None, "not there", self.restarts[number])
            else:
                yield WorkerSeen(number, child.internal, child.standing.unready, self.restarts[number])

    def tell_manager(self) -> None:
        """That it serves, and with how many."""
        if not self.draining:
            self._manager.ready(f"serving with {len(self.serving)} of {len(self.numbers)} workers")

    def tell_reloading(self) -> None:
        """``tell_manager`` follows."""
        self._manager.reloading()

    def read_again(self) -> bytes:
        """The file as it is. Raises OSError."""
        with open(self.file, "rb") as stream:
            return stream.read()

    def in_force(self, content: bytes, children: Iterable[Child]) -> None:
        """These workers have this configuration, and all others are to have it as soon as they can be told."""
        self.content = content
        with contextlib.suppress(OperatorError):
            self.settings = load_settings(self.file, content=content)
        for child in children:
            child.content = content

    def do(self, work: Any) -> asyncio.Task[Any]:
        """In a task of its own, which ends with the parent."""
        task: asyncio.Task[Any] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _end_tasks(self) -> None:
        for child in self._all():
            if not child.ended.done():
                child.kill()
                await child.ended
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

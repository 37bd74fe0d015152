"""One worker as its parent sees it: a process, what it has said of itself, and what it is told."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from wsprism.config_file import Fault
from wsprism.process.workers.channel import Channel
from wsprism.process.workers.invitation import Invitation, with_length
from wsprism.process.workers.listeners import PublicSockets

__all__ = ["Child", "Standing", "own_command"]

_RELOAD_TIMEOUT_S: Final = 60.0


def own_command() -> list[str]:
    """How this process was started: whoever is started so now runs the code that is installed now."""
    return [sys.executable, *sys.orig_argv[1:]]


@dataclass(slots=True)
class Standing:
    """What a worker has said last; ``heard_at`` is the loop's time, and 0 before it serves."""

    heard_at: float = 0.0
    unready: str | None = "starting"
    draining: bool = False
    hash: str = ""
    ends_within_s: float = 0.0


class Child:
    """``start`` it. ``on_change`` is called for each thing that it says of itself, and ``ended`` is done after all."""

    def __init__(
        self,
        number: int,
        internal: str,
        process: asyncio.subprocess.Process,
        channel: Channel,
        content: bytes,
        on_change: Callable[[Child], object],
        on_ask: Callable[[Child, str], object],
    ) -> None:
        self.number = number
        self.internal = internal
        self.content = content
        self.standing = Standing()
        self.leaving = False
        self.up: asyncio.Event = asyncio.Event()
        self.accepts: list[int] = []
        self._process = process
        self._channel = channel
        self._on_change = on_change
        self._on_ask = on_ask
        self.gone = False
        self._answer: asyncio.Future[dict[str, Any]] | None = None
        self._questions = 0
        self.started_at = asyncio.get_running_loop().time()
        self.ended = asyncio.ensure_future(self._run())

    @classmethod
    async def start(
        cls,
        number: int,
        sockets: PublicSockets,
        internal: str,
        content: bytes,
        on_change: Callable[[Child], object],
        on_ask: Callable[[Child, str], object],
    ) -> Child:
        """Raises OSError when there can be no process more. Whoever gives up meanwhile leaves none behind."""
        starting = asyncio.ensure_future(cls._start(number, sockets, internal, content, on_change, on_ask))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            with contextlib.suppress(OSError):
                child = await starting
                child.kill()
                await child.ended
            raise

    @classmethod
    async def _start(
        cls,
        number: int,
        sockets: PublicSockets,
        internal: str,
        content: bytes,
        on_change: Callable[[Child], object],
        on_ask: Callable[[Child, str], object],
    ) -> Child:
        own, its = socket.socketpair()
        try:
            with its:
                invitation = Invitation(number, sockets.address, sockets.slots, internal, its)
                process = await asyncio.create_subprocess_exec(
                    *own_command(),
                    env=invitation.environment(os.environ),
                    pass_fds=invitation.descriptors,
                    stdin=asyncio.subprocess.DEVNULL,
                    start_new_session=True,  # what a terminal says to all, the parent hears and hands on
                )
        except BaseException:
            own.close()
            raise
        channel = await Channel.open(own)
        channel.send(with_length(content))
        return cls(number, internal, process, channel, content, on_change, on_ask)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ready(self) -> bool:
        """Whether clients should be sent to it."""
        return self.standing.unready is None

    @property
    def serves(self) -> bool:
        """Whether it listens, and nothing has been said of its end."""
        return self.up.is_set() and not self.leaving and not self.ended.done()

    def accept_from(self, slots: list[int]) -> None:
        """Told when it is something else than before."""
        if slots != self.accepts:
            self.accepts = slots
            self._channel.say("accept", slots=slots)

    def drain(self) -> None:
        self._channel.say("drain")

    def end(self) -> None:
        """Drain no longer."""
        self._channel.say("end")

    def leave(self) -> None:
        """Drain, while another one takes its place."""
        self.leaving = True
        self._channel.say("leave")

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)

    def reloaded(self, faults: list[dict[str, Any]]) -> None:
        """The answer to what it asked."""
        self._channel.say("reloaded", faults=faults)

    async def prepare(self, content: bytes) -> tuple[str, list[dict[str, Any]]]:
        """The hash of the configuration that it would have with ``content``, or what is wrong with that."""
        answer = await self._ask("prepare", content=content.decode("utf-8", "surrogateescape"))
        return str(answer.get("hash", "")), list(answer.get("faults", ()))

    async def commit(self) -> list[dict[str, Any]]:
        """Why it is not in force, if so."""
        return list((await self._ask("commit")).get("faults", ()))

    def abandon(self, why: str) -> None:
        self._channel.say("abandon", why=why)

    async def _ask(self, what: str, **fields: Any) -> dict[str, Any]:
        if self.gone:
            return _no_answer(self.number, "has ended")
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answer = answer
        self._questions += 1
        self._channel.say(what, question=self._questions, **fields)
        try:
            async with asyncio.timeout(_RELOAD_TIMEOUT_S):
                return await answer
        except TimeoutError:
            return _no_answer(self.number, f"has not answered within {_RELOAD_TIMEOUT_S:.0f} s")
        finally:
            self._answer = None

    async def _run(self) -> int:
        """The exit code; negative: the signal that ended it."""
        while (said := await self._channel.next()) is not None:
            self._heard(said)
        self.gone = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(_no_answer(self.number, "has ended"))
        code = await self._process.wait()
        await self._channel.close()
        with contextlib.suppress(OSError):
            os.unlink(self.internal)
        return code

    def _heard(self, said: dict[str, Any]) -> None:
        match said:
            case {"is": "state"}:
                self.standing = Standing(
                    asyncio.get_running_loop().time(),
                    said.get("unready"),
                    bool(said.get("draining")),
                    str(said.get("hash", "")),
                    float(said.get("ends_within_s", 0.0)),
                )
                self.up.set()
                self._on_change(self)
            case {"is": "prepared" | "committed"}:
                late = said.get("question") != self._questions  # to what nobody waits for any more
                if self._answer is not None and not self._answer.done() and not late:
                    self._answer.set_result(said)
            case {"is": "ask_drain" | "ask_reload" as what}:
                self._on_ask(self, what)


def _no_answer(number: int, what: str) -> dict[str, Any]:
    fault = Fault("", 0, "", f"worker {number} {what}")
    return {"faults": [{"file": fault.file, "line": 0, "path": "", "problem": fault.problem, "elsewhere": False}]}

"""What a parent asks of a worker: it gets the answer to that question, or hears at once that there will be none."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from typing import Any

import pytest

from tests.workers import children
from wsprism.config_file import ListenAddress
from wsprism.process.workers import child as module
from wsprism.process.workers.channel import Channel
from wsprism.process.workers.child import Child
from wsprism.process.workers.listeners import bind_public


class Process:
    """Ends when it is told to."""

    pid = 1

    def __init__(self) -> None:
        self.over = asyncio.Event()

    async def wait(self) -> int:
        await self.over.wait()
        return -int(signal.SIGKILL)


class Worker:
    """The other end of a child's channel."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, process: Process) -> None:
        self._reader = reader
        self.writer = writer
        self.process = process

    async def asked(self) -> dict[str, Any]:
        said = json.loads(await self._reader.readline())
        assert isinstance(said, dict)
        return said

    def say(self, **said: Any) -> None:
        self.writer.write(json.dumps(said).encode() + b"\n")

    async def die(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()
        self.process.over.set()


async def a_child() -> tuple[Child, Worker]:
    own, its = socket.socketpair()
    process = Process()
    channel = await Channel.open(own)
    child = Child(2, "/nowhere", process, channel, b"", lambda _: None, lambda *_: None)  # type: ignore[arg-type]
    return child, Worker(*await asyncio.open_unix_connection(sock=its), process)


async def test_a_start_that_is_given_up_leaves_no_process_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "own_command", lambda: ["/bin/sleep", "60"])
    before = children(os.getpid())
    public = bind_public(ListenAddress("127.0.0.1", 0), 1)
    with contextlib.closing(public):
        start = Child.start(1, public, "/nowhere", b"", lambda _: None, lambda *_: None)
        starting = asyncio.create_task(start)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
    assert children(os.getpid()) == before


async def test_who_dies_between_the_two_steps_of_a_reload_holds_nobody_up() -> None:
    child, worker = await a_child()
    looks = asyncio.create_task(child.prepare(b"version: 1"))
    asked = await worker.asked()
    assert asked["content"] == "version: 1"
    worker.say(**{"is": "prepared", "question": asked["question"], "faults": [], "hash": "h"})
    assert await looks == ("h", [])
    await worker.die()
    await child.ended
    async with asyncio.timeout(30):
        (fault,) = await child.commit()
    assert fault["problem"] == "worker 2 has ended"
    assert child.gone


async def test_who_dies_while_it_is_asked_has_answered_that() -> None:
    child, worker = await a_child()
    looks = asyncio.create_task(child.prepare(b"version: 1"))
    await worker.asked()
    worker.writer.close()  # and the process itself is not reaped yet
    async with asyncio.timeout(30):
        _, (fault,) = await looks
        assert fault["problem"] == "worker 2 has ended"
        assert await child.commit() == [fault]
    await worker.die()
    await child.ended


async def test_a_late_answer_is_not_that_to_the_next_question(monkeypatch: pytest.MonkeyPatch) -> None:
    child, worker = await a_child()
    monkeypatch.setattr(module, "_RELOAD_TIMEOUT_S", 0.01)
    _, (fault,) = await child.prepare(b"version: 1")
    assert "has not answered" in fault["problem"]
    monkeypatch.setattr(module, "_RELOAD_TIMEOUT_S", 60.0)
    first = await worker.asked()
    looks = asyncio.create_task(child.prepare(b"version: 2"))
    second = await worker.asked()
    worker.say(**{"is": "prepared", "question": first["question"], "faults": [], "hash": "old"})
    worker.say(**{"is": "prepared", "question": second["question"], "faults": [], "hash": "new"})
    assert await looks == ("new", [])
    await worker.die()
    await child.ended

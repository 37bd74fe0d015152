"""Runs one gateway as one of several workers: does what its parent says, and tells it how it stands.

A parent that is gone leaves nobody to start workers anew or to ask them: each drains.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

from wsprism.composition.advice import log_advice
from wsprism.composition.seat import Seat
from wsprism.composition.service_code import ServiceCode
from wsprism.composition.worker import WorkerGateway
from wsprism.config_file import Fault, SettingsError
from wsprism.errors import OperatorError
from wsprism.process.open_files import raise_open_files
from wsprism.process.settling import settle_interpreter
from wsprism.process.workers.channel import Channel
from wsprism.settings import LoggingSettings, Settings

__all__ = ["serve_worker"]

_log = logging.getLogger("wsprism.gateway")

_LOOK_S: Final = 0.1
_BEAT_S: Final = 1.0
"""So often a worker tells how it stands, also when nothing has changed: its loop turns."""


async def serve_worker(
    settings: Settings,
    seat: Seat,
    sock: socket.socket,
    *,
    file: str,
    configure_logging: Callable[[LoggingSettings], object],
    code: ServiceCode,
) -> None:
    """Run until the parent has it drained, or SIGTERM. Raises OperatorError when it cannot start."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # what they mean for all, the parent decides
    channel = await Channel.open(sock)
    try:
        everybody = _Everybody(channel)
        process = WorkerGateway(settings, seat, everybody, file=file, configure_logging=configure_logging, code=code)
        loop.add_signal_handler(signal.SIGTERM, process.drain_now)
        await process.start()
        orders = _Orders(process, channel, everybody)
        tasks = [loop.create_task(orders.follow()), loop.create_task(_tell(process, channel))]
        raise_open_files(settings)
        if seat.number == 1:
            log_advice(settings, several=True)
        settle_interpreter()
        await process.drain_begun.wait()
        await process.drain()
        await orders.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        await channel.close()
    _log.info("stopped")


class _Everybody:
    """All workers, by way of the parent."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._waiting: list[asyncio.Future[list[dict[str, Any]]]] = []

    def drain(self) -> None:
        self._channel.say("ask_drain")

    async def reload(self) -> None:
        answer: asyncio.Future[list[dict[str, Any]]] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        self._channel.say("ask_reload")
        faults = await answer
        if faults:
            raise SettingsError([Fault(**one) for one in faults])

    def reloaded(self, faults: list[dict[str, Any]]) -> None:
        """The parent's answer to whoever asked first."""
        if self._waiting and not (first := self._waiting.pop(0)).done():
            first.set_result(faults)

    def gone(self) -> None:
        """Nobody answers any more."""
        for answer in self._waiting:
            if not answer.done():
                answer.set_exception(OperatorError("the parent of all workers is gone"))
        self._waiting.clear()


class _Orders:
    """What the parent says, in its order; what takes long goes on beside it."""

    def __init__(self, process: WorkerGateway, channel: Channel, everybody: _Everybody) -> None:
        self._process = process
        self._channel = channel
        self._everybody = everybody
        self._leaving: asyncio.Task[None] | None = None

    async def follow(self) -> None:
        while (said := await self._channel.next()) is not None:
            match said:
                case {"is": "accept", "slots": slots}:
                    self._process.accept_from(slots)
                case {"is": "drain"}:
                    self._process.drain_now()
                case {"is": "end"}:
                    self._process.end_drain()
                    self._process.drain_now()
                case {"is": "leave"}:
                    self._leaving = self._leaving or asyncio.create_task(self._process.leave())
                case {"is": "prepare", "content": content, "question": question}:
                    await self._prepare(content.encode("utf-8", "surrogateescape"), question)
                case {"is": "commit", "question": question}:
                    await self._commit(question)
                case {"is": "abandon", "why": why}:
                    self._process.abandon(why)
                case {"is": "reloaded", "faults": faults}:
                    self._everybody.reloaded(faults)
        self._everybody.gone()
        if not self._process.draining():
            _log.warning("the parent of all workers is gone: this one drains")
        self._process.drain_now()

    async def close(self) -> None:
        if self._leaving is not None:
            await self._leaving

    async def _prepare(self, content: bytes, question: int) -> None:
        try:
            found = await self._process.prepare(content)
        except SettingsError as error:
            self._channel.say("prepared", question=question, faults=[asdict(one) for one in error.faults])
        else:
            self._channel.say("prepared", question=question, faults=[], hash=found)

    async def _commit(self, question: int) -> None:
        faults: list[dict[str, Any]] = []
        try:
            await self._process.commit()
        except SettingsError as error:
            faults = [asdict(one) for one in error.faults]
        self._channel.say("committed", question=question, faults=faults)


async def _tell(process: WorkerGateway, channel: Channel) -> None:
    """How it stands: at once when that changes, and now and then."""
    loop = asyncio.get_running_loop()
    told: dict[str, object] = {}
    told_at = 0.0
    while True:
        state: dict[str, object] = {
            "unready": process.unready(),
            "draining": process.draining(),
            "hash": process.counters.config_hash,
            "ends_within_s": process.ends_within_s,
        }
        if state != told or loop.time() - told_at >= _BEAT_S:
            told, told_at = state, loop.time()
            channel.say("state", **state)
        await asyncio.sleep(_LOOK_S)

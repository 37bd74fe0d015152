"""One gateway of several on this machine. What concerns all of them, its parent decides: it asks, and obeys."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Final, Protocol

from wsprism.composition.app import GatewayProcess
from wsprism.composition.reload import ReloadReport
from wsprism.composition.seat import Seat
from wsprism.composition.service_code import ServiceCode
from wsprism.errors import OperatorError
from wsprism.settings import LoggingSettings, Settings

__all__ = ["AllWorkers", "WorkerGateway"]

_HALF_OPEN_GONE_WITHIN_S: Final = 1.0
_LOOK_S: Final = 0.01


class AllWorkers(Protocol):
    """The parent, as a worker asks it."""

    def drain(self) -> None:
        """Have all of them drain."""
        ...

    async def reload(self) -> None:
        """Have all of them reload, or none. Raises OperatorError when none has."""
        ...


class WorkerGateway(GatewayProcess):
    """A ``GatewayProcess`` whose API drains and reloads all workers. ``accept_from`` some slot, once it is started."""

    def __init__(
        self,
        settings: Settings,
        seat: Seat,
        everybody: AllWorkers,
        *,
        file: str,
        configure_logging: Callable[[LoggingSettings], object],
        code: ServiceCode,
    ) -> None:
        super().__init__(settings, file=file, configure_logging=configure_logging, code=code, seat=seat)
        self._slots = seat.sockets
        self._everybody = everybody
        self._leaves = False
        self._report: ReloadReport | None = None

    def begin_drain(self) -> None:
        self._everybody.drain()

    async def reload(self) -> ReloadReport:
        self._report = None
        await self._everybody.reload()
        if self._report is None:
            raise OperatorError("the workers were reloaded, and this one was not among them")
        return self._report

    # What the parent wants

    def accept_from(self, slots: Iterable[int]) -> None:
        """Take the clients that come to these slots, and no others. One that goes away takes none, if others do."""
        if not self._leaves:
            self._server.listen_on(list(chain.from_iterable(self._slots[slot] for slot in slots)))

    def drain_now(self) -> None:
        """``begin_drain`` of this one."""
        self._begin_drain()

    async def leave(self) -> None:
        """Drain while others go on: nobody comes to it any more, and who has begun to is let in first."""
        if self._leaves:
            return
        self._server.listen_on(())
        self._leaves = True
        loop = asyncio.get_running_loop()
        until = loop.time() + _HALF_OPEN_GONE_WITHIN_S
        while self._server.connections and loop.time() < until:  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(_LOOK_S)
        self._begin_drain()

    async def prepare(self, content: bytes) -> str:
        """The hash of the configuration that this would be. Raises SettingsError."""
        return await self._reloader.prepare(content)

    async def commit(self) -> None:
        """Put it in force. Raises SettingsError."""
        self._report = await self._reloader.commit()

    def abandon(self, why: str) -> None:
        """Stay as it is."""
        self._reloader.abandon(why)

    def _needs_notice(self) -> bool:
        return not self._leaves

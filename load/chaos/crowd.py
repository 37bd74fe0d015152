"""Many sessions on one node that do little: what a dead node leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from load.chaos.nodes import Node
from load.chaos.world import World
from load.client_frames import text_frame, upgrade_request
from load.counting import Tally
from load.peers.base import HOST
from load.processes import ServerFailedError
from load.swarm import Connection, ConnectionFailedError, Greeting, connect_all

__all__ = ["crowd"]

_SPARE_FILES: Final = 400
_MOVES_EVERY_S: Final = 0.01
_ROOMS: Final = 100


@asynccontextmanager
async def crowd(world: World, node: Node, sessions: int, *, comes_and_goes: bool = False) -> AsyncIterator[None]:
    """So many sessions of the tenant, each in a room of its own kind; as many as this process may have open files.

    Raises ServerFailedError when they do not get in.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    sessions = min(sessions, most - _SPARE_FILES)
    greetings = [
        Greeting(
            upgrade_request(f"/v1/ws?tenant=acme&ticket=dev:crowd{number}", f"{HOST}:{node.port}"),
            _move("join", number % _ROOMS),
            lambda received: b'"joined"' in received,
        )
        for number in range(sessions)
    ]
    try:
        connections = await connect_all(node.port, [(greeting, Tally()) for greeting in greetings])
    except (ConnectionFailedError, OSError) as error:  # a TimeoutError is an OSError
        raise ServerFailedError(f"a crowd of {sessions}", f"not all got in: {error!r}") from error
    world.account.counts["crowd"] = len(connections)
    moving = asyncio.create_task(_moves(connections)) if comes_and_goes else None
    try:
        yield
    finally:
        if moving is not None:
            moving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await moving
        for connection in connections:
            connection.abort()


async def _moves(connections: list[Connection]) -> None:
    number = 0
    while True:
        for connection in connections[number % 10 :: 10]:
            connection.send(_move("leave", number % _ROOMS) + _move("join", (number + 1) % _ROOMS))
        number += 1
        await asyncio.sleep(_MOVES_EVERY_S)


def _move(type: str, room: int) -> bytes:
    return text_frame(b'{"v":1,"svc":"room","type":"%s","room":"crowd:%d"}' % (type.encode(), room))

"""The game's backend: connects to the gateway by itself, hears inputs, says each room's state 20 times a second.

It is the authority: a page only says which keys are down. It serves the page as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
from aiohttp import web
from rules import TICKS_PER_S, World

SERVICE, INPUT, STATE = 9, 1, 2
PORT = int(os.environ.get("GAME_PORT", "9000"))
STREAM = f"ws://127.0.0.1:{os.environ.get('GAME_INTERNAL_PORT', '9090')}/v1/tenants/game/stream"
KEY = os.environ["GAME_KEY"]
PAGE = (Path(__file__).parent / "index.html").read_text()
PAGE = PAGE.replace("GATEWAY_PORT", os.environ.get("GAME_GATEWAY_PORT", "8080"))

SDK = Path(__file__).parents[2] / "wsprism" / "transport" / "ui" / "static" / "sdk"

worlds: dict[int, World] = {}
"""By the number that stands for a room in hot frames, of the rooms that are this process's."""


def hear_rooms(message: dict[str, list[dict[str, int]]]) -> None:
    """A room has opened, or was another process's before; or it is no longer ours."""
    for room in message["lost"]:
        worlds.pop(room["number"], None)
    for room in message["gained"]:
        worlds[room["number"]] = World()


def hear_input(raw: bytes) -> None:
    """``[room's number u32][length u8][user][service][opcode][flags][keys]``, docs/backend.md: the hot lane."""
    world, end = worlds.get(int.from_bytes(raw[:4], "little")), 5 + raw[4]
    user, frame = raw[5:end].decode(), raw[end:]
    if world is not None and len(frame) == 4 and frame[1] == INPUT:
        world.steer(user.removeprefix("user:"), frame[3])


async def play(stream: aiohttp.ClientWebSocketResponse) -> None:
    """One tick of every room each 50 ms, by the clock: one that comes late does not make the next ones late."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        for number, world in list(worlds.items()):
            world.step()
            state = json.dumps(world.state(), separators=(",", ":")).encode()
            await stream.send_bytes(number.to_bytes(4, "little") + bytes((SERVICE, STATE, 0)) + state)
        due = max(due + 1 / TICKS_PER_S, loop.time() - 1)
        await asyncio.sleep(due - loop.time())


async def listen(stream: aiohttp.ClientWebSocketResponse) -> None:
    """Until the gateway closes it."""
    async for frame in stream:
        if frame.type is aiohttp.WSMsgType.BINARY:
            hear_input(frame.data)
        elif (message := json.loads(frame.data)).get("kind") == "rooms":
            hear_rooms(message)


async def stay_connected() -> None:
    """A gateway that restarts says anew which rooms there are, so nothing of before is kept."""
    headers = {"Authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        while True:
            worlds.clear()
            with contextlib.suppress(aiohttp.ClientError, ConnectionError):
                async with http.ws_connect(STREAM, protocols=["wsprism.backend.v1"], max_msg_size=0) as stream:
                    print("connected to the gateway", flush=True)
                    game = asyncio.create_task(play(stream))
                    try:
                        await listen(stream)
                    finally:
                        game.cancel()
                        await asyncio.gather(game, return_exceptions=True)
            await asyncio.sleep(random.uniform(0.1, 0.5))


async def page(_: web.Request) -> web.Response:
    return web.Response(text=PAGE, content_type="text/html")


async def with_stream(_: web.Application) -> AsyncIterator[None]:
    stays = asyncio.create_task(stay_connected())
    yield
    stays.cancel()
    await asyncio.gather(stays, return_exceptions=True)


app = web.Application()
app.add_routes([web.get("/", page), web.static("/sdk", SDK)])
if os.environ.get("GAME_AUTHORITY") != "gateway":  # else service.py is the game
    app.cleanup_ctx.append(with_stream)
web.run_app(app, host="127.0.0.1", port=PORT, shutdown_timeout=1, print=None)

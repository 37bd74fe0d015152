"""The server anyone would write first: aiohttp, a set of sockets for each room, one awaited ``send_str`` each.

Run as a module it is that server; ``Naive`` is its peer.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from importlib.metadata import version

import aiohttp
import uvloop
from aiohttp import web

from load.client_frames import text_frame, upgrade_request
from load.peers.base import HOST, Member, Options, http_get

__all__ = ["Naive", "application"]


def application() -> web.Application:
    """``/ws?room=<name>`` joins a room; every text message goes to all its members."""
    rooms: defaultdict[str, set[web.WebSocketResponse]] = defaultdict(set)

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        members = rooms[request.query["room"]]
        members.add(socket)
        await socket.send_str('{"type":"joined"}')
        try:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    text = json.dumps({"type": "msg", "msg": json.loads(message.data)["msg"]})
                    for member in list(members):
                        try:
                            await member.send_str(text)
                        except ConnectionError:
                            members.discard(member)
        finally:
            members.discard(socket)
        return socket

    async def ready(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.add_routes([web.get("/ws", serve), web.get("/ready", ready)])
    return app


class Naive:
    """No authentication, limits, queues or metrics."""

    name = "naive"
    lanes = frozenset({"ext"})

    def missing(self) -> str | None:
        return None

    def version(self) -> str:
        return f"aiohttp {aiohttp.__version__}, one send_str for each recipient, uvloop {version('uvloop')}"

    def command(self, options: Options) -> Sequence[str]:
        return [sys.executable, "-m", "load.peers.naive", str(options.port)]

    def companion(self, options: Options) -> Sequence[str]:  # noqa: ARG002 - it needs none
        return ()

    def ready(self, port: int) -> bool:
        return http_get(port, "/ready")[0] == 200

    def request(self, member: Member, port: int) -> bytes:
        return upgrade_request(f"/ws?room={member.tenant}-{member.room}", f"{HOST}:{port}")

    def login(self, member: Member) -> bytes:  # noqa: ARG002 - the same for everybody
        return b""

    def logged_in(self, received: bytes) -> bool:
        return b'"joined"' in received

    def subscribe(self, member: Member, lane: str) -> bytes:  # noqa: ARG002 - the query has said it
        return b""

    def joined(self, received: bytes) -> bool:
        return b'"joined"' in received

    def publish(self, member: Member, payload: bytes, lane: str) -> bytes:  # noqa: ARG002 - the query named the room
        return text_frame(b'{"msg":"%s"}' % payload)

    def accounting(self, port: int) -> dict[str, float]:  # noqa: ARG002 - it counts nothing
        return {}


if __name__ == "__main__":
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    web.run_app(application(), host=HOST, port=int(sys.argv[1]), print=None, access_log=None, backlog=4096)

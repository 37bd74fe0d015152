"""The backend behind a measured gateway: ``python -m load.backend CONDUCT PORT SINK_PORT INTERNAL_PORT``.

It answers a question with what was said, and knows how often it was asked. By its conduct it does that over HTTP, or
over a stream that it opens; or it is dead in one of three ways. What a backend costs is not what is measured, and it
shares its core with the generator: it reads and writes JSON with msgspec, runs on uvloop, and looks at no signature. It
is the collector of the gateway's traces too.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import Counter
from typing import Any, Final

import aiohttp
import msgspec
import uvloop
from aiohttp import web

from load.peers.base import API_KEY, HOST
from load.sink import serve_sink

__all__ = ["CONDUCTS", "ROOM_OF_GAME", "answer_to", "main"]

CONDUCTS: Final = ("answers", "stream", "refused", "silent", "trickle")
ROOM_OF_GAME: Final = 10
"""Players of a room: so many inputs are a tick, and one state frame."""

_STATE_HEADER: Final = b"\x09\x02\x00"
_HOT_HEADER_BYTES: Final = 3
_TRICKLE_S: Final = 1.0
_ASKED: Counter[str] = Counter()

_decode = msgspec.json.decode
_encode = msgspec.json.encode


def answer_to(question: dict[str, Any]) -> dict[str, Any]:
    """A reply with the same data, to each message that is asked about."""
    match question["kind"]:
        case "message":
            _ASKED["messages"] += 1
            return {"effects": [{"reply": question["message"].get("data")}]}
        case "messages":
            _ASKED["messages"] += len(question["messages"])
            return {"answers": [{"effects": [{"reply": one["message"].get("data")}]} for one in question["messages"]]}
        case "events":
            _ASKED["events"] += len(question["events"])
            return {}
        case _:
            return {"allow": True}


async def _answer(request: web.Request) -> web.Response:
    _ASKED["calls"] += 1
    said = answer_to(_decode(await request.read()))
    return web.Response(body=_encode(said), content_type="application/json") if said else web.Response(status=204)


async def _told(_: web.Request) -> web.Response:
    return web.json_response({name: _ASKED[name] for name in ("calls", "messages", "events")})


async def _serve(port: int) -> None:
    app = web.Application()
    app.add_routes([web.post("/", _answer), web.get("/asked", _told)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, port).start()


async def _serve_nobody(port: int, trickles: bool) -> None:
    """Takes every connection; answers nothing, or one byte a second."""

    async def conduct(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            if not trickles:
                while await reader.read(65536):
                    pass
            for byte in b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n" * trickles:
                writer.write(bytes((byte,)))
                await asyncio.sleep(_TRICKLE_S)
        writer.close()

    await asyncio.start_server(conduct, HOST, port)


async def _say(stream: aiohttp.ClientWebSocketResponse, said: dict[str, Any]) -> None:
    await stream.send_str(_encode(said).decode())


class _Stream:
    """Answers over a stream, and is the authority of every room: a tick is one input of each player, and one state."""

    def __init__(self) -> None:
        self._inputs: Counter[bytes] = Counter()

    async def run(self, internal_port: int) -> None:
        url = f"ws://{HOST}:{internal_port}/v1/tenants/backend/stream"
        headers = {"Authorization": f"Bearer {API_KEY}"}
        async with aiohttp.ClientSession(headers=headers) as http:
            while True:
                with contextlib.suppress(aiohttp.ClientError, ConnectionError):
                    async with http.ws_connect(url, protocols=["wsprism.backend.v1"], max_msg_size=0) as stream:
                        async for frame in stream:
                            await self._hear(stream, frame)
                await asyncio.sleep(0.05)

    async def _hear(self, stream: aiohttp.ClientWebSocketResponse, frame: aiohttp.WSMessage) -> None:
        if frame.type is aiohttp.WSMsgType.BINARY:
            state = self.state_after(frame.data)
            if state is not None:
                await stream.send_bytes(state)
            return
        question = _decode(frame.data)
        if question["kind"] == "events":
            answer_to(question)
            await _say(stream, {"ack": {"node": question["node"], "seq": question["events"][-1]["seq"]}})
        elif "id" in question:
            _ASKED["calls"] += 1
            await _say(stream, {"id": question["id"], **answer_to(question)})

    def state_after(self, raw: bytes) -> bytes | None:
        """What the room's members are told when ``raw``, one player's input, ends its tick."""
        room = raw[:4]
        self._inputs[room] += 1
        if self._inputs[room] % ROOM_OF_GAME:
            return None
        return room + _STATE_HEADER + raw[5 + raw[4] + _HOT_HEADER_BYTES :]


async def _run(conduct: str, port: int, sink_port: int, internal_port: int) -> None:
    await serve_sink(sink_port)
    if conduct in ("answers", "stream"):
        await _serve(port)
    elif conduct != "refused":
        await _serve_nobody(port, conduct == "trickle")
    if conduct == "stream":
        await _Stream().run(internal_port)
    await asyncio.Event().wait()


def main() -> None:
    """Until a signal ends the process."""
    conduct, *ports = sys.argv[1:]
    if conduct not in CONDUCTS:
        raise SystemExit(f"no conduct {conduct!r}; there are: {', '.join(CONDUCTS)}")
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(_run(conduct, *map(int, ports)))


if __name__ == "__main__":
    main()

"""A polite Close overtakes nothing: what a client sends in one go with it reaches the room, as with a bare end."""

from __future__ import annotations

import asyncio

import pytest

from tests.client import Client
from tests.conftest import StartGateway
from tests.raw import RawClient, client_frame

pytestmark = pytest.mark.both_loops

JOIN = client_frame(b'{"v":1,"svc":"room","type":"join","room":"r"}')
CLOSE = client_frame(b"\x03\xe8bye", opcode=8)
TIMES = 5


def chat(text: str) -> bytes:
    return client_frame(b'{"v":1,"svc":"chat","type":"send","data":{"msg":"%s"}}' % text.encode())


@pytest.mark.parametrize("end", ["close", "end of the socket", "close and end"])
async def test_a_join_a_message_and_the_end_in_one_go_reach_the_room(start_gateway: StartGateway, end: str) -> None:
    gateway = await start_gateway()
    async with Client(gateway.base, ticket="dev:ann") as ann:
        await ann.join("r")
        for number in range(TIMES):
            eve = await RawClient.connect(gateway.port, "dev:eve")
            eve.send(JOIN, chat(f"{number}a"), chat(f"{number}b"), *([CLOSE] if "close" in end else []))
            if "end" in end:
                eve.writer.write_eof()
            for text in (f"{number}a", f"{number}b"):
                heard = await asyncio.wait_for(ann.receive(), 5)
                assert (heard["type"], heard["data"]["msg"]) == ("msg", text)
            eve.abort()


async def test_what_was_said_before_a_violation_is_heard_and_nothing_after(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    async with Client(gateway.base, ticket="dev:ann") as ann:
        await ann.join("r")
        eve = await RawClient.connect(gateway.port, "dev:eve")
        eve.send(JOIN, chat("before"), client_frame(b"x", first=0x20), chat("after"))
        assert (await ann.receive())["data"]["msg"] == "before"
        await ann.expect_silence()
        eve.abort()

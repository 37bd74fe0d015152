"""A polite Close overtakes nothing: what a client sends in one go with it reaches the room, as with a bare end."""

from __future__ import annotations

import json

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
                heard = await ann.receive()
                assert (heard["type"], heard["data"]["msg"]) == ("msg", text)
            eve.abort()


async def test_a_client_over_its_rate_that_reads_everything_stays(start_gateway: StartGateway) -> None:
    many = 1200
    gateway = await start_gateway(acme={"policy": {"rate_limit_rps": 0.001, "rate_limit_burst": 1}})
    eve = await RawClient.connect(gateway.port, "dev:eve")
    eve.send(*[chat("x")] * many, *[client_frame(b"alive", opcode=9)] * 50)
    told, pongs, summed = 0, 0, 0
    while told + summed < many:
        opcode, payload = await eve.frame()
        if opcode == 10:
            pongs += 1
            continue
        msg = json.loads(payload)["data"]["msg"]
        if msg.endswith("more messages were refused, which are not told one by one"):
            summed += int(msg.split()[0])
        else:
            told += 1
    assert told + summed == many
    eve.send(client_frame(b"still here", opcode=9))
    payload = b""
    while payload != b"still here":
        opcode, payload = await eve.frame()
        assert opcode == 10, payload
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

"""What is bounded and counted in bytes is bytes, whatever the characters: messages, user ids."""

from __future__ import annotations

import json
import time

import aiohttp
import pytest

from tests.api import start_with_api
from tests.client import Client, until
from tests.conftest import StartGateway
from tests.exposition import metric
from tests.keys import SECRET, token
from tests.raw import RawClient, client_frame
from tests.streams import STREAM, Stream

WORDS = "grüße, 你好, 👋"
IN_BYTES = {"ascii": "a" * 255, "two bytes": "é" * 127 + "a", "four bytes": "👋" * 63 + "aaa"}
"""User ids of 255 bytes: the longest."""


async def test_received_bytes_are_those_of_the_wire(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    client = await RawClient.connect(gateway.port)
    said = json.dumps({"v": 1, "svc": "sys", "type": "ping", "data": WORDS * 20}, ensure_ascii=False).encode()
    hot = b"\x01\x01\x00" + WORDS.encode()
    assert len(said) > len(said.decode())
    join = b'{"v":1,"svc":"room","type":"join","room":"r"}'
    client.send(client_frame(join))
    await client.frame()
    client.send(client_frame(said), client_frame(said), client_frame(hot, opcode=2))
    for _ in range(3):
        assert WORDS.encode() in (await client.frame())[1]
    for lane, size_bytes in (("ext", len(join) + 2 * len(said)), ("hot", len(hot))):
        assert await metric(gateway.base, "wsprism_received_bytes_total", tenant="acme", lane=lane) == size_bytes
    client.abort()


async def test_received_bytes_of_a_backends_stream_are_those_of_the_wire(start_gateway: StartGateway) -> None:
    gateway, internal = await start_with_api(start_gateway, acme={"backend": STREAM})
    acme = gateway.process.tenant("acme")
    assert acme is not None
    said = json.dumps({"id": "nobody asked", "msg": WORDS}, ensure_ascii=False)
    async with Stream(internal) as backend:
        await backend.ws.send_str(said)
        await until(lambda: acme.counters.stream.received == 1)
    assert acme.counters.stream.received_bytes == len(said.encode()) > len(said)


@pytest.mark.parametrize("user", IN_BYTES.values(), ids=IN_BYTES)
async def test_a_ticket_for_a_user_of_256_bytes_lets_nobody_in(start_gateway: StartGateway, user: str) -> None:
    auth = {"kind": "jwt", "algorithms": ["HS256"], "secret": SECRET}
    gateway = await start_gateway(acme={"auth": auth})
    longest, too_long = (token(sub=one, exp=time.time() + 60) for one in (user, user + "a"))
    async with Client(gateway.base, ticket=longest) as client:
        assert client.authed["data"]["user"] == user
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await Client(gateway.base, ticket=too_long).open()
    assert refusal.value.status == 401
    assert gateway.process.counters.handshakes_refused["ticket"] == 1

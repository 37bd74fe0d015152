"""A backend's stream over real sockets: who may connect, how it is refused, pinged and drained, what it is told."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.api import ADMIN, SCOPED, Backend, start_with_api
from tests.client import until
from tests.conftest import Running, StartGateway
from tests.streams import STREAM, Stream, stream_url


async def start(start_gateway: StartGateway, **options: Any) -> tuple[Running, str]:
    acme = {"backend": STREAM} | options.pop("acme", {})
    return await start_with_api(start_gateway, acme=acme, **options)


def counters(gateway: Running) -> Any:
    tenant = gateway.process.tenant("acme")
    assert tenant is not None
    return tenant.counters.stream


@pytest.mark.parametrize("msgpack", [False, True])
async def test_a_backend_connects_with_its_key_and_its_encoding(start_gateway: StartGateway, msgpack: bool) -> None:
    gateway, internal = await start(start_gateway)
    async with Stream(internal, msgpack=msgpack) as stream:
        assert stream.ws.protocol == ("wsprism.backend.v1.msgpack" if msgpack else "wsprism.backend.v1")
        await until(lambda: counters(gateway).connected == 1)
        await stream.ws.ping(b"hello")
        assert (await stream.ws.receive(timeout=30)).data == b"hello"
    await until(lambda: counters(gateway).connected == 0)
    assert counters(gateway).opened == 1


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"key": None}, 401),
        ({"key": "k-wrong-0123456789"}, 401),
        ({"key": SCOPED, "tenant": "other"}, 404),
        ({"tenant": "nobody"}, 404),
        ({"tenant": "other"}, 409),
        ({"protocols": ["wsprism.v1"]}, 400),
        ({"protocols": []}, 400),
    ],
)
async def test_whoever_may_not_connect_is_told_why(
    start_gateway: StartGateway, change: dict[str, Any], status: int
) -> None:
    _, internal = await start(start_gateway)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await Stream(internal, **change).__aenter__()
    assert refused.value.status == status


async def test_a_read_only_key_opens_no_stream(start_gateway: StartGateway) -> None:
    keys = [{"name": "looks", "key": "k-looks-0123456789", "read_only": True}]
    internal = {"listen": "127.0.0.1:0", "api_keys": keys}
    _, base = await start(start_gateway, gateway={"internal": internal})
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await Stream(base, key="k-looks-0123456789").__aenter__()
    assert refused.value.status == 403


async def test_what_is_no_upgrade_is_told_so_on_a_socket_that_lives_on(start_gateway: StartGateway) -> None:
    _, internal = await start(start_gateway)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {ADMIN}"}) as session:
        for _ in range(2):
            async with session.get(stream_url(internal)) as answer:
                assert answer.status == 426
                assert (await answer.json())["code"] == "BAD_REQUEST"
            upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
            async with session.get(stream_url(internal, "other"), headers=upgrade) as answer:
                assert answer.status == 400


@pytest.mark.parametrize(("msgpack", "said"), [(False, "{"), (False, "[]"), (True, b"\x93"), (False, b"xxxx")])
async def test_what_is_no_message_is_told_so_and_counted(
    start_gateway: StartGateway, msgpack: bool, said: str | bytes
) -> None:
    gateway, internal = await start(start_gateway)
    async with Stream(internal, msgpack=msgpack) as stream:
        await (stream.ws.send_str(said) if isinstance(said, str) else stream.ws.send_bytes(said))
        answer = await stream.hear()
        assert answer["code"] == "BAD_REQUEST"
        assert counters(gateway).faults == 1


async def test_an_answer_to_nothing_is_ignored_and_counted(start_gateway: StartGateway) -> None:
    gateway, internal = await start(start_gateway)
    async with Stream(internal) as stream:
        await stream.say({"id": "msg_nobody", "effects": []})
        await stream.say({"ack": {"node": "x", "seq": 1}})
        await until(lambda: counters(gateway).unknown == 2)


async def test_a_drain_tells_when_to_come_back_and_closes_1001(start_gateway: StartGateway) -> None:
    gateway, internal = await start(start_gateway)
    async with Stream(internal) as stream:
        draining = asyncio.create_task(gateway.process.drain())
        heard = await stream.hear()
        assert heard["kind"] == "draining"
        assert heard["reconnect_after_ms"] >= 1
        with pytest.raises((aiohttp.WSServerHandshakeError, aiohttp.ClientConnectionError)):
            await Stream(internal).__aenter__()
        assert await stream.expect_close() == (1001, "draining")
        await draining


async def test_a_stream_that_says_nothing_is_pinged_and_one_that_answers_no_ping_is_closed(
    start_gateway: StartGateway,
) -> None:
    gateway, internal = await start(start_gateway)
    gateway.process._sweeper.configure(ping_interval_s=0.5, idle_timeout_s=1.5)
    async with Stream(internal) as stream:
        assert (await stream.ws.receive(timeout=30)).type is aiohttp.WSMsgType.PING
        assert await stream.expect_close() == (4001, "idle")


async def test_a_reload_without_stream_closes_it_and_one_without_the_tenant_too(start_gateway: StartGateway) -> None:
    gateway, internal = await start(start_gateway)
    async with Stream(internal) as stream:
        await gateway.reconfigure(lambda data: data["tenants"][0].pop("backend"))
        assert (await stream.expect_close())[0] == 1001
    await gateway.reconfigure(lambda data: data["tenants"][0].update(backend=STREAM))
    async with Stream(internal) as stream:
        await gateway.reconfigure(lambda data: data["tenants"].pop(0))
        assert (await stream.expect_close())[0] == 4504


async def test_one_that_takes_nothing_of_what_it_is_told_is_closed(start_gateway: StartGateway) -> None:
    gateway, internal = await start(start_gateway, gateway={"writer_send_timeout_ms": 200})
    async with Stream(internal) as stream:
        await until(lambda: counters(gateway).connected == 1)
        transport = stream.ws._response.connection.transport  # type: ignore[union-attr]
        transport.pause_reading()  # type: ignore[union-attr]
        [link] = gateway.process._keyed.links
        for _ in range(3000):
            link.session.say(b'"' + b"x" * 9000 + b'"')  # type: ignore[attr-defined]
        await until(lambda: counters(gateway).connected == 0)


@pytest.mark.parametrize("change", [{"key": "k-another-0123456789"}, {"tenants": ["other"]}, {"read_only": True}])
async def test_a_key_that_is_good_no_more_closes_its_streams(
    start_gateway: StartGateway, change: dict[str, object]
) -> None:
    gateway, internal = await start(start_gateway)
    async with Stream(internal, key=SCOPED) as stream, Stream(internal) as other:
        await gateway.reconfigure(lambda data: data["gateway"]["internal"]["api_keys"][1].update(change))
        assert (await stream.expect_close())[0] == 4502
        await other.say({"id": "nobody"})
        await until(lambda: counters(gateway).unknown == 1)


async def test_the_api_tells_how_many_are_connected(start_gateway: StartGateway) -> None:
    gateway, internal = await start(start_gateway)
    async with Backend(internal) as api, Stream(internal):
        await until(lambda: counters(gateway).connected == 1)
        told = (await api.get("/v1/tenants/acme/backend")).json
        assert (told["streams"], told["breakers"]) == (1, {"stream": "closed"})

"""A room's tail over real sockets: it hears what is published, is no member, and costs nobody anything."""

from __future__ import annotations

import asyncio
import base64
import json
from types import TracebackType
from typing import Any, Self

import aiohttp
import pytest
from yarl import URL

from tests.api import ADMIN, SCOPED, Backend, start_with_api
from tests.client import Client, until
from tests.conftest import Running, StartGateway

LOOKS = "k-looks-0123456789"
KEYS = [
    {"name": "admin", "key": ADMIN},
    {"name": "scoped", "key": SCOPED, "tenants": ["acme"]},
    {"name": "looks", "key": LOOKS, "read_only": True},
]
INTERNAL = {"listen": "127.0.0.1:0", "api_keys": KEYS}
REMEMBERS: dict[str, Any] = {"rooms": [{"match": "log:*", "history": {"max_messages": 10}}]}


class Tail:
    """``async with Tail(internal, "match:1") as tail`` with the key as a page shows it, or in a header."""

    def __init__(
        self, internal: str, room: str, *, tenant: str = "acme", key: str | None = LOOKS, in_header: bool = False
    ) -> None:
        path = f"/v1/tenants/{tenant}/rooms/{room.replace('/', '%2F').replace(' ', '%20')}/tail"
        self._url = URL(internal + path, encoded=True)
        self._protocols = ["wsprism.tail.v1"]
        self._headers = {}
        if key is not None and in_header:
            self._headers = {"Authorization": f"Bearer {key}"}
        elif key is not None:
            self._protocols.append("key." + base64.urlsafe_b64encode(key.encode()).decode().rstrip("="))
        self._session = aiohttp.ClientSession()
        self.ws: aiohttp.ClientWebSocketResponse

    async def __aenter__(self) -> Self:
        try:
            self.ws = await self._session.ws_connect(
                self._url, headers=self._headers, protocols=self._protocols, max_msg_size=0
            )
        except BaseException:
            await self._session.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.ws.close()
        await self._session.close()

    async def hear(self) -> Any:
        """The next message: an envelope, or a frame's bytes."""
        message = await self.ws.receive(timeout=30)
        if message.type is aiohttp.WSMsgType.BINARY:
            return message.data
        assert message.type is aiohttp.WSMsgType.TEXT, message
        return json.loads(message.data)

    async def expect_close(self) -> int | None:
        async with asyncio.timeout(60):
            async for _ in self.ws:
                pass
        return self.ws.close_code


async def start(start_gateway: StartGateway, **options: Any) -> tuple[Running, str]:
    gateway = {"internal": INTERNAL, **options.pop("gateway", {})}
    return await start_with_api(start_gateway, gateway=gateway, **options)


def counters(gateway: Running) -> Any:
    tenant = gateway.process.tenant("acme")
    assert tenant is not None
    return tenant.counters


def table(gateway: Running) -> Any:
    tenant = gateway.process.tenant("acme")
    assert tenant is not None
    return tenant.tails


@pytest.mark.parametrize("in_header", [False, True])
async def test_it_hears_both_lanes_as_members_do_in_the_rooms_order(
    start_gateway: StartGateway, in_header: bool
) -> None:
    gateway, internal = await start(start_gateway)
    async with (
        Backend(internal) as api,
        Client(gateway.base) as ann,
        Client(gateway.base, ticket="dev:bob") as bob,
        Tail(internal, "match:1", in_header=in_header) as tail,
    ):
        assert tail.ws.protocol == "wsprism.tail.v1"
        await ann.join("match:1")
        await bob.join("match:1")
        await ann.send("chat", "send", {"msg": "hi"}, room="match:1")
        heard = await tail.hear()
        assert (heard["svc"], heard["type"], heard["room"], heard["data"]["msg"]) == ("chat", "msg", "match:1", "hi")
        frame = base64.b64encode(bytes([1, 7, 0, 1])).decode()
        listed = [{"svc": "game", "type": "goal"}, {"hot": frame}, {"svc": "game", "type": "end"}]
        await api.post("/v1/tenants/acme/rooms/match%3A1/publish", listed)
        kinds = [await tail.hear() for _ in range(3)]
        assert sorted(str(one if isinstance(one, bytes) else one["type"]) for one in kinds) == sorted(
            ["goal", "end", str(bytes([1, 7, 0, 1]))]
        )
        assert [one["type"] for one in kinds if isinstance(one, dict)] == ["goal", "end"]


async def test_it_is_no_member_and_counts_nowhere(start_gateway: StartGateway) -> None:
    gateway, internal = await start(start_gateway)
    async with Backend(internal) as api, Client(gateway.base) as ann, Tail(internal, "match:1"):
        await ann.join("match:1")
        assert (await api.get("/v1/tenants/acme/rooms/match%3A1")).json["sessions"] == 1
        answer = await api.post("/v1/tenants/acme/rooms/match%3A1/publish", {"svc": "a", "type": "b"})
        assert answer.json == {"members": 1}
        assert (await api.get("/v1/tenants/acme")).json["sessions"] == 1
        offered = sum(counters(gateway).lanes.offered)
    assert sum(counters(gateway).tails.lanes.offered) == 1
    assert sum(counters(gateway).lanes.offered) - offered <= 1


async def test_of_a_room_that_nobody_is_in_it_hears_what_is_published_and_kept(start_gateway: StartGateway) -> None:
    _, internal = await start(start_gateway, acme=REMEMBERS)
    async with (
        Backend(internal) as api,
        Tail(internal, "log:1") as kept,
        Tail(internal, "match:1") as plain,
        Tail(internal, "match:2") as listed,
    ):
        for tail, room, offset in ((kept, "log:1", 1), (plain, "match:1", None)):
            await api.post(f"/v1/tenants/acme/rooms/{room}/publish", {"svc": "a", "type": "b", "id": "once"})
            heard = await tail.hear()
            assert (heard["room"], heard.get("offset")) == (room, offset)
        await api.post("/v1/tenants/acme/rooms/log:1/publish", {"svc": "a", "type": "b", "id": "once"})
        body = {"rooms": ["log:1", "match:2"], "messages": {"svc": "a", "type": "c"}}
        await api.post("/v1/tenants/acme/publish", body)
        assert (await kept.hear())["offset"] == 2
        assert (await listed.hear())["type"] == "c"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"key": None}, 401),
        ({"key": "k-wrong-0123456789"}, 401),
        ({"key": "\udcff", "in_header": True}, 401),
        ({"key": SCOPED, "tenant": "other"}, 404),
        ({"tenant": "nobody"}, 404),
        ({"room": "x" * 129}, 400),
    ],
)
async def test_whoever_may_not_watch_is_told_why(
    start_gateway: StartGateway, change: dict[str, Any], status: int
) -> None:
    _, internal = await start(start_gateway)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await Tail(internal, **({"room": "match:1"} | change)).__aenter__()
    assert refused.value.status == status


async def test_the_key_in_a_subprotocol_is_good_for_nothing_else(start_gateway: StartGateway) -> None:
    _, internal = await start(start_gateway)
    shown = {"Sec-WebSocket-Protocol": "key." + base64.urlsafe_b64encode(ADMIN.encode()).decode()}
    async with Backend(internal, key=None) as api:
        assert (await api.get("/v1/info", headers=shown)).status == 401
        assert (await api.get("/v1/tenants/acme/stream", headers=shown)).status == 401
        assert (await api.get("/v1/tenants/acme/rooms/a/tail", headers=shown)).status == 426


async def test_it_says_nothing_and_is_closed_when_it_does(start_gateway: StartGateway) -> None:
    gateway, internal = await start(start_gateway)
    async with Tail(internal, "match:1") as tail:
        await tail.ws.send_str("{}")
        assert await tail.expect_close() == 4503
    await until(lambda: not table(gateway))


async def test_without_one_nothing_is_left_of_it(start_gateway: StartGateway) -> None:
    gateway, internal = await start(start_gateway)
    async with Tail(internal, "match:1"):
        await until(lambda: counters(gateway).tails.connected == 1)
        assert list(table(gateway)) == ["match:1"]
    await until(lambda: counters(gateway).tails.connected == 0)
    assert table(gateway) == {}


async def test_one_that_does_not_read_is_closed_counted_and_delays_nobody(start_gateway: StartGateway) -> None:
    gateway, internal = await start(start_gateway, gateway={"writer_send_timeout_ms": 60_000})
    async with Backend(internal) as api, Client(gateway.base) as ann, Tail(internal, "match:1") as tail:
        await ann.join("match:1")
        transport = tail.ws._response.connection.transport  # type: ignore[union-attr]
        transport.pause_reading()  # type: ignore[union-attr]
        big = [{"svc": "a", "type": "b", "data": "x" * 60_000}] * 10
        sent = 0
        while counters(gateway).tails.slow == 0:
            await api.post("/v1/tenants/acme/rooms/match:1/publish", big)
            sent += len(big)
            for _ in big:
                await ann.receive()
            assert sent < 1000
        assert table(gateway) == {}
        assert counters(gateway).slow_disconnects == 0
        metrics = await scrape(internal)
        assert 'wsprism_tails_slow_total{tenant="acme"} 1.0' in metrics


async def scrape(internal: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"{internal}/metrics") as answer:
        return await answer.text()


async def test_so_many_of_a_tenant_and_no_more(start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsprism.realtime.tenant.tails.MAX_TAILS", 2)
    _, internal = await start(start_gateway)
    async with Tail(internal, "a"), Tail(internal, "b"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await Tail(internal, "c").__aenter__()
        assert refused.value.status == 503
        async with Tail(internal, "c", tenant="other"):
            pass
    async with Tail(internal, "c"):
        pass


async def test_a_key_that_is_good_no_more_and_a_tenant_that_goes_close_it(start_gateway: StartGateway) -> None:
    gateway, internal = await start(start_gateway)
    async with Tail(internal, "a", key=SCOPED) as scoped, Tail(internal, "a") as looks:
        change = {"tenants": ["other"]}
        await gateway.reconfigure(lambda data: data["gateway"]["internal"]["api_keys"][1].update(change))
        assert await scoped.expect_close() == 4502
        await gateway.reconfigure(lambda data: data["tenants"].pop(0))
        assert await looks.expect_close() == 4504


async def test_a_drain_tells_it_and_closes_it_last(start_gateway: StartGateway) -> None:
    gateway, internal = await start(start_gateway)
    async with Tail(internal, "a") as tail:
        draining = asyncio.create_task(gateway.process.drain())
        heard = await tail.hear()
        assert (heard["svc"], heard["type"]) == ("sys", "draining")
        assert heard["data"]["reconnect_after_ms"] >= 1
        assert await tail.expect_close() == 1001
        await draining


async def test_a_room_that_crashes_goes_on_for_its_tail(start_gateway: StartGateway) -> None:
    gateway, internal = await start(start_gateway)
    async with Backend(internal) as api, Client(gateway.base) as ann, Tail(internal, "match:1") as tail:
        await ann.join("match:1")
        tenant = gateway.process.tenant("acme")
        assert tenant is not None
        tenant.registry.rooms["match:1"].ref.tell(object())
        assert (await ann.receive())["type"] == "error"
        await api.post("/v1/tenants/acme/rooms/match:1/publish", {"svc": "a", "type": "b"})
        assert (await tail.hear())["type"] == "b"

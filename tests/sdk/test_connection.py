"""Behaviours of both SDKs (clients/behaviours.md): coming, staying, coming back, and ending."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import Any

import pytest

from load.proxy import Proxy
from tests.components import refusing_port
from tests.process import GatewayCommand
from tests.sdk.fake import FakeGateway
from tests.sdk.sdk import Sdk, SdkError

pytestmark = pytest.mark.asyncio(loop_scope="session")

TIMER_S = 0.003
"""Clocks of two processes may differ by so much."""


async def test_connects_and_knows_its_session(sdk: Sdk, gateway: GatewayCommand) -> None:
    client = await sdk.client(f"ws://127.0.0.1:{gateway.port}", ticket="dev:ann", sid="tab-1")
    assert await client.get("state") == "idle"
    assert await client.get("session") is None
    await client.connect()
    assert await client.get("state") == "open"
    session = {"tenant": "acme", "user": "user:ann", "sid": "tab-1", "expires_at": None, "data": None}
    assert await client.get("session") == session
    assert [await client.get(name) for name in ("next_attempt_at", "reason", "round_trip_s")] == [None, None, None]
    await client.state("connecting")
    await client.state("open")


async def test_connects_once_however_often_it_is_told(sdk: Sdk, proxy: Proxy) -> None:
    client = await sdk.client(proxy.url)
    await asyncio.gather(client.connect(), client.connect())
    await client.connect()
    assert proxy.accepted == 1


async def test_a_room_or_a_publish_connects_it(sdk: Sdk, gateway: GatewayCommand) -> None:
    client = await sdk.client(f"ws://127.0.0.1:{gateway.port}")
    room = await client.room("starts")
    await room.call("joined")
    assert await client.get("state") == "open"
    other = await sdk.client(f"ws://127.0.0.1:{gateway.port}")
    await other.call("request", "room", "join", None, room="starts")
    assert await other.get("state") == "open"


async def test_says_what_the_gateway_needs_to_know(sdk: Sdk, fake: FakeGateway) -> None:
    client = await sdk.client(fake.url, ticket="grüße/+?", sid="s")
    connecting = client.calling("connect")
    peer = await fake.authed()
    await connecting
    assert {name: peer.query[name] for name in ("tenant", "sid", "explain")} == {
        "tenant": "acme",
        "sid": "s",
        "explain": "1",
    }
    assert "wsprism.v1" in peer.protocols
    assert peer.ticket == "grüße/+?"


async def test_close_ends_everything(sdk: Sdk, fake: FakeGateway) -> None:
    client = await sdk.client(fake.url)
    room = await client.room("a")
    peer = await fake.authed()
    await client.state("open")
    waiting = [
        room.calling("joined"),
        room.calling("publish", "send", {"msg": "x"}),
        client.calling("request", "game", "move", {}),
    ]
    await peer.heard("room", "join")
    await peer.heard("chat", "send")
    await peer.heard("game", "move")
    await client.call("close")
    await client.call("close")
    assert await peer.over() == 1000
    for task in waiting:
        with pytest.raises(SdkError) as error:
            await task
        assert error.value.code == "CLOSED"
    assert (await client.state("closed"))["reason"]["code"] == 1000
    assert (await client.get("reason"))["code"] == 1000
    assert await room.get("state") == "left"
    for late in (
        client.calling("connect"),
        client.calling("publish", "chat", "send", {}),
        room.calling("publish", "x"),
    ):
        with pytest.raises(SdkError) as error:
            await late
        assert error.value.code == "CLOSED"
    with pytest.raises(SdkError):
        await client.room("b")


async def test_close_while_waiting_ends_the_waiting(sdk: Sdk) -> None:
    with refusing_port() as port:
        client = await sdk.client(f"ws://127.0.0.1:{port}", backoff_base_s=60.0, backoff_cap_s=60.0)
        connecting = client.calling("connect")
        await client.state("waiting")
        await client.call("close")
        with pytest.raises(SdkError) as error:
            await connecting
        assert error.value.code == "CLOSED"
        assert await client.get("next_attempt_at") is None


async def test_asks_for_a_ticket_for_each_connection(sdk: Sdk, fake: FakeGateway) -> None:
    client = await sdk.client(fake.url, ticket=["t1", "t2", "t3"])
    connecting = client.calling("connect")
    for expected in ("t1", "t2", "t3"):
        peer = await fake.authed()
        assert peer.ticket == expected
        await client.state("open")
        peer.cut()
        await client.state("waiting")
    await connecting


async def test_keeps_the_sid_that_it_was_given(sdk: Sdk, fake: FakeGateway) -> None:
    client = await sdk.client(fake.url)
    connecting = client.calling("connect")
    peer = await fake.authed(sid="made-by-the-gateway")
    await connecting
    assert "sid" not in peer.query
    peer.cut()
    assert (await fake.authed()).query["sid"] == "made-by-the-gateway"


async def test_comes_back_after_a_cut(sdk: Sdk, proxy: Proxy) -> None:
    client = await sdk.client(proxy.url)
    await client.connect()
    for _ in range(3):
        await client.state("open")
        proxy.cut()
        assert (await client.state("waiting"))["next_attempt_at"] > 0
    await client.state("open")
    assert proxy.accepted == 4


async def test_comes_back_after_a_half_close(sdk: Sdk, proxy: Proxy) -> None:
    client = await sdk.client(proxy.url)
    await client.connect()
    await client.state("open")
    proxy.half_close()
    await client.state("waiting")
    await client.state("open")
    await client.call("request", "room", "join", room="half")


async def test_comes_back_after_a_stall(sdk: Sdk, proxy: Proxy) -> None:
    client = await sdk.client(proxy.url, ping_interval_s=0.2, pong_timeout_s=0.3)
    await client.connect()
    await client.state("open")
    proxy.stall()
    await client.state("waiting")
    proxy.flow()
    await client.state("open")


async def test_a_slow_network_is_no_dead_one(sdk: Sdk, proxy: Proxy) -> None:
    proxy.delay_s = 0.15
    client = await sdk.client(proxy.url, ping_interval_s=0.1, pong_timeout_s=10.0)
    await client.connect()
    room = await client.room("slow")
    for number in range(3):
        await room.call("publish", "send", {"msg": str(number)})
        assert (await room.event("message"))["data"]["msg"] == str(number)
    assert await client.get("round_trip_s") >= 0.3 - TIMER_S
    assert proxy.accepted == 1


async def test_a_server_that_never_answers_is_given_up(sdk: Sdk, proxy: Proxy) -> None:
    proxy.stall()
    client = await sdk.client(proxy.url, connect_timeout_s=0.3)
    connecting = client.calling("connect")
    await client.state("waiting")
    proxy.flow()
    await connecting


async def test_a_server_that_accepts_and_says_nothing_is_given_up(sdk: Sdk, fake: FakeGateway) -> None:
    client = await sdk.client(fake.url, connect_timeout_s=0.3)
    connecting = client.calling("connect")
    await fake.client()
    await client.state("waiting")
    sdk.background(fake.let_all_in())
    await connecting


async def test_a_port_where_nobody_listens_is_tried_again(sdk: Sdk, proxy: Proxy) -> None:
    proxy.refuse()
    client = await sdk.client(proxy.url)
    connecting = client.calling("connect")
    await client.state("waiting")
    await client.state("waiting")
    proxy.refuse(False)
    await connecting


async def test_waits_longer_each_time_with_full_jitter(sdk: Sdk, fake: FakeGateway) -> None:
    bounds_s = [0.2, 0.4, 0.8, 0.8, 0.8]
    client = await sdk.client(fake.url, backoff_base_s=0.2, backoff_cap_s=0.8, backoff_reset_s=60.0)
    client.calling("connect")
    waits_s = []
    for bound_s in bounds_s:
        peer = await fake.authed()
        await client.state("open")
        cut_at = time.time()
        peer.cut()
        told = await client.told("state", lambda value: value["state"] == "waiting")
        assert told["value"]["next_attempt_at"] >= cut_at - TIMER_S
        wait_s = told["value"]["next_attempt_at"] - told["at"] / 1000
        assert wait_s <= bound_s + TIMER_S
        waits_s.append(wait_s)
    assert len({round(wait_s, 3) for wait_s in waits_s}) > 1


async def test_health_forgets_failures(sdk: Sdk, fake: FakeGateway) -> None:
    client = await sdk.client(fake.url, backoff_base_s=0.01, backoff_cap_s=60.0, backoff_reset_s=0.001)
    client.calling("connect")
    for _ in range(16):  # 0.01 s doubled so often would be minutes
        peer = await fake.authed()
        await client.state("open")
        await asyncio.sleep(0.005)
        peer.cut()
        told = await client.told("state", lambda value: value["state"] == "waiting")
        assert told["value"]["next_attempt_at"] - told["at"] / 1000 <= 0.01 + TIMER_S


@pytest.mark.parametrize("code", [1001, 1011, 1012, 1013, 3000, 4000, 4001, 4002, 4003, 4004, 4005, 4499])
async def test_comes_back_after_these_codes(sdk: Sdk, fake: FakeGateway, code: int) -> None:
    client = await sdk.client(fake.url)
    client.calling("connect")
    peer = await fake.authed()
    await client.state("open")
    await peer.close(code)
    await client.state("waiting")
    await fake.authed()
    await client.state("open")


@pytest.mark.parametrize("code", [1000, 1002, 1003, 1007, 1008, 1009, 1010, 4500, 4501, 4502, 4503, 4504, 4505, 4999])
async def test_stays_away_after_these_codes(sdk: Sdk, fake: FakeGateway, code: int) -> None:
    client = await sdk.client(fake.url, ticket=["t"])
    client.calling("connect")
    peer = await fake.authed()
    await client.state("open")
    await peer.close(code, "because")
    assert (await client.state("closed"))["reason"] == {"code": code, "reason": "because"}
    assert await client.get("reason") == {"code": code, "reason": "because"}
    assert len(fake.attempts) == 1


async def test_whoever_is_replaced_stays_away(sdk: Sdk, gateway: GatewayCommand) -> None:
    old = await sdk.client(f"ws://127.0.0.1:{gateway.port}", ticket="dev:zoe", sid="same")
    await old.connect()
    new = await sdk.client(f"ws://127.0.0.1:{gateway.port}", ticket="dev:zoe", sid="same")
    await new.connect()
    assert (await old.state("closed"))["reason"]["code"] == 4500
    assert await new.get("state") == "open"


async def test_a_refused_ticket_is_asked_for_once_more(sdk: Sdk, fake: FakeGateway) -> None:
    client = await sdk.client(fake.url, ticket=["t1", "t2"])
    connecting = client.calling("connect")
    for expected in ("t1", "t2"):
        peer = await fake.client()
        assert peer.ticket == expected
        await peer.say("sys", "error", data={"code": "AUTH_FAILED", "msg": "not good"})
        await peer.close(4502)
    assert (await client.state("closed"))["reason"]["code"] == 4502
    assert "not good" in (await client.get("reason"))["reason"]
    with pytest.raises(SdkError) as error:
        await connecting
    assert error.value.code == "CLOSED"
    assert len(fake.attempts) == 2


async def test_a_refused_ticket_that_is_a_string_is_the_end(sdk: Sdk, fake: FakeGateway) -> None:
    client = await sdk.client(fake.url, ticket="t1")
    client.calling("connect")
    await (await fake.client()).close(4505)
    assert (await client.state("closed"))["reason"]["code"] == 4505
    assert len(fake.attempts) == 1


@pytest.mark.sees_statuses
@pytest.mark.parametrize("status", [401, 403])
async def test_a_status_that_refuses_the_ticket_is_obeyed(sdk: Sdk, fake: FakeGateway, status: int) -> None:
    client = await sdk.client(fake.url, ticket=["t1", "t2"])
    client.calling("connect")
    fake.refuse_next(status)
    fake.refuse_next(status)
    assert (await client.state("closed"))["reason"]["code"] == status
    assert len(fake.attempts) == 2


async def test_a_wrong_ticket_is_the_end_at_a_real_gateway(sdk: Sdk, gateway: GatewayCommand) -> None:
    client = await sdk.client(f"ws://127.0.0.1:{gateway.port}", ticket=["wrong"])
    client.calling("connect")
    assert (await client.state("closed"))["reason"]["code"] in (401, 4502)


@pytest.mark.sees_statuses
@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_obeyed(sdk: Sdk, fake: FakeGateway, status: int) -> None:
    fake.refuse_next(status, Retry_After="1")
    client = await sdk.client(fake.url)
    connecting = client.calling("connect")
    await fake.authed()
    await connecting
    first, second = fake.attempts
    assert second - first >= 1 - TIMER_S


async def test_retry_after_ms_is_obeyed(sdk: Sdk, fake: FakeGateway) -> None:
    client = await sdk.client(fake.url)
    connecting = client.calling("connect")
    peer = await fake.client()
    said_at = time.monotonic()
    await peer.say("sys", "error", data={"code": "RESOURCE_EXHAUSTED", "msg": "full", "retry_after_ms": 500})
    await peer.close(4004)
    await fake.authed()
    await connecting
    assert fake.attempts[1] - said_at >= 0.5 - TIMER_S


async def test_a_drain_is_obeyed_to_the_millisecond(sdk: Sdk, fake: FakeGateway) -> None:
    client = await sdk.client(fake.url, backoff_base_s=60.0, backoff_cap_s=60.0)
    connecting = client.calling("connect")
    peer = await fake.authed()
    await connecting
    said_at = time.monotonic()
    await peer.say("sys", "draining", data={"reconnect_after_ms": 700})
    draining = await client.told("draining")
    assert draining["value"]["reconnect_after_s"] == 0.7
    assert await client.get("state") == "open"
    publishing = client.calling("publish", "chat", "send", {"msg": "still"})
    await peer.ack(await peer.heard("chat", "send"))
    await publishing
    await peer.close(1001)
    told = await client.told("state", lambda value: value["state"] == "waiting")
    assert told["value"]["next_attempt_at"] <= draining["at"] / 1000 + 0.7 + TIMER_S
    await fake.authed()
    assert fake.attempts[1] - said_at >= 0.7 - TIMER_S


async def test_comes_back_after_a_drain_of_a_real_gateway(sdk: Sdk, own_gateway: GatewayCommand) -> None:
    async with Proxy(own_gateway.port) as proxy:
        client = await sdk.client(proxy.url)
        await client.connect()
        own_gateway.signal(signal.SIGTERM)
        await client.event("draining")
        await client.state("waiting")
        await own_gateway.wait(60)
        assert await client.get("state") in ("waiting", "connecting")  # it goes on trying


async def test_silence_is_answered_with_a_ping(sdk: Sdk, gateway: GatewayCommand) -> None:
    client = await sdk.client(f"ws://127.0.0.1:{gateway.port}", ping_interval_s=0.1, pong_timeout_s=5.0)
    await client.connect()
    async with asyncio.timeout(40):
        while await client.get("round_trip_s") is None:  # noqa: ASYNC110 - the SDK tells it by no event
            await asyncio.sleep(0.02)
    assert 0 <= await client.get("round_trip_s") < 5  # a page may be told whole milliseconds only
    assert await client.get("state") == "open"


async def test_a_ticket_function_that_fails_is_asked_again(sdk: Sdk, gateway: GatewayCommand) -> None:
    url = f"ws://127.0.0.1:{gateway.port}"
    client = await sdk.client(url, ticket=[{"throw": "no network"}, {"hang": True}, "dev:ann"], connect_timeout_s=0.5)
    connecting = client.calling("connect")
    await client.state("waiting")
    await client.state("waiting")
    await connecting


async def test_a_ticket_is_refreshed_before_its_end(sdk: Sdk, fake: FakeGateway) -> None:
    client = await sdk.client(fake.url, ticket=["t1", "t2"])
    connecting = client.calling("connect")
    ends_at = time.time() + 5
    peer = await fake.authed(expires_at=ends_at)
    await connecting
    await sdk.driver.event("ticket", client.name, None, lambda _: True)
    asked = await sdk.driver.event("ticket", client.name, None, lambda _: True)
    assert ends_at - 1 < asked["at"] / 1000 < ends_at
    refresh = await peer.heard("sys", "refresh")
    assert refresh["data"] == {"ticket": "t2"}
    await peer.say("sys", "refreshed", seq=refresh["seq"], data={"expires_at": 4_000_000_000})
    async with asyncio.timeout(40):
        while (await client.get("session"))["expires_at"] != 4_000_000_000:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)


async def test_refresh_may_be_asked_for(sdk: Sdk, gateway: GatewayCommand) -> None:
    client = await sdk.client(f"ws://127.0.0.1:{gateway.port}", ticket=["dev:ann", "dev:ann", "dev:bob"])
    await client.connect()
    await client.call("refresh")
    with pytest.raises(SdkError) as error:
        await client.call("refresh")
    assert error.value.code == "AUTH_FAILED"
    assert await client.get("state") == "open"


async def test_what_it_does_not_understand_is_passed_over(sdk: Sdk, fake: FakeGateway) -> None:
    client = await sdk.client(fake.url)
    connecting = client.calling("connect")
    peer = await fake.authed()
    await connecting
    for rubbish in (
        "no json",
        "[]",
        "7",
        "null",
        '{"v":1}',
        '{"v":1,"svc":"sys","type":"new"}',
        b"",
        b"\x01",
        b"\x01\x01\x0d",
    ):
        await peer.raw(rubbish)
    await peer.say("sys", "joined", room="not ours", data=None)
    await peer.say("news", "item", data=1)
    assert (await client.event("message", lambda value: value.get("svc") == "news"))["data"] == 1
    assert await client.get("state") == "open"


async def test_a_listener_that_throws_stops_nothing(sdk: Sdk, gateway: GatewayCommand) -> None:
    client = await sdk.client(f"ws://127.0.0.1:{gateway.port}")
    room = await client.room("throws")
    await room.throwing("message")
    await client.throwing("state")
    for number in range(2):
        await room.call("publish", "send", {"msg": str(number)})
        assert (await room.event("message"))["data"]["msg"] == str(number)
        assert "thrown" in (await client.event("error"))["msg"]


async def test_an_async_listener_that_throws_stops_nothing(sdk: Sdk, gateway: GatewayCommand) -> None:
    client = await sdk.client(f"ws://127.0.0.1:{gateway.port}")
    room = await client.room("throws-later")
    await room.throwing("message", later=True)
    for number in range(2):
        await room.call("publish", "send", {"msg": str(number)})
        assert (await room.event("message"))["data"]["msg"] == str(number)
        assert "thrown by an async" in (await client.event("error"))["msg"]


async def test_an_error_that_nobody_hears_is_written(sdk: Sdk, gateway: GatewayCommand) -> None:
    client = await sdk.client(f"ws://127.0.0.1:{gateway.port}", listen=False)
    room = await client.room("unheard", listen=False)
    await room.throwing("message")
    await room.call("publish", "send", {"msg": "x"})
    assert "thrown" in await sdk.logged()


async def test_wrong_options_are_refused_at_once(sdk: Sdk) -> None:
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("http://127.0.0.1", {}),
        ("ws://127.0.0.1", {"ping_interval_s": 0}),
        ("ws://127.0.0.1", {"format": "xml"}),
        ("ws://127.0.0.1", {"tenant": ""}),
        ("ws://127.0.0.1", {"queue_messages": -1}),
    ]
    for url, options in wrong:
        with pytest.raises(SdkError):
            await sdk.client(url, **options)


@pytest.mark.only_in_a_page
async def test_a_browser_that_is_online_again_does_not_wait(sdk: Sdk, proxy: Proxy) -> None:
    proxy.refuse()
    client = await sdk.client(proxy.url, backoff_base_s=3600.0, backoff_cap_s=3600.0)
    connecting = client.calling("connect")
    await client.state("waiting")
    proxy.refuse(False)
    await sdk.driver.ask("wake")
    await connecting

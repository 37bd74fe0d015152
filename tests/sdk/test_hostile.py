"""Behaviours of both SDKs (clients/behaviours.md): gateways that lie, listeners and ticket functions that do as they
like, and more than anybody should ask for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Any

import pytest

from load.proxy import Proxy
from tests.process import GatewayCommand
from tests.sdk.fake import Connection, FakeGateway
from tests.sdk.sdk import Client, Room, Sdk, SdkError

pytestmark = pytest.mark.asyncio(loop_scope="session")

RUBBISH: list[Any] = [None, True, -1, 1.5, 1e300, "x", [], {}, [[]], {"a": {}}]
EPOCH = "e1"


async def _open(sdk: Sdk, fake: FakeGateway, **options: Any) -> tuple[Client, Connection]:
    client = await sdk.client(fake.url, **options)
    connecting = client.calling("connect")
    peer = await fake.authed()
    await connecting
    return client, peer


async def _standing_at(sdk: Sdk, fake: FakeGateway, offset: int) -> tuple[Client, Room, Connection]:
    client, peer = await _open(sdk, fake)
    room = await client.room("a")
    await peer.joined("a", epoch=EPOCH, offset=offset, recovered=False)
    await room.event("joined")
    return client, room, peer


async def _is_well(client: Client, peer: Connection) -> None:
    """Still open, and still hearing."""
    await peer.say("news", "item", data="well")
    await client.event("message", lambda value: value.get("data") == "well")
    assert await client.get("state") == "open"


async def test_lies_in_fields_stop_nothing(sdk: Sdk, fake: FakeGateway) -> None:
    client, room, peer = await _standing_at(sdk, fake, 1)
    for value in RUBBISH:
        for type, field in (
            ("joined", "epoch"),
            ("joined", "offset"),
            ("joined", "count"),
            ("joined", "number"),
            ("gap", "epoch"),
            ("gap", "offset"),
            ("refreshed", "expires_at"),
            ("error", "code"),
            ("error", "retry_after_ms"),
            ("degraded", "degraded"),
            ("authed", "sid"),
        ):
            await peer.say("sys", type, room="a", seq=value, data={field: value})
        for field in ("seq", "room", "offset", "data", "type", "svc"):
            await peer.raw(json.dumps({"v": 1, "svc": "chat", "type": "msg", "room": "a", field: value}))
    await peer.raw('{"v":1,"svc":"sys","type":"gap","room":"a","data":{"epoch":"e2","offset":1e999}}')
    await peer.raw("[" * 20_000 + "]" * 20_000)
    await peer.say("sys", "gap", room="a", data={"epoch": EPOCH, "offset": 5})
    await room.event("lost", lambda value: value == {"epoch": EPOCH, "offset": 5})
    await peer.say("chat", "msg", room="a", offset=6, data="heard")
    await room.event("message", lambda value: value.get("data") == "heard")
    await _is_well(client, peer)


@pytest.mark.parametrize("value", RUBBISH)
async def test_lies_about_waits_are_waited_out_as_always(sdk: Sdk, fake: FakeGateway, value: Any) -> None:
    client = await sdk.client(fake.url)
    client.calling("connect")
    peer = await fake.client()
    await peer.say("sys", "error", data={"code": "X", "retry_after_ms": "x" if value == 1e300 else value})
    await peer.say("sys", "authed", data={"sid": value, "expires_at": value, "user": value})
    await client.state("open")
    await peer.say("sys", "draining", data={"reconnect_after_ms": "x" if value == 1e300 else value})
    await peer.close(1001)
    await client.state("waiting")
    again = await fake.authed()
    await client.state("open")
    await _is_well(client, again)


async def test_no_wait_is_longer_than_a_day(sdk: Sdk, fake: FakeGateway) -> None:
    client, peer = await _open(sdk, fake)
    await client.state("open")
    await peer.raw('{"v":1,"svc":"sys","type":"draining","data":{"reconnect_after_ms":1e300}}')
    await peer.close(1001)
    told = await client.told("state", lambda value: value["state"] == "waiting")
    assert 86_000 < told["value"]["next_attempt_at"] - told["at"] / 1000 < 87_000


async def test_nothing_counts_before_it_is_let_in(sdk: Sdk, fake: FakeGateway) -> None:
    client = await sdk.client(fake.url)
    room = await client.room("a")
    peer = await fake.client()
    await peer.say("sys", "joined", room="a", data={"epoch": EPOCH, "offset": 9})
    await peer.say("chat", "msg", room="a", offset=10, data="early")
    await peer.say("sys", "left", room="a")
    await peer.raw(b"\x01\x01\x00early")
    await peer.authed()
    await peer.joined("a", epoch=EPOCH, offset=0)
    assert (await room.event("joined"))["offset"] == 0
    await peer.say("chat", "msg", room="a", offset=1, data="first")
    assert (await room.event("message"))["data"] == "first"
    assert not sdk.driver.seen("hot")


@pytest.mark.parametrize(
    "lie",
    [{"epoch": "e2", "offset": 7}, {"epoch": EPOCH, "offset": 3}, {"epoch": None, "offset": None}],
    ids=["another epoch", "an offset that goes back", "no epoch"],
)
async def test_a_recovery_that_cannot_be_is_a_loss(sdk: Sdk, fake: FakeGateway, lie: dict[str, Any]) -> None:
    _, room, peer = await _standing_at(sdk, fake, 5)
    peer.cut()
    peer = await fake.authed()
    join = await peer.joined("a", recovered=True, count=2, **lie)
    assert join["data"]["since"] == {"epoch": EPOCH, "offset": 5}
    assert await room.event("lost") == lie
    await peer.say("chat", "msg", room="a", offset=(lie["offset"] or 0) + 1, data="next")
    assert (await room.event("message"))["data"] == "next"


async def test_acks_for_nothing_are_passed_over(sdk: Sdk, fake: FakeGateway) -> None:
    client, peer = await _open(sdk, fake)
    asking = client.calling("request", "game", "move", {})
    asked = await peer.heard("game", "move")
    publishing = client.calling("publish", "chat", "send", {"msg": "x"})
    sent = await peer.heard("chat", "send")
    for seq in (0, 999, asked["seq"], None):
        await peer.say("sys", "ack", seq=seq, data={"offset": 9})
    await peer.say("sys", "pong", seq=sent["seq"])
    await peer.say("game", "moved", seq=sent["seq"], data="not yours")
    await peer.say("sys", "ack", seq=sent["seq"], data={"offset": "x"})
    assert await publishing is None
    await peer.say("sys", "ack", seq=sent["seq"], data={"offset": 1})
    await peer.say("game", "moved", seq=asked["seq"], data="yours")
    assert await asking == "yours"
    await _is_well(client, peer)


async def test_a_large_message_is_heard(sdk: Sdk, fake: FakeGateway) -> None:
    client, peer = await _open(sdk, fake)
    await peer.say("news", "item", data="x" * 8_000_000)
    assert len((await client.event("message"))["data"]) == 8_000_000
    await _is_well(client, peer)


@pytest.mark.parametrize(
    "half", [b"\x81", b'\x81\x7e\x10\x00{"v":1,"svc":"sys","type":"authed"', b"\x81\x7f" + b"\x7f" * 9]
)
async def test_a_connection_that_ends_amid_a_message_is_lost(sdk: Sdk, fake: FakeGateway, half: bytes) -> None:
    client = await sdk.client(fake.url)
    connecting = client.calling("connect")
    peer = await fake.client()
    peer.half_said(half)
    await asyncio.sleep(0.05)
    peer.cut()
    await client.state("waiting")
    await fake.authed()
    await connecting


async def test_a_server_that_trickles_is_given_up(sdk: Sdk, fake: FakeGateway) -> None:
    client, peer = await _open(sdk, fake, ping_interval_s=0.2, pong_timeout_s=0.3)
    peer.half_said(b"\x81\x7f" + (1_000_000).to_bytes(8, "big"))

    async def trickle() -> None:
        while True:
            peer.half_said(b"x")
            await asyncio.sleep(0.02)

    trickling = sdk.background(trickle())
    await client.state("waiting")
    trickling.cancel()


async def test_drains_without_end_are_no_storm(sdk: Sdk, fake: FakeGateway) -> None:
    client = await sdk.client(fake.url, backoff_base_s=0.4, backoff_cap_s=0.8)
    client.calling("connect")
    ends_at = time.monotonic() + 2.0
    while time.monotonic() < ends_at:
        peer = await fake.authed()
        await peer.say("sys", "draining", data={"reconnect_after_ms": 0})
        await peer.close(1001)
    assert len(fake.attempts) < 30


async def test_refreshes_without_end_are_no_storm(sdk: Sdk, fake: FakeGateway) -> None:
    client = await sdk.client(fake.url, ticket=["t"])
    client.calling("connect")
    peer = await fake.authed(expires_at=time.time() + 0.2)
    refreshes = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(None) as window:
            while True:
                refresh = await peer.heard("sys", "refresh")
                if not refreshes:
                    window.reschedule(asyncio.get_running_loop().time() + 2.5)
                refreshes += 1
                await peer.say("sys", "refreshed", seq=refresh["seq"], data={"expires_at": time.time() + 0.02})
    assert 1 <= refreshes <= 4


async def test_a_ticket_function_that_gives_rubbish_is_asked_again(sdk: Sdk, fake: FakeGateway) -> None:
    rubbish: list[Any] = [{"give": 7}, {"give": None}, {"give": {"ticket": "t"}}, {"cancel": True}]
    client = await sdk.client(fake.url, ticket=[*rubbish, "t"])
    connecting = client.calling("connect")
    for _ in rubbish:
        await client.state("waiting")
    assert (await fake.authed()).ticket == "t"
    await connecting


async def test_a_ticket_stays_a_ticket_whatever_it_holds(sdk: Sdk, fake: FakeGateway) -> None:
    client = await sdk.client(fake.url, ticket=["a\r\nX-Evil: 1", "t"])
    connecting = client.calling("connect")
    peer = await fake.client()
    if peer.ticket != "t":  # it can be said where it stands: nothing was added to the request
        assert peer.ticket == "a\r\nX-Evil: 1"
        peer.cut()
        peer = await fake.client()
    await peer.authed()
    await connecting


async def test_a_ticket_function_may_close_the_client(sdk: Sdk, fake: FakeGateway) -> None:
    client = await sdk.client(fake.url, ticket=[{"close": True}])
    connecting = client.calling("connect")
    assert (await client.state("closed"))["reason"]["code"] == 1000
    with pytest.raises(SdkError) as error:
        await connecting
    assert error.value.code == "CLOSED"
    assert not fake.attempts


async def test_a_clock_that_is_set_changes_no_wait(sdk: Sdk, fake: FakeGateway) -> None:
    try:
        client, peer = await _open(sdk, fake, ticket=["t"], ping_interval_s=0.3, backoff_base_s=0.3, backoff_cap_s=0.3)
        for by_s in (86_400.0, -86_400.0):
            await sdk.driver.ask("jump", by_s=by_s)
            peer.cut()
            await client.state("waiting")
            peer = await fake.authed(expires_at=time.time() + 30)
            await client.state("open")
            await peer.heard("sys", "ping")
            await _is_well(client, peer)
    finally:
        await sdk.driver.ask("jump", by_s=0.0)


@pytest.mark.parametrize(
    ("of", "event", "on", "method"),
    [
        ("client", "state", "client", "close"),
        ("room", "joined", "client", "close"),
        ("room", "message", "client", "close"),
        ("room", "joined", "room", "leave"),
        ("room", "message", "room", "leave"),
        ("room", "message", "room", "publish"),
        ("room", "left", "client", "close"),
    ],
)
async def test_what_a_listener_does_is_done(
    sdk: Sdk, gateway: GatewayCommand, of: str, event: str, on: str, method: str
) -> None:
    async with Proxy(gateway.port) as proxy:
        proxy.refuse()  # or it may be open, and in the room, before the listener is there
        client = await sdk.client(proxy.url)
        room = await client.room(f"reacts-{sdk.name}")
        targets = {"client": None, "room": room}
        args = ["send", {"msg": "by a listener"}] if method == "publish" else []
        await client.react(targets[of], event, targets[on], method, *args)
        publishing = room.calling("publish", "send", {"msg": "first"})
        proxy.refuse(False)
        if event == "left":
            await publishing
            # Taken out of the room by a message of one's own; its answer may be CLOSED.
            with contextlib.suppress(SdkError):
                await client.call("request", "room", "leave", None, room=room.name)
        if method == "close":
            await client.state("closed")
            assert await room.get("state") == "left"
        elif method == "leave":
            async with asyncio.timeout(40):
                while await room.get("state") != "left":  # noqa: ASYNC110 - the SDK tells it by no event
                    await asyncio.sleep(0.01)
            assert await client.get("state") == "open"
        else:
            said = await room.event("message", lambda value: value["data"]["msg"] == "by a listener")
            assert said["room"] == room.name
    other = await sdk.client(f"ws://127.0.0.1:{gateway.port}")
    await other.connect()


async def test_ten_thousand_at_once_are_bounded_and_the_first_arrive(sdk: Sdk, gateway: GatewayCommand) -> None:
    async with Proxy(gateway.port) as proxy:
        proxy.refuse()
        client = await sdk.client(proxy.url)
        room = await client.room(f"flood-{sdk.name}")
        await client.state("waiting")
        flooding = sdk.background(sdk.driver.ask("flood", client=client.name, room=room.name, count=10_000))
        await asyncio.sleep(0)  # it is said first
        await client.get("state")
        proxy.refuse(False)
        assert await flooding == {"ok": 1000, "QUEUE_FULL": 9000}
        heard = [(await room.event("message"))["data"]["msg"] for _ in range(1000)]
        assert heard == [str(number) for number in range(1000)]


async def test_nodes_that_are_cut_off_are_told(sdk: Sdk, fake: FakeGateway) -> None:
    client, peer = await _open(sdk, fake)
    for degraded in (True, False):
        await peer.say("sys", "degraded", data={"degraded": degraded})
        assert await client.event("degraded") == {"degraded": degraded}

"""The internal API of two gateways over one real Redis: asked at one, done on both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest

from tests.api import Answer, Backend, start_with_api
from tests.backends import SECRET
from tests.backends import backend as listening_backend
from tests.client import Client, until
from tests.conftest import Running, StartGateway
from tests.redis_server import RedisServer, running_redis
from wsprism.adapters.redis.registry import RedisRegistry

ACME = "/v1/tenants/acme"
ROOMS = [
    {"match": "kept:*", "history": {"max_messages": 50}},
    {"match": "match:*", "scope": "node"},
]


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.fixture
async def nodes(start_gateway: StartGateway, redis: RedisServer) -> AsyncIterator[list[tuple[Running, Backend]]]:
    found = []
    for number in range(2):
        running, api = await start_with_api(
            start_gateway,
            acme={"rooms": ROOMS, "auth": [{"kind": "dev"}, {"kind": "one_time"}]},
            gateway={"broker": {"url": redis.url}, "node": {"name": f"n{number}"}},
        )
        found.append((running, Backend(api)))
    yield found
    for _, backend in found:
        await backend.__aexit__(None, None, None)


Nodes = list[tuple[Running, Backend]]


def client(nodes: Nodes, node: int, user: str, sid: str | None = None) -> Client:
    return Client(nodes[node][0].base, ticket=f"dev:{user}", **({} if sid is None else {"sid": sid}))


async def join(peer: Client, room: str) -> None:
    await peer.send("room", "join", room=room)
    assert (await peer.receive())["type"] == "joined"


async def types(peer: Client, count: int) -> list[str]:
    return [(await peer.receive())["type"] for _ in range(count)]


def done(answer: Answer) -> Any:
    assert answer.status in (200, 201, 202), answer
    return answer.json


async def test_sessions_are_reached_from_either_node(nodes: Nodes) -> None:
    (_, one), (_, two) = nodes
    async with (
        client(nodes, 0, "ann", "phone") as phone,
        client(nodes, 1, "ann", "tab") as tab,
        client(nodes, 1, "bob") as bob,
    ):
        message = {"svc": "news", "type": "item", "data": 1}
        assert done(await one.post(f"{ACME}/broadcast", message)) == {"sessions": 3}
        assert done(await two.post(f"{ACME}/users/user:ann/send", message)) == {"sessions": 2}
        assert await types(phone, 2) == await types(tab, 2) == ["item", "item"]
        assert await types(bob, 1) == ["item"]
        assert done(await one.post(f"{ACME}/rooms/a/members", {"user": "user:ann"})) == {"sessions": 2}
        await join(bob, "a")
        assert await types(phone, 1) == await types(tab, 1) == ["joined"]
        assert done(await two.post(f"{ACME}/rooms/a/publish", message)) == {"members": 3}
        removed = await two.call("DELETE", f"{ACME}/rooms/a/members", {"user": "user:ann", "sid": "phone"})
        assert done(removed) == {"sessions": 1}
        assert await types(phone, 2) == ["item", "left"]
        assert done(await two.post(f"{ACME}/disconnect", {"user": "user:ann", "reason": "bye"})) == {"sessions": 2}
        assert await phone.expect_close() == (4500, "bye")
        assert done(await one.post(f"{ACME}/disconnect", {"room": "a", "code": 4100})) == {"sessions": 1}
        assert (await bob.expect_close())[0] == 4100


async def test_a_room_of_one_node_is_reached_on_every_node(nodes: Nodes) -> None:
    (_, one), (_, two) = nodes
    async with client(nodes, 0, "ann") as ann, client(nodes, 1, "bob") as bob:
        for peer in (ann, bob):
            await join(peer, "match:1")
        message = {"svc": "news", "type": "item", "data": 1}
        assert done(await one.post(f"{ACME}/rooms/match:1/publish", message)) == {"members": 2}
        both = {"rooms": ["match:1", "a"], "messages": message}
        assert done(await two.post(f"{ACME}/publish", both)) == {"rooms": {"match:1": 2, "a": 0}}
        assert await types(ann, 2) == await types(bob, 2) == ["item", "item"]
        removed = await two.call("DELETE", f"{ACME}/rooms/match:1/members", {"user": "user:ann"})
        assert done(removed) == {"sessions": 1}
        assert await types(ann, 1) == ["left"]


async def test_a_client_that_goes_on_speaking_is_mute_from_the_answer_of_another_node_on(nodes: Nodes) -> None:
    _, (_, two) = nodes
    async with client(nodes, 1, "ann") as ann, client(nodes, 0, "bob") as bob:
        await join(ann, "kept:1")
        await join(bob, "kept:1")

        async def shout() -> None:
            for number in range(100_000):
                await bob.send("chat", "send", {"msg": str(number)}, room="kept:1")
                await asyncio.sleep(0)

        shouting = asyncio.create_task(shout())
        await ann.receive()
        assert done(await two.call("DELETE", f"{ACME}/rooms/kept:1/members", {"user": "user:bob"})) == {"sessions": 1}
        top = done(await two.get(f"{ACME}/rooms/kept:1/history?limit=1&reverse=true"))["offset"]
        await asyncio.sleep(0.3)
        assert not shouting.done()
        shouting.cancel()
        assert done(await two.get(f"{ACME}/rooms/kept:1/history?limit=1&reverse=true"))["offset"] == top > 0


async def pages(backend: Backend, path: str, limit: int) -> list[dict[str, Any]]:
    """All items of a list."""
    items: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = done(await backend.get(f"{path}{'&' if '?' in path else '?'}limit={limit}{cursor}"))
        assert len(page["items"]) <= limit
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        cursor = f"&cursor={page['next_cursor']}"


async def test_lists_are_those_of_all_nodes_whichever_is_asked(nodes: Nodes) -> None:
    async with AsyncExitStack() as stack:
        peers = []
        for number in range(5):
            peer = client(nodes, number % 2, f"u{number % 3}", f"s{number}")
            peers.append(await stack.enter_async_context(peer))
            await join(peer, "a")
        for peer in peers[:2]:
            await join(peer, "b")
            await join(peer, "match:1")
        for asked, (_, backend) in enumerate(nodes):
            every = await pages(backend, f"{ACME}/sessions", 2)
            assert [(one["sid"], one["user"], one["node"]) for one in every] == [
                (f"s{number}", f"user:u{number % 3}", f"n{number % 2}") for number in range(5)
            ]
            assert sorted(one["generation"] for one in every) == [one["generation"] for one in every]
            assert every[1 - asked]["rooms"] == ["a", "b"], "of a room of one node only that one knows"
            assert every[asked]["rooms"] == ["a", "b", "match:1"]
            assert every[asked]["queue"]["hot"] == {"messages": 0, "bytes": 0}
            assert (every[1 - asked]["queue"], every[1 - asked]["active_room"]) == (None, None)
            assert {one["address"] for one in every} == {"127.0.0.1"}

            for query, sids in {
                "user=user:u0": ["s0", "s3"],
                "room=a": ["s0", "s1", "s2", "s3", "s4"],
                "room=b&user=user:u0": ["s0"],
                "sid=s4": ["s4"],
                "room=match:1": [f"s{asked}"],
                "user=nobody": [],
            }.items():
                found = await pages(backend, f"{ACME}/sessions?{query}", 2)
                assert [one["sid"] for one in found] == sids, query
            user = done(await backend.get(f"{ACME}/users/user:u1"))
            assert [one["sid"] for one in user["sessions"]] == ["s1", "s4"]
            assert set(user["rooms"]) >= {"a", "b"}

            rooms = await pages(backend, f"{ACME}/rooms", 1)
            assert rooms == [
                {"room": "a", "users": 3, "sessions": 5},
                {"room": "b", "users": 2, "sessions": 2},
                {"room": "match:1", "users": 1, "sessions": 1, "node": f"n{asked}"},
            ]
            room = done(await backend.get(f"{ACME}/rooms/a?limit=4"))
            assert (room["users"], room["sessions"], len(room["items"])) == (3, 5, 4)
            assert room["items"][1] == {"user": "user:u1", "sid": "s1", "node": "n1"}
            assert [one["sid"] for one in await pages(backend, f"{ACME}/rooms/a", 2)] == [f"s{n}" for n in range(5)]
            alone = done(await backend.get(f"{ACME}/rooms/match%3A1"))
            assert (alone["users"], alone["sessions"]) == (2, 2)
            assert [one["node"] for one in alone["items"]] == [f"n{asked}"]
            empty = {"room": "c", "users": 0, "sessions": 0, "items": [], "next_cursor": None}
            assert done(await backend.get(f"{ACME}/rooms/c")) == empty
        await peers[0].send("room", "members", room="b", seq=7)
        members = await peers[0].receive()
        assert (members["data"], members["seq"]) == ({"users": 2, "sessions": 2}, 7)


async def test_a_node_that_hangs_is_listed_and_sent_to_when_it_can(nodes: Nodes) -> None:
    (_, one), (hangs, _) = nodes
    async with client(nodes, 0, "ann") as ann, client(nodes, 1, "bob", "tab") as bob:
        (shared,) = [tenant.shared for tenant in hangs.process.tenants() if tenant.id == "acme"]
        assert isinstance(shared, RedisRegistry)
        held: list[Sequence[bytes]] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shared, "control", held.append)
            message = {"svc": "news", "type": "item", "data": 1}
            assert done(await one.post(f"{ACME}/broadcast", message)) == {"sessions": 1}
            every = done(await one.get(f"{ACME}/sessions"))["items"]
            assert [(item["user"], item["node"]) for item in every] == [("user:ann", "n0"), ("user:bob", "n1")]
            ending = asyncio.create_task(one.post(f"{ACME}/disconnect", {"user": "user:bob"}))
            async with asyncio.timeout(30):
                while len(held) < 3:  # noqa: ASYNC110 (nobody says when)
                    await asyncio.sleep(0.02)
            assert [item["user"] for item in done(await one.get(f"{ACME}/sessions"))["items"]] == ["user:ann"]
            assert not ending.done()
        for fields in held:
            shared.control(fields)
        assert done(await ending) == {"sessions": 1}
        assert await types(ann, 1) == ["item"]
        assert await types(bob, 2) == ["item", "kicked"]


async def test_what_is_revoked_at_one_node_is_listed_at_the_other_and_at_one_that_comes_later(
    nodes: Nodes, start_gateway: StartGateway, redis: RedisServer
) -> None:
    (_, one), (_, two) = nodes
    done(await one.post(f"{ACME}/revoke", {"user": "mallory", "until_s": 4e9, "reason": "spam"}))
    item = {"what": "user", "name": "mallory", "until_s": 4e9, "reason": "spam"}
    assert await pages(two, f"{ACME}/revocations", 1) == [item]
    running, _ = await start_with_api(start_gateway, gateway={"broker": {"url": redis.url}, "node": {"name": "late"}})
    (tenant,) = [one for one in running.process.tenants() if one.id == "acme"]
    async with asyncio.timeout(30):
        while not tenant.revocations.covers("mallory", "s", None, 0.0):  # noqa: ASYNC110 (nobody says when)
            await asyncio.sleep(0.02)
    assert done(await two.call("DELETE", f"{ACME}/revocations/user/mallory")) == {"revocations": 1}
    assert await pages(one, f"{ACME}/revocations", 1) == []


async def test_a_ticket_that_was_minted_at_one_node_lets_in_once_at_any(nodes: Nodes) -> None:
    _, (_, two) = nodes
    body = {"user": "ann", "ttl_s": 60, "claims": {"level": 3}, "rooms": ["a*"], "read_only": True}
    tickets = [done(await two.post(f"{ACME}/tickets", body))["ticket"] for _ in range(10)]

    async def knock(ticket: str, node: int) -> bool:
        peer = Client(nodes[node][0].base, ticket=ticket)
        try:
            await peer.open()
        except aiohttp.WSServerHandshakeError as refused:
            return refused.status != 401
        await peer.close()
        return True

    knocks = await asyncio.gather(*(knock(ticket, n % 2) for ticket in tickets for n in range(4)))
    assert [sum(knocks[at : at + 4]) for at in range(0, 40, 4)] == [1] * 10
    ticket = done(await two.post(f"{ACME}/tickets", body))["ticket"]
    async with Client(nodes[0][0].base, ticket=ticket) as ann:
        for room, answer in (("b", "error"), ("a1", "joined")):
            await ann.send("room", "join", room=room)
            assert (await ann.receive())["type"] == answer
        (item,) = done(await two.get(f"{ACME}/sessions"))["items"]
        assert (item["user"], item["metadata"], item["node"]) == ("ann", {"level": 3}, "n0")


async def test_a_call_with_a_key_is_carried_out_once_whichever_node_is_asked(nodes: Nodes) -> None:
    (_, one), (_, two) = nodes
    async with client(nodes, 0, "bob") as bob:
        await join(bob, "kept:1")

        async def publish(backend: Backend, key: str, data: Any) -> Answer:
            message = {"svc": "news", "type": "item", "data": data}
            headers = {"Idempotency-Key": key}
            return await backend.post(f"{ACME}/rooms/kept:1/publish", message, headers=headers)

        first = await publish(one, "k1", 1)
        assert done(first) == {"members": 1, "offset": 1}
        for backend in (two, one, two):
            assert done(await publish(backend, "k1", 1)) == first.json
            assert (await publish(backend, "k1", 2)).status == 422
        answers = await asyncio.gather(*(publish((one, two)[n % 2], "k2", 2) for n in range(20)))
        assert {answer.status for answer in answers} <= {202, 409}
        assert {"members": 1, "offset": 2} in [answer.json for answer in answers]
        assert done(await publish(one, "k2", 2)) == done(await publish(two, "k2", 2)) == {"members": 1, "offset": 2}
        assert [(await bob.receive())["data"] for _ in range(2)] == [1, 2]
        assert done(await publish(two, "k3", 3))["offset"] == 3


async def test_generations_that_a_backend_is_told_are_of_one_counter(
    start_gateway: StartGateway, redis: RedisServer
) -> None:
    async with listening_backend() as asked:
        options = {"url": asked.url, "secret": SECRET, "ask": ["connect"]}
        nodes = [
            (await start_with_api(start_gateway, acme={"backend": options}, gateway={"broker": {"url": redis.url}}))[0]
            for _ in range(2)
        ]
        async with AsyncExitStack() as stack:
            for number in range(6):
                peer = Client(nodes[number % 2].base, ticket="dev:ann", sid=f"s{number}")
                await stack.enter_async_context(peer)
            told = [body["session"]["generation"] for body in asked.of_kind("connect")]
            assert told == sorted(set(told))
            assert len(told) == 6
            held = [
                session.generation
                for node in nodes
                for tenant in node.process.tenants()
                if tenant.id == "acme"
                for session in tenant.registry
            ]
            assert sorted(held) == told


async def test_a_backend_is_told_how_many_are_left_on_all_nodes(
    start_gateway: StartGateway, redis: RedisServer
) -> None:
    async with listening_backend() as there:
        events = ["joined", "left", "disconnected"]
        options = {"url": there.url, "secret": SECRET, "events": events, "event_batch": {"max_delay_ms": 10}}
        settings: dict[str, Any] = {"acme": {"backend": options}, "gateway": {"broker": {"url": redis.url}}}
        nodes = [(await start_with_api(start_gateway, **settings))[0] for _ in range(2)]

        async def told(event: str, count: int) -> list[dict[str, Any]]:
            await until(lambda: sum(one["type"] == event for one in there.events()) >= count)
            return [one for one in there.events() if one["type"] == event]

        tab = Client(nodes[1].base, ticket="dev:ann", sid="tab")
        async with tab:
            async with Client(nodes[0].base, ticket="dev:ann", sid="phone") as phone:
                await join(phone, "a")
                await join(tab, "a")
                joined = await told("joined", 2)
                counts = {one["session"]["sid"]: (one["users"], one["sessions"]) for one in joined}
                assert counts == {"phone": (1, 1), "tab": (1, 2)}
            [gone] = await told("disconnected", 1)
            [left] = await told("left", 1)
            assert (gone["session"]["sid"], gone["sessions_left"]) == ("phone", 1)
            assert (left["users"], left["sessions"]) == (1, 1)
        last = (await told("disconnected", 2))[1]
        assert (last["session"]["sid"], last["sessions_left"]) == ("tab", 0)
        assert [(one["users"], one["sessions"]) for one in await told("left", 2)] == [(1, 1), (0, 0)]


async def test_while_redis_is_away_nothing_of_it_is_done(nodes: Nodes, redis: RedisServer) -> None:
    _, (_, two) = nodes
    async with client(nodes, 1, "ann") as ann:
        await join(ann, "a")
        redis.kill()
        assert (await ann.receive())["type"] == "degraded"
        message = {"svc": "news", "type": "item"}
        for answer in (
            await two.post(f"{ACME}/broadcast", message),
            await two.post(f"{ACME}/users/user:ann/send", message),
            await two.post(f"{ACME}/rooms/a/publish", message),
            await two.post(f"{ACME}/publish", {"rooms": ["a"], "messages": message}),
            await two.post(f"{ACME}/rooms/b/members", {"user": "user:ann"}),
            await two.call("DELETE", f"{ACME}/rooms/a/members", {"user": "user:ann"}),
            await two.post(f"{ACME}/disconnect", {"user": "user:ann"}),
            await two.post(f"{ACME}/tickets", {"user": "ann", "ttl_s": 60}),
            await two.post(f"{ACME}/broadcast", message, headers={"Idempotency-Key": "k"}),
            *[
                await two.get(f"{ACME}/{what}")
                for what in ("sessions", "rooms", "rooms/a", "rooms/match%3A1", "users/user:ann", "revocations")
            ],
        ):
            assert (answer.status, answer.code) == (503, "UNAVAILABLE")
            assert answer.headers["Retry-After"] == "1"
        redis.start()
        heard = [(await ann.receive())["type"] for _ in range(2)]
        assert sorted(heard) == ["degraded", "gap"]
        again = await two.post(f"{ACME}/broadcast", message, headers={"Idempotency-Key": "k"})
        assert done(again) == {"sessions": 1}, "nothing of it was done"

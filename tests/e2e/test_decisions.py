"""The backend decides who comes in and who joins: asked as the page says, and closed when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.backends import SECRET, Backend, backend
from tests.client import Client, until
from tests.conftest import Running, StartGateway


async def start(start_gateway: StartGateway, there: Backend, *ask: str, **settings: Any) -> Running:
    return await start_gateway(
        acme={"backend": {"url": there.url, "secret": SECRET, "ask": list(ask), "timeout_ms": 30_000} | settings}
    )


def saying(there: Backend, answers: dict[str, Any]) -> None:
    async def answer(question: dict[str, Any]) -> Any:
        found = answers[question["kind"]]
        return await found() if callable(found) else found

    there.answer = answer


async def status_of(gateway: Running, **options: Any) -> tuple[int, Any]:
    """Of a handshake that is refused."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await Client(gateway.base, **options).open()
    headers = refused.value.headers
    return refused.value.status, None if headers is None else headers.get("Retry-After")


async def test_a_yes_comes_with_rooms_data_and_metadata(start_gateway: StartGateway) -> None:
    async with backend() as there:
        gateway = await start(start_gateway, there, "connect", events=["connected", "joined"])
        yes = {"allow": True, "rooms": ["lobby", "match:1"], "data": {"hello": 1}, "metadata": {"level": 3}}
        saying(there, {"connect": yes, "events": {}})
        async with Client(gateway.base, ticket="dev:ann", sid="tab") as ann:
            assert ann.authed["data"]["data"] == {"hello": 1}
            assert [(await ann.receive())["room"] for _ in range(2)] == ["lobby", "match:1"]
            [question] = there.of_kind("connect")
            assert question["session"] == {"user": "user:ann", "sid": "tab", "generation": 1}
            assert question["remote_address"] == "127.0.0.1"
            assert question["tenant"] == "acme"
            await until(lambda: len(there.events()) == 3)
            assert there.events()[0]["session"]["metadata"] == {"level": 3}
            assert there.events()[0]["session"]["generation"] == 1


async def test_what_the_backend_says_of_handshake_and_join_is_what_presence_shows(start_gateway: StartGateway) -> None:
    async with backend() as there:
        asked = {"url": there.url, "secret": SECRET, "ask": ["connect", "join"]}
        rooms = [{"match": "*", "presence": {"enabled": True}}]
        gateway = await start_gateway(acme={"backend": asked, "rooms": rooms})

        async def join() -> Any:
            seated = there.of_kind("join")[-1]["room"] == "table"
            return {"allow": True, "info": {"seat": 7}} if seated else {"allow": True}

        saying(there, {"connect": {"allow": True, "info": {"name": "Ann"}}, "join": join})
        async with Client(gateway.base, ticket="dev:ann", sid="tab") as ann:
            for room, info in [("hall", {"name": "Ann"}), ("table", {"seat": 7})]:
                await ann.send("room", "join", {"presence": True}, room=room)
                [entry] = (await ann.receive())["data"]["presence"]["users"]["user:ann"]
                assert (entry["sid"], entry["info"]) == ("tab", info)


async def test_a_no_is_403(start_gateway: StartGateway) -> None:
    async with backend() as there:
        gateway = await start(start_gateway, there, "connect")
        saying(there, {"connect": {"allow": False, "msg": "not today"}})
        assert (await status_of(gateway))[0] == 403
        assert gateway.process.counters.handshakes_refused.total() == 1


async def slow() -> Any:
    await asyncio.sleep(2)
    return {"allow": True}


async def error() -> Any:
    return web.Response(status=500)


@pytest.mark.parametrize("answer", [slow, error, {"allow": "yes"}, {"allow": True, "alow": 1}, {}, [], {"allow": None}])
async def test_without_a_usable_answer_nobody_comes_in_unless_told_so(
    start_gateway: StartGateway, answer: Callable[[], Any] | Any
) -> None:
    async with backend() as there:
        gateway = await start(start_gateway, there, "connect", timeout_ms=300 if answer is slow else 30_000)
        saying(there, {"connect": answer})
        status, retry_after = await status_of(gateway)
        assert status == 503
        assert int(retry_after) >= 1
        await gateway.reconfigure(lambda data: data["tenants"][0]["backend"].update(on_failure="allow"))
        async with Client(gateway.base) as client:
            await client.expect_silence()


@pytest.mark.parametrize("on_failure", ["deny", "allow"])
async def test_a_plain_no_stays_a_no_whatever_stands_beside_it(start_gateway: StartGateway, on_failure: str) -> None:
    async with backend() as there:
        gateway = await start(start_gateway, there, "connect", on_failure=on_failure)
        saying(there, {"connect": {"allow": False, "raeson": "typo"}})
        assert (await status_of(gateway))[0] == 403
        saying(there, {"connect": (lambda: _status(404))})
        assert (await status_of(gateway))[0] == 403


async def _status(status: int) -> Any:
    return web.Response(status=status)


async def test_a_join_is_asked_with_what_the_client_said_and_answered_with_data(start_gateway: StartGateway) -> None:
    async with backend() as there:
        gateway = await start(start_gateway, there, "join")
        saying(there, {"join": {"allow": True, "data": {"map": "dust"}}})
        async with Client(gateway.base, ticket="dev:ann") as ann:
            await ann.send("room", "join", room="match:1", seq=5)
            joined = await ann.receive()
            assert (joined["type"], joined["seq"], joined["data"]["data"]) == ("joined", 5, {"map": "dust"})
            [question] = there.of_kind("join")
            assert question["room"] == "match:1"
            assert question["session"]["user"] == "user:ann"


async def test_a_no_to_a_join_is_told_and_what_was_said_behind_it_is_heard(start_gateway: StartGateway) -> None:
    async with backend() as there:
        gateway = await start(start_gateway, there, "join")
        saying(there, {"join": {"allow": False, "msg": "full of friends"}})
        async with Client(gateway.base) as client:
            await client.send("room", "join", room="a", seq=1)
            await client.send("sys", "ping", seq=2)
            error = await client.expect_error("NOT_ALLOWED")
            assert (error["seq"], error["data"]["msg"]) == (1, "full of friends")
            assert (await client.receive())["seq"] == 2


@pytest.mark.parametrize("answer", [slow, error, {"allow": 1}])
async def test_a_join_without_a_usable_answer_is_unavailable_unless_told_so(
    start_gateway: StartGateway, answer: Any
) -> None:
    async with backend() as there:
        gateway = await start(start_gateway, there, "join", timeout_ms=300 if answer is slow else 30_000)
        saying(there, {"join": answer})
        async with Client(gateway.base) as client:
            await client.send("room", "join", room="a", seq=1)
            await client.expect_error("UNAVAILABLE")
            await gateway.reconfigure(lambda data: data["tenants"][0]["backend"].update(on_failure="allow"))
            assert (await client.join("a"))["type"] == "joined"


async def test_who_may_only_read_does_not_publish_in_that_room(start_gateway: StartGateway) -> None:
    async with backend() as there:
        gateway = await start(start_gateway, there, "join")
        async with Client(gateway.base) as client:
            saying(there, {"join": {"allow": True, "read_only": True}})
            await client.join("news")
            await client.send("chat", "send", {"msg": "x"}, room="news")
            await client.expect_error("NOT_ALLOWED")
            saying(there, {"join": {"allow": True}})
            await client.join("talk")
            await client.send("chat", "send", {"msg": "x"}, room="talk")
            assert (await client.receive())["data"]["msg"] == "x"


async def test_a_client_that_goes_while_its_join_is_decided_leaves_nothing_behind(start_gateway: StartGateway) -> None:
    release = asyncio.Event()

    async def late() -> Any:
        await release.wait()
        return {"allow": True}

    async with backend() as there:
        gateway = await start(start_gateway, there, "join", timeout_ms=5000)
        saying(there, {"join": late})
        async with Client(gateway.base) as client:
            await client.send("room", "join", room="a")
            await until(lambda: there.under_way == 1)
        release.set()
        await until(lambda: gateway.process.connections() == 0)
        (acme,) = gateway.process.tenants()
        await until(lambda: acme.rooms == 0 and acme.sessions == 0)

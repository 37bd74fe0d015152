"""A webhook service through a real gateway and a real backend: effects, order, failures, and who hears of them."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from aiohttp import web

from tests.backends import SECRET, Backend, backend
from tests.client import Client, until
from tests.conftest import Running, StartGateway

ALLOW = {"ext_allowlist": ["room:*", "chat:*", "game:*", "orders:*"]}


async def start(start_gateway: StartGateway, there: Backend, **settings: Any) -> Running:
    services = {"chat": {"kind": "chat"}, "game": {"kind": "webhook"}, "orders": {"kind": "webhook", "batch": 8}}
    return await start_gateway(
        acme={
            "backend": {"url": there.url, "secret": SECRET, "timeout_ms": 30_000} | settings,
            "services": {"ext": services},
            "policy": ALLOW,
        }
    )


def answering(there: Backend, *effects: Any) -> None:
    async def answer(question: dict[str, Any]) -> Any:
        if question["kind"] == "messages":
            return {"answers": [{"effects": effects} for _ in question["messages"]]}
        return {"effects": effects}

    there.answer = answer


async def test_every_effect_is_carried_out_in_order_and_then_acknowledged(start_gateway: StartGateway) -> None:
    async with backend() as there:
        gateway = await start(start_gateway, there)
        async with Client(gateway.base, ticket="dev:ann") as ann, Client(gateway.base, ticket="dev:bob") as bob:
            await bob.join("match:1")
            answering(
                there,
                {"publish": {"room": "match:1", "type": "moved", "data": {"x": 1}}},
                {"publish": {"room": "match:1", "hot": base64.b64encode(b"\x01\x02\x00x").decode()}},
                {"send": {"user": "user:bob", "type": "you", "data": 2}},
                {"join": {"room": "match:1"}},
                {"reply": {"ok": True}},
                {"publish": {"room": "match:1", "svc": "chat", "type": "msg"}},
            )
            await ann.send("game", "move", {"to": [1, 2]}, seq=7, flags=4, room="match:1")
            frames = [(await bob.receive_frame()).data for _ in range(4)]
            said = [one if isinstance(one, bytes) else json.loads(one) for one in frames]
            of_room = [one for one in said if isinstance(one, bytes) or "room" in one]
            assert [one if isinstance(one, bytes) else (one["svc"], one["type"], one["data"]) for one in of_room] == [
                ("game", "moved", {"x": 1}),
                b"\x01\x02\x00x",
                ("chat", "msg", None),
            ]
            assert {"v": 1, "svc": "game", "type": "you", "data": 2} in said
            heard = [await ann.receive() for _ in range(4)]
            types = [one["type"] for one in heard]
            assert sorted(types) == ["ack", "joined", "move", "msg"]
            assert types.index("move") < types.index("joined") < min(types.index("ack"), types.index("msg"))
            reply = next(one for one in heard if one["type"] == "move")
            assert reply == {"v": 1, "svc": "game", "type": "move", "seq": 7, "data": {"ok": True}}
            [question] = there.of_kind("message")
            assert question["session"] == {"user": "user:ann", "sid": ann.authed["data"]["sid"], "generation": 1}
            assert question["message"] == {
                "svc": "game",
                "type": "move",
                "room": "match:1",
                "seq": 7,
                "data": {"to": [1, 2]},
            }


@pytest.mark.parametrize(
    ("effect", "code"),
    [({"refuse": {"code": "NOT_ALLOWED", "msg": "not your turn"}}, "NOT_ALLOWED"), ({"oops": 1}, "INTERNAL")],
)
async def test_a_refusal_and_a_list_that_is_none_are_told_to_the_sender(
    start_gateway: StartGateway, effect: Any, code: str
) -> None:
    async with backend() as there:
        gateway = await start(start_gateway, there)
        async with Client(gateway.base) as client:
            answering(there, effect)
            await client.send("game", "move", seq=1, flags=4)
            error = await client.expect_error(code)
            assert error["seq"] == 1
            assert "oops" not in json.dumps(error)
            await client.expect_silence()


async def test_disconnect_comes_after_everything_else(start_gateway: StartGateway) -> None:
    async with backend() as there:
        gateway = await start(start_gateway, there)
        async with Client(gateway.base) as client:
            answering(there, {"disconnect": {"code": 4400, "reason": "game over"}}, {"reply": "bye"})
            await client.send("game", "quit")
            assert (await client.receive())["data"] == "bye"
            assert await client.expect_close() == (4400, "game over")


async def test_what_a_limit_refuses_is_told_and_undoes_nothing_else(start_gateway: StartGateway) -> None:
    async with backend() as there:
        gateway = await start(start_gateway, there)
        await gateway.reconfigure(lambda data: data["tenants"][0].setdefault("limits", {}).update(max_rooms_total=1))
        async with Client(gateway.base) as client:
            await client.join("one")
            answering(there, {"join": {"room": "two"}}, {"reply": 1})
            await client.send("game", "x", seq=3)
            heard = [await client.receive(), await client.receive()]
            assert {one["type"] for one in heard} == {"x", "error"}


async def test_what_was_asked_before_the_client_went_concerns_the_others_still(start_gateway: StartGateway) -> None:
    release = asyncio.Event()

    async def answer(_: dict[str, Any]) -> Any:
        await release.wait()
        return {"effects": [{"publish": {"room": "r", "type": "late"}}, {"reply": 1}]}

    async with backend() as there:
        gateway = await start(start_gateway, there)
        there.answer = answer
        async with Client(gateway.base, ticket="dev:bob") as bob:
            await bob.join("r")
            async with Client(gateway.base, ticket="dev:ann") as ann:
                await ann.send("game", "x")
                await until(lambda: there.under_way == 1)
            await until(lambda: gateway.process.connections() == 1)
            release.set()
            assert (await bob.receive())["type"] == "late"


@pytest.mark.parametrize(
    ("answer", "code"),
    [(500, "INTERNAL"), (403, "NOT_ALLOWED"), (None, "TIMEOUT")],
)
async def test_no_usable_answer_is_told_with_its_code(
    start_gateway: StartGateway, answer: int | None, code: str
) -> None:
    async def conduct(_: dict[str, Any]) -> Any:
        if answer is None:
            await asyncio.sleep(2)
        return web.Response(status=answer or 200)

    async with backend() as there:
        gateway = await start(start_gateway, there, timeout_ms=100 if answer is None else 30_000)
        there.answer = conduct
        async with Client(gateway.base) as client:
            await client.send("game", "x", seq=1)
            assert (await client.expect_error(code))["seq"] == 1


async def test_a_backend_that_is_gone_and_one_that_failed_too_often(start_gateway: StartGateway) -> None:
    async with backend() as there:
        gateway = await start(start_gateway, there, breaker={"failures": 2, "pause_ms": 60_000})
    async with Client(gateway.base) as client:
        for code in ("UNAVAILABLE", "UNAVAILABLE", "RESOURCE_EXHAUSTED"):
            await client.send("game", "x", seq=1)
            await client.expect_error(code)
        await client.join("r")
        await client.send("chat", "send", {"msg": "others go on"})
        assert (await client.receive())["data"]["msg"] == "others go on"


async def test_one_connection_may_have_so_many_pending(start_gateway: StartGateway) -> None:
    release = asyncio.Event()

    async def slow(_: dict[str, Any]) -> Any:
        await release.wait()
        return {"effects": [{"reply": 1}]}

    async with backend() as there:
        gateway = await start(start_gateway, there)
        there.answer = slow
        async with Client(gateway.base) as client:
            for number in range(20):
                await client.send("game", "x", seq=number)
            assert [(await client.expect_error("RESOURCE_EXHAUSTED"))["seq"] for _ in range(4)] == [16, 17, 18, 19]
            release.set()
            assert [(await client.receive())["seq"] for _ in range(16)] == list(range(16))
            assert there.most_under_way == 1


async def test_a_reload_changes_where_the_next_call_goes(start_gateway: StartGateway) -> None:
    async with backend() as first, backend() as second:
        gateway = await start(start_gateway, first)
        async with Client(gateway.base) as client:
            for there in (first, second):
                answering(there, {"reply": there.url})
                await gateway.reconfigure(
                    lambda data, there=there: data["tenants"][0]["backend"].update(url=there.url)  # type: ignore[misc]
                )
                await client.send("game", "x")
                assert (await client.receive())["data"] == there.url

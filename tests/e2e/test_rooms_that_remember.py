"""Rooms with a history through a real gateway: recovery of a client that was away, and the backend's calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.api import Backend, start_with_api
from tests.client import Client, until
from tests.conftest import Running, StartGateway

ACME = "/v1/tenants/acme"
ROOMS = [{"match": "chat:*", "history": {"max_messages": 50}}]


@pytest.fixture
async def gateway(start_gateway: StartGateway) -> tuple[Running, str]:
    return await start_with_api(start_gateway, acme={"rooms": ROOMS})


@pytest.fixture
async def backend(gateway: tuple[Running, str]) -> AsyncIterator[Backend]:
    async with Backend(gateway[1]) as one:
        yield one


async def join(client: Client, room: str, **data: Any) -> Any:
    await client.send("room", "join", data, room=room)
    joined = await client.receive()
    assert joined["type"] == "joined"
    return joined["data"]


async def test_a_client_that_was_away_has_everything_once(gateway: tuple[Running, str], backend: Backend) -> None:
    base = gateway[0].base
    room = "chat:1"
    publish = f"{ACME}/rooms/{room}/publish"
    async with Client(base, ticket="dev:ann") as ann:
        place = await join(ann, room)
        await backend.post(publish, {"svc": "a", "type": "b", "data": 1})
        assert (await ann.receive())["offset"] == 1
    tenant = gateway[0].process.tenant("acme")
    assert tenant is not None
    await until(lambda: (tenant.sessions, tenant.rooms) == (0, 0))
    answer = await backend.post(publish, [{"svc": "a", "type": "b", "data": n} for n in (2, 3)])
    assert (answer.status, answer.json) == (202, {"members": 0, "offset": 3})
    async with Client(base, ticket="dev:ann") as ann:
        back = await join(ann, room, since={"epoch": place["epoch"], "offset": 1})
        assert back.pop("number") == place["number"] + 1  # nobody was there meanwhile
        assert back == {"epoch": place["epoch"], "offset": 3, "recovered": True, "count": 2}
        heard = [await ann.receive() for _ in range(2)]
        assert [(one["offset"], one["data"]) for one in heard] == [(2, 2), (3, 3)]
        answer = await backend.post(publish, {"svc": "a", "type": "b", "data": 4})
        assert answer.json == {"members": 1, "offset": 4}
        assert (await ann.receive())["offset"] == 4


async def test_the_backend_publishes_once_reads_and_purges(gateway: tuple[Running, str], backend: Backend) -> None:
    room = f"{ACME}/rooms/chat:1"
    for _ in range(2):
        answer = await backend.post(f"{room}/publish", {"svc": "a", "type": "b", "data": {"n": 1}, "id": "once"})
        assert answer.json == {"members": 0, "offset": 1}
    page = (await backend.get(f"{room}/history")).json
    assert [{**one, "time": ""} for one in page["items"]] == [
        {"offset": 1, "time": "", "svc": "a", "type": "b", "data": {"n": 1}}
    ]
    assert (page["offset"], page["more"]) == (1, False)
    other = await backend.get(f"{room}/history?since_epoch=other&since_offset=0")
    assert (other.status, other.code) == (409, "NOT_ALLOWED")
    async with Client(gateway[0].base, ticket="dev:ann") as ann:
        await join(ann, "chat:1")
        purged = (await backend.call("DELETE", f"{room}/history")).json
        gap = await ann.receive()
        assert (gap["type"], gap["data"]) == ("gap", purged)
        assert (purged["epoch"] != page["epoch"], purged["offset"]) == (True, 0)
    assert (await backend.get(f"{ACME}/rooms/plain/history")).status == 409
    assert (await backend.get(f"{ACME}/rooms/chat:never/history")).json == {
        "epoch": None,
        "offset": 0,
        "items": [],
        "more": False,
    }

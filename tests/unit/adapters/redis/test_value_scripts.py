"""change, change_only and values on the real server: a change happens once, with the turn that tells it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.redis_scripts import PREFIX, Scripts
from tests.redis_server import ENGINES, RedisServer, running_redis
from wsprism.adapters.redis.address import parse_address
from wsprism.adapters.redis.opening import Opener
from wsprism.adapters.redis.protocol import Refused

P = PREFIX.decode()
KEPT = pytest.mark.parametrize("kept", [True, False], ids=["history", "plain"])


@pytest.fixture(params=ENGINES, scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with running_redis(engine=request.param) as server:
        yield server


@pytest.fixture
async def scripts(server: RedisServer) -> AsyncIterator[Scripts]:
    connection = await Opener(parse_address(server.url)).open("test", lambda _: None)
    scripts = Scripts(connection)
    await scripts.command("FLUSHALL")
    await scripts.command("ZADD", f"{P}leases", 10**14, 7)
    await scripts.run("enter", 7, "a")
    yield scripts
    await connection.close()


async def change(
    scripts: Scripts, batch: int, key: str, data: str, *, kept: bool = True, node: int = 7, expected: int | str = ""
) -> Any:
    head = (node, batch, "a", "epoch", 0)
    turn = (*head, 9, 9999, 600_000, 9, 99_999, "", "body") if kept else (*head, 1, "body")
    return await scripts.run("change" if kept else "change_only", *turn, "s", key, "ann", data, expected, 9, 9999, 9999)


@KEPT
async def test_a_change_that_is_asked_again_has_its_first_answer_and_happened_once(
    scripts: Scripts, kept: bool
) -> None:
    first = await change(scripts, 5, "k", "1", kept=kept, expected=0)
    assert (first[0], first[2], first[3]) == ("OK", "0", "1,1" if kept else ",1")
    assert await change(scripts, 5, "k", "1", kept=kept, expected=0) == first
    assert await change(scripts, 6, "k", "2", kept=kept, expected=0) == ["DENIED", "version 1"]
    assert (await change(scripts, 7, "k", "2", kept=kept, expected=1))[2] == "1"
    with pytest.raises(Refused, match="STALE"):
        await change(scripts, 5, "k", "1", kept=kept)
    whole = ["OK", "s", "s", "2", "k", "s", "k", "2", "ann", "2"]
    assert sorted(await scripts.run("values", "a", "", "")) == sorted(whole)
    if kept:
        assert [entry[1][3] for entry in await scripts.command("XRANGE", f"{P}h:a", "-", "+")] == ["body\1", "body\2"]


@KEPT
async def test_a_node_that_was_cleaned_up_after_changes_nothing(scripts: Scripts, kept: bool) -> None:
    assert await change(scripts, 1, "k", "1", kept=kept, node=8) == ["FENCED"]
    await scripts.command("ZADD", f"{P}leases", 10**14, 8)
    assert await change(scripts, 2, "k", "1", kept=kept, node=8) == ["GONE"]
    assert await scripts.run("values", "a", "", "") == ["OK"]
    assert await scripts.command("EXISTS", f"{P}vb", f"{P}m:a") == 0


async def test_values_go_with_the_last_node_that_listens_or_is_cleared_away(scripts: Scripts) -> None:
    await scripts.command("ZADD", f"{P}leases", 10**14, 8)
    await scripts.run("enter", 8, "a")
    await change(scripts, 1, "k", "1")
    await change(scripts, 2, "k", "22")
    assert await scripts.command("GET", f"{P}vb") == str(len("k" + "ann" + "22") + 64)
    await scripts.run("exit", 7, "a")
    assert await scripts.command("EXISTS", f"{P}v:a") == 1
    assert (await scripts.run("reap", 8, 100, 1, 0))[2] == 1
    assert await scripts.command("EXISTS", f"{P}v:a") == 0
    assert await scripts.command("GET", f"{P}vb") == "0"


async def test_memory_that_is_full_refuses_a_change_before_it_writes_anything(scripts: Scripts) -> None:
    await change(scripts, 1, "k", "1")
    await scripts.command("CONFIG", "SET", "maxmemory", 1)
    try:
        with pytest.raises(Refused, match="OOM"):
            await change(scripts, 2, "k", "2")
    finally:
        await scripts.command("CONFIG", "SET", "maxmemory", 0)
    assert (await change(scripts, 2, "k", "2"))[2] == "1"

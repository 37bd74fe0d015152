"""What compose.nodes.yaml runs, as processes of this machine: two nodes from config/nodes.yaml, a Redis, and nginx."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.api import Backend
from tests.client import Client, connect_url
from tests.components import free_port
from tests.process import GatewayCommand
from tests.proxies import Proxy, run_proxy_of_nodes
from tests.redis_server import RedisServer, running_redis

CONFIG = (Path(__file__).parents[2] / "config" / "nodes.yaml").read_text()
KEY = "of-the-backend-0123456789"


@dataclass(frozen=True, slots=True)
class Composed:
    """``one`` and ``two`` behind ``proxy``."""

    one: GatewayCommand
    two: GatewayCommand
    proxy: Proxy

    async def mint(self, user: str) -> str:
        """A ticket, by node one."""
        async with Backend(self.one.internal_base, KEY) as backend:
            minted = await backend.post("/v1/tenants/acme/tickets", {"user": user, "ttl_s": 30})
        assert minted.status == 201
        return str(minted.json["ticket"])

    @contextlib.asynccontextmanager
    async def client(self, user: str) -> AsyncIterator[Client]:
        """One that comes by way of the proxy."""
        async with Client(self.proxy.base, ticket=await self.mint(user)) as client:
            yield client

    async def told_of_users(self, field: str) -> dict[str, str]:
        """A field of each session, by the list that node one has."""
        async with Backend(self.one.internal_base, KEY) as backend:
            items = (await backend.get("/v1/tenants/acme/sessions")).json["items"]
        return {item["user"]: item[field] for item in items}


def node(redis: RedisServer, name: str, directory: Path, **environment: str) -> GatewayCommand:
    own = directory / name
    own.mkdir()
    return GatewayCommand(
        CONFIG,
        own,
        environment={
            "WSPRISM_NODE": name,
            "WSPRISM_BROKER": redis.url,
            "WSPRISM_LISTEN": f"127.0.0.1:{free_port()}",
            "WSPRISM_INTERNAL_LISTEN": f"127.0.0.1:{free_port()}",
            "WSPRISM_API_KEY": KEY,
            "WSPRISM_OPERATOR_KEY": "of-the-operator-0123456789",
            **environment,
        },
    )


@contextlib.asynccontextmanager
async def composed(directory: Path, **environment: str) -> AsyncIterator[Composed]:
    """``environment`` is node two's besides."""
    with running_redis("--appendonly", "yes", "--maxmemory-policy", "noeviction") as redis:
        async with (
            node(redis, "one", directory) as one,
            node(redis, "two", directory, **environment) as two,
            run_proxy_of_nodes(directory, [f"127.0.0.1:{one.port}", f"127.0.0.1:{two.port}"]) as proxy,
        ):
            yield Composed(one, two, proxy)


async def test_clients_on_both_nodes_share_a_room_and_tickets_of_any_node(tmp_path: Path) -> None:
    async with (
        composed(tmp_path) as nodes,
        nodes.client("user:ann") as ann,
        nodes.client("user:bob") as bob,
    ):
        assert set((await nodes.told_of_users("node")).values()) == {"one", "two"}
        await ann.join("chat:1")
        await bob.join("chat:1")
        await ann.send("chat", "send", {"msg": "over nodes"}, room="chat:1")
        heard = [await ann.receive(), await bob.receive()]
        assert [(one["data"]["msg"], one["offset"]) for one in heard] == [("over nodes", 1)] * 2
        async with aiohttp.ClientSession() as session:
            for path, status in (("/metrics", 404), ("/v1/nodes", 404), ("/healthz", 200)):
                async with session.get(nodes.proxy.base + path) as response:
                    assert (path, response.status) == (path, status)
    assert "/v1/ws" in nodes.proxy.logged()
    assert "ticket" not in nodes.proxy.logged()


async def test_the_nodes_know_the_clients_address_and_not_what_it_says_it_is(tmp_path: Path) -> None:
    lies = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9"}
    async with composed(tmp_path) as nodes:
        url = connect_url(nodes.proxy.base, ticket=await nodes.mint("user:ann"))
        connector = aiohttp.TCPConnector(local_addr=("127.0.0.2", 0))
        async with aiohttp.ClientSession(connector=connector) as http, http.ws_connect(url, headers=lies) as client:
            await client.receive(timeout=30)
            assert await nodes.told_of_users("address") == {"user:ann": "127.0.0.2"}


async def test_a_node_that_drains_or_dies_leaves_the_clients_to_the_other(tmp_path: Path) -> None:
    async with composed(tmp_path) as nodes, contextlib.AsyncExitStack() as clients:
        there = {name: await clients.enter_async_context(nodes.client(name)) for name in ("ann", "bob")}
        where = await nodes.told_of_users("node")
        [moved] = [user for user in there if where[user] == "two"]
        nodes.two.signal(signal.SIGTERM)
        assert (await there[moved].receive())["type"] == "draining"
        for number in range(4):
            await clients.enter_async_context(nodes.client(f"late-{number}"))
        nodes.two.signal(signal.SIGKILL)
        await nodes.two.wait(60)
        for number in range(4):
            await clients.enter_async_context(nodes.client(f"later-{number}"))
        found = await nodes.told_of_users("node")
        assert {found[user] for user in found if user.startswith("late")} == {"one"}


async def test_a_node_may_have_workers(tmp_path: Path) -> None:
    async with composed(tmp_path, WSPRISM_WORKERS="2") as nodes, contextlib.AsyncExitStack() as clients:
        for number in range(16):
            await clients.enter_async_context(nodes.client(f"u{number}"))
        found = set((await nodes.told_of_users("node")).values())
        assert found <= {"one", "two-1", "two-2"}
        assert "one" in found
        assert len(found) > 1

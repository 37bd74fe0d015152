"""The processes that are broken, the clients that live through it, and whether all is well again afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import aiohttp
from hiredis import HiredisError

from load.chaos.account import Account, agree
from load.chaos.clients import KEPT, PIT, ROOMS, Contender, Member, Outlaw
from load.chaos.nodes import Node
from load.proxy import Proxy
from load.redis_server import RedisServer
from load.servers import free_ports

__all__ = ["NotSettledError", "Setup", "World", "running_world"]

MOST_SESSIONS: Final = 9
MOST_IN_PIT: Final = 3
"""Of the tenant in which there is too little room."""

_CONTENDERS: Final = 6
_MEMBERS_OF_A_NODE: Final = 3
_SETTLED_WITHIN_S: Final = 30.0
_LOOKED_EVERY_S: Final = 0.1
_REVOKED_WITHIN_S: Final = 90.0
"""Redis may be away for all of a fault."""

_PAGE: Final = 500
_AT_ONCE: Final = 20
_TIMES_SAID: Final = 4
_HEARD_WITHIN_S: Final = 5.0
OUTLAW: Final = "mallory"


class NotSettledError(Exception):
    """Something that must come did not come; it says what."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What is started. ``proxied``: each node reaches Redis through a network of its own that can be broken."""

    redis: tuple[str, ...] = ()
    nodes: int = 2
    lease_ms: int = 3000
    proxied: bool = False
    sentinel: bool = False
    one_name: bool = False
    interval_s: float = 0.2
    """Between two publications of a member in a room."""


class World:
    """Everything that runs, for whoever breaks it."""

    def __init__(self, setup: Setup, account: Account, seed: int) -> None:
        self.setup = setup
        self.account = account
        self.chance = random.Random(seed)
        self.nodes: list[Node] = []
        self.proxies: list[Proxy] = []
        self.servers: list[RedisServer] = []
        self.redis: RedisServer
        """The primary of now."""
        self.members: list[Member] = []
        self.contenders: list[Contender] = []
        self.outlaws: list[Outlaw] = []
        self.session: aiohttp.ClientSession
        self.quiet = asyncio.Event()

    def alive(self) -> list[Node]:
        return [one for one in self.nodes if one.alive]

    def prefix(self, tenant: str) -> str:
        """Of its keys."""
        return f"wsprism:{{{tenant}}}:"

    async def until(
        self, what: str, holds: Callable[[], Awaitable[bool]], within_s: float = _SETTLED_WITHIN_S
    ) -> float:
        """Wait for what tells nobody; the seconds that it took. Raises NotSettledError."""
        began = time.monotonic()
        while True:
            with contextlib.suppress(OSError, TimeoutError, HiredisError, aiohttp.ClientError):
                if await holds():
                    return time.monotonic() - began
            if time.monotonic() - began > within_s:
                raise NotSettledError(f"{what}: not within {within_s:g} s")
            await asyncio.sleep(0.05)

    async def revoke(self) -> None:
        """Lock the outlaw out, by whichever node can."""

        async def done() -> bool:
            node = self.chance.choice(self.alive())
            status, _ = await node.call(self.session, "POST", "/tenants/acme/revoke", {"user": f"user:{OUTLAW}"})
            return status == 200

        await self.until("a revocation", done, within_s=_REVOKED_WITHIN_S)
        await asyncio.sleep(0.5)  # what was opened before it is closed now
        for outlaw in self.outlaws:
            outlaw.banned = True

    async def publish_as_backend(self, node: Node, room: str, times: int, size_bytes: int) -> None:
        """Large publications that nobody waits for, by the API of a node."""

        async def publish() -> None:
            text = f"backend.{self.chance.randrange(10**12)}".ljust(size_bytes, ".")
            body = {"svc": "chat", "type": "msg", "data": {"msg": text}}
            await node.call(self.session, "POST", f"/tenants/acme/rooms/{room}/publish", body)

        for _ in range(times // _AT_ONCE):
            await asyncio.gather(*(publish() for _ in range(_AT_ONCE)))

    # Afterwards

    async def settle(self) -> None:
        """Everybody is where it wants to be, and hears what is said now. Raises NotSettledError."""
        self.quiet.set()
        for contender in self.contenders:
            contender.quiet = True
        await self.until("every node ready", self._all_ready)
        await self.until("every member in every room", self._all_settled)
        for room in ROOMS:
            await self._is_heard_everywhere(room)
        await self.until("what members were told about Redis taken back", self._none_degraded)

    async def _all_ready(self) -> bool:
        return all([await one._status(self.session) == 200 for one in self.alive()])

    async def _all_settled(self) -> bool:
        return all(one.settled for one in self.members)

    async def _none_degraded(self) -> bool:
        return not any(one.degraded for one in self.members)

    async def _is_heard_everywhere(self, room: str) -> None:
        """What is said now; again where the first was lost with what everybody was told of then."""
        for _ in range(_TIMES_SAID):
            text = await self.members[0].say(room)

            async def heard(text: str = text) -> bool:
                return all(room in one.stays and one.stays[room].last == text for one in self.members)

            with contextlib.suppress(NotSettledError):
                await self.until("it heard", heard, within_s=_HEARD_WITHIN_S)
                return
        deaf = [one.user for one in self.members if room not in one.stays or one.stays[room].last != text]
        raise NotSettledError(f"what is said in {room} afterwards is not heard by {deaf}")

    async def check(self) -> None:
        """What nodes and Redis say now is what clients know."""
        await self._check_histories()
        await self._check_registry()
        await self._check_presence()
        for node in self.alive():
            url = f"{node.base}/v1/ws?tenant=acme&ticket=dev:{OUTLAW}"
            try:
                socket = await self.session.ws_connect(url)
            except aiohttp.WSServerHandshakeError as error:
                if error.status != 401:
                    self.account.breaks(f"a revoked user was refused with {error.status} by {node.name}")
            else:
                self.account.breaks(f"a revoked user was let in by {node.name}")
                await socket.close()

    async def _check_histories(self) -> None:
        for room in KEPT:
            epochs = set()
            for node in self.alive():
                items: dict[int, str] = {}
                top, since, more = 0, "", True
                while more:
                    path = f"/tenants/acme/rooms/{room}/history?limit={_PAGE}{since}"
                    status, page = await node.call(self.session, "GET", path)
                    if status != 200:
                        self.account.breaks(f"the history of {room} on {node.name}: {status} {page}")
                        break
                    items |= {item["offset"]: item["data"]["msg"] for item in page["items"]}
                    top, more = page["offset"], page["more"]
                    since = f"&since_epoch={page['epoch']}&since_offset={max(items, default=0)}"
                    epochs.add(page["epoch"])
                if items and max(items) != top:
                    self.account.breaks(f"the history of {room} on {node.name} ends with {max(items)}, not with {top}")
                for epoch in epochs:
                    self.account.history(room, epoch, items, node.name)
            if len(epochs) != 1:
                self.account.breaks(f"nodes do not agree on the epoch of {room}: {epochs}")

    async def _check_registry(self) -> None:
        """Sessions and memberships that are counted are those that there are."""
        tight, acme = self.prefix("tight"), self.prefix("acme")

        async def same() -> bool:
            inside = {f"user:{one.user}" for one in self.contenders if one.inside}
            connected = sum(one.socket is not None for one in self.contenders)
            return (
                set(await self.redis.ask("HKEYS", f"{tight}u:{PIT}")) == inside
                and await self.redis.ask("HLEN", f"{tight}s") == connected
                and await self.redis.ask("HLEN", f"{acme}s") == sum(one.socket is not None for one in self.members)
            )

        try:
            await self.until("what is counted and what is there the same", same)
        except NotSettledError as error:
            self.account.breaks(str(error))
            inside = [f"user:{one.user}" for one in self.contenders if one.inside]
            agree(self.account, "members of the pit", await self.redis.ask("HKEYS", f"{tight}u:{PIT}"), inside)
        for room in ROOMS:
            counted = await self.redis.ask("HLEN", f"{acme}r:{room}")
            if counted != len(self.members):
                self.account.breaks(f"{counted} are counted in {room}, and {len(self.members)} are there")

    async def _check_presence(self) -> None:
        """Each node sees in each room who is there."""
        members = {f"user:{one.user}" for one in self.members}
        for room in KEPT:
            for node in self.alive():

                async def seen(node: Node = node, room: str = room) -> bool:
                    _, page = await node.call(self.session, "GET", f"/tenants/acme/rooms/{room}/presence")
                    return page is not None and set(page["users"]) == members

                try:
                    await self.until(f"presence in {room} on {node.name} who is there", seen, within_s=10.0)
                except NotSettledError as error:
                    self.account.breaks(str(error))

    async def figures(self) -> dict[str, float]:
        """Of all nodes that live, together."""
        found: dict[str, float] = {}
        for node in self.alive():
            for name, value in (await node.metrics(self.session)).items():
                found[name] = found.get(name, 0.0) + value
        return found

    async def look(self) -> None:
        """All the while: no limit is exceeded. Until it is cancelled."""
        tight = self.prefix("tight")
        while True:
            with contextlib.suppress(OSError, TimeoutError, HiredisError):
                sessions, inside = (
                    await self.redis.ask("HLEN", f"{tight}s"),
                    await self.redis.ask("HLEN", f"{tight}u:{PIT}"),
                )
                if sessions > MOST_SESSIONS or inside > MOST_IN_PIT:
                    self.account.breaks(f"a limit is exceeded: {sessions} sessions, {inside} users in a room")
                self.account.counts["looks"] += 1
            await asyncio.sleep(_LOOKED_EVERY_S)


@asynccontextmanager
async def running_world(setup: Setup, account: Account, seed: int) -> AsyncIterator[World]:
    """Everything started, every member in every room; at the end all of it ended. Raises ServerFailedError."""
    world = World(setup, account, seed)
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="wsprism-chaos-")))
        url = await _start_redis(world, stack, directory)
        world.session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None))
        )
        await _start_nodes(world, stack, directory, url)
        async with _clients(world):
            yield world
        for fault in [one.close() for one in world.nodes]:
            if fault is not None:
                account.breaks(fault)
        for node in world.nodes:
            for line in node.errors()[:3]:
                account.breaks(f"node {node.name} has logged: {line[:300]}")


async def _start_redis(world: World, stack: AsyncExitStack, directory: Path) -> str | None:
    """The URL of all nodes, or None: each has its own."""
    program = shutil.which("redis-server", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/bin")
    if program is None:
        raise FileNotFoundError("redis-server is not installed")

    def start(*options: str, sentinel: Path | None = None) -> RedisServer:
        server = RedisServer(program, free_ports(1)[0], *options, sentinel=sentinel)
        stack.callback(server.close)
        server.start()
        world.servers.append(server)
        return server

    world.redis = start(*world.setup.redis)
    if not world.setup.sentinel:
        return None if world.setup.proxied else world.redis.url
    start("--replicaof", "127.0.0.1", str(world.redis.port))
    file = directory / "sentinel.conf"
    file.write_text(
        f"sentinel monitor mine 127.0.0.1 {world.redis.port} 1\nsentinel down-after-milliseconds mine 500\n"
        "sentinel failover-timeout mine 2000\n"
    )
    sentinel = start(sentinel=file)

    async def knows() -> bool:
        synced = "state=online" in await world.redis.ask("INFO", "replication")
        return synced and "master-link-status" in str(await sentinel.ask("SENTINEL", "REPLICAS", "mine"))

    await world.until("a replica in step, and the sentinel that knows it", knows)
    return f"sentinel://127.0.0.1:{sentinel.port}/mine"


async def _start_nodes(world: World, stack: AsyncExitStack, directory: Path, url: str | None) -> None:
    setup = world.setup
    ports = free_ports(2 * setup.nodes)
    for at in range(setup.nodes):
        its_url = url
        if its_url is None:
            proxy = await stack.enter_async_context(Proxy(world.redis.port))
            world.proxies.append(proxy)
            its_url = f"redis://127.0.0.1:{proxy.port}"
        name = "same" if setup.one_name else f"n{at}"
        pair = ports[2 * at], ports[2 * at + 1]
        node = Node(directory, name, pair, its_url, setup.lease_ms, MOST_SESSIONS, MOST_IN_PIT)
        stack.callback(node.close)
        world.nodes.append(node)
        node.start()
    await asyncio.gather(*(one.ready(world.session) for one in world.nodes))


@asynccontextmanager
async def _clients(world: World) -> AsyncIterator[None]:
    account, chance = world.account, world.chance

    def nodes_from(at: int) -> list[Node]:
        return [world.nodes[(at + one) % len(world.nodes)] for one in range(len(world.nodes))]

    for at in range(len(world.nodes)):
        for number in range(_MEMBERS_OF_A_NODE):
            world.members.append(Member(account, nodes_from(at), f"m{at}.{number}", chance))
        world.outlaws.append(Outlaw(account, nodes_from(at), OUTLAW, chance))
    for number in range(_CONTENDERS):
        world.contenders.append(Contender(account, nodes_from(number), f"c{number}", chance))
    everybody = [*world.members, *world.contenders, *world.outlaws]
    tasks = [asyncio.create_task(one.run(world.session)) for one in everybody]
    tasks.append(asyncio.create_task(world.look()))
    try:
        await world.until("every member in every room", world._all_settled)
        speakers = [member for at, member in enumerate(world.members) if at % _MEMBERS_OF_A_NODE != 0]
        tasks += [asyncio.create_task(one.publish(world.setup.interval_s, world.quiet)) for one in speakers]
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended: list[Any] = await asyncio.gather(*tasks, return_exceptions=True)
        for one in ended:
            if isinstance(one, Exception):
                account.breaks(f"a client has failed: {one!r}")

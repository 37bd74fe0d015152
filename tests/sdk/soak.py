"""Clients of both SDKs behind a proxy that cuts each connection at random, in rooms that remember:
``python -m tests.sdk.soak --clients 200 --seconds 600``. With ``--nodes 2`` the gateway is two over a Redis, and a
client comes back to one or the other.

At the end every client must have heard exactly what its room says was published, once each and in its order. Exits 1
and says where it differs when one has not.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from load.proxy import Proxy
from tests.process import GatewayCommand
from tests.redis_server import running_redis
from tests.sdk.sdk import Client, Room, Sdk, SdkError, start_driver

__all__ = ["Account", "main", "soak"]

ROOM_SIZE = 10
_CUT_EACH_S = 0.25
_QUIET_S = 60.0

CONFIG = {
    "version": 1,
    "gateway": {"listen": "127.0.0.1:0", "handshake_limit": {"enabled": False}},
    "logging": {"format": "json"},
    "tenants": [
        {
            "id": "acme",
            "auth": {"kind": "dev"},
            "policy": {
                "ext_allowlist": ["room:*", "chat:send"],
                "rate_limit_rps": 10_000,
                "rate_limit_burst": 10_000,
                "sessions": {"max_sessions_per_user": 0},
            },
            "services": {"ext": {"chat": "chat"}},
            "limits": {"max_history_bytes": 0},
            "rooms": [
                {
                    "match": "*",
                    "history": {
                        "max_messages": 100_000,
                        "max_bytes": 67_108_864,
                        "ttl_s": 3600,
                        "recover_max_messages": 100_000,
                    },
                }
            ],
        }
    ],
}


@dataclass
class Account:
    """What happened. ``differences`` is empty when every client has heard everything once, in order."""

    clients: int = 0
    nodes: int = 1
    published: int = 0
    heard: int = 0
    cut: int = 0
    recovered: int = 0
    differences: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        nodes = "one node" if self.nodes == 1 else f"{self.nodes} nodes"
        said = f"{self.clients} clients, {nodes}, {self.published} published, {self.heard} heard"
        said += f", {self.cut} connections cut, {self.recovered} times recovered"
        return "\n".join([said, *(self.differences or ["every client has heard everything once, in its room's order"])])


@contextlib.asynccontextmanager
async def _gateway(nodes: int) -> AsyncIterator[list[int]]:
    """The ports of its nodes."""
    async with contextlib.AsyncExitStack() as stack:
        own: dict[str, Any] = {}
        if nodes > 1:
            own["broker"] = {"url": stack.enter_context(running_redis()).url}
        ports = []
        for number in range(nodes):
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            named = {"node": {"name": f"n{number + 1}"}} if nodes > 1 else {}
            text = yaml.safe_dump({**CONFIG, "gateway": {**CONFIG["gateway"], **own, **named}})  # type: ignore[dict-item]
            ports.append((await stack.enter_async_context(GatewayCommand(text, directory))).port)
        yield ports


async def soak(
    clients: int, seconds: float, rate_each: float, mean_life_s: float, seed: int, nodes: int = 1
) -> Account:
    """``rate_each``: messages that each client publishes in a second. ``mean_life_s``: of a connection."""
    choose = random.Random(seed)
    account = Account(clients, nodes)
    async with (
        _gateway(nodes) as ports,
        Proxy(ports[0]) as proxy,
        start_driver("python") as python,
        start_driver("node") as node,
    ):
        sdks = [Sdk("python", python), Sdk("node", node)]
        members: list[tuple[Client, Room]] = []
        for number in range(clients):
            client = await sdks[number % 2].client(proxy.url, ticket=f"dev:u{number}", backoff_cap_s=1.0)
            room = await client.room(f"room-{number // ROOM_SIZE}")
            await room.call("joined")
            members.append((client, room))
        ends_at = time.monotonic() + seconds
        cutting = asyncio.create_task(_cut(proxy, ports, choose, mean_life_s, ends_at, account))
        publishing = [
            asyncio.create_task(_publish(room, number, rate_each, ends_at, random.Random(seed + number), account))
            for number, (_, room) in enumerate(members)
        ]
        await asyncio.gather(cutting, *publishing)
        await _compare(sdks, members, account)
        for sdk in sdks:
            await sdk.end()
    return account


async def _cut(
    proxy: Proxy, ports: list[int], choose: random.Random, mean_life_s: float, ends_at: float, account: Account
) -> None:
    def falls(_: int) -> bool:
        chosen = choose.random() < _CUT_EACH_S / mean_life_s
        account.cut += chosen
        return chosen

    while time.monotonic() < ends_at:
        await asyncio.sleep(_CUT_EACH_S)
        proxy.to_port = choose.choice(ports)
        proxy.cut(falls)


async def _publish(
    room: Room, number: int, rate: float, ends_at: float, choose: random.Random, account: Account
) -> None:
    """Each message is awaited: what a client publishes is in its own order."""
    count = 0
    while time.monotonic() < ends_at:
        await asyncio.sleep(choose.expovariate(rate))
        try:
            await room.call("publish", "send", {"msg": f"{number}-{count}"})
        except SdkError as error:
            account.differences.append(f"client {number}: message {count} was not published: {error}")
        else:
            count += 1
            account.published += 1


async def _compare(sdks: list[Sdk], members: list[tuple[Client, Room]], account: Account) -> None:
    truths: dict[str, list[tuple[int, str]]] = {}
    for _, room in members:
        if room.name not in truths:
            truths[room.name] = await _history(room)
    expected = [sum(len(truths[room.name]) for _, room in members[at::2]) for at in range(2)]
    with contextlib.suppress(TimeoutError):  # what is missing then is told by name
        async with asyncio.timeout(_QUIET_S):
            for sdk, count in zip(sdks, expected, strict=True):
                await sdk.driver.has_seen("message", count)
    heard: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for sdk in sdks:
        account.recovered += len(sdk.driver.seen("recovered"))
        for lost in sdk.driver.seen("lost"):
            account.differences.append(f"{sdk.name} {lost['client']} in {lost['room']}: told that it lost something")
        for event in sdk.driver.seen("message"):
            value = event["value"]
            heard.setdefault((f"{sdk.name} {event['client']}", event["room"]), []).append(_place(value))
    account.heard = sum(map(len, heard.values()))
    for number, (client, room) in enumerate(members):
        key = (f"{sdks[number % 2].name} {client.name}", room.name)
        account.differences += _differences(key, heard.get(key, []), truths[room.name])


def _differences(who: tuple[str, str], heard: list[tuple[int, str]], truth: list[tuple[int, str]]) -> list[str]:
    if heard == truth:
        return []
    missing = Counter(truth) - Counter(heard)
    surplus = Counter(heard) - Counter(truth)
    return [f"{who[0]} in {who[1]}: {len(missing)} missing, {len(surplus)} too many, or not in order"]


async def _history(room: Room) -> list[tuple[int, str]]:
    joined = await room.call("joined")
    since = {"epoch": joined["epoch"], "offset": 0}
    kept: list[tuple[int, str]] = []
    while True:
        page = await room.call("history", since=since, limit=500)
        kept += [_place(item) for item in page["items"]]
        if not page["more"]:
            return kept
        since = {"epoch": page["epoch"], "offset": page["items"][-1]["offset"]}


def _place(message: dict[str, Any]) -> tuple[int, str]:
    return message["offset"], message["data"]["msg"]


def main() -> int:
    """Run it, print the account."""
    parser = argparse.ArgumentParser(prog="python -m tests.sdk.soak", description=__doc__.split("\n\n")[0])
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--nodes", type=int, default=1, help="of the gateway; more than one over a Redis (default 1)")
    parser.add_argument("--rate", type=float, default=0.2, help="messages a second and client (default 0.2)")
    parser.add_argument("--life", type=float, default=10.0, help="mean seconds until a connection is cut (default 10)")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    account = asyncio.run(soak(given.clients, given.seconds, given.rate, given.life, given.seed, given.nodes))
    print(account)
    return int(bool(account.differences))


if __name__ == "__main__":
    sys.exit(main())

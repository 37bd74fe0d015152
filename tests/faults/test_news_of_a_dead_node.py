"""A node that is killed tells its backend nothing any more: the one that clears it away does, with what is left."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import yaml

from tests.backends import SECRET, Backend, backend
from tests.client import Client, until
from tests.process import GatewayCommand
from tests.redis_server import running_redis

WITHIN_S = 60


def config(url: str, there: Backend, name: str) -> str:
    gateway = {
        "listen": "127.0.0.1:0",
        "broker": {"url": url},
        "node": {"name": name, "lease_ms": 3000},
    }
    events = ["connected", "joined", "left", "disconnected"]
    acme = {
        "id": "acme",
        "auth": {"kind": "dev"},
        "policy": {"ext_allowlist": ["room:*"], "sessions": {"max_sessions_per_user": 0}},
        "backend": {"url": there.url, "secret": SECRET, "events": events, "event_batch": {"max_delay_ms": 10}},
    }
    return yaml.safe_dump({"version": 1, "gateway": gateway, "logging": {"format": "json"}, "tenants": [acme]})


async def test_the_backend_is_told_who_is_gone_with_a_killed_node_and_what_is_left(tmp_path: Path) -> None:
    async with backend() as there:

        def told(event: str) -> list[dict[str, Any]]:
            return [one for one in there.events() if one["type"] == event]

        with running_redis() as redis:
            for name in ("lives", "dies"):
                (tmp_path / name).mkdir()
            lives = GatewayCommand(config(redis.url, there, "lives"), tmp_path / "lives")
            dies = GatewayCommand(config(redis.url, there, "dies"), tmp_path / "dies")
            async with lives, dies, Client(lives.base, ticket="dev:ann", sid="tab") as tab:
                async with (
                    Client(dies.base, ticket="dev:ann", sid="phone") as phone,
                    Client(dies.base, ticket="dev:bob", sid="tv") as bob,
                ):
                    for peer in (tab, phone, bob):
                        await peer.join("a")
                    await until(lambda: len(told("joined")) == 3, WITHIN_S)
                    dies.signal(signal.SIGKILL)
                await until(lambda: len(told("disconnected")) == 2, WITHIN_S)
                gone = {one["session"]["sid"]: one for one in told("disconnected")}
                generations = {one["session"]["sid"]: one["session"]["generation"] for one in told("connected")}
                assert {sid: one["sessions_left"] for sid, one in gone.items()} == {"phone": 1, "tv": 0}
                assert all((one["code"], one["reason"]) == (1006, "node died") for one in gone.values())
                assert all(one["session"]["generation"] == generations[sid] for sid, one in gone.items())
                assert sorted((one["sessions"], one["why"]) for one in told("left")) == [
                    (1, "disconnected"),
                    (2, "disconnected"),
                ]

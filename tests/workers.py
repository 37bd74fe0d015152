"""Several workers on a Redis of tests, as an operator runs them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp

from tests.process import GatewayCommand
from tests.redis_server import running_redis
from wsprism.process.workers.invitation import VARIABLE

__all__ = ["KEY", "answer", "children", "new_child", "stopped", "until_all_are_up", "workers"]

KEY = "0123456789abcdef"

_CONFIG = """
version: 1
gateway:
  listen: "{listen}"
  drain_grace_ms: {grace_ms}
  limits: {{handshake_timeout_ms: 60000}}
  workers: {workers}
  node: {{name: eu, lease_ms: 3000}}
  broker: {{url: "${{REDIS}}"}}
  metrics: {metrics}
  internal: {{listen: "127.0.0.1:0", api_keys: [{{name: all, key: "{key}"}}]}}
logging: {{format: json}}
tenants:
  - id: acme
    auth: {{kind: dev}}
    services: {{ext: {{chat: {{kind: chat}}}}}}
    {tenant}
    policy: {{ext_allowlist: ["room:*", "chat:*"], sessions: {{max_sessions_per_user: 100}}}}
"""


@contextlib.asynccontextmanager
async def workers(
    directory: Path,
    count: int,
    *options: str,
    listen: str = "127.0.0.1:0",
    grace_ms: int = 300,
    metrics: str = "{}",
    tenant: str = "",
    **environment: str,
) -> AsyncIterator[GatewayCommand]:
    """All of them are up. ``tenant`` is one more line of the tenant's."""
    config = _CONFIG.format(listen=listen, workers=count, grace_ms=grace_ms, metrics=metrics, key=KEY, tenant=tenant)
    with running_redis() as redis:
        command = GatewayCommand(config, directory, *options, environment={"REDIS": redis.url} | environment)
        async with command as gateway:
            await until_all_are_up(gateway, count)
            yield gateway


async def until_all_are_up(gateway: GatewayCommand, count: int, within_s: float = 60.0) -> None:
    """Their parent says so in its metrics, and each of them that it has Redis."""
    async with asyncio.timeout(within_s):
        while True:
            lines = (await answer(gateway, "/metrics"))[1].splitlines()
            up = [line for line in lines if line.startswith("wsprism_worker_up{") and line.endswith(" 1.0")]
            there = [line for line in lines if line.startswith("wsprism_redis_away{") and line.endswith(" 0.0")]
            if len(up) == len(there) == count:
                return
            await asyncio.sleep(0.1)


async def answer(gateway: GatewayCommand, path: str, method: str = "GET", **options: Any) -> tuple[int, str]:
    """Status and text of a request to the internal listener, with the key."""
    headers = {"Authorization": f"Bearer {KEY}"}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, gateway.internal_base + path, headers=headers, **options) as told,
    ):
        return told.status, await told.text()


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path(f"/proc/{entry}/stat").read_text()
            except OSError:
                continue
            if stat.rpartition(")")[2].split()[1] == str(pid):
                found.append(int(entry))
    return sorted(found)


async def new_child(gateway: GatewayCommand, before: list[int]) -> int:
    """The process that is started beside those, or in place of one of them; long before it serves.

    Its program has begun: until then its parent waits for it, and one that is stopped would stop both.
    """
    found: list[int] = []
    async with asyncio.timeout(60):
        while not found:
            await asyncio.sleep(0.001)
            found = [pid for pid in set(children(gateway.pid)) - set(before) if _is_worker(pid)]
    return found[0]


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """It does nothing until the block ends, however that ends: whoever stands still holds what others wait for."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _is_worker(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return f"{VARIABLE}=".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    return False

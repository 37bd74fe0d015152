"""A gateway in this process, on a free port of the loopback, for tests with real sockets."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop
import yaml
from hypothesis import settings

from tests.examples import examples
from tests.sdk.table import print_behaviours
from wsprism.composition.app import GatewayProcess
from wsprism.composition.reload import ReloadReport
from wsprism.settings import load_settings

settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=examples(100))
settings.register_profile("searching", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

ACME: dict[str, object] = {
    "id": "acme",
    "auth": {"kind": "dev"},
    "policy": {
        "ext_allowlist": ["room:*", "chat:send"],
        "hot_allowlist": ["1:*", "2:*", "9:1"],
        "rate_limit_rps": 100_000,
        "rate_limit_burst": 100_000,
        "sessions": {"max_sessions_per_user": 0},
    },
    "services": {"ext": {"chat": "chat"}, "hot": {1: "echo", 2: {"kind": "relay", "include_sender": True}}},
}

Loops = dict[str, Callable[[], asyncio.AbstractEventLoop]]


def pytest_asyncio_loop_factories(item: pytest.Item) -> Loops:
    """A gateway in this process is tested on both loops: on uvloop, which production has, and on asyncio's own.

    What a socket does there differs in many a detail. Others say so with the mark ``both_loops``.
    """
    if "start_gateway" in getattr(item, "fixturenames", ()) or item.get_closest_marker("both_loops"):
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Which SDK does what."""
    print_behaviours(terminalreporter)


StartGateway = Callable[..., Awaitable["Running"]]


class Running:
    """A started gateway and where it is."""

    def __init__(self, process: GatewayProcess, file: Path) -> None:
        self.process = process
        self.file = file
        self.port = process.address.port
        self.base = f"http://127.0.0.1:{self.port}"

    async def reconfigure(self, change: Callable[[dict[str, Any]], object]) -> ReloadReport:
        """Let ``change`` change the configuration's data, write the file and reload it."""
        data = yaml.safe_load(self.file.read_text())
        change(data)
        self.file.write_text(yaml.safe_dump(data))
        return await self.process.reload()


def merge(base: dict[str, object], changes: dict[str, object]) -> dict[str, object]:
    """``base`` with ``changes``, mapping by mapping."""
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) and key != "hot" else value
    return merged


@pytest.fixture
async def start_gateway(tmp_path: Path) -> AsyncIterator[StartGateway]:
    """Starts gateways: ``await start_gateway(acme={...}, gateway={...}, tenants=[...])``."""
    started: list[GatewayProcess] = []

    async def start(
        *,
        acme: dict[str, object] | None = None,
        gateway: dict[str, object] | None = None,
        tenants: list[object] | None = None,
    ) -> Running:
        config = {
            "version": 1,
            "gateway": merge({"listen": "127.0.0.1:0", "drain_grace_ms": 1000}, gateway or {}),
            "tenants": [merge(ACME, acme or {}), *(tenants or [])],
        }
        path = tmp_path / f"wsprism-{len(started)}.yaml"
        path.write_text(yaml.safe_dump(config))
        process = GatewayProcess(load_settings(path), file=str(path))
        await process.start()
        started.append(process)
        return Running(process, path)

    yield start
    for process in started:
        await process.stop()

"""An SDK, a gateway, and what stands between them. WSPRISM_SDKS names the SDKs to test, with a comma between them:
``python``, ``node``, ``deno``, ``bun``, ``chromium``, ``firefox``, and ``python3.10`` and the like for the wheel on
other Pythons."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio
import yaml

from load.proxy import Proxy
from tests.process import GatewayCommand
from tests.sdk.fake import FakeGateway
from tests.sdk.sdk import PAGES, SEE_NO_STATUS, Driver, Sdk, start_driver

KEY = "a-key-of-the-backend"

CONFIG = {
    "version": 1,
    "gateway": {
        "listen": "127.0.0.1:0",
        "drain_grace_ms": 600,
        "internal": {"listen": "127.0.0.1:0", "api_keys": [{"name": "test", "key": KEY}]},
    },
    "logging": {"format": "json"},
    "tenants": [
        {
            "id": "acme",
            "auth": {"kind": "dev"},
            "policy": {
                "ext_allowlist": ["room:*", "chat:send"],
                "hot_allowlist": ["1:*"],
                "rate_limit_rps": 10_000,
                "rate_limit_burst": 10_000,
                "sessions": {"max_sessions_per_user": 0},
            },
            "services": {"ext": {"chat": "chat"}, "hot": {1: {"kind": "relay", "include_sender": True}}},
        },
        {
            "id": "mindful",
            "auth": {"kind": "dev"},
            "policy": {
                "ext_allowlist": ["room:*", "chat:send"],
                "hot_allowlist": ["1:*"],
                "rate_limit_rps": 10_000,
                "rate_limit_burst": 10_000,
                "sessions": {"max_sessions_per_user": 0},
                "hot_room_numbers": True,
            },
            "services": {"ext": {"chat": "chat"}, "hot": {1: {"kind": "relay"}}},
            "rooms": [{"match": "*", "history": {"ttl_s": 600}, "presence": {"enabled": True, "batch_ms": 50}}],
        },
        {"id": "closed", "auth": {"kind": "dev"}, "policy": {"ext_allowlist": ["chat:send"]}},
    ],
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What a WebSocket does not tell is not tested with it, and what only a page is told only there."""
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        callspec = getattr(item, "callspec", None)
        sdk = None if callspec is None else callspec.params.get("sdk")
        unseen = sdk in SEE_NO_STATUS and item.get_closest_marker("sees_statuses")
        untold = sdk not in PAGES and item.get_closest_marker("only_in_a_page")
        (left_out if unseen or untold else kept).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def driver_of() -> AsyncIterator[Callable[[str], Awaitable[Driver]]]:
    """Starts an SDK the first time that a test asks for it; all end with the run."""
    started: dict[str, Driver] = {}
    async with contextlib.AsyncExitStack() as stack:

        async def driver(name: str) -> Driver:
            if name not in started:
                started[name] = await stack.enter_async_context(start_driver(name))
            return started[name]

        yield driver


@pytest_asyncio.fixture(loop_scope="session", params=os.environ.get("WSPRISM_SDKS", "python,node,chromium").split(","))
async def sdk(request: pytest.FixtureRequest, driver_of: Callable[[str], Awaitable[Driver]]) -> AsyncIterator[Sdk]:
    """The SDK under test."""
    made = Sdk(request.param, await driver_of(request.param))
    yield made
    await made.end()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GatewayCommand]:
    """A real one, for all tests that leave it as it is."""
    async with GatewayCommand(yaml.safe_dump(CONFIG), tmp_path_factory.mktemp("gateway")) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def own_gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GatewayCommand]:
    """A real one that a test may end."""
    async with GatewayCommand(yaml.safe_dump(CONFIG), tmp_path_factory.mktemp("gateway")) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def proxy(gateway: GatewayCommand) -> AsyncIterator[Proxy]:
    """The way to the gateway, with all that networks do."""
    async with Proxy(gateway.port) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def fake() -> AsyncIterator[FakeGateway]:
    """A gateway that says what the test wants."""
    async with FakeGateway() as started:
        yield started

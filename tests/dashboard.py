"""A gateway with its dashboard open in a real browser."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.browser import browser
from tests.components import free_port
from tests.page import Page
from tests.process import GatewayCommand

__all__ = ["ADMIN", "LOOKS", "SCOPED", "Dashboard", "config", "dashboard"]

ADMIN, SCOPED, LOOKS = "k-admin-0123456789", "k-acme-0123456789", "k-looks-0123456789"


@dataclass(frozen=True, slots=True)
class Dashboard:
    """``url`` is the page's; it goes on to be there when the gateway is started again."""

    gateway: GatewayCommand
    page: Page
    url: str

    async def sign_in(self, key: str = ADMIN) -> None:
        await self.page.fill("API key", key)
        await self.page.click("button", "Sign in")
        await self.page.find("heading", "Overview")

    async def look_at(self, view: str) -> None:
        """One of the views that the frame names."""
        await self.page.click("link", view)
        await self.page.find("heading", view)

    async def open_room(self, room: str) -> None:
        await self.look_at("Rooms")
        await self.page.click("link", room)
        await self.page.find("heading", "Live")
        await self.page.shows("listening")


def config(directory: Path, **gateway: Any) -> str:
    """Two tenants; ``directory`` is where the test's files are."""
    del directory
    keys = [
        {"name": "admin", "key": ADMIN},
        {"name": "backend of acme", "key": SCOPED, "tenants": ["acme"]},
        {"name": "looks", "key": LOOKS, "read_only": True},
    ]
    acme = {
        "id": "acme",
        "auth": [{"kind": "dev"}, {"kind": "one_time"}],
        "limits": {"max_rooms_total": 2000},
        "policy": {
            "ext_allowlist": ["room:*", "chat:send"],
            "hot_allowlist": ["1:*"],
            "rate_limit_rps": 10_000,
            "rate_limit_burst": 10_000,
            "sessions": {"max_sessions_per_user": 0},
        },
        "services": {"ext": {"chat": "chat"}, "hot": {1: {"kind": "relay", "include_sender": True}}},
        "rooms": [{"match": "match:*", "history": {"max_messages": 50}, "presence": {"enabled": True}}],
    }
    other = {"id": "zoo", "auth": {"kind": "dev"}, "backend": {"stream": True}}
    internal = {"listen": f"127.0.0.1:{free_port()}", "api_keys": keys}
    whole = {"listen": f"127.0.0.1:{free_port()}", "drain_grace_ms": 300, "internal": internal, **gateway}
    return yaml.safe_dump({"version": 1, "gateway": whole, "logging": {"format": "json"}, "tenants": [acme, other]})


@contextlib.asynccontextmanager
async def dashboard(directory: Path, *, width: int = 1000, **settings: Any) -> AsyncIterator[Dashboard]:
    """Not signed in yet; ``settings`` are of ``gateway``. At the end the browser must have had nothing
    to say against the page."""
    async with browser(directory) as chromium, GatewayCommand(config(directory, **settings), directory) as gateway:
        url = f"{gateway.internal_base}/ui/"
        page = Page(await chromium.open(url))
        await page.watch()
        await page.resize(width)
        await page.go(url)
        yield Dashboard(gateway, page, url)
        assert page.complaints == []

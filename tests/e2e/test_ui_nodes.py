"""The nodes of a cluster in the dashboard's overview, over a Redis: side by side, on a phone, while that is away."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.client import Client
from tests.dashboard import LOOKS, SCOPED, config, dashboard
from tests.page import Page
from tests.process import GatewayCommand
from tests.redis_server import running_redis

HOSTILE = "<img src=x onerror=\"document.title='owned'\"> \u05d0\u05d1"
PHONE = 375
NODES = "document.querySelector('.nodes')"


async def node_rows(page: Page) -> list[list[str]]:
    """The cells of the panel's rows as they are shown, in the order of names."""
    cells = "[...row.cells].map((cell) => cell.innerText)"
    script = f"[...{NODES}.querySelectorAll('tbody tr')].map((row) => {cells})"
    found: list[list[str]] = await page.tab.run(script)
    return sorted(found)


@contextlib.asynccontextmanager
async def beside(directory: Path, url: str, name: str, **gateway: Any) -> AsyncIterator[GatewayCommand]:
    """One more node, in a directory of its own below the test's."""
    own = Path(tempfile.mkdtemp(dir=directory))
    text = config(own, broker={"url": url}, node={"name": name}, **gateway)
    async with GatewayCommand(text, own) as gateway_of_node:
        yield gateway_of_node


async def test_the_overview_shows_nodes_side_by_side_and_which_differs(tmp_path: Path) -> None:
    with running_redis() as redis:
        async with (
            beside(tmp_path, redis.url, "n2") as second,
            beside(tmp_path, redis.url, HOSTILE, ping_interval_ms=21000),
            dashboard(tmp_path, broker={"url": redis.url}, node={"name": "n1"}) as ui,
            Client(ui.gateway.base, ticket="dev:ann"),
            Client(second.base, ticket="dev:bob"),
            Client(second.base, ticket="dev:carl"),
        ):
            await ui.sign_in(LOOKS)
            page = ui.page
            await page.find("heading", "Nodes")
            await page.find("table", "Nodes")
            await page.shows("3 nodes, 3 connections")
            await page.shows("1 of 3 differ from the configuration of most.")
            hostile, first, other = await node_rows(page)
            assert (hostile[0], first[:2], other[:2]) == (HOSTILE, ["n1", "1"], ["n2", "2"])
            assert [row[4].split()[0] for row in (hostile, first, other)] == ["differs", "same", "same"]
            assert first[4] == other[4] != hostile[4]
            assert all(row[2].endswith(" ms") and row[3][0].isdigit() for row in (hostile, first, other))
            assert await page.tab.run("document.querySelectorAll('main img').length") == 0
            await page.resize(PHONE, 700)
            assert await page.tab.run("document.documentElement.scrollWidth - innerWidth") <= 0
            cells = f"[...{NODES}.querySelector('tbody tr').cells]"
            labels = await page.tab.run(f"{cells}.map((cell) => cell.dataset.label)")
            assert labels == ["Node", "Connections", "Lease age", "Version", "Configuration"]


async def test_while_redis_is_away_the_figures_go_on_and_the_panel_says_so(tmp_path: Path) -> None:
    with running_redis() as redis:
        node = {"name": "n1", "on_isolation": "keep"}
        async with dashboard(tmp_path, broker={"url": redis.url}, node=node) as ui:
            await ui.sign_in()
            await ui.page.shows("1 node, 0 connections")
            redis.kill()
            await ui.page.shows("The nodes are not known now.")
            assert await ui.page.all("alert") == []
            redis.start()
            await ui.page.shows("1 node, 0 connections")


async def test_one_process_alone_and_a_key_of_some_tenants_show_no_nodes(tmp_path: Path) -> None:
    async with dashboard(tmp_path) as ui:
        await ui.sign_in()
        await ui.page.find("heading", "Backends")
        await ui.page.tab.until("performance.getEntriesByType('resource').some((x) => x.name.endsWith('/v1/nodes'))")
        assert await ui.page.all("heading", "Nodes") == []
        await ui.page.go("about:blank")
        await ui.page.go(ui.url)
        await ui.sign_in(SCOPED)
        await ui.page.shows("This key is scoped to tenants")
        asked = "performance.getEntriesByType('resource').filter((x) => x.name.endsWith('/v1/nodes')).length"
        assert await ui.page.tab.run(asked) == 0
        assert await ui.page.all("alert") == []

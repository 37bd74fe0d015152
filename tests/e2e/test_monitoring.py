"""Dashboards and alerts against a gateway that had traffic: every name exists, and Prometheus answers all of it."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.backends import SECRET
from tests.client import Client, connect_url
from tests.components import free_port, program, running
from tests.conftest import Running, StartGateway
from tests.monitoring import CONFIG, DASHBOARDS, alert_queries, dashboard_queries, labels_of, metrics_of
from tests.redis_server import running_redis
from tests.workers import workers
from wsprism.transport.front.exposition import of_workers

WITHIN_S = 60.0
FROM_PROMETHEUS = {"instance", "job"}
OF_WORKERS = {"worker"}
"""The parent of workers labels all their series with it."""
OF_A_PARENT = {line.split()[2] for line in of_workers([]).splitlines() if line.startswith("# TYPE")}
"""Exposed by the parent of workers only; tests of workers look at it there."""
OF_GUESTS = {"wsprism_service_fuel_total", "wsprism_alloc"}
"""Exposed where a WebAssembly module has run, and exported by such a module."""
LAST = "wsprism_nodes_configuration_differs"
"""What a node learns latest of all that it exposes."""
SETTLED_SCRAPES = 3


BACKEND: dict[str, object] = {
    "backend": {"url": "http://127.0.0.1:1/", "secret": SECRET, "stream": True, "events": ["connected"]},
    "services": {
        "ext": {
            "chat": {"kind": "chat"},
            "game": {"kind": "webhook"},
            "rules": {"kind": "python", "factory": "tests.python_services:failing"},
        }
    },
    "policy": {"ext_allowlist": ["room:*", "chat:*", "game:*", "rules:*"]},
}
"""Nobody is there: its figures are, all the same."""


@pytest.fixture
def node() -> Iterator[dict[str, object]]:
    """The gateway's own settings: it is the only node on a Redis."""
    with running_redis() as redis:
        yield {"broker": {"url": redis.url}}


async def _converse(gateway: Running) -> None:
    """Both lanes, a kick, a refused ticket, a close: something for every kind of metric."""
    async with Client(gateway.base, ticket="dev:ann", sid="one") as ann, Client(gateway.base, ticket="dev:bob") as bob:
        await ann.join("r")
        await bob.join("r")
        await ann.send("chat", "send", {"msg": "x"})
        assert await ann.receive() == await bob.receive()
        await ann.send("game", "move")
        await ann.expect_error("UNAVAILABLE")
        await ann.send("rules", "fail")
        await ann.expect_error("INTERNAL")
        await ann.ws.send_bytes(b"\x01\x01\x00hot")
        assert await bob.receive_hot() == await ann.receive_hot()
        async with Client(gateway.base, ticket="dev:ann", sid="one"):
            assert (await ann.receive())["type"] == "kicked"
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(connect_url(gateway.base, ticket="refused"))


async def _exposed(gateway: Running) -> Mapping[str, set[str]]:
    """Names in /metrics, with their labels."""
    text = ""
    async with aiohttp.ClientSession() as session, asyncio.timeout(60):
        while LAST + "{" not in text:
            async with session.get(gateway.base + "/metrics") as response:
                text = await response.text()
            await asyncio.sleep(0.2)
    found: dict[str, set[str]] = defaultdict(set)
    found |= dict.fromkeys(OF_A_PARENT, OF_WORKERS)
    for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? ", text, re.MULTILINE):
        found[name] |= set(re.findall(r'(\w+)="', labels))
    return found


async def _is_ready(session: aiohttp.ClientSession) -> bool:
    async with session.get("/-/ready") as response:
        return response.status == 200


async def _until(holds: Callable[[], Awaitable[object]]) -> None:
    while not await holds():  # noqa: ASYNC110 (the state of another process: nothing signals it)
        await asyncio.sleep(0.2)


async def test_every_metric_and_label_of_dashboards_and_alerts_exists(
    start_gateway: StartGateway, node: dict[str, object]
) -> None:
    gateway = await start_gateway(acme=BACKEND, gateway=node)
    await _converse(gateway)
    exposed = await _exposed(gateway)
    queries = [*alert_queries(), *(query for path in DASHBOARDS for query in dashboard_queries(path))]
    assert len(queries) > 50
    for query in queries:
        metrics = metrics_of(query)
        assert metrics <= exposed.keys(), query
        known = set().union(*(exposed[name] for name in metrics))
        assert labels_of(query) <= known | FROM_PROMETHEUS | OF_WORKERS, query


async def test_every_metric_of_the_runbook_exists(start_gateway: StartGateway, node: dict[str, object]) -> None:
    gateway = await start_gateway(acme=BACKEND, gateway=node)
    await _converse(gateway)
    exposed = await _exposed(gateway)
    histograms = {name.removesuffix("_bucket") for name in exposed if name.endswith("_bucket")}
    for page in ("operations.md", "deployment.md"):
        named = metrics_of((CONFIG.parent / "docs" / page).read_text())
        assert named - exposed.keys() - histograms - OF_GUESTS == set(), page


@asynccontextmanager
async def _prometheus(config: dict[str, Any], directory: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """One that is so configured, and works in ``directory``."""
    (directory / "prometheus.yaml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = [
        program("prometheus"),
        f"--config.file={directory}/prometheus.yaml",
        f"--storage.tsdb.path={directory}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    async with (
        running(*command, port=port, output=directory / "prometheus.log"),
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        yield session


async def test_prometheus_answers_every_query_of_the_dashboard_and_evaluates_every_alert(
    start_gateway: StartGateway, node: dict[str, object], tmp_path: Path
) -> None:
    gateway = await start_gateway(acme=BACKEND, gateway=node)
    await _converse(gateway)
    shutil.copytree(CONFIG / "prometheus", tmp_path, dirs_exist_ok=True)
    config = yaml.safe_load((tmp_path / "prometheus.yaml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{gateway.port}"]}]
    async with _prometheus(config, tmp_path) as session:

        async def ask(query: str) -> list[Any]:
            async with session.get("/api/v1/query", params={"query": query}) as response:
                answer = await response.json()
            assert answer["status"] == "success", (query, answer)
            result: list[Any] = answer["data"]["result"]
            return result

        async with asyncio.timeout(60):
            await _until(lambda: _is_ready(session))
            await _until(lambda: ask(f"count_over_time({LAST}[1m]) >= {SETTLED_SCRAPES}"))
        assert [one["value"][1] for one in await ask('up{job="wsprism"}')] == ["1"]
        for query in (query for path in DASHBOARDS for query in dashboard_queries(path)):
            nothing_yet = query.endswith("> 0") or metrics_of(query) & OF_A_PARENT
            assert await ask(query) or nothing_yet, query
        async with session.get("/api/v1/rules") as response:
            rules = [rule for group in (await response.json())["data"]["groups"] for rule in group["rules"]]
        assert len(rules) == len(list(alert_queries()))
        assert {rule["health"] for rule in rules} == {"ok"}, rules


async def test_prometheus_has_the_workers_of_a_parent_in_every_panel_about_them(tmp_path: Path) -> None:
    async with workers(tmp_path, 2) as gateway:
        config = yaml.safe_load((CONFIG / "prometheus" / "prometheus.nodes.yaml").read_text())
        config["global"] = {"scrape_interval": "1s"}
        config["rule_files"] = []
        config["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{gateway.internal_port}"]}]
        async with _prometheus(config, tmp_path) as session:

            async def ask(query: str) -> list[Any]:
                async with session.get("/api/v1/query", params={"query": query}) as response:
                    return list((await response.json())["data"]["result"]) if response.status == 200 else []

            queries = [
                query for path in DASHBOARDS for query in dashboard_queries(path) if metrics_of(query) & OF_A_PARENT
            ]
            assert queries
            for query in (*queries, "count(wsprism_worker_up == 1) == 2", "count by (worker) (wsprism_sessions)"):
                if not query.endswith("> 0"):
                    async with asyncio.timeout(WITHIN_S):
                        await _until(partial(ask, query))
            assert {one["metric"]["worker"] for one in await ask("wsprism_worker_up")} == {"1", "2"}

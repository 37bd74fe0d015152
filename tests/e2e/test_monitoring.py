"""Dashboards and alerts against a gateway that had traffic: every name exists, and Prometheus answers all of it."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
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

FROM_PROMETHEUS = {"instance", "job"}
OF_NODES = {"wsprism_redis_away"}
"""Exposed where there is a broker only; test_cluster looks at it there."""
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
    async with aiohttp.ClientSession() as session, session.get(gateway.base + "/metrics") as response:
        text = await response.text()
    found: dict[str, set[str]] = defaultdict(set)
    for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? ", text, re.MULTILINE):
        found[name] |= set(re.findall(r'(\w+)="', labels))
    return found


async def _is_ready(session: aiohttp.ClientSession) -> bool:
    async with session.get("/-/ready") as response:
        return response.status == 200


async def _until(holds: Callable[[], Awaitable[object]]) -> None:
    while not await holds():  # noqa: ASYNC110 (the state of another process: nothing signals it)
        await asyncio.sleep(0.2)


async def test_every_metric_and_label_of_dashboards_and_alerts_exists(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(acme=BACKEND)
    await _converse(gateway)
    exposed = await _exposed(gateway)
    queries = [*alert_queries(), *(query for path in DASHBOARDS for query in dashboard_queries(path))]
    assert len(queries) > 50
    for query in queries:
        metrics = metrics_of(query)
        assert metrics <= exposed.keys(), query
        known = set().union(*(exposed[name] for name in metrics))
        assert labels_of(query) <= known | FROM_PROMETHEUS, query


async def test_every_metric_of_the_runbook_exists(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(acme=BACKEND)
    await _converse(gateway)
    exposed = await _exposed(gateway)
    histograms = {name.removesuffix("_bucket") for name in exposed if name.endswith("_bucket")}
    for page in ("operations.md", "deployment.md"):
        named = metrics_of((CONFIG.parent / "docs" / page).read_text())
        assert named - exposed.keys() - histograms - OF_NODES == set(), page


async def test_prometheus_answers_every_query_of_the_dashboard_and_evaluates_every_alert(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    prometheus = program("prometheus")
    gateway = await start_gateway(acme=BACKEND)
    await _converse(gateway)
    shutil.copytree(CONFIG / "prometheus", tmp_path, dirs_exist_ok=True)
    config = yaml.safe_load((tmp_path / "prometheus.yaml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{gateway.port}"]}]
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = [
        prometheus,
        f"--config.file={tmp_path}/prometheus.yaml",
        f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    async with (
        running(*command, port=port, output=tmp_path / "prometheus.log"),
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):

        async def ask(query: str) -> list[Any]:
            async with session.get("/api/v1/query", params={"query": query}) as response:
                answer = await response.json()
            assert answer["status"] == "success", (query, answer)
            result: list[Any] = answer["data"]["result"]
            return result

        async with asyncio.timeout(20):
            await _until(lambda: _is_ready(session))
            await _until(lambda: ask(f"count_over_time(wsprism_connections[1m]) >= {SETTLED_SCRAPES}"))
        assert [one["value"][1] for one in await ask('up{job="wsprism"}')] == ["1"]
        for query in (query for path in DASHBOARDS for query in dashboard_queries(path)):
            assert await ask(query) or query.endswith("> 0"), query
        async with session.get("/api/v1/rules") as response:
            rules = [rule for group in (await response.json())["data"]["groups"] for rule in group["rules"]]
        assert len(rules) == len(list(alert_queries()))
        assert {rule["health"] for rule in rules} == {"ok"}, rules

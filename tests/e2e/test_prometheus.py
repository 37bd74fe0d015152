"""Debian's Prometheus scrapes a gateway, and answers queries about it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp

from tests.client import Client
from tests.components import free_port, program, running
from tests.conftest import StartGateway

_CONFIGURATION = """\
global: {{scrape_interval: 500ms, scrape_timeout: 500ms}}
scrape_configs:
  - job_name: wsprism
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


async def test_prometheus_scrapes_the_gateway(start_gateway: StartGateway, tmp_path: Path) -> None:
    executable = program("prometheus")
    gateway = await start_gateway()
    config, port = tmp_path / "prometheus.yml", free_port()
    config.write_text(_CONFIGURATION.format(port=gateway.port))
    command = [
        executable,
        f"--config.file={config}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    async with (
        running(*command, port=port, output=tmp_path / "prometheus.log"),
        Client(gateway.base) as ann,
        aiohttp.ClientSession() as session,
    ):
        await ann.join("lobby")

        async def ask(query: str) -> list[Any]:
            url = f"http://127.0.0.1:{port}/api/v1/query"
            async with session.get(url, params={"query": query}) as response:
                return list((await response.json())["data"]["result"]) if response.status == 200 else []

        async def until_it_knows(query: str) -> list[Any]:
            async with asyncio.timeout(60):
                while not (found := await ask(query)):  # noqa: ASYNC110 (another process's state)
                    await asyncio.sleep(0.1)
            return found

        (sessions,) = await until_it_knows("wsprism_sessions == 1")
        assert sessions["metric"]["tenant"] == "acme"
        await until_it_knows('up{job="wsprism"} == 1')
        (handshakes,) = await until_it_knows("histogram_quantile(0.99, wsprism_handshake_duration_seconds_bucket) > 0")
        assert float(handshakes["value"][1]) < 5
        await until_it_knows("scrape_samples_scraped - scrape_samples_post_metric_relabeling == 0")

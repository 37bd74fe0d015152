"""Compression with a client of another language: gorilla/websocket refuses an answer that is not as it wants it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.components import program
from tests.conftest import StartGateway
from tests.required import skip_unless_required

SOURCE = Path(__file__).parents[1] / "go"
BUILD_TIMEOUT_S = 300.0


@pytest.mark.parametrize("compression", [True, False])
async def test_gorilla_speaks_both_lanes_with_and_without_compression(
    start_gateway: StartGateway, tmp_path: Path, compression: bool
) -> None:
    client = tmp_path / "client"
    async with asyncio.timeout(BUILD_TIMEOUT_S):
        build = await asyncio.create_subprocess_exec(
            program("go"), "build", "-o", str(client), ".", cwd=SOURCE, stderr=asyncio.subprocess.PIPE
        )
        _, errors = await build.communicate()
    if build.returncode:
        skip_unless_required(f"the Go client cannot be built: {errors.decode()}")
    gateway = await start_gateway(gateway={"compression": compression})
    url = f"ws://127.0.0.1:{gateway.port}/v1/ws?tenant=acme&ticket=dev"
    process = await asyncio.create_subprocess_exec(str(client), url, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(60):
        out, _ = await process.communicate()
    assert out.decode().splitlines() == [
        f"deflate: {str(compression).lower()}",
        "authed",
        "joined",
        "msg true",
        "msg true",
        "010100dead",
        "closed: true",
    ]

"""Whoever started the gateway and reads none of its log does not stop it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path

from tests.client import Client
from tests.components import free_port

_CONFIGURATION = """\
version: 1
gateway: {{listen: "127.0.0.1:{port}", drain_grace_ms: 0}}
tenants: [{{id: acme, auth: {{kind: dev}}, policy: {{sessions: {{max_sessions_per_user: 0}}}}}}]
"""

_CONNECTIONS = 250
"""Two lines each, of some 200 bytes: more than the 64 KiB that a pipe holds."""


async def test_a_full_pipe_on_standard_error_stops_no_client(tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "wsprism.yaml"
    config.write_text(_CONFIGURATION.format(port=port))
    reader, pipe = os.pipe()
    command = (sys.executable, "-m", "wsprism", "--config", str(config))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL, stderr=pipe)
    try:
        await _until_it_listens(port)
        async with asyncio.timeout(120):
            for _ in range(_CONNECTIONS):
                async with Client(f"http://127.0.0.1:{port}") as client:
                    await client.send("sys", "ping")
                    assert (await client.receive())["type"] == "pong"
    finally:
        process.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(60):
                await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()
        lines = os.read(reader, 2**20).count(b"\n")
        os.close(reader)
        os.close(pipe)
    assert process.returncode == 0
    assert 0 < lines < 2 * _CONNECTIONS, "the pipe was never full"


async def _until_it_listens(port: int) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return

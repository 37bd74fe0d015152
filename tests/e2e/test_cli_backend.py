"""``wsprism backend listen`` and ``test``: a backend before there is one."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import aiohttp

from tests.backends import SECRET
from tests.components import free_port

CONFIG = "version: 1\ntenants: [{{id: acme, auth: {{kind: dev}}, backend: {{url: '{url}', secret: {secret}}}}}]\n"


async def run(*arguments: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "wsprism",
        "backend",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_a_ping_is_asked_verified_printed_and_answered(tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "wsprism.yaml"
    config.write_text(CONFIG.format(url=f"http://127.0.0.1:{port}/x", secret=SECRET))
    code, _, err = await run("test", "--config", str(config))
    assert code == 1
    assert "unreachable" in err
    listener = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "wsprism", "backend", "listen", "--secret", SECRET, "--count", "1", "--listen", f"127.0.0.1:{port}"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert listener.stdout is not None
    try:
        async with asyncio.timeout(60):
            assert b"listening on" in await listener.stdout.readline()
            url = f"http://127.0.0.1:{port}/x"
            async with aiohttp.ClientSession() as http, http.post(url, data=b"{}") as stranger:
                assert stranger.status == 401
            code, out, err = await run("test", "--config", str(config))
            assert (code, err) == (0, "")
            assert ": 200 in " in out
            printed = (await listener.stdout.read()).decode().splitlines()
            assert await listener.wait() == 0
    finally:
        if listener.returncode is None:
            listener.kill()
            await listener.wait()
    assert printed[0].startswith("refused: ")
    assert json.loads(printed[1])["kind"] == "ping"


async def test_what_is_no_secret_is_said() -> None:
    code, _, err = await run("listen", "--secret", "nonsense")
    assert code == 2
    assert "whsec_" in err

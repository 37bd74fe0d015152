"""docs/backend.md: its configuration starts, and its two backends answer, verify and hear news."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.client import Client
from tests.components import free_port
from tests.process import GatewayCommand
from tests.required import skip_unless_required

PAGE = (Path(__file__).parents[2] / "docs" / "backend.md").read_text()
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


def block(name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(("name", "file"), [("python", "backend.py"), ("node", "backend.js")])
async def test_a_backend_of_the_page_decides_answers_and_hears(name: str, file: str, tmp_path: Path) -> None:
    program = sys.executable if name == "python" else shutil.which("node")
    if program is None:
        skip_unless_required("node is not installed")
    port, gateway_port = free_port(), free_port()
    (tmp_path / file).write_text(block(name))
    config = re.search(r"```yaml\n(version: 1.*?)```", PAGE, re.DOTALL)
    assert config is not None
    text = config[1].replace("9000", str(port)).replace("8080", str(gateway_port))
    backend = await asyncio.create_subprocess_exec(
        program,
        str(tmp_path / file),
        env=os.environ | {"BACKEND_SECRET": SECRET, "PORT": str(port)},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with GatewayCommand(text, tmp_path):
            base = f"http://127.0.0.1:{gateway_port}"

            async def answers() -> bool:
                try:
                    url = f"http://127.0.0.1:{port}/wsprism"
                    async with aiohttp.ClientSession() as http, http.post(url, data=b"{}") as answer:
                        return answer.status == 401
                except aiohttp.ClientError:
                    return False

            async with asyncio.timeout(60):
                while not await answers():  # noqa: ASYNC110 (another process's state)
                    await asyncio.sleep(0.05)
            async with Client(base, ticket="dev:ann") as ann:
                assert ann.authed["data"]["data"] == {"motd": "hi"}
                await ann.send("game", "say", {"x": 1}, seq=3)
                assert (await ann.receive())["data"] == {"you said": {"x": 1}}
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await Client(base, ticket="dev:mallory").open()
            assert refused.value.status == 403
            assert backend.stdout is not None
            async with asyncio.timeout(60):
                heard = [(await backend.stdout.readline()).decode().strip() for _ in range(2)]
            assert heard == ["connected user:ann", "disconnected user:ann"]
    finally:
        if backend.returncode is None:
            backend.send_signal(signal.SIGTERM)
        await backend.wait()

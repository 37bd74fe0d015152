"""What docs/tickets.md shows is run as it stands: keys, configuration, issuer and backend, on ports of their own."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.client import Client
from tests.components import free_port, program, running
from tests.process import GatewayCommand

PAGE = (Path(__file__).parents[2] / "docs" / "tickets.md").read_text()


def block(name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert found, name
    return found[1]


async def run(directory: Path, *command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=directory, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return out.decode()


async def test_the_examples_let_in_whom_they_say(tmp_path: Path) -> None:
    program("openssl")
    port = free_port()
    await run(tmp_path, "sh", "-ec", block("keys"))
    (tmp_path / "issue.py").write_text(block("issue"))
    (tmp_path / "backend.py").write_text(block("backend").replace("port=9000", f"port={port}"))
    ticket = (await run(tmp_path, sys.executable, "issue.py", "ann")).strip()
    backend = ("sh", "-c", 'cd "$1" && exec "$2" backend.py', "sh", str(tmp_path), sys.executable)
    config = block("config").replace("127.0.0.1:8080", "127.0.0.1:0").replace(":9000", f":{port}")
    async with (
        running(*backend, port=port, output=tmp_path / "backend.log"),
        GatewayCommand(config, tmp_path) as gateway,
    ):
        async with Client(gateway.base, ticket=ticket) as ann, Client(gateway.base, ticket="session-of-bob") as bob:
            assert (ann.authed["data"]["user"], bob.authed["data"]["user"]) == ("ann", "bob")
            await ann.join("match:1")
            await bob.send("room", "join", room="match:1")
            await bob.expect_error("NOT_ALLOWED")
            await bob.join("lobby")
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await Client(gateway.base, ticket="session-of-nobody").open()
        assert refused.value.status == 401

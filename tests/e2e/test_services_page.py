"""The examples of docs/services.md are run: the service, its test, and a gateway with its configuration."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.client import Client
from tests.process import GatewayCommand

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "services.md").read_text()


def block(name: str) -> str:
    found = re.search(rf"<!-- {re.escape(name)} -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert found, name
    return found[1]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name in ("game.py", "test_game.py", "moves.py"):
        (tmp_path / name).write_text(block(name))
    return tmp_path


def test_the_pages_test_passes(directory: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_game.py"],
        cwd=directory,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr


async def test_the_pages_configuration_serves_it(directory: Path) -> None:
    config = block("configuration").replace("8080", "0")
    async with (
        GatewayCommand(config, directory) as gateway,
        Client(gateway.base, ticket="dev:ann") as ann,
        Client(gateway.base, ticket="dev:bob") as bob,
    ):
        await ann.join("match:1")
        await bob.join("match:1")
        await ann.send("game", "move", {"cell": 4})
        assert (await bob.receive())["data"] == {"cell": 4, "by": "user:ann"}
        await bob.send("game", "move", {"cell": 4})
        await bob.expect_error("NOT_ALLOWED")
        await ann.ws.send_bytes(b"\x03\x01\x00abc")
        await ann.ws.send_bytes(b"\x03\x01\x00ab")
        assert await bob.receive_hot() == b"\x03\x01\x00ab"

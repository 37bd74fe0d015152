"""`wsprism top` against the internal API of a real gateway: once, live in a terminal, and while the API goes away."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.client import Client
from tests.conftest import StartGateway
from tests.terminal import Terminal
from wsprism.cli import main

TOP = (sys.executable, "-m", "wsprism", "top")
KEYS = [
    {"name": "operator", "key": "k-all", "tenants": "all"},
    {"name": "acme", "key": "k-acme", "tenants": ["acme"]},
]


def internal(directory: Path) -> dict[str, object]:
    return {"internal": {"listen": f"unix:{directory}/api", "api_keys": KEYS}}


async def test_it_shows_tenants_and_rooms_with_the_configurations_key(
    start_gateway: StartGateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway = await start_gateway(gateway=internal(tmp_path), tenants=[{"id": "beta"}])
    config = str(tmp_path / "wsprism-0.yaml")
    async with Client(gateway.base) as client:
        await client.join("match:1")
        assert await asyncio.to_thread(main, ["top", "--config", config]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith("wsPrism ")
        assert [line.split()[:3] for line in lines[2:]] == [["acme", "1", "1"], ["beta", "0", "0"], ["total", "1", "1"]]
        assert await asyncio.to_thread(main, ["top", "--config", config, "--tenant", "acme"]) == 0
        assert "match:1         1         1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("key", "tenant", "code", "told"),
    [
        ("k-acme", None, 0, "scoped to tenants"),
        ("wrong", None, 1, "the API key is missing or wrong"),
        ("k-acme", "beta", 1, "/v1/tenants/beta/rooms"),
    ],
)
async def test_keys_and_their_scope(
    start_gateway: StartGateway, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    key: str, tenant: str | None, code: int, told: str,
) -> None:  # fmt: skip
    await start_gateway(gateway=internal(tmp_path), tenants=[{"id": "beta"}])
    arguments = ["top", "--url", f"unix:{tmp_path}/api", "--api-key", key, *(["--tenant", tenant] if tenant else [])]
    assert await asyncio.to_thread(main, arguments) == code
    assert told in "".join(capsys.readouterr())


async def test_a_key_of_the_configuration_in_the_environment_hides_no_better_one(
    start_gateway: StartGateway, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await start_gateway(gateway=internal(tmp_path))
    monkeypatch.setenv("WSPRISM_API_KEY", "k-acme")
    assert await asyncio.to_thread(main, ["top", "--config", str(tmp_path / "wsprism-0.yaml")]) == 0
    assert "0 connections" in capsys.readouterr().out
    assert await asyncio.to_thread(main, ["top", "--url", f"unix:{tmp_path}/api"]) == 0
    assert "scoped to tenants" in capsys.readouterr().out


async def test_live_it_follows_the_gateway_sorts_and_ends_with_q(start_gateway: StartGateway, tmp_path: Path) -> None:
    gateway = await start_gateway(gateway=internal(tmp_path), tenants=[{"id": "beta"}])
    command = [*TOP, "--config", str(tmp_path / "wsprism-0.yaml"), "--interval-ms", "50"]
    async with Terminal(command) as terminal:
        await terminal.expect("0 connections")
        await terminal.expect("sorted by sessions")
        async with Client(gateway.base):
            await terminal.expect("1 connections")
            terminal.type("t")
            await terminal.expect("sorted by tenant")
        await gateway.process.stop()
        await terminal.expect("cannot be reached")
        terminal.type("q")
        assert await terminal.wait() == 0
        assert "\x1b[?1049l" in terminal.raw
        assert "Traceback" not in terminal.text


async def test_more_tenants_than_lines_leave_the_total_and_the_keys_on_the_screen(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    await start_gateway(gateway=internal(tmp_path), tenants=[{"id": f"t{number:02}"} for number in range(40)])
    command = [*TOP, "--config", str(tmp_path / "wsprism-0.yaml"), "--sort", "tenant"]
    async with Terminal(command, rows=12) as terminal:
        await terminal.expect("acme")
        await terminal.expect("t04")
        await terminal.expect("total")
        await terminal.expect("sorted by tenant")
        assert "t05" not in terminal.text
        terminal.type("q")
        assert await terminal.wait() == 0


async def test_ctrl_c_ends_it_quietly(start_gateway: StartGateway, tmp_path: Path) -> None:
    await start_gateway(gateway=internal(tmp_path))
    async with Terminal([*TOP, "--config", str(tmp_path / "wsprism-0.yaml")]) as terminal:
        await terminal.expect("acme")
        terminal.type("\x03")
        assert await terminal.wait() == 0
        assert "Traceback" not in terminal.text

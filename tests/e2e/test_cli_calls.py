"""The commands that call the internal API, against a real gateway."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from tests.client import Client
from tests.conftest import StartGateway
from tests.process import GatewayCommand
from wsprism.cli import main

OPERATOR = {"name": "operator", "key": "k-all", "tenants": "all"}
BETA: dict[str, object] = {"name": "beta", "key": "k-beta", "tenants": ["beta"]}


def internal(directory: Path, *keys: dict[str, object]) -> dict[str, object]:
    return {"internal": {"listen": f"unix:{directory}/api", "api_keys": [OPERATOR, *keys]}}


async def run(*arguments: str) -> int:
    return await asyncio.to_thread(main, [*arguments])


async def test_messages_reach_a_room_and_a_user(
    start_gateway: StartGateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway = await start_gateway(gateway=internal(tmp_path))
    config = str(tmp_path / "wsprism-0.yaml")
    async with Client(gateway.base, ticket="dev:ann") as ann:
        await ann.join("hall/1")
        assert (
            await run("publish", "hall/1", "--config", config, "--svc", "game", "--type", "goal", "--data", "[1]") == 0
        )
        assert capsys.readouterr().out == "published into hall/1: 1 member\n"
        message = await ann.receive()
        assert message == {"v": 1, "svc": "game", "type": "goal", "room": "hall/1", "data": [1]}
        assert await run("publish", "hall/1", "--config", config, "--hot", "010100ff") == 0
        assert await ann.receive_hot() == b"\x01\x01\x00\xff"
        assert await run("send", "user:ann", "--config", config, "--svc", "a", "--type", "b") == 0
        assert (await ann.receive())["svc"] == "a"
        capsys.readouterr()
        assert await run("publish", "hall/1", "--config", config, "--svc", "sys", "--type", "kicked") == 1
        assert "/svc: must not be sys" in capsys.readouterr().err


async def test_lists_show_who_is_there_and_both_ways_to_end_it_work(
    start_gateway: StartGateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway = await start_gateway(gateway=internal(tmp_path))
    config = str(tmp_path / "wsprism-0.yaml")
    async with (
        Client(gateway.base, ticket="dev:ann", sid="phone") as ann,
        Client(gateway.base, ticket="dev:bob") as bob,
    ):
        await ann.join("match:1")
        assert await run("rooms", "--config", config) == 0
        assert capsys.readouterr().out.splitlines()[1].split() == ["match:1", "1", "1"]
        assert await run("sessions", "--config", config, "--user", "user:ann") == 0
        [_, row] = capsys.readouterr().out.splitlines()
        assert row.split()[:2] == ["user:ann", "phone"]
        assert row.endswith("match:1")
        assert await run("sessions", "--config", config, "--json") == 0
        told = json.loads(capsys.readouterr().out)
        assert ([one["user"] for one in told["items"]], told["next_cursor"]) == (["user:ann", "user:bob"], None)
        assert await run("disconnect", "--config", config, "--sid", "phone", "--reason", "bye") == 0
        assert capsys.readouterr().out == "closed 1 session\n"
        assert (await ann.receive())["data"]["reason"] == "bye"
        assert await run("revoke", "--config", config, "--user", "user:bob") == 0
        assert capsys.readouterr().out.endswith("closed 1 session\n")
        assert (await bob.expect_close())[0] == 4502


async def test_keys_tenants_and_listeners_that_are_wrong_are_told(
    start_gateway: StartGateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway = await start_gateway(gateway=internal(tmp_path, BETA), tenants=[{"id": "beta"}])
    url = f"unix:{tmp_path}/api"
    for arguments, code, told in (
        (["rooms", "--url", url, "--tenant", "acme", "--api-key", "wrong"], 1, "the API key is missing or wrong"),
        (["rooms", "--url", url, "--tenant", "acme", "--api-key", "k-beta"], 1, "there is no tenant 'acme'"),
        (["rooms", "--url", url, "--tenant", "gone", "--api-key", "k-all"], 1, "there is no tenant 'gone'"),
        (["rooms", "--url", gateway.base, "--tenant", "acme", "--api-key", "k-all"], 1, "not the internal listener"),
        (["reload", "--url", url, "--api-key", "k-beta"], 1, "scoped to tenants"),
        (["rooms", "--config", str(tmp_path / "wsprism-0.yaml")], 2, "name one with --tenant: acme, beta"),
        (["rooms", "--config", str(tmp_path / "wsprism-0.yaml"), "--tenant", "beta"], 0, ""),
    ):
        assert await run(*arguments) == code, arguments
        assert told in capsys.readouterr().err


async def test_reload_tells_what_came_of_it_and_drain_ends_the_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listening = f"{{listen: 'unix:{tmp_path}/api', api_keys: [{{name: o, key: k-all}}]}}"
    gateway_part = f"gateway: {{listen: '127.0.0.1:0', internal: {listening}}}"
    text = f"version: 1\n{gateway_part}\ntenants: [{{id: acme, auth: {{kind: dev}}}}]\n"
    url = ["--url", f"unix:{tmp_path}/api", "--api-key", "k-all"]
    async with GatewayCommand(text, tmp_path) as gateway:
        assert await run("reload", *url) == 0
        assert capsys.readouterr().out == "configuration unchanged\n"
        path = tmp_path / "wsprism.yaml"
        path.write_text(text.replace("kind: dev", "kind: dev, nonsense: 1"))
        assert await run("reload", *url) == 1
        err = capsys.readouterr().err
        assert "the configuration was refused; the one in force stays\n  line 3: " in err
        path.write_text(text.replace("kind: dev}", "kind: dev}, limits: {max_rooms_total: 7}"))
        assert await run("reload", *url) == 0
        out = capsys.readouterr().out
        assert out.startswith("configuration applied\n")
        assert "max_rooms_total" in out
        assert await run("drain", *url) == 0
        assert capsys.readouterr().out == "draining\n"
        assert await gateway.wait(60) == 0


async def test_output_that_nobody_reads_is_no_traceback(start_gateway: StartGateway, tmp_path: Path) -> None:
    await start_gateway(gateway=internal(tmp_path))
    command = f"{sys.executable} -m wsprism rooms --config {tmp_path}/wsprism-0.yaml | true"
    process = await asyncio.create_subprocess_shell(command, stderr=asyncio.subprocess.PIPE)
    _, errors = await process.communicate()
    assert errors == b""

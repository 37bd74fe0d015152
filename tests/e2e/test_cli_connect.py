"""`wsprism connect` against a real gateway: by a script through pipes, and by hand in a terminal."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import make_certificate
from tests.client import Client, until
from tests.components import free_port
from tests.conftest import StartGateway
from tests.terminal import Terminal

CONNECT = (sys.executable, "-m", "wsprism", "connect")


async def script(lines: str, *arguments: str) -> tuple[int | None, list[dict[str, Any]], str]:
    """The exit code, the records printed, and what was complained about.

    Whatever the machine does, answers come within what it waits for them unless ``arguments`` say otherwise.
    """
    command = (*CONNECT, "--wait-ms", "2000", *arguments)
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    async with asyncio.timeout(60):
        out, errors = await process.communicate(lines.encode())
    return process.returncode, [json.loads(line) for line in out.splitlines()], errors.decode()


def names(records: list[dict[str, Any]]) -> list[str]:
    return [record["message"]["type"] for record in records if record.get("lane") == "ext"]


@pytest.mark.parametrize("codec", [[], ["--msgpack"]])
async def test_a_script_speaks_both_lanes_and_gets_json_lines(start_gateway: StartGateway, codec: list[str]) -> None:
    gateway = await start_gateway()
    lines = '/join match:1\nHello World\n/hot 1 2 deadbeef seq=7\n/ping {"n": 1}\n'
    code, records, errors = await script(lines, gateway.base, "--tenant", "acme", "--ticket", "dev:ann", *codec)
    assert (code, errors) == (0, "")
    assert names(records)[:2] == ["authed", "joined"]
    assert sorted(names(records)[2:]) == ["msg", "pong"]
    [hot] = [record for record in records if record.get("lane") == "hot"]
    assert hot == {
        "lane": "hot", "service": 1, "opcode": 2, "flags": 1, "seq": 7, "sender": None, "payload": "deadbeef",
    }  # fmt: skip
    assert records[-1]["closed"] == 1000


async def test_the_configuration_is_enough(start_gateway: StartGateway, tmp_path: Path) -> None:
    await start_gateway(
        gateway={"listen": f"unix:{tmp_path}/s"},
        acme={"policy": {"hot_framing": "versioned", "hot_requires_active_room": False}},
    )
    code, records, _ = await script("/hot 1 2 aa\n", "--config", str(tmp_path / "wsprism-0.yaml"), "--user", "user:eve")
    assert code == 0
    assert records[0]["message"]["data"]["user"] == "user:eve"
    assert records[1]["payload"] == "aa"


async def test_a_refusal_is_shown_with_its_code(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    code, records, _ = await script("", gateway.base, "--tenant", "acme", "--ticket", "wrong")
    assert code == 1
    assert [(record["refused"], record["code"]) for record in records] == [(401, "AUTH_FAILED")]


async def test_a_line_that_means_nothing_is_told_and_the_rest_is_done(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    code, records, errors = await script("/fly\n/ping", f"{gateway.base}/v1/ws?tenant=acme&ticket=dev")
    assert (code, names(records)) == (2, ["authed", "pong"])
    assert errors == "no such command: /fly (/help lists them)\n"


async def test_wait_holds_a_script_back_and_quit_ends_it(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    lines = "/join r\n/wait 1000\n/leave r\n/wait 1000\n/quit\n/never read\n"
    code, records, errors = await script(lines, gateway.base, "--tenant", "acme", "--ticket", "dev")
    assert (code, names(records), errors) == (0, ["authed", "joined", "left"], "")


async def test_behind_tls_with_a_one_time_ticket_of_the_internal_api(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    made = make_certificate(tmp_path)
    keys = [{"name": "operator", "key": "k", "tenants": "all"}]
    await start_gateway(
        gateway={
            "listen": f"127.0.0.1:{free_port()}",
            "tls": {"cert_file": str(made.cert), "key_file": str(made.key)},
            "internal": {"listen": f"unix:{tmp_path}/api", "api_keys": keys},
        },
        acme={"auth": [{"kind": "one_time"}]},
    )
    code, records, errors = await script("/join r\n", "--config", str(tmp_path / "wsprism-0.yaml"), "--user", "ann")
    assert (code, names(records), errors) == (0, ["authed", "joined"], "")
    assert records[0]["message"]["data"]["user"] == "ann"


async def test_a_script_ends_in_a_busy_room_too(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()

    async def talk(bob: Client) -> None:
        while True:
            await bob.send("chat", "send", {"msg": "busy"}, room="r")
            await asyncio.sleep(0.02)

    async with Client(gateway.base, ticket="dev:bob") as bob:
        await bob.join("r")
        talking = asyncio.create_task(talk(bob))
        arguments = [gateway.base, "--tenant", "acme", "--ticket", "dev", "--wait-ms", "200"]
        code, records, _ = await script("/join r\n", *arguments)
        talking.cancel()
    assert code == 0
    assert records[-1]["closed"] == 1000


async def test_who_reads_no_more_of_the_output_gets_no_traceback(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    command = " ".join([*CONNECT, gateway.base, "--tenant acme --ticket dev"])
    process = await asyncio.create_subprocess_shell(
        f"printf '/wait 300\\n/ping\\n/ping\\n' | {command} | true", stdout=PIPE, stderr=PIPE
    )
    async with asyncio.timeout(60):
        _, errors = await process.communicate()
    assert errors == b""


async def test_nobody_there_is_one_line(tmp_path: Path) -> None:
    code, records, errors = await script("", f"unix:{tmp_path}/none", "--tenant", "acme")
    assert (code, records) == (1, [])
    assert "cannot be reached" in errors
    assert "Traceback" not in errors


async def test_in_a_terminal_both_lanes_are_shown_and_ctrl_d_closes(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    command = [*CONNECT, gateway.base, "--tenant", "acme", "--ticket", "dev:ann"]
    async with Terminal(command) as terminal, Client(gateway.base, ticket="dev:bob") as bob:
        await bob.join("match:1")
        await terminal.expect("← sys.authed")
        terminal.type("/join match:1\n")
        await terminal.expect("→ room.join room=match:1 seq=1")
        await terminal.expect("← sys.joined room=match:1 seq=1")
        await bob.send("chat", "send", {"msg": "hi ann"})
        await terminal.expect('← chat.msg room=match:1 {"from":"user:bob","msg":"hi ann"}')
        await bob.ws.send_bytes(b"\x02\x01\x00\x41\xff")
        await terminal.expect("← hot 2:1 flags=0x04 sender=user:bob 2 bytes: 41 ff |A.|")
        terminal.type("/help\n/nonsense\n")
        await terminal.expect("/hot ID OPCODE")
        await terminal.expect("no such command: /nonsense")
        terminal.type("\x04")
        await terminal.expect("closed 1000")
        assert await terminal.wait() == 0
        assert "\x1b[32m" in terminal.raw
        await until(lambda: gateway.process.connections() == 1)


def screen(raw: str) -> list[str]:
    """The rows that a terminal shows of this, wide enough not to wrap."""
    rows: list[str] = []
    row: list[str] = []
    column = 0
    for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|[^\x1b]", raw):
        match part:
            case "\n":
                rows, row, column = [*rows, "".join(row)], [], 0
            case "\r":
                column = 0
            case "\b":
                column = max(0, column - 1)
            case "\x1b[K":
                row = row[:column]
            case _ if len(part) == 1:
                row[column : column + 1] = [part]
                column += 1
    return [*rows, "".join(row)]


async def test_what_arrives_stands_above_the_line_that_is_being_typed(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    command = [*CONNECT, gateway.base, "--tenant", "acme", "--ticket", "dev:ann"]
    async with Terminal(command, NO_COLOR="1") as terminal, Client(gateway.base, ticket="dev:bob") as bob:
        await terminal.expect(f"connecting to ws://{gateway.base.partition('://')[2]};")
        await bob.join("r")
        await terminal.expect("← sys.authed")
        terminal.type("/join r\n")
        await terminal.expect("← sys.joined")
        terminal.type("Hello Wrld")
        await terminal.expect("> Hello Wrld")
        terminal.type("\x1b[D\x1b[D\x1b[D")
        await bob.send("chat", "send", {"msg": "in between"}, room="r")
        await terminal.expect("in between")
        await terminal.expect("> Hello Wrld")
        assert screen(terminal.raw)[-2:] == ['← chat.msg room=r {"from":"user:bob","msg":"in between"}', "> Hello Wrld"]
        terminal.type("o\n")
        await terminal.expect('← chat.msg room=r {"from":"user:ann","msg":"Hello World"}')
        assert "> Hello World" in screen(terminal.raw)
        terminal.type("\x1b[A")
        await terminal.expect("> Hello World")
        terminal.type("\x15/nonsense\n\x04")
        await terminal.expect("no such command: /nonsense")
        await terminal.expect("closed 1000")
        assert await terminal.wait() == 0
        assert screen(terminal.raw)[-2:] == ["closed 1000: closed normally", ""]


async def test_ctrl_c_closes_cleanly_and_no_color_is_respected(start_gateway: StartGateway) -> None:
    gateway = await start_gateway()
    command = [*CONNECT, gateway.base, "--tenant", "acme", "--ticket", "dev"]
    async with Terminal(command, NO_COLOR="1") as terminal:
        await terminal.expect("← sys.authed")
        terminal.type("\x03")
        await terminal.expect("closed 1000")
        assert await terminal.wait() == 0
        assert "\x1b[3" not in terminal.raw


async def test_a_close_by_the_gateway_is_explained_and_fails(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(acme={"policy": {"sessions": {"mode": "single", "max_sessions_per_user": 1,
                                                                "on_exceed": "kick_oldest"}}})  # fmt: skip
    command = [*CONNECT, gateway.base, "--tenant", "acme", "--ticket", "dev"]
    async with Terminal(command) as terminal:
        await terminal.expect("← sys.authed")
        async with Client(gateway.base):
            await terminal.expect("← sys.kicked")
            await terminal.expect("closed 4500: kicked")
            await terminal.expect("do not reconnect before something changed")
            assert await terminal.wait() == 1

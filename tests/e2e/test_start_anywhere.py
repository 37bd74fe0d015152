"""The gateway starts, serves and ends whatever its standard descriptors are, and whenever it is signalled."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.client import until
from tests.components import free_port

CONFIG = """version: 1
gateway: {listen: "127.0.0.1:%d", drain_grace_ms: 0}
logging: {format: %s}
tenants: [{id: acme, auth: {kind: dev}}]
"""
START_TIMEOUT_S = 60.0


async def serve_through_the_shell(directory: Path, redirection: str, format: str = "json") -> tuple[int, bytes, bytes]:
    """Start with ``redirection``, see it serve, end it: exit code, standard output and error."""
    port = free_port()
    config = directory / "wsprism.yaml"
    config.write_text(CONFIG % (port, format))
    process = await asyncio.create_subprocess_shell(
        f"exec {sys.executable} -m wsprism start --config {config} {redirection}",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONWARNINGS": "error"},
    )
    said = asyncio.create_task(process.communicate())
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            await wait_until_ready(process, port)
            process.send_signal(signal.SIGTERM)
            out, err = await said
    finally:
        if process.returncode is None:
            process.kill()
            await said
    assert process.returncode is not None
    return process.returncode, out, err


async def wait_until_ready(process: asyncio.subprocess.Process, port: int) -> None:
    async with aiohttp.ClientSession() as session:
        while True:
            assert process.returncode is None, "it has ended"
            try:
                async with session.get(f"http://127.0.0.1:{port}/healthz") as response:
                    assert response.status == 200
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.02)


CLOSED = ["<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-"]
FULL = [">/dev/full", "2>/dev/full", ">/dev/full 2>&1", "</dev/full >/dev/full 2>/dev/full"]


@pytest.mark.parametrize("format", ["json", "console"])
@pytest.mark.parametrize("redirection", [*CLOSED, *FULL])
async def test_it_serves_and_ends_well_with_closed_and_full_descriptors(
    tmp_path: Path, redirection: str, format: str
) -> None:
    code, out, err = await serve_through_the_shell(tmp_path, redirection, format)
    assert code == 0, err
    assert b"Traceback" not in out + err
    assert b"Exception ignored" not in out + err


@pytest.mark.parametrize("redirection", ["| true", "2>&1 >/dev/null | true", "2>&1 | true"])
async def test_a_reader_that_has_gone_ends_nothing(tmp_path: Path, redirection: str) -> None:
    port = free_port()
    config = tmp_path / "wsprism.yaml"
    config.write_text(CONFIG % (port, "json"))
    start = f"{sys.executable} -m wsprism start --config {config}"
    script = f"{{ {start} & echo $! >{tmp_path}/pid; wait $!; echo $? >{tmp_path}/code; }} {redirection}"
    process = await asyncio.create_subprocess_shell(script)
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            await wait_until_ready(process, port)
            os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
            await process.wait()  # of the shell, which waits for both ends of the pipe
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (tmp_path / "code").read_text() == "0\n"


async def test_a_log_in_json_has_no_other_lines_in_its_file(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert (await serve_through_the_shell(tmp_path, f">{log} 2>&1"))[0] == 0
    said = [json.loads(line)["message"] for line in log.read_text().splitlines()]
    assert said[0].startswith("🚀 wsPrism Gateway active at ")
    code, out, _ = await serve_through_the_shell(tmp_path, "")
    assert code == 0
    assert 'Loaded configuration for tenant: "acme"' in out.decode().splitlines()


async def test_a_start_that_fails_says_so_in_json_too(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = tmp_path / "wsprism.yaml"
        config.write_text(CONFIG % (taken.getsockname()[1], "json"))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "wsprism", "start", "--config", str(config)), stderr=asyncio.subprocess.PIPE
        )
        _, err = await process.communicate()
    assert process.returncode == 1
    told = [json.loads(line) for line in err.splitlines()]
    [failure] = [line for line in told if line["level"] == "error"]
    assert failure["message"].startswith("cannot start: cannot listen on 127.0.0.1:")
    assert failure["message"].endswith(": Address already in use")


def catches_hangups(pid: int) -> bool:
    """Whether a process has said what it does on SIGHUP."""
    status = Path(f"/proc/{pid}/status").read_text()
    masks = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith(("SigIgn:", "SigCgt:"))]
    return any(mask >> (signal.SIGHUP - 1) & 1 for mask in masks)


@pytest.mark.parametrize("wait_s", [0.0, 0.05, 0.1, 0.15, 0.25, 0.4, 0.6])
async def test_a_hangup_while_it_starts_kills_nobody(tmp_path: Path, wait_s: float) -> None:
    port = free_port()
    config = tmp_path / "wsprism.yaml"
    config.write_text(CONFIG % (port, "json"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "wsprism", "start", "--config", str(config)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await until(lambda: catches_hangups(process.pid))  # its first lines have run
        await asyncio.sleep(wait_s)
        process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(START_TIMEOUT_S):
            await wait_until_ready(process, port)
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

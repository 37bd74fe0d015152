"""config/production.yaml as the systemd unit runs it: its manager is told, its watchdog fed, clients are let in."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.client import Client
from tests.components import free_port

CONFIG = Path(__file__).parents[2] / "config"
UNIT = (CONFIG / "systemd" / "wsprism.service").read_text()
KEYS = {"WSPRISM_API_KEY": "of-the-backend", "WSPRISM_OPERATOR_KEY": "of-the-operator"}
WATCHDOG_US = 200_000


class Service:
    """The unit's main process and what it tells its manager."""

    def __init__(self, directory: Path) -> None:
        self.public, self.internal = free_port(), free_port()
        self.told: asyncio.Queue[str] = asyncio.Queue()
        self._config = directory / "wsprism.yaml"
        shutil.copy(CONFIG / "production.yaml", self._config)
        self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._manager.bind(str(directory / "notify"))
        self._manager.setblocking(False)
        self._environment = KEYS | {
            "WSPRISM_LISTEN": f"127.0.0.1:{self.public}",
            "WSPRISM_INTERNAL_LISTEN": f"127.0.0.1:{self.internal}",
            "NOTIFY_SOCKET": str(directory / "notify"),
            "WATCHDOG_USEC": str(WATCHDOG_US),
        }
        self.process: asyncio.subprocess.Process

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._manager, lambda: self.told.put_nowait(self._manager.recv(4096).decode()))
        command = _command("ExecStart", self._config)
        environment = os.environ | self._environment
        self.process = await asyncio.create_subprocess_exec(
            *command, env=environment, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )

    async def until_told(self, line: str) -> None:
        """Wait for a notification with ``line``; those before it are passed over."""
        async with asyncio.timeout(60):
            while line not in (await self.told.get()).splitlines():
                pass

    async def stop(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        asyncio.get_running_loop().remove_reader(self._manager)
        self._manager.close()


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    service = Service(tmp_path)
    await service.start()
    yield service
    await service.stop()


async def test_a_backend_mints_a_ticket_and_its_client_talks(service: Service) -> None:
    await service.until_told("READY=1")
    api = f"http://127.0.0.1:{service.internal}"
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEYS['WSPRISM_API_KEY']}"}) as backend:
        wanted = {"user": "user:ann", "ttl_s": 30}
        async with backend.post(f"{api}/v1/tenants/acme/tickets", json=wanted) as response:
            assert response.status == 201
            ticket = (await response.json())["ticket"]
        async with backend.get(f"http://127.0.0.1:{service.public}/metrics") as response:
            assert response.status == 404
        async with backend.get(f"{api}/v1/info") as response:
            assert response.status == 403
    async with Client(f"http://127.0.0.1:{service.public}", ticket=ticket) as ann:
        assert ann.authed["data"]["user"] == "user:ann"
        await ann.join("match:1")
        await ann.send("chat", "send", {"msg": "hello"})
        assert (await ann.receive())["data"]["msg"] == "hello"


async def test_the_manager_is_told_of_start_life_reload_and_end(service: Service) -> None:
    await service.until_told("READY=1")
    await service.until_told("WATCHDOG=1")
    assert re.search(r"^Type=notify$.*^ExecReload=/bin/kill -HUP \$MAINPID$", UNIT, re.MULTILINE | re.DOTALL)
    service.process.send_signal(signal.SIGHUP)
    await service.until_told("RELOADING=1")
    await service.until_told("READY=1")
    service.process.send_signal(signal.SIGTERM)
    await service.until_told("STOPPING=1")
    async with asyncio.timeout(60):
        assert await service.process.wait() == 0


async def test_what_the_unit_checks_first_is_right(tmp_path: Path) -> None:
    config = tmp_path / "wsprism.yaml"
    shutil.copy(CONFIG / "production.yaml", config)
    for keys, code in ((KEYS, 0), ({}, 2)):
        process = await asyncio.create_subprocess_exec(
            *_command("ExecStartPre", config),
            env=os.environ | keys,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert await process.wait() == code
    assert re.search(r"^RestartPreventExitStatus=2$", UNIT, re.MULTILINE)


def _command(key: str, config: Path) -> list[str]:
    found = re.search(rf"^{key}=/opt/wsprism/bin/wsprism (.*)$", UNIT, re.MULTILINE)
    assert found
    return [sys.executable, "-m", "wsprism", *found[1].replace("/etc/wsprism/wsprism.yaml", str(config)).split()]

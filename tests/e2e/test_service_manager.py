"""What systemd hears from a gateway process, over a socket as its own."""

from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path

import pytest

from tests.client import until
from tests.process import GatewayCommand

CONFIG = """
version: 1
gateway: {listen: "127.0.0.1:0", drain_grace_ms: 100}
tenants: [{id: acme, auth: {kind: dev}}]
"""


class Manager:
    """Binds ``NOTIFY_SOCKET`` and reads what comes."""

    def __init__(self, directory: Path) -> None:
        self.path = str(directory / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(self.path)

    async def next(self, timeout_s: float = 60.0) -> str:
        """The first assignment of the next datagram."""
        async with asyncio.timeout(timeout_s):
            datagram = await asyncio.get_running_loop().sock_recv(self._socket, 4096)
        return datagram.decode().split("\n")[0]

    async def skip_to(self, assignment: str) -> None:
        while await self.next() != assignment:
            pass

    def forget(self) -> None:
        """Throw away what has come."""
        try:
            while self._socket.recv(4096):
                pass
        except BlockingIOError:
            return

    def close(self) -> None:
        self._socket.close()


async def test_ready_reload_drain_and_a_watchdog_that_a_hung_process_does_not_feed(tmp_path: Path) -> None:
    manager = Manager(tmp_path)
    environment = {"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "200000"}
    try:
        async with GatewayCommand(CONFIG, tmp_path, environment=environment) as gateway:
            assert await manager.next() == "READY=1"
            assert await manager.next() == "WATCHDOG=1"
            gateway.signal(signal.SIGHUP)
            await manager.skip_to("RELOADING=1")
            await manager.skip_to("READY=1")
            gateway.signal(signal.SIGSTOP)
            await until(lambda: Path(f"/proc/{gateway.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
            manager.forget()
            with pytest.raises(TimeoutError):
                await manager.next(0.5)
            gateway.signal(signal.SIGCONT)
            await manager.skip_to("WATCHDOG=1")
            gateway.signal(signal.SIGTERM)
            await manager.skip_to("STOPPING=1")
            assert await gateway.wait(30) == 0
    finally:
        manager.close()

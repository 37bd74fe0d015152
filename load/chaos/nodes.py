"""One gateway as a process of its own, as an operator runs it: what is done to it, and what it says of itself."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import aiohttp

from load.peers.base import API_KEY, HOST
from load.processes import ServerFailedError
from load.prometheus import total_by_name

__all__ = ["Node"]

_READY_WITHIN_S: Final = 120.0
_CALL_WITHIN_S: Final = 3.0

_CONFIGURATION: Final = """\
version: 1
gateway:
  listen: {host}:{port}
  workers: {workers}
  drain_grace_ms: 1000
  internal: {{listen: "{host}:{internal_port}", api_keys: [{{name: chaos, key: {key}, tenants: all}}]}}
  broker: {{url: "{url}"}}
  node: {{name: "{name}", lease_ms: {lease_ms}, on_isolation: {on_isolation}}}
tenants:
  - id: acme
    auth: {{kind: dev}}
    limits: {{max_frame_bytes: 65536, max_sessions_total: 0, max_rooms_total: 0, max_users_per_room: 0}}
    policy:
      ext_allowlist: ["room:*", "chat:*"]
      hot_allowlist: ["1:*"]
      hot_room_numbers: true
      rate_limit_rps: 1000000
      rate_limit_burst: 1000000
    services: {{ext: {{chat: chat}}, hot: {{1: relay}}}}
    rooms:
      - match: "kept:*"
        history: {{max_messages: 50000, max_bytes: 67108864, recover_max_messages: 50000}}
        presence: {{enabled: true}}
      - {{match: "here:*", scope: node}}
  - {{id: calm, auth: {{kind: dev}}}}
  - id: tight
    auth: {{kind: dev}}
    limits: {{max_sessions_total: {sessions}, max_users_per_room: {users}}}
    policy:
      ext_allowlist: ["room:*"]
      rate_limit_rps: 1000000
      rate_limit_burst: 1000000
      sessions: {{max_sessions_per_user: 2, on_exceed: kick_oldest}}
"""


class Node:
    """``start`` and ``kill`` as often as one likes. ``alive``: it runs, so far as we have not killed it."""

    def __init__(
        self,
        directory: Path,
        name: str,
        ports: tuple[int, int],
        url: str,
        *,
        lease_ms: int,
        sessions: int,
        users: int,
        workers: int = 1,
        on_isolation: str = "close",
    ) -> None:
        self.name = name
        self.alive = False
        self._workers = workers
        self._port, self._internal_port = ports
        self._path = directory / f"{ports[0]}.yaml"
        self._log = directory / f"{ports[0]}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._path.write_text(
            _CONFIGURATION.format(
                host=HOST,
                port=self._port,
                internal_port=self._internal_port,
                key=API_KEY,
                url=url,
                name=name,
                lease_ms=lease_ms,
                sessions=sessions,
                users=users,
                workers=workers,
                on_isolation=on_isolation,
            )
        )

    @property
    def base(self) -> str:
        return f"http://{HOST}:{self._port}"

    @property
    def port(self) -> int:
        return self._port

    def start(self) -> None:
        """Run it; it is not ready yet."""
        command = [sys.executable, "-m", "wsprism", "--config", str(self._path)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=os.environ)
        self.alive = True

    async def ready(self, session: aiohttp.ClientSession) -> None:
        """Wait until it serves. Raises ServerFailedError."""
        try:
            async with asyncio.timeout(_READY_WITHIN_S):
                while not await self.serves(session):
                    if self._process is None or self._process.poll() is not None:
                        raise TimeoutError
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise ServerFailedError(self.name, self.log()[-2000:]) from None

    async def serves(self, session: aiohttp.ClientSession) -> bool:
        """Whether it is ready, with all its workers."""
        if await self._status(session) != 200:
            return False
        return self._workers == 1 or (await self.metrics(session)).get("wsprism_worker_up") == self._workers

    async def _status(self, session: aiohttp.ClientSession) -> int:
        try:
            async with session.get(f"http://{HOST}:{self._internal_port}/readyz") as answer:
                return answer.status
        except aiohttp.ClientError:
            return 0

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """As ``kill -9`` does."""
        assert self._process is not None
        self.alive = False
        self._process.kill()
        self._process.wait()

    def close(self) -> str | None:
        """End it as an operator does, whatever state it is in; what was wrong with how it ended."""
        if self._process is None or not self.alive:
            return None
        self.alive = False
        if self._process.poll() is not None:
            return f"node {self.name} has ended by itself with {self._process.returncode}: {self.log()[-1000:]}"
        self.signal(signal.SIGCONT)
        self._process.terminate()
        try:
            code = self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return f"node {self.name} did not end"
        return None if code == 0 else f"node {self.name} has ended with {code}"

    async def call(self, session: aiohttp.ClientSession, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """One call of its API: status and answer; 0 where there was none."""
        url, headers = f"http://{HOST}:{self._internal_port}/v1{path}", {"Authorization": f"Bearer {API_KEY}"}
        try:
            async with asyncio.timeout(_CALL_WITHIN_S), session.request(method, url, headers=headers, json=body) as one:
                return one.status, await one.json(content_type=None)
        except (OSError, aiohttp.ClientError, TimeoutError):
            return 0, None

    async def metrics(self, session: aiohttp.ClientSession) -> dict[str, float]:
        """All of ``/metrics``, summed over labels."""
        async with session.get(f"http://{HOST}:{self._internal_port}/metrics") as answer:
            return total_by_name(await answer.text())

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def errors(self) -> list[str]:
        """Lines of its log that say that something of it has failed."""
        return [line for line in self.log().splitlines() if '"level":"error"' in line or "Traceback" in line]

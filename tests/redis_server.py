"""A real redis-server (or valkey-server) for tests: of their own, on a Unix socket and a port of the loopback."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from load import redis_server
from tests.components import free_port, program

__all__ = ["ENGINES", "RedisServer", "running_redis"]

ENGINES = ["redis-server", *(["valkey-server"] if shutil.which("valkey-server") else [])]
"""Redis must be there where CI requires all; Valkey is tested where it is."""


class RedisServer(redis_server.RedisServer):
    """One that is installed; the test is skipped where it is not."""

    def __init__(self, *options: str, engine: str = "redis-server", sentinel: Path | None = None) -> None:
        super().__init__(program(engine), free_port(), *options, sentinel=sentinel)


@contextlib.contextmanager
def running_redis(*options: str, engine: str = "redis-server", sentinel: Path | None = None) -> Iterator[RedisServer]:
    """A started server until the block ends."""
    server = RedisServer(*options, engine=engine, sentinel=sentinel)
    try:
        server.start()
        yield server
    finally:
        server.close()

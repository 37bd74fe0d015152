"""An OTLP/HTTP collector that reads and forgets, so that a measured gateway can export its traces: ``load.sink PORT``.

It answers every request 200 with an empty body (a valid, empty ``ExportTraceServiceResponse``).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys

__all__ = ["main", "serve_sink"]

_HOST = "127.0.0.1"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            await reader.readexactly(int(length[1]) if length else 0)
            writer.write(_OK)
            await writer.drain()
    writer.close()


async def serve_sink(port: int) -> asyncio.Server:
    """Begin to serve on the loopback."""
    return await asyncio.start_server(_serve, _HOST, port)


async def _run(port: int) -> None:
    await (await serve_sink(port)).serve_forever()


def main() -> None:
    """Serve on the loopback port named in the first argument, until a signal ends the process."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(int(sys.argv[1])))


if __name__ == "__main__":
    main()

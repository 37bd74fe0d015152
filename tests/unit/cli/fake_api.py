"""An internal API that answers what a test wants, for the client's half of the conversation."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["FakeApi", "serve_api"]


class FakeApi:
    """``answers`` by method and path with query; all else is 404. ``requests``: what was asked, key, body."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: dict[str, tuple[int, Any]] = {}
        self.requests: list[tuple[str, str | None, Any]] = []


@contextmanager
def serve_api() -> Iterator[FakeApi]:
    """On a free port of the loopback."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = f"{self.command} {self.path}"
            api.requests.append((asked, self.headers["Authorization"], json.loads(body) if body else None))
            status, told = api.answers.get(asked, (404, {"detail": "no such path"}))
            content = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _answer

        def log_message(self, *_: object) -> None:
            """Silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        api = FakeApi(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()

"""A tiny backend for development: what a gateway asks and tells, one line each, and an answer to all of it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import time
from typing import Any

from aiohttp import web

from wsprism.cli import exits
from wsprism.cli.exits import UsageError
from wsprism.errors import OperatorError
from wsprism.protocol.standard_webhooks import parse_secret, verify

__all__ = ["listen"]


def listen(arguments: argparse.Namespace) -> int:
    """Until Ctrl-C, or as many calls as were asked for. Raises OperatorError when the address cannot be had."""
    text = arguments.secret or os.environ.get("WSPRISM_BACKEND_SECRET") or ""
    key = parse_secret(text)
    if key is None:
        raise UsageError("name the backend's secret: --secret whsec_… or $WSPRISM_BACKEND_SECRET")
    try:
        answer = json.loads(arguments.answer)
    except ValueError as error:
        raise UsageError(f"--answer is no JSON: {error}") from error
    host, _, port = arguments.listen.rpartition(":")
    if not host or not port.isdigit():
        raise UsageError(f"--listen is HOST:PORT, not {arguments.listen!r}")
    asyncio.run(_serve(key, answer, host.strip("[]"), int(port), arguments.count))
    return exits.OK


async def _serve(key: bytes, answer: Any, host: str, port: int, count: int | None) -> None:
    done = asyncio.Event()
    left = count

    async def handle(request: web.Request) -> web.Response:
        nonlocal left
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        wrong = verify([key], headers, body, time.time())
        if wrong is not None:
            print(f"refused: {wrong}", flush=True)
            return web.json_response({"error": wrong}, status=401)
        try:
            question = json.loads(body)
        except ValueError:
            return web.json_response({"error": "no JSON"}, status=400)
        print(json.dumps(question, ensure_ascii=False), flush=True)
        if left is not None:
            left -= 1
            if left <= 0:
                asyncio.get_running_loop().call_later(0.1, done.set)
        return _answer(question, answer)

    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise OperatorError(f"cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}") from error
    bound = runner.addresses[0][1]
    print(f"listening on http://{host}:{bound}/", flush=True)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, done.set)
    await done.wait()
    await runner.cleanup()


def _answer(question: dict[str, Any], answer: Any) -> web.Response:
    match question.get("kind"):
        case "message":
            return web.json_response(answer)
        case "messages":
            return web.json_response({"answers": [answer for _ in question.get("messages", ())]})
        case "events":
            return web.Response(status=204)
        case _:
            return web.json_response({"allow": True})

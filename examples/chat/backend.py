"""The chat's backend: decides who comes in, moderates what is said, stores it all in SQLite, serves the page."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

ROOM = "lobby"
BAD_WORDS = re.compile(r"\b(darn|heck)\b", re.IGNORECASE)
BANNED_AT = 3

SECRET = base64.b64decode(os.environ["CHAT_SECRET"].removeprefix("whsec_"))
PORT = int(os.environ.get("CHAT_PORT", "9000"))
PAGE = (Path(__file__).parent / "index.html").read_text()
PAGE = PAGE.replace("GATEWAY_PORT", os.environ.get("CHAT_GATEWAY_PORT", "8080"))
SDK = Path(__file__).parents[2] / "wsprism" / "transport" / "ui" / "static" / "sdk"

database = sqlite3.connect(os.environ.get("CHAT_DATABASE", Path(__file__).parent / "chat.sqlite"), isolation_level=None)
database.executescript(
    """
    CREATE TABLE IF NOT EXISTS said (id TEXT PRIMARY KEY, user TEXT, svc TEXT, text TEXT, time TEXT);
    CREATE TABLE IF NOT EXISTS bad_words (id TEXT PRIMARY KEY, user TEXT);
    """
)


def store(ident: str, user: str, svc: str, text: str, time: str) -> None:
    """Once, however often it is told: questions and news have ids that stay the same when they are repeated."""
    database.execute("INSERT OR IGNORE INTO said VALUES (?, ?, ?, ?, ?)", (ident, user, svc, text, time))


def bad_words_of(user: str) -> int:
    return int(database.execute("SELECT count(*) FROM bad_words WHERE user = ?", (user,)).fetchone()[0])


# What the gateway asks and tells


def connect(question: dict[str, Any]) -> dict[str, Any]:
    if bad_words_of(question["session"]["user"]) >= BANNED_AT:
        return {"allow": False, "msg": "you are banned"}
    return {"allow": True, "rooms": [ROOM]}


def message(question: dict[str, Any]) -> dict[str, Any]:
    """``chat.say``: stored and published, or refused; whoever goes on is put out, and does not come in again."""
    user, text = question["session"]["user"], question["message"].get("data")
    if not isinstance(text, str) or not 0 < len(text) <= 500:
        return {"effects": [{"refuse": {"code": "BAD_REQUEST", "msg": "say 1-500 characters"}}]}
    if BAD_WORDS.search(text):
        database.execute("INSERT OR IGNORE INTO bad_words VALUES (?, ?)", (question["id"], user))
        if bad_words_of(user) >= BANNED_AT:
            return {"effects": [{"disconnect": {"reason": "banned"}}]}
        return {"effects": [{"refuse": {"code": "NOT_ALLOWED", "msg": "no bad words here"}}]}
    store(question["id"], user, "chat", text, question["time"])
    data = {"id": question["id"], "from": user, "msg": text}
    return {"effects": [{"publish": {"room": ROOM, "type": "msg", "data": data}}]}


def events(batch: dict[str, Any]) -> None:
    """News come at least once and in order: node and seq name each of them for ever."""
    if batch["missed"]:
        print(f"missed {batch['missed']} events", flush=True)
    with database:
        database.execute("BEGIN")
        for event in batch["events"]:
            said = event["message"]
            data = said["data"]
            if said["svc"] != "chat":  # that one was stored before it was published
                store(f"{batch['node']}:{event['seq']}", data["from"], said["svc"], data["msg"], event["time"])


# HTTP


def is_signed(headers: Mapping[str, str], body: bytes) -> bool:
    """As Standard Webhooks has it: id, time and body, and no older than five minutes."""
    ident, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not stamp.isdigit() or abs(time.time() - int(stamp)) > 300:
        return False
    wanted = hmac.new(SECRET, f"{ident}.{stamp}.".encode() + body, hashlib.sha256).digest()
    expected = "v1," + base64.b64encode(wanted).decode()
    return any(hmac.compare_digest(expected, one) for one in headers.get("webhook-signature", "").split())


async def wsprism(request: web.Request) -> web.Response:
    body = await request.read()
    if not is_signed(request.headers, body):
        return web.Response(status=401)
    question = json.loads(body)
    match question["kind"]:
        case "connect":
            return web.json_response(connect(question))
        case "message":
            return web.json_response(message(question))
        case "events":
            events(question)
    return web.Response(status=204)


async def page(_: web.Request) -> web.Response:
    return web.Response(text=PAGE, content_type="text/html")


async def history(_: web.Request) -> web.Response:
    """What was said last, oldest first."""
    rows = database.execute(
        "SELECT id, user, text FROM said WHERE svc = 'chat' ORDER BY rowid DESC LIMIT 50"
    ).fetchall()
    return web.json_response([{"id": ident, "from": user, "msg": text} for ident, user, text in reversed(rows)])


async def cheers(_: web.Request) -> web.Response:
    """How often each has cheered."""
    return web.json_response(
        dict(database.execute("SELECT user, count(*) FROM said WHERE svc = 'cheer' GROUP BY user"))
    )


app = web.Application()
app.add_routes(
    [
        web.post("/wsprism", wsprism),
        web.get("/", page),
        web.get("/history", history),
        web.get("/cheers", cheers),
        web.static("/sdk", SDK),
    ]
)
web.run_app(app, host="127.0.0.1", port=PORT, shutdown_timeout=1, print=None)

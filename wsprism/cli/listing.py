"""``wsprism rooms`` and ``wsprism sessions``: a tenant's, as the running gateway has them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from wsprism.cli import exits
from wsprism.cli.arguments import Commands
from wsprism.cli.call import add_call_arguments, tenant_api

__all__ = ["add", "print_table", "run_rooms", "run_sessions"]


def add(commands: Commands) -> None:
    """Two lists."""
    rooms = commands.add_parser("rooms", help="list a tenant's rooms")
    add_call_arguments(rooms)
    rooms.set_defaults(run=run_rooms)
    sessions = commands.add_parser("sessions", help="list a tenant's sessions")
    sessions.add_argument("--user", help="this user's only")
    sessions.add_argument("--room", help="those in this room only")
    add_call_arguments(sessions)
    sessions.set_defaults(run=run_sessions)


def run_rooms(arguments: argparse.Namespace) -> int:
    """Every room with its users and sessions."""
    items = _items(arguments, "rooms", {})
    _print(arguments, items, ("room", "users", "sessions"), [(i["room"], i["users"], i["sessions"]) for i in items])
    return exits.OK


def run_sessions(arguments: argparse.Namespace) -> int:
    """Every session: whose it is, since when, from where, in which rooms, and what waits for it."""
    asked = {"user": arguments.user, "room": arguments.room}
    items = _items(arguments, "sessions", {name: value for name, value in asked.items() if value is not None})
    nodes = ("node",) if any("node" in one for one in items) else ()
    rows: list[Sequence[object]] = [
        (
            one["user"],
            one["sid"],
            one["since"],
            one["address"],
            "" if one["queue"] is None else sum(lane["bytes"] for lane in one["queue"].values()),
            " ".join(one["rooms"]),
            *((one["node"],) if nodes else ()),
        )
        for one in items
    ]
    _print(arguments, items, ("user", "sid", "since", "address", "queued bytes", "rooms", *nodes), rows)
    return exits.OK


def _items(arguments: argparse.Namespace, of: str, asked: dict[str, str]) -> list[Any]:
    from wsprism.cli.internal_api import tenant_path

    api, tenant = tenant_api(arguments)
    path = tenant_path(tenant, of)
    return list(api.pages(f"{path}?{urlencode(asked)}" if asked else path))


def _print(
    arguments: argparse.Namespace, items: list[Any], columns: Sequence[str], rows: Sequence[Sequence[object]]
) -> None:
    """Columns that line up, or all pages as one."""
    if arguments.json:
        print(json.dumps({"items": items, "next_cursor": None}))
        return
    print_table(columns, rows)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns that line up; nothing in them acts on the terminal."""
    from wsprism.cli.console import visible

    table = [list(columns), *([visible(str(cell)) for cell in row] for row in rows)]
    widths = [max(len(row[number]) for row in table) for number in range(len(columns))]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())

"""``wsprism top``: a live table of a running gateway's tenants, or of one tenant's rooms."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import select
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wsprism.cli import exits
from wsprism.cli.arguments import Commands, add_api_arguments

if TYPE_CHECKING:
    from rich.console import RenderableType

    from wsprism.cli.internal_api import Api
    from wsprism.cli.top_view import View

__all__ = ["add", "run"]

_SORTS = ("sessions", "rooms", "in", "out", "tenant")
_MOST_ROOMS = 10_000
_LINES_AROUND = 6
"""Of a screen: heading, column names, total and the last line, with what stands between."""

_KEYS = {name[0]: name for name in _SORTS}


def add(commands: Commands) -> None:
    """Whom to ask, and what to show."""
    parser = commands.add_parser(
        "top",
        help="a live table of tenants, rooms and rates",
        description="q or Ctrl-C ends it; s, r, i, o, t sort by sessions, rooms, messages in, messages out, tenant."
        " On a pipe it prints one table, as with --once.",
    )
    add_api_arguments(parser)
    parser.add_argument("--tenant", help="the rooms of this tenant, instead of all tenants")
    parser.add_argument("--sort", choices=_SORTS, default="sessions", help="default: %(default)s")
    parser.add_argument("--rows", type=int, default=20, metavar="N", help="the most rooms to show (default 20)")
    parser.add_argument("--interval-ms", type=int, default=1000, metavar="MS", help="default: %(default)s")
    parser.add_argument("--once", action="store_true", help="print one table and end")
    parser.add_argument("--json", action="store_true", help="print what the API says, once, as one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Raises OperatorError when the API cannot be asked at the start; later it says so, and goes on asking."""
    from wsprism.cli.internal_api import api_of
    from wsprism.cli.top_view import heading, plain

    api = api_of(arguments, tenant=arguments.tenant)
    snapshot = _ask(api, arguments.tenant)
    if arguments.json:
        print(json.dumps({"info": snapshot.info, snapshot.of: snapshot.items}))
    elif arguments.once or not (sys.stdout.isatty() and sys.stdin.isatty()):
        print(heading(snapshot.info))
        print(plain(_view(snapshot, arguments.sort, most_tenants=None, most_rooms=arguments.rows)))
    else:
        with contextlib.suppress(KeyboardInterrupt):
            _live(api, snapshot, arguments)
    return exits.OK


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the API said: about the process (None: the key may not ask), and ``items`` that are tenants or rooms."""

    info: dict[str, Any] | None
    of: str
    items: list[dict[str, Any]]


def _ask(api: Api, tenant: str | None) -> Snapshot:
    from wsprism.cli.internal_api import ApiError, tenant_path

    info: dict[str, Any] | None = None
    try:
        info = api.call("GET", "/v1/info")
    except ApiError as error:
        if error.status != 403:
            raise
    if tenant is None:
        return Snapshot(info, "tenants", list(api.pages("/v1/tenants")))
    return Snapshot(info, "rooms", list(itertools.islice(api.pages(tenant_path(tenant, "rooms")), _MOST_ROOMS)))


def _view(snapshot: Snapshot, sort: str, *, most_tenants: int | None, most_rooms: int) -> View:
    from wsprism.cli.top_view import rooms_view, tenants_view

    if snapshot.of == "rooms":
        return rooms_view(snapshot.items, most_rooms)
    return tenants_view(snapshot.items, sort, most_tenants)


def _live(api: Api, snapshot: Snapshot, arguments: argparse.Namespace) -> None:
    """Ask and draw until a key ends it."""
    from rich.live import Live

    from wsprism.cli.console import open_console
    from wsprism.errors import OperatorError

    sort, trouble = arguments.sort, ""
    with _keys() as pressed, Live(console=open_console(), screen=True, auto_refresh=False) as live:
        while True:
            fitting = max(1, live.console.height - _LINES_AROUND)
            view = _view(snapshot, sort, most_tenants=fitting, most_rooms=min(arguments.rows, fitting))
            live.update(_drawn(snapshot, view, sort, trouble), refresh=True)
            key = pressed(arguments.interval_ms / 1000)
            if key in ("q", "Q"):
                return
            if key is not None:
                sort = _KEYS.get(key, sort)
                continue
            try:
                snapshot, trouble = _ask(api, arguments.tenant), ""
            except OperatorError as error:
                trouble = str(error)


def _drawn(snapshot: Snapshot, view: View, sort: str, trouble: str) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from wsprism.cli.top_view import heading

    table = Table(box=None, show_footer=True, header_style="bold", footer_style="dim", pad_edge=False)
    for number, (column, total) in enumerate(zip(view.columns, view.total, strict=True)):
        table.add_column(column, total, justify="right" if number else "left", no_wrap=True)
    for row in view.rows:
        table.add_row(*row)
    keys = "q ends" if snapshot.of == "rooms" else f"q ends; sorted by {sort} (keys s r i o t)"
    last = Text(trouble, style="bold red") if trouble else Text(keys, style="dim")
    return Group(Text(heading(snapshot.info), style="bold"), Text(), table, Text(), last)


@contextlib.contextmanager
def _keys() -> Iterator[Callable[[float], str | None]]:
    """Keys one by one, without echo: a function that waits so many seconds for one. The terminal is put back after."""
    import os
    import termios
    import tty

    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)

    def pressed(wait_s: float) -> str | None:
        ready, _, _ = select.select([keyboard], [], [], wait_s)
        return (os.read(keyboard, 1).decode(errors="replace") or "q") if ready else None

    tty.setcbreak(keyboard)
    try:
        yield pressed
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)

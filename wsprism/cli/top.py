"""``wsprism top``: a live table of a running gateway's tenants, or of one tenant's rooms."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import select
import sys
from collections.abc import Callable, Container, Iterable, Iterator
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

_MOST_ASKED = 50
"""Tenants of a key for some tenants, whose backends are asked for one by one."""

_NO_NODES = (404, 503)
"""An older gateway has no list of them; while Redis is away nobody knows them."""

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
    from wsprism.cli.top_view import backends_view, heading, plain

    api = api_of(arguments, tenant=arguments.tenant)
    snapshot = _ask(api, arguments.tenant)
    if arguments.json:
        backends = {"backends": snapshot.backends} if snapshot.backends else {}
        nodes = {"nodes": snapshot.nodes} if len(snapshot.nodes) > 1 else {}
        print(json.dumps({"info": snapshot.info, snapshot.of: snapshot.items} | backends | nodes))
    elif arguments.once or not (sys.stdout.isatty() and sys.stdin.isatty()):
        print(heading(snapshot.info, snapshot.nodes))
        print(plain(_view(snapshot, arguments.sort, most_tenants=None, most_rooms=arguments.rows)))
        if snapshot.backends:
            print("\n" + plain(backends_view(snapshot.backends)))
    else:
        with contextlib.suppress(KeyboardInterrupt):
            _live(api, snapshot, arguments)
    return exits.OK


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the API said: about the process (None: the key may not ask), and ``items`` that are tenants or rooms.

    ``backends`` are the states of those that there are, of all tenants or of the one. ``nodes`` are the processes that
    share a broker, as far as they are known.
    """

    info: dict[str, Any] | None
    of: str
    items: list[dict[str, Any]]
    backends: list[dict[str, Any]]
    nodes: list[dict[str, Any]]


def _ask(api: Api, tenant: str | None) -> Snapshot:
    from wsprism.cli.internal_api import ApiError, tenant_path

    info: dict[str, Any] | None = None
    try:
        info = api.call("GET", "/v1/info")
    except ApiError as error:
        if error.status != 403:
            raise
    nodes = [] if info is None else (_if_there(api, "/v1/nodes", _NO_NODES) or {}).get("items", [])
    if tenant is not None:
        rooms = list(itertools.islice(api.pages(tenant_path(tenant, "rooms")), _MOST_ROOMS))
        return Snapshot(info, "rooms", rooms, _backends(api, [tenant]), nodes)
    tenants = list(api.pages("/v1/tenants"))
    if info is None:
        backends = _backends(api, [one["tenant"] for one in tenants[:_MOST_ASKED]])
    else:
        backends = (_if_there(api, "/v1/stats") or {}).get("backends", [])
    return Snapshot(info, "tenants", tenants, backends, nodes)


def _backends(api: Api, tenants: Iterable[str]) -> list[dict[str, Any]]:
    """In the form of ``/v1/stats``, which a key for some tenants may not ask for."""
    from wsprism.cli.internal_api import tenant_path

    found = [(tenant, _if_there(api, tenant_path(tenant, "backend"))) for tenant in tenants]
    return [
        {"tenant": tenant, **{key: one[key] for key in ("breakers", "streams", "in_flight", "waiting", "last_failure")}}
        | {"events_waiting": one["events"]["waiting"], "events_missed": one["events"]["missed"]}
        for tenant, one in found
        if one is not None
    ]


def _if_there(api: Api, path: str, absent: Container[int] = (404,)) -> Any:
    """None: there is no such thing, as a status of ``absent`` says."""
    from wsprism.cli.internal_api import ApiError

    try:
        return api.call("GET", path)
    except ApiError as error:
        if error.status in absent:
            return None
        raise


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
            below = min(len(snapshot.backends), live.console.height // 4)
            fitting = max(1, live.console.height - _LINES_AROUND - (below + 2 if below else 0))
            view = _view(snapshot, sort, most_tenants=fitting, most_rooms=min(arguments.rows, fitting))
            live.update(_drawn(snapshot, view, below, sort, trouble), refresh=True)
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


def _drawn(snapshot: Snapshot, view: View, backends: int, sort: str, trouble: str) -> RenderableType:
    """``backends``: so many of them stand below."""
    from rich.console import Group
    from rich.text import Text

    from wsprism.cli.top_view import backends_view, heading

    below = [_table(backends_view(snapshot.backends, backends)), Text()] if backends else []
    keys = "q ends" if snapshot.of == "rooms" else f"q ends; sorted by {sort} (keys s r i o t)"
    last = Text(trouble, style="bold red") if trouble else Text(keys, style="dim")
    return Group(Text(heading(snapshot.info, snapshot.nodes), style="bold"), Text(), _table(view), Text(), *below, last)


def _table(view: View) -> RenderableType:
    from rich.table import Table

    table = Table(box=None, show_footer=bool(view.total), header_style="bold", footer_style="dim", pad_edge=False)
    totals = view.total or [""] * len(view.columns)
    for number, (column, total) in enumerate(zip(view.columns, totals, strict=True)):
        table.add_column(column, total, justify="right" if number else "left", no_wrap=True)
    for row in view.rows:
        table.add_row(*row)
    return table


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

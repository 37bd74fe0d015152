"""``wsprism connect``: talk to a gateway by hand or by a script, on both lanes."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from wsprism.cli.arguments import Commands, add_access_arguments

if TYPE_CHECKING:
    import asyncio

__all__ = ["add", "run"]

Show: TypeAlias = Callable[[dict[str, Any]], None]
Complain: TypeAlias = Callable[[str], None]
ReadLines: TypeAlias = "Callable[[asyncio.Queue[str | None]], None]"


def add(commands: Commands) -> None:
    """Where to, as whom, and how."""
    parser = commands.add_parser(
        "connect",
        help="an interactive client for both lanes; reads commands from a pipe as well",
        description="Type /help once connected. With standard input from a pipe it sends each line and prints JSON.",
    )
    add_access_arguments(parser)
    parser.add_argument("--user", default="user:dev", help="whose ticket to make with --config (default %(default)s)")
    parser.add_argument("--sid", help="a session id of your own choice")
    parser.add_argument("--msgpack", action="store_true", help="speak MessagePack on the ext lane")
    parser.add_argument("--json", action="store_true", help="print JSON lines on a terminal too")
    wait_help = "for answers, after the last line of a piped script (default %(default)s)"
    parser.add_argument("--wait-ms", type=int, default=500, metavar="MS", help=wait_help)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """0: this side closed; 1: refused, unreachable, or closed by the gateway; 2: a script's line was not understood."""
    import asyncio

    from wsprism.cli.access import find_access
    from wsprism.cli.connect_session import Conversation
    from wsprism.cli.connect_terminal import is_usable

    access = find_access(arguments, user=arguments.user, ticket=arguments.ticket, sid=arguments.sid)
    interactive = sys.stdin.isatty()
    if interactive:
        _complain(f"connecting to {access.target.websocket}; /help lists what can be typed, Ctrl-D ends")
    show = _print_json if arguments.json or not sys.stdout.isatty() else _printer()

    def talk(show: Show, complain: Complain, read_lines: ReadLines | None = None) -> int:
        conversation = Conversation(
            access,
            show,
            complain,
            msgpack=arguments.msgpack,
            interactive=interactive,
            wait_ms=arguments.wait_ms,
            read_lines=read_lines,
        )
        return asyncio.run(conversation.run())

    return _talk_on_a_terminal(talk, show) if is_usable() else talk(show, _complain)


def _talk_on_a_terminal(talk: Callable[[Show, Complain, ReadLines], int], show: Show) -> int:
    """What is shown leaves the line alone that is being typed."""
    from wsprism.cli.connect_terminal import typing

    with typing() as row:

        def show_above(record: dict[str, Any]) -> None:
            with row.above():
                show(record)

        def complain_above(line: str) -> None:
            with row.above():
                _complain(line)

        return talk(show_above, complain_above, row.read)


def _printer() -> Show:
    from wsprism.cli.connect_output import describe
    from wsprism.cli.console import open_console

    console = open_console()

    def show(record: dict[str, Any]) -> None:
        line, style = describe(record)
        console.print(line, style=style)

    return show


def _print_json(record: dict[str, Any]) -> None:
    # ASCII: no character of a peer's can act on a terminal.
    print(json.dumps(record, default=repr), flush=True)


def _complain(line: str) -> None:
    print(line, file=sys.stderr, flush=True)

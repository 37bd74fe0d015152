"""``wsprism connect``: talk to a gateway by hand or by a script, on both lanes."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from wsprism.cli.arguments import Commands, add_config

if TYPE_CHECKING:
    from wsprism.cli.connect_session import Options

__all__ = ["add", "run"]


def add(commands: Commands) -> None:
    """Where to, as whom, and how."""
    parser = commands.add_parser(
        "connect",
        help="an interactive client for both lanes; reads commands from a pipe as well",
        description="Type /help once connected. With standard input from a pipe it sends each line and prints JSON.",
    )
    parser.add_argument("url", nargs="?", metavar="URL", help="ws://host:port, wss://… or unix:/path")
    add_config(parser, required=False)
    parser.add_argument("--tenant", help="default with --config: the only one")
    parser.add_argument("--ticket", help="default: $WSPRISM_TICKET, else one made with --config")
    parser.add_argument("--user", default="user:dev", help="whose ticket to make with --config (default %(default)s)")
    parser.add_argument("--sid", help="a session id of your own choice")
    parser.add_argument("--origin", help="the Origin header, as a browser would send it")
    parser.add_argument("--msgpack", action="store_true", help="speak MessagePack on the ext lane")
    parser.add_argument("--versioned", action="store_true", help="versioned hot framing (with --config: as it says)")
    parser.add_argument("--insecure", action="store_true", help="take any TLS certificate")
    parser.add_argument("--json", action="store_true", help="print JSON lines on a terminal too")
    wait_help = "close after this silence once a piped script ended (default %(default)s)"
    parser.add_argument("--wait-ms", type=int, default=500, metavar="MS", help=wait_help)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """0: this side closed; 1: refused, unreachable, or closed by the gateway; 2: a script's line was not understood."""
    import asyncio

    from wsprism.cli.connect_session import Conversation

    interactive = sys.stdin.isatty()
    options = _options(arguments, interactive=interactive)
    show = _print_json if arguments.json or not sys.stdout.isatty() else _printer()
    if interactive:
        _complain(f"connecting to {options.target}; /help lists what can be typed, Ctrl-D ends")
    return asyncio.run(Conversation(options, show, _complain).run())


def _options(arguments: argparse.Namespace, *, interactive: bool) -> Options:
    from urllib.parse import parse_qsl, urlsplit

    from wsprism.cli.connect_session import Options
    from wsprism.cli.target import parse_url, read_listeners
    from wsprism.errors import OperatorError
    from wsprism.protocol.hot import Framing

    framing = Framing.VERSIONED if arguments.versioned else Framing.COMPACT
    query = dict(parse_qsl(urlsplit(arguments.url or "").query))
    tenant, ticket = arguments.tenant, arguments.ticket or os.environ.get("WSPRISM_TICKET")
    if arguments.config is not None:
        from wsprism.cli.minting import Wanted, find_tenant, mint
        from wsprism.settings import load_settings

        settings = find_tenant(load_settings(arguments.config), tenant)
        tenant, framing = settings.id, Framing(settings.policy.hot_framing)
        ticket = ticket or mint(settings, Wanted(arguments.user))
    elif arguments.url is None:
        raise OperatorError("name a URL or a --config")
    target = (
        parse_url(arguments.url, verify=not arguments.insecure)
        if arguments.url is not None
        else read_listeners(arguments.config).public
    )
    chosen = {"tenant": tenant, "sid": arguments.sid}
    headers = {"Origin": arguments.origin} if arguments.origin else {}
    if ticket is not None and "ticket" not in query:
        headers["Authorization"] = f"Bearer {ticket}"
    return Options(
        target=target,
        path=target.path.rstrip("/") or "/v1/ws",
        query=query | {key: value for key, value in chosen.items() if value is not None},
        headers=headers,
        framing=framing,
        msgpack=arguments.msgpack,
        interactive=interactive,
        wait_ms=arguments.wait_ms,
    )


def _printer() -> Callable[[dict[str, Any]], None]:
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

"""``wsprism ticket inspect``: what a JWT says, and with a configuration whether its gateway would let it in."""

from __future__ import annotations

import argparse
import base64
import binascii
import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

from wsprism.cli import exits
from wsprism.cli.arguments import Commands, add_config
from wsprism.cli.console import visible
from wsprism.errors import OperatorError

__all__ = ["add", "decode", "run"]

UNVERIFIED = "NOT VERIFIED: anybody can write such a token. --config judges it as the gateway would."
_STYLES = {True: "green", False: "red", None: "yellow"}
_WORDS = {True: "accepted", False: "refused", None: "to be judged"}
_TIMES = ("exp", "nbf", "iat", "auth_time")


def add(actions: Commands) -> None:
    """The ticket, and what to judge it by."""
    parser = actions.add_parser(
        "inspect",
        help="show what a JWT says; with --config, whether it would be accepted",
        description="Exit code 1: refused (with --config), or no JWT (without). Nothing is sent anywhere, except"
        " to a jwks_url of the configuration; that only the running gateway or the backend can tell is no refusal.",
    )
    parser.add_argument("ticket", help="- reads it from standard input, where no list of processes shows it")
    add_config(parser, required=False)
    parser.add_argument("--tenant", help="default: the only one")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show it; 1 when it is refused."""
    ticket = sys.stdin.readline().strip() if arguments.ticket == "-" else arguments.ticket
    decoded = decode(ticket)
    found: dict[str, Any] = {"header": None, "claims": None} if decoded is None else decoded
    if arguments.config is not None:
        from wsprism.cli.ticket_verdict import judge

        found["verdict"] = judge(arguments.config, arguments.tenant, ticket)
        accepted: bool | None = found["verdict"]["accepted"]
    elif decoded is None:
        raise OperatorError("it is no JWT: not three parts of base64url JSON; --config judges other tickets")
    else:
        from wsprism.cli.console import open_console

        open_console(stderr=True).print(UNVERIFIED, style="bold red")
        accepted = True
    if arguments.json:
        print(json.dumps({"verified": accepted if "verdict" in found else None, **found}))
    else:
        _show(found)
    return exits.FAILED if accepted is False else exits.OK


def decode(ticket: str) -> dict[str, Any] | None:
    """``header`` and ``claims`` as they stand in the token, nothing checked; None when it is no JWT."""
    import msgspec

    from wsprism.protocol.outside_json import decode_json

    parts = ticket.split(".")
    if len(parts) != 3:
        return None
    try:
        header, claims = (decode_json(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in parts[:2])
    except (msgspec.DecodeError, ValueError, binascii.Error):
        return None
    return {"header": header, "claims": claims} if isinstance(header, dict) and isinstance(claims, dict) else None


def _show(found: dict[str, Any]) -> None:
    from wsprism.cli.console import open_console

    out = open_console()
    verdict = found.get("verdict")
    for part in ("header", "claims"):
        for name, value in (found[part] or {}).items():
            shown = json.dumps(value, ensure_ascii=False)
            out.print(visible(f"{part}.{name}: {shown}{_moment(name, value)}"), style="" if verdict else "yellow")
    if verdict is None:
        return
    for judged in verdict["judged"]:
        out.print(visible(f"{judged['kind']}: {judged['why']}"), style=_STYLES[judged["accepted"]])
    word = _WORDS[verdict["accepted"]]
    out.print(visible(f"{word} by tenant {verdict['tenant']}"), style=f"bold {_STYLES[verdict['accepted']]}")


def _moment(name: str, value: Any) -> str:
    """A time claim in words."""
    if name not in _TIMES or isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    try:
        moment = datetime.fromtimestamp(value, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return ""
    distance_s = round(value - time.time())
    return f" ({moment}, {f'in {distance_s} s' if distance_s >= 0 else f'{-distance_s} s ago'})"

"""``wsprism disconnect`` and ``wsprism revoke``: end sessions, and keep them out."""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from typing import Any

from wsprism.cli import exits
from wsprism.cli.arguments import Commands
from wsprism.cli.call import add_call_arguments, counted, tell, tenant_api
from wsprism.cli.exits import UsageError

__all__ = ["add", "run_disconnect", "run_revoke"]

_HOUR_S = 3600


def add(commands: Commands) -> None:
    """Both name whom they mean."""
    disconnect = commands.add_parser("disconnect", help="close the connections of a user, a session or a room")
    disconnect.add_argument("--user")
    disconnect.add_argument("--sid", help="a session; with --user that user's")
    disconnect.add_argument("--room", help="everybody in it")
    disconnect.add_argument("--reason", help="told to the client, at most 123 bytes")
    code_help = "close code, 4000-4999 (default 4500; below that clients come back by themselves)"
    disconnect.add_argument("--code", type=int, metavar="N", help=code_help)
    add_call_arguments(disconnect)
    disconnect.set_defaults(run=run_disconnect)
    revoke = commands.add_parser(
        "revoke",
        help="close the sessions of a user, a sid or a ticket, and refuse new ones for a time",
        description="--for-s 0 lifts a revocation.",
    )
    revoke.add_argument("--user", help="whatever the ticket")
    revoke.add_argument("--sid", help="whoever's it is")
    revoke.add_argument("--token-id", metavar="JTI", help="a JWT's jti")
    revoke.add_argument("--for-s", type=int, default=_HOUR_S, metavar="S", help="how long (default %(default)s)")
    revoke.add_argument("--reason", help="for whoever reads the list of revocations, at most 200 characters")
    add_call_arguments(revoke)
    revoke.set_defaults(run=run_revoke)


def run_disconnect(arguments: argparse.Namespace) -> int:
    """Says how many were closed."""
    from wsprism.cli.internal_api import tenant_path

    named = {"user": arguments.user, "sid": arguments.sid, "room": arguments.room}
    if (arguments.room is None) == (arguments.user is None and arguments.sid is None):
        raise UsageError("name either a --room, or a --user or a --sid (or both of these)")
    body = named | {"reason": arguments.reason, "code": arguments.code}
    api, tenant = tenant_api(arguments)
    answer = api.call("POST", tenant_path(tenant, "disconnect"), _given(body))
    tell(arguments, answer, f"closed {counted(answer['sessions'], 'session')}")
    return exits.OK


def run_revoke(arguments: argparse.Namespace) -> int:
    """Says how many were closed, and until when nobody of that name is let in."""
    from wsprism.cli.internal_api import tenant_path

    named = _given({"user": arguments.user, "sid": arguments.sid, "token_id": arguments.token_id})
    if len(named) != 1:
        raise UsageError("name exactly one of --user, --sid and --token-id")
    if arguments.for_s < 0:
        raise UsageError("--for-s must be at least 0")
    until_s = int(time.time()) + arguments.for_s
    api, tenant = tenant_api(arguments)
    answer = api.call(
        "POST", tenant_path(tenant, "revoke"), named | _given({"until_s": until_s, "reason": arguments.reason})
    )
    [(what, name)] = named.items()
    if arguments.for_s == 0:
        tell(arguments, answer, f"{what} {name} is let in again")
    else:
        until = datetime.fromtimestamp(until_s, UTC).isoformat().replace("+00:00", "Z")
        tell(arguments, answer, f"{what} {name} revoked until {until}: closed {counted(answer['sessions'], 'session')}")
    return exits.OK


def _given(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None}

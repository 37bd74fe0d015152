"""``wsprism publish`` and ``wsprism send``: one message of either lane, into a room or to a user."""

from __future__ import annotations

import argparse
import base64
import json
from typing import Any

from wsprism.cli import exits
from wsprism.cli.arguments import Commands
from wsprism.cli.call import add_call_arguments, counted, tell, tenant_api
from wsprism.cli.exits import UsageError

__all__ = ["add", "run_publish", "run_send"]


def add(commands: Commands) -> None:
    """Two commands that carry the same."""
    publish = commands.add_parser(
        "publish",
        help="publish a message into a room of a running gateway",
        description="A message of the ext lane (--svc, --type, --data), or a frame of the hot lane (--hot).",
    )
    publish.add_argument("room", metavar="ROOM")
    _add_message(publish)
    publish.set_defaults(run=run_publish)
    send = commands.add_parser(
        "send",
        help="send a message to every session of a user",
        description="A message of the ext lane (--svc, --type, --data), or a frame of the hot lane (--hot).",
    )
    send.add_argument("user", metavar="USER", help="the user id, as sessions show it")
    _add_message(send)
    send.set_defaults(run=run_send)


def run_publish(arguments: argparse.Namespace) -> int:
    """Says how many sessions the room has. Raises OperatorError when nothing was published."""
    from wsprism.cli.internal_api import tenant_path

    message = _message(arguments)
    api, tenant = tenant_api(arguments)
    answer = api.call("POST", tenant_path(tenant, "rooms", arguments.room, "publish"), message)
    tell(arguments, answer, f"published into {arguments.room}: {counted(answer['members'], 'member')}")
    return exits.OK


def run_send(arguments: argparse.Namespace) -> int:
    """Says how many sessions the user has. Raises OperatorError when nothing was sent."""
    from wsprism.cli.internal_api import tenant_path

    message = _message(arguments)
    api, tenant = tenant_api(arguments)
    answer = api.call("POST", tenant_path(tenant, "users", arguments.user, "send"), message)
    tell(arguments, answer, f"sent to {arguments.user}: {counted(answer['sessions'], 'session')}")
    return exits.OK


def _add_message(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--svc", metavar="S", help="the service that the message is from, any but sys")
    parser.add_argument("--type", metavar="T", help="its type")
    parser.add_argument("--data", metavar="JSON", help="its data")
    parser.add_argument("--hot", metavar="HEX", help="a hot frame, header and payload, instead")
    add_call_arguments(parser)


def _message(arguments: argparse.Namespace) -> dict[str, Any]:
    """The body of the call. Raises UsageError."""
    ext = {"svc": arguments.svc, "type": arguments.type}
    if arguments.hot is not None:
        if any(value is not None for value in (*ext.values(), arguments.data)):
            raise UsageError("--hot is a whole frame: leave --svc, --type and --data out")
        try:
            frame = bytes.fromhex(arguments.hot)
        except ValueError as exc:
            raise UsageError(f"--hot is no hex: {arguments.hot!r} (such as 010100deadbeef)") from exc
        return {"hot": base64.b64encode(frame).decode()}
    if None in ext.values():
        raise UsageError("name --svc and --type, or a frame with --hot")
    if arguments.data is None:
        return ext
    try:
        return ext | {"data": json.loads(arguments.data)}
    except ValueError as exc:
        raise UsageError(f"""--data is no JSON: {arguments.data!r} (a text stands in quotes: '"text"')""") from exc

"""Services in Python for tests: written to files, and a tenant that has them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wsprism.plugin import Context, Effects, Service

__all__ = ["COUNTER", "failing", "tenant_with", "write"]

COUNTER = """
import msgspec
from wsprism.plugin import Context, Effects, Service, publish, refuse, reply, send


class Board:
    def __init__(self) -> None:
        self.moves = []
        self.players = []


class Move(msgspec.Struct):
    x: int


service = Service(state=Board)


@service.on("move")
def move(context: Context, data: Move) -> Effects:
    context.state.moves.append(data.x)
    return [publish("moved", {"by": context.user, "x": data.x}), reply({"moves": len(context.state.moves)})]


@service.on("forbidden")
def forbidden(context):
    return [refuse("NOT_ALLOWED", "not your turn")]


@service.joined
def joined(context):
    context.state.players.append(context.user)
    return [publish("came", context.user), send(context.user, "you", context.sid)]


@service.left
def left(context):
    return [publish("went", context.user)]
"""


def write(directory: Path, code: str, name: str = "game.py") -> str:
    """The path of a file with this code."""
    path = directory / name
    path.write_text(textwrap.dedent(code))
    return str(path)


def tenant_with(file: str, *, hot: Mapping[int, Any] | None = None, **options: Any) -> dict[str, Any]:
    """A tenant whose ext service `game` is the file."""
    return {
        "services": {
            "ext": {"chat": {"kind": "chat"}, "game": {"kind": "python", "file": file, **options}},
            "hot": {1: {"kind": "echo"}, **(hot or {})},
        },
        "policy": {"ext_allowlist": ["room:*", "chat:*", "game:*"], "hot_allowlist": ["1:*", "3:*", "4:*"]},
    }


def failing() -> Service:
    """A factory: its service fails whatever it is asked."""
    service = Service()

    @service.on("fail")
    def fail(context: Context) -> Effects:
        raise RuntimeError(f"told by {context.user}")

    return service

"""The same game as a service in the gateway: the rules are called where the messages are, and no backend decides.

``run.py --service`` starts it so. The gateway runs this file in a namespace of its own (docs/services.md).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from rules import TICKS_PER_S, World

from wsprism.plugin import PASS, Context, Effects, Service, publish_hot

SERVICE, INPUT, STATE = 9, 1, 2

service = Service(state=World)


def name_of(context: Context) -> str:
    return (context.user or "").removeprefix("user:")


@service.hot(INPUT)
def steer(context: Context, frame: bytes) -> object:
    """``[service][opcode][flags][keys]``; it goes to nobody."""
    if len(frame) == 4:
        context.state.steer(name_of(context), frame[3])
    return PASS


@service.every(1 / TICKS_PER_S)
def tick(context: Context) -> Effects:
    """Everybody in the room is told where everybody is."""
    context.state.step()
    state = json.dumps(context.state.state(), separators=(",", ":")).encode()
    return [publish_hot(bytes((SERVICE, STATE, 0)) + state)]


@service.left
def left(context: Context) -> None:
    """At once, where a backend has to wait for somebody's silence."""
    context.state.players.pop(name_of(context), None)

"""The Lua scripts by name, and how one is called: by its hash, and whole where Redis has forgotten it.

``common.lua`` stands before each of them, ``members.lua`` before those that say so; a change of a value is a turn with
``changing.lua`` before it. A script's only key is its tenant's
prefix, whose hash tag puts everything of a tenant into one slot; the names of all other keys are made of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from wsprism.adapters.redis.connection import RedisConnection
from wsprism.adapters.redis.protocol import Answered, Refused, Word

__all__ = ["Script", "call", "names", "script"]

_WITH_MEMBERS: Final = "-- with members\n"
_CHANGES: Final = {"change": "publish", "change_only": "publish_only"}
"""Those that are turns with something before them."""


@dataclass(frozen=True, slots=True)
class Script:
    """``sha`` is how Redis calls it."""

    name: str
    source: bytes
    sha: str


@cache
def script(name: str) -> Script:
    """A script of this package."""

    def text(of: str) -> str:
        return files(__name__).joinpath(f"{of}.lua").read_text("utf-8")

    shebang, rest = text(_CHANGES.get(name, name)).split("\n", 1)
    before = text("members") if rest.startswith(_WITH_MEMBERS) else ""
    if name in _CHANGES:
        before = text("changing")
    source = f"{shebang}\n{text('common')}{before}{rest}".encode()
    return Script(name, source, hashlib.sha1(source, usedforsecurity=False).hexdigest())


@cache
def names() -> tuple[str, ...]:
    """Of all of them."""
    found = (one.name.removesuffix(".lua") for one in files(__name__).iterdir() if one.name.endswith(".lua"))
    return tuple(sorted({*found, *_CHANGES} - {"common", "members", "changing"}))


def call(
    connection: RedisConnection,
    which: Script,
    prefix: bytes,
    arguments: Sequence[Word],
    answered: Answered,
    *,
    urgent: bool = False,
) -> Refused | None:
    """As ``RedisConnection.say``. Calls that were sent before Redis said that it has forgotten a script come later than
    those sent after: whoever needs an order has one call under way.
    """

    def looked_at(answer: Any) -> None:
        if not (isinstance(answer, Refused) and answer.code == "NOSCRIPT"):
            answered(answer)
            return
        refused = connection.say("EVAL", which.source, 1, prefix, *arguments, answered=answered, urgent=urgent)
        if refused is not None:
            answered(refused)

    return connection.say("EVALSHA", which.sha, 1, prefix, *arguments, answered=looked_at, urgent=urgent)

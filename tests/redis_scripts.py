"""The Lua scripts as tests call them: by name, on a tenant's prefix, each answer decoded."""

from __future__ import annotations

from typing import Any

from wsprism.adapters.redis.connection import RedisConnection
from wsprism.adapters.redis.protocol import Refused, Unknown, Word
from wsprism.adapters.redis.scripts import call, script

__all__ = ["PREFIX", "Scripts", "frames"]

PREFIX = b"test:{acme}:"


class Scripts:
    """``run`` waits for a script's answer; a refusal is raised."""

    def __init__(self, connection: RedisConnection, prefix: bytes = PREFIX) -> None:
        self.connection = connection
        self.prefix = prefix

    async def run(self, name: str, *arguments: Word) -> Any:
        future = self.connection.loop.create_future()
        refused = call(self.connection, script(name), self.prefix, arguments, future.set_result)
        answer = refused if refused is not None else await future
        if isinstance(answer, Refused):
            raise answer
        assert not isinstance(answer, Unknown), answer
        return decoded(answer)

    async def command(self, *words: Word) -> Any:
        answer = await self.connection.ask(*words)
        if isinstance(answer, Refused):
            raise answer
        return decoded(answer)


def decoded(answer: Any) -> Any:
    if isinstance(answer, bytes):
        return answer.decode("utf-8", "surrogateescape")
    return [decoded(one) for one in answer] if isinstance(answer, list) else answer


def frames(message: bytes) -> list[str]:
    """The fields of what a room's channel says."""
    found, at = [], 0
    while at < len(message):
        end = at + 4 + int.from_bytes(message[at : at + 4], "big")
        found.append(message[at + 4 : end].decode("utf-8", "surrogateescape"))
        at = end
    return found

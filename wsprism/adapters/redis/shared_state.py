"""The ``SharedState`` of one tenant on Redis, and what is owed to Redis while it is away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from wsprism.adapters.redis.protocol import Word
from wsprism.adapters.redis.registry_lists import RegistryLists
from wsprism.adapters.redis.scripts import script
from wsprism.adapters.redis.session_calls import Depart
from wsprism.adapters.redis.tenant_calls import CallsNode
from wsprism.ports import Claim, KeyTaken, Unavailable

__all__ = ["RedisSharedState"]

_MOST_ANSWERS: Final = 100_000
_MOST_ANSWER_BYTES: Final = 64 * 1024 * 1024


class RedisSharedState(RegistryLists):
    """The port."""

    def __init__(self, node: CallsNode, prefix: bytes) -> None:
        super().__init__(node, prefix)
        self._owed: dict[tuple[str, Sequence[Word]], Depart] = {}

    def next_generation(self, done: Callable[[int | Unavailable], object]) -> None:
        self._ask("generation", (), lambda answer: int(answer[1]), done)

    def keep_ticket(
        self, name: bytes, owner: bytes, ttl_s: float, most: int, done: Callable[[bool | Unavailable], object]
    ) -> None:
        arguments = (self.incarnation, name, owner, max(1, int(ttl_s * 1000)), most)
        self._ask("ticket", arguments, lambda answer: answer[1] == 1, done)

    def take_ticket(self, name: bytes, done: Callable[[bytes | Unavailable], object]) -> None:
        self._ask("redeem", (self.incarnation, self.next_number(), name), lambda answer: bytes(answer[1]), done)

    def claim(
        self, name: bytes, digest: bytes, ttl_s: float, done: Callable[[Claim | KeyTaken | Unavailable], object]
    ) -> None:
        claim = Claim(name, self.incarnation, self.next_number())

        def read(answer: Sequence[Any]) -> Claim | KeyTaken:
            match answer[1:]:
                case [b"mine"]:
                    return claim
                case [b"done", digest, body]:
                    return KeyTaken(digest, body)
                case [_, digest]:
                    return KeyTaken(digest, None)
            raise AssertionError(answer)

        self._ask("claim", (claim.node, claim.number, name, digest, int(ttl_s * 1000)), read, done)

    def settle(self, claim: Claim, answer: bytes, ttl_s: float) -> None:
        bounds = int(ttl_s * 1000), _MOST_ANSWERS, _MOST_ANSWER_BYTES
        arguments = (claim.node, claim.number, claim.name, answer, *bounds)
        self._depart(Depart(script("settle"), arguments, claim, self._owe, len(answer)))

    # What must be told

    def _depart(self, depart: Depart) -> None:
        if self.connection is None:
            self._owe(depart)
            self.later(lambda: depart.tell(None))
        else:
            self._add_unbounded(depart.key, depart)

    def _owe(self, depart: Depart) -> None:
        """Told once there is somebody to tell; bounded by the sessions and rooms that there were."""
        self._owed[depart.script.name, tuple(depart.arguments)] = depart

    def _pay(self) -> None:
        owed = list(self._owed.values())
        self._owed.clear()
        for depart in owed:
            self._depart(depart)

"""Keys that nodes share: claimed once, answered to whoever comes with them, free again when nothing was carried out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from wsprism.ports import Claim, KeyTaken, Unavailable
from wsprism.protocol.codes import ErrorCode
from wsprism.transport.api import asked
from wsprism.transport.api.idempotency import Idempotency
from wsprism.transport.api.problems import Problem
from wsprism.transport.api.remembered import OTHER_BODY, UNDER_WAY, Answered

KEY = ("acme", "/v1/x", "k1")
DONE = Answered(202, b'{"sessions":1}')


class Keys:
    """What all nodes know; ``silent``: nothing is answered until ``speak``."""

    def __init__(self) -> None:
        self.found: dict[bytes, tuple[bytes, bytes | None]] = {}
        self.away = False
        self.silent: list[Callable[[], object]] | None = None

    def claim(self, name: bytes, digest: bytes, ttl_s: float, done: Callable[[Any], object]) -> None:  # noqa: ARG002
        def answer() -> None:
            if self.away:
                done(Unavailable.AWAY)
            elif name in self.found:
                done(KeyTaken(*self.found[name]))
            else:
                self.found[name] = digest, None
                done(Claim(name, 1, 1))

        if self.silent is None:
            asyncio.get_running_loop().call_soon(answer)
        else:
            self.silent.append(answer)

    def settle(self, claim: Claim, answer: bytes, ttl_s: float) -> None:  # noqa: ARG002
        digest, _ = self.found.pop(claim.name)
        if answer:
            self.found[claim.name] = digest, answer


class Node:
    def __init__(self, keys: Keys) -> None:
        self.keys: Any = keys
        self.memory = Idempotency(asyncio.get_running_loop().time)
        self.calls = 0
        self.answer: Answered | Problem | Exception = DONE
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def call(self) -> Answered | Problem:
        self.calls += 1
        await self.go_on.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def once(self, body: bytes = b"x") -> Answered | Problem:
        return await self.memory.once(KEY, body, self.call, self.keys)


async def test_the_first_answer_is_everybodys_and_another_body_is_refused_on_every_node() -> None:
    keys = Keys()
    one, two = Node(keys), Node(keys)
    assert await one.once() == DONE
    assert [await two.once() for _ in range(3)] == [DONE] * 3
    assert await Node(keys).once(b"y") == OTHER_BODY
    assert (one.calls, two.calls) == (1, 0)


async def test_while_it_is_under_way_another_node_says_so_and_then_has_the_answer() -> None:
    keys = Keys()
    one, two = Node(keys), Node(keys)
    one.go_on.clear()
    first = asyncio.ensure_future(one.once())
    await asyncio.sleep(0.01)
    assert await two.once() == UNDER_WAY
    assert await two.once(b"y") == OTHER_BODY
    one.go_on.set()
    assert await first == DONE
    assert await two.once() == DONE


@pytest.mark.parametrize("answer", [Problem(409, "no"), RuntimeError("oops")])
async def test_what_was_not_carried_out_may_be_tried_again_on_any_node(answer: Problem | Exception) -> None:
    keys = Keys()
    one, two = Node(keys), Node(keys)
    one.answer = answer
    (refused,) = await asyncio.gather(one.once(), return_exceptions=True)
    assert refused == answer
    assert await two.once() == DONE


async def test_while_the_nodes_are_out_of_reach_nothing_is_begun() -> None:
    keys = Keys()
    one = Node(keys)
    keys.away = True
    refused = await one.once()
    assert isinstance(refused, Problem)
    assert (refused.status, refused.code, one.calls) == (503, ErrorCode.UNAVAILABLE, 0)


async def test_a_claim_that_nobody_waits_for_any_more_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "_TIMEOUT_S", 0.01)
    keys = Keys()
    one, two = Node(keys), Node(keys)
    keys.silent = []
    refused = await one.once()
    assert isinstance(refused, Problem)
    assert refused.code is ErrorCode.TIMEOUT
    (answer,), keys.silent = keys.silent, None
    answer()
    assert not keys.found
    assert await two.once() == DONE
    assert one.calls == 0

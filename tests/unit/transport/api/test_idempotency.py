"""Answers remembered by Idempotency-Key: once, for ten minutes, bounded, and nothing that was refused."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from actors.testing import ManualScheduler
from wsprism.transport.api.idempotency import LIFETIME_S, Answered, Idempotency
from wsprism.transport.api.problems import Problem

KEY = ("acme", "/v1/tenants/acme/broadcast", "k")
DONE = Answered(202, b"1")


class Calls:
    """Counts how often the call was made, and answers one after the other."""

    def __init__(self, *answers: Answered | Problem | Exception) -> None:
        self.made = 0
        self._answers = answers

    def __call__(self) -> Awaitable[Answered | Problem]:
        return self._call()

    async def _call(self) -> Answered | Problem:
        answer = self._answers[min(self.made, len(self._answers) - 1)]
        self.made += 1
        await asyncio.sleep(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def table(max_answers: int = 10) -> tuple[Idempotency, ManualScheduler]:
    clock = ManualScheduler()
    return Idempotency(clock.now, max_answers), clock


async def test_a_repeated_call_is_answered_from_memory() -> None:
    memory, _ = table()
    calls = Calls(DONE, Answered(202, b"2"))
    assert [await memory.once(KEY, b"x", calls) for _ in range(3)] == [DONE] * 3
    assert calls.made == 1


async def test_another_tenant_path_or_key_is_another_call() -> None:
    memory, _ = table()
    calls = Calls(DONE)
    for key in (KEY, ("other", *KEY[1:]), (KEY[0], "/elsewhere", KEY[2]), (*KEY[:2], "K")):
        await memory.once(key, b"x", calls)
    assert calls.made == 4


async def test_another_body_is_refused_and_nothing_is_called() -> None:
    memory, _ = table()
    calls = Calls(DONE)
    await memory.once(KEY, b"x", calls)
    refused = await memory.once(KEY, b"y", calls)
    assert isinstance(refused, Problem)
    assert (refused.status, calls.made) == (422, 1)


async def test_concurrent_repetitions_wait_for_the_first() -> None:
    memory, _ = table()
    calls = Calls(DONE)
    answers = await asyncio.gather(*(memory.once(KEY, b"x", calls) for _ in range(5)), memory.once(KEY, b"y", calls))
    assert answers[:5] == [DONE] * 5
    assert isinstance(answers[5], Problem)
    assert calls.made == 1


async def test_a_refused_call_may_be_made_again() -> None:
    memory, _ = table()
    calls = Calls(Problem(503, "overloaded"), DONE)
    first = await memory.once(KEY, b"x", calls)
    assert isinstance(first, Problem)
    assert await memory.once(KEY, b"x", calls) == DONE
    assert calls.made == 2


async def test_when_the_first_fails_those_that_wait_are_told_and_the_next_is_made() -> None:
    memory, _ = table()
    calls = Calls(RuntimeError("boom"), DONE)
    first, second = await asyncio.gather(
        memory.once(KEY, b"x", calls), memory.once(KEY, b"x", calls), return_exceptions=True
    )
    assert isinstance(first, RuntimeError)
    assert isinstance(second, Problem)
    assert second.status == 503
    assert await memory.once(KEY, b"x", calls) == DONE


async def test_the_first_caller_may_go_away() -> None:
    memory, _ = table()

    async def never() -> Answered:
        await asyncio.get_running_loop().create_future()
        return DONE

    first, second = [asyncio.ensure_future(memory.once(KEY, b"x", never)) for _ in range(2)]
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    answer = await second
    assert isinstance(answer, Problem)
    assert answer.status == 503


async def test_answers_are_forgotten_after_ten_minutes() -> None:
    memory, clock = table()
    calls = Calls(DONE)
    await memory.once(KEY, b"x", calls)
    clock.advance(LIFETIME_S - 1)
    await memory.once(KEY, b"x", calls)
    assert calls.made == 1
    clock.advance(1)
    await memory.once(KEY, b"y", calls)
    assert (calls.made, len(memory)) == (2, 1)


async def test_the_table_is_bounded_and_forgets_the_oldest() -> None:
    memory, _ = table(max_answers=3)
    calls = Calls(DONE)
    for number in range(4):
        await memory.once(("acme", "/", str(number)), b"x", calls)
    assert len(memory) == 3
    await memory.once(("acme", "/", "3"), b"x", calls)
    assert calls.made == 4
    await memory.once(("acme", "/", "0"), b"x", calls)
    assert calls.made == 5

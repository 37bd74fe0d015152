"""Answers remembered by Idempotency-Key: once, for ten minutes, bounded, and nothing that was refused."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from actors.testing import ManualScheduler
from tests.state import MemoryStore
from wsprism.transport.api.idempotency import Idempotency
from wsprism.transport.api.problems import Problem
from wsprism.transport.api.remembered import LIFETIME_S, Answered

KEY = ("acme", "/v1/tenants/acme/broadcast", "k")
DONE = Answered(202, b"1")


class Calls:
    """Counts how often the call was made, and answers one after the other."""

    def __init__(self, *answers: Answered | Problem | Exception) -> None:
        self.made = 0
        self._answers = answers

    def __call__(self) -> Coroutine[Any, Any, Answered | Problem]:
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


async def test_the_first_caller_may_go_away_and_the_call_goes_on() -> None:
    memory, _ = table()
    calls = Calls(DONE)
    first, second = [asyncio.ensure_future(memory.once(KEY, b"x", calls)) for _ in range(2)]
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await second == DONE
    assert calls.made == 1


async def test_a_call_that_takes_longer_is_under_way_until_it_has_ended_and_is_then_remembered() -> None:
    memory = Idempotency(ManualScheduler().now, patience_s=0.01)
    gate: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
    made = 0

    async def call() -> Answered:
        nonlocal made
        made += 1
        return await gate

    first, beside = await asyncio.gather(memory.once(KEY, b"x", call), memory.once(KEY, b"x", call))
    again = await memory.once(KEY, b"x", call)
    other = await memory.once(KEY, b"y", call)
    for problem, status in ((first, 503), (beside, 409), (again, 409), (other, 422)):
        assert isinstance(problem, Problem)
        assert problem.status == status
    assert isinstance(again, Problem)
    assert again.headers["Retry-After"] == "1"
    gate.set_result(DONE)
    await asyncio.sleep(0.01)
    assert await memory.once(KEY, b"x", call) == DONE
    assert made == 1


async def test_calls_under_way_are_bounded_and_end_with_the_listener(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsprism.transport.api.idempotency.MAX_UNDER_WAY", 1)
    memory, _ = table()

    async def never() -> Answered:
        await asyncio.get_running_loop().create_future()
        return DONE

    first = asyncio.ensure_future(memory.once(KEY, b"x", never))
    await asyncio.sleep(0)
    refused = await memory.once(("other", "/", "k"), b"x", never)
    memory.stop()
    ended = await first
    for problem in (refused, ended):
        assert isinstance(problem, Problem)
        assert problem.status == 503


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


async def test_the_table_is_bounded_in_bytes_too() -> None:
    memory = Idempotency(ManualScheduler().now, max_bytes=10)
    calls = Calls(Answered(202, b"12345"))
    for number in range(3):
        await memory.once(("acme", "/", str(number)), b"x", calls)
    assert len(memory) == 2


async def test_answers_outlive_a_restart_until_their_time_and_what_is_forgotten_is_not_kept() -> None:
    store, clock = MemoryStore(), ManualScheduler()
    unix_now = lambda: 1000.0 + clock.now()  # noqa: E731
    before = Idempotency(clock.now, 2, unix_now=unix_now)
    before.keep_in(store, ["acme"])
    calls = Calls(DONE)
    for number in range(3):
        await before.once(("acme", "/", str(number)), b"x", calls)
        clock.advance(1.0)
    after = Idempotency(clock.now, 2, unix_now=unix_now)
    after.keep_in(store, ["acme", "other"])
    assert len(after) == 2
    assert await after.once(("acme", "/", "2"), b"x", calls) == DONE
    assert isinstance(await after.once(("acme", "/", "2"), b"y", calls), Problem)
    assert calls.made == 3
    clock.advance(LIFETIME_S - 2.5)
    assert await after.once(("acme", "/", "1"), b"x", calls) == DONE
    assert calls.made == 3
    clock.advance(1.0)
    await after.once(("acme", "/", "1"), b"x", calls)
    assert calls.made == 4

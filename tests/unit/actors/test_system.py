"""The system: statistics, observers, stop, exceptions out of turns."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from actors import ActorStoppedError, ActorSystem, DeadLetterReason
from actors.testing import ManualScheduler

from .support import Script, World


def test_statistics_name_the_deepest_mailbox() -> None:
    world = World()
    a, b = (world.system.spawn(lambda: Script([]), name=name) for name in "ab")
    a.tell(1)
    b.tell(1)
    b.tell(2)
    statistics = world.system.statistics()
    assert (statistics.actors, statistics.mailbox_depth) == (2, 3)
    assert (statistics.deepest_path, statistics.deepest_depth) == ("system/b", 2)
    world.run()
    assert world.system.statistics().deepest_path == ""


def test_one_callback_serves_all_actors_that_are_ready() -> None:
    world = World()
    for _ in range(10):
        world.system.spawn(lambda: Script([])).tell(1)
    assert world.clock.run_once() == 1
    assert world.clock.run_once() == 0
    assert world.system.statistics().messages == 10


def test_what_is_asked_for_after_the_turns_runs_behind_them_in_the_same_callback() -> None:
    world = World()
    log: list[str] = []

    def ask_for_more(_actor: Script) -> None:
        log.append("turn")
        world.system.after_turns(lambda: log.append("after"))

    for _ in range(2):
        world.system.spawn(lambda: Script([])).tell(ask_for_more)
    assert world.clock.run_once() == 1
    assert log == ["turn", "turn", "after", "after"]


def test_what_is_asked_for_outside_of_turns_runs_soon() -> None:
    world = World()
    log: list[str] = []
    world.system.after_turns(lambda: log.append("soon"))
    assert log == []
    world.run()
    assert log == ["soon"]


def test_failures_are_logged_unless_observed_and_observers_may_not_break_anything(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_args: object) -> None:
        raise ValueError("observer")

    for system in (ActorSystem(ManualScheduler()), ActorSystem(ManualScheduler(), "s", broken, broken)):
        ref = system.spawn(lambda: Script([]), name="a")
        ref.tell(ValueError("boom"))
        assert isinstance(system.scheduler, ManualScheduler)
        system.scheduler.run_until_idle()
        ref.stop()
        ref.tell(1)
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR] == [
        "actor system/a failed",
        "the failure observer failed",
        "the dead-letter observer failed",
    ]


async def test_stop_ends_everything_in_reverse_order_and_is_repeatable() -> None:
    log = list[Any]()
    system = ActorSystem()
    for name in "ab":
        system.spawn(lambda: Script(log), name=name)
    assert await system.stop(1.0)
    assert await system.stop(1.0)
    assert log[2:] == ["stop b", "stop a"]
    assert system.statistics().actors == 0
    with pytest.raises(ActorStoppedError):
        system.spawn(lambda: Script([]))


async def test_stop_waits_for_an_actor_that_is_in_its_turn_and_for_tasks_only_so_long() -> None:
    world = World()
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    def begin(actor: Script) -> None:
        actor.context.run(stubborn(), on_result=lambda _: 1, on_error=lambda _: 2)

    world.system.spawn(lambda: Script([], begin))
    await asyncio.sleep(0)
    assert not await world.system.stop(0.01)
    release.set()
    assert await world.system.stop(1.0)


async def test_stop_asked_for_within_a_turn_is_done_after_it() -> None:
    world = World()

    def stop_all(_actor: Script) -> None:
        stopping = world.system.stop(1.0)
        stopping.send(None)  # runs to its first wait
        outcome.append(stopping)

    outcome = list[Any]()
    ref = world.system.spawn(lambda: Script([]))
    ref.tell(stop_all)
    world.run()
    assert not ref.alive
    outcome[0].close()
    assert await world.system.stop(1.0)
    assert world.dead_letters() == {}
    assert not ref.tell(1)
    assert world.dead_letters() == {DeadLetterReason.STOPPED: 1}

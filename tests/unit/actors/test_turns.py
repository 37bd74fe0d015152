"""Mailboxes and turns: order, bounds, shedding, batches, delivery, asks."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from actors import (
    DEFERRED,
    Actor,
    ActorFailedError,
    ActorStoppedError,
    ActorSystem,
    AskTimeoutError,
    DeadLetterReason,
    MailboxFullError,
    MailboxSpec,
    Overflow,
    Reply,
)

from .support import Flushing, Script, World


def test_messages_are_handled_in_the_order_told_and_not_before_the_loop_turns() -> None:
    world, log = World(), list[Any]()
    ref = world.system.spawn(lambda: Script(log), name="a")
    assert all(ref.tell(n) for n in range(5))
    assert ref.pending == 5
    assert log == ["start a"]
    world.run()
    assert log == ["start a", 0, 1, 2, 3, 4]
    assert ref.pending == 0
    assert world.system.statistics().messages == 5


def test_a_turn_handles_one_batch_and_then_lets_others_run() -> None:
    world, log = World(), list[Any]()
    a = world.system.spawn(lambda: Flushing(log), mailbox=MailboxSpec(batch=2))
    b = world.system.spawn(lambda: Script(log))
    log.clear()
    for n in range(5):
        a.tell(n)
    b.tell("b")
    world.clock.run_once()
    assert log == [0, 1, "flush", "b"]
    world.run()
    assert log == [0, 1, "flush", "b", 2, 3, "flush", 4, "flush"]
    assert world.system.statistics().turns == 4


def test_a_full_mailbox_refuses_and_counts_but_takes_control_messages_in_order() -> None:
    world, log = World(), list[Any]()
    ref = world.system.spawn(lambda: Script(log), mailbox=MailboxSpec(capacity=2))
    log.clear()
    assert [ref.tell(n) for n in range(3)] == [True, True, False]
    assert ref.tell_control("control")
    assert not ref.tell(4)
    world.run()
    assert log == [0, 1, "control"]
    assert world.dead_letters() == {DeadLetterReason.REFUSED: 2}
    assert [letter.message for letter in world.dead] == [2, 4]
    assert ref.tell_control("wakes an idle actor too")


def test_drop_oldest_sheds_the_oldest_but_never_a_control_message() -> None:
    world, log = World(), list[Any]()
    ref = world.system.spawn(lambda: Script(log), mailbox=MailboxSpec(2, Overflow.DROP_OLDEST))
    log.clear()
    ref.tell_control("control")
    assert all(ref.tell(n) for n in range(4))
    world.run()
    assert log == ["control", 3]
    assert world.dead_letters() == {DeadLetterReason.SHED: 3}


def test_a_sheddable_message_replaces_the_oldest_sheddable_and_others_are_refused() -> None:
    world, log = World(), list[Any]()
    spec = MailboxSpec(4, sheddable=lambda message: isinstance(message, float), batch=1)
    ref = world.system.spawn(lambda: Script(log), mailbox=spec)
    log.clear()
    assert [ref.tell(m) for m in (1, 1.5, 2, 2.5, 3, 3.5, 4.5)] == [True, True, True, True, False, True, True]
    world.clock.run_once()
    assert log == [1]
    assert ref.tell(5)
    assert not ref.tell(6)
    assert ref.tell(5.5)
    world.run()
    assert log == [1, 2, 4.5, 5, 5.5]
    assert world.dead_letters() == {DeadLetterReason.REFUSED: 2, DeadLetterReason.SHED: 3}


def test_a_sheddable_message_is_refused_when_nothing_that_waits_may_be_shed() -> None:
    world = World()
    ref = world.system.spawn(
        lambda: Script([]), mailbox=MailboxSpec(1, sheddable=lambda message: isinstance(message, float))
    )
    assert [ref.tell(1), ref.tell(1.5), ref.tell(2.5)] == [True, False, False]


def test_deliver_runs_one_turn_at_once_and_schedules_the_rest() -> None:
    world, log = World(), list[Any]()
    ref = world.system.spawn(lambda: Script(log), mailbox=MailboxSpec(capacity=4, batch=2))
    log.clear()
    assert ref.deliver([1, 2, 3, 4, 5]) == 4
    assert log == [1, 2]
    world.run()
    assert log == [1, 2, 3, 4]
    assert ref.deliver([]) == 0
    ref.tell(6)
    assert ref.deliver([7]) == 1
    assert log == [1, 2, 3, 4, 6, 7]
    world.run()
    assert ref.tell(8)
    world.run()
    assert log[-1] == 8


def test_deliver_during_the_actors_own_turn_only_queues() -> None:
    world, log = World(), list[Any]()
    ref = world.system.spawn(lambda: Script(log))
    log.clear()
    ref.tell(lambda _actor: log.append(ref.deliver([1])))
    ref.tell(2)
    world.run()
    assert log == [1, 2, 1]


def test_deliver_to_a_dead_actor_takes_nothing() -> None:
    world = World()
    ref = world.system.spawn(lambda: Script([]))
    ref.stop()
    assert ref.deliver([1, 2]) == 0
    assert not ref.tell(3)
    assert not ref.tell_control(4)
    assert not ref.deliver_control(5)
    assert world.dead_letters() == {DeadLetterReason.STOPPED: 3}, "what was delivered in vain stays its caller's"


def test_what_deliver_does_not_take_is_no_dead_letter_and_sheds_nothing() -> None:
    world, log = World(), list[Any]()
    spec = MailboxSpec(capacity=2, batch=1, sheddable=lambda _: True)
    ref = world.system.spawn(lambda: Script(log), mailbox=spec)
    log.clear()
    assert ref.deliver([1, 2, 3, 4]) == 2
    assert ref.deliver([3, 4]) == 1
    world.run()
    assert log == [1, 2, 3]
    assert world.dead_letters() == {}


def test_deliver_control_is_taken_by_a_full_mailbox_behind_what_waits() -> None:
    world, log = World(), list[Any]()
    ref = world.system.spawn(lambda: Script(log), mailbox=MailboxSpec(capacity=2, batch=1, sheddable=lambda _: True))
    log.clear()
    ref.tell(1)
    ref.tell(2)
    assert ref.deliver_control("end")
    assert log == [1], "one turn at once"
    ref.tell(3)  # sheds 2, never the control message
    world.run()
    assert log == [1, "end", 3]
    assert ref.deliver_control("idle")
    assert log[-1] == "idle"


def test_deliver_control_during_the_actors_own_turn_only_queues() -> None:
    world, log = World(), list[Any]()
    ref = world.system.spawn(lambda: Script(log))
    log.clear()
    ref.tell(lambda _actor: log.append(ref.deliver_control(1)))
    ref.tell(2)
    world.run()
    assert log == [True, 2, 1]


def test_cancellation_and_interrupts_pass_through_a_turn_and_lose_only_their_own_message() -> None:
    for raised in (asyncio.CancelledError(), KeyboardInterrupt()):
        world, log = World(), list[Any]()
        ref = world.system.spawn(lambda log=log: Flushing(log))  # type: ignore[misc]
        log.clear()
        for message in (1, raised, 2):
            ref.tell(message)
        with pytest.raises(type(raised)):
            world.run()
        assert log == [1, "flush"]
        world.run()
        assert log == [1, "flush", 2, "flush"]
        assert world.system.statistics().messages == 3
        assert world.failures == []


def test_after_turn_runs_for_what_came_before_a_failure_and_its_own_failure_counts() -> None:
    world, log = World(), list[Any]()

    class Faulty(Flushing):
        def after_turn(self) -> None:
            super().after_turn()
            raise ValueError("flush")

    ref = world.system.spawn(lambda: Faulty(log), name="a")
    for message in (1, ValueError("receive"), 2):
        ref.tell(message)
    world.clock.run_once()
    assert world.failures == [("system/a", "flush"), ("system/a", "receive")]
    ref.stop()
    quiet = world.system.spawn(lambda: Faulty(log), name="b")
    quiet.tell(1)
    world.clock.run_once()
    assert world.failures[2:] == [("system/b", "flush")]


def test_an_interrupt_in_after_turn_passes_even_after_a_failure() -> None:
    world = World()

    class Interrupted(Script):
        def after_turn(self) -> None:
            raise KeyboardInterrupt

    ref = world.system.spawn(lambda: Interrupted([]))
    ref.tell(ValueError("first"))
    with pytest.raises(KeyboardInterrupt):
        world.run()
    assert ref.alive


def test_an_interrupt_after_a_stop_in_the_same_turn_still_ends_the_actor() -> None:
    world, log = World(), list[Any]()

    def stop_and_raise(actor: Script) -> None:
        actor.context.stop()
        raise KeyboardInterrupt

    world.system.spawn(lambda: Script(log), name="a").tell(stop_and_raise)
    with pytest.raises(KeyboardInterrupt):
        world.run()
    assert log == ["start a", "stop a"]


def test_an_actor_without_receive_fails() -> None:
    world = World()
    world.system.spawn(Actor, name="a").tell(1)
    world.run()
    assert world.failures == [("system/a", "Actor.receive")]


@pytest.mark.parametrize(("capacity", "batch"), [(0, 1), (1, 0)])
def test_a_mailbox_needs_room_and_a_batch(capacity: int, batch: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        MailboxSpec(capacity, batch=batch)


async def settled(world: World) -> None:
    await asyncio.sleep(0)
    world.run()


async def test_ask_returns_what_receive_returns() -> None:
    world = World()
    ref = world.system.spawn(lambda: Script([]))
    asking = asyncio.ensure_future(ref.ask(5, 1.0))
    await settled(world)
    assert await asking == 5
    assert world.clock.timers == 0


async def test_a_deferred_ask_is_answered_or_failed_later() -> None:
    world, replies = World(), list[Reply]()

    def defer(actor: Script) -> object:
        assert actor.context.reply_to is not None
        replies.append(actor.context.reply_to)
        return DEFERRED

    ref = world.system.spawn(lambda: Script([]))
    first = asyncio.ensure_future(ref.ask(defer, 1.0))
    second = asyncio.ensure_future(ref.ask(defer, 1.0))
    await settled(world)
    assert replies[0].answer("late")
    assert replies[1].fail(LookupError("no"))
    assert await first == "late"
    with pytest.raises(LookupError):
        await second
    assert not replies[0].answer("again")
    assert not replies[1].fail(LookupError("again"))
    assert world.dead_letters() == {DeadLetterReason.LATE_REPLY: 2}


async def test_an_ask_answered_within_receive_ignores_the_returned_value() -> None:
    world = World()

    def answer(actor: Script) -> object:
        assert actor.context.reply_to is not None
        actor.context.reply_to.answer("explicit")
        return "returned"

    ref = world.system.spawn(lambda: Script([]))
    asking = asyncio.ensure_future(ref.ask(answer, 1.0))
    await settled(world)
    assert await asking == "explicit"
    assert world.dead == []


async def test_an_ask_times_out_and_its_question_is_not_handled_any_more() -> None:
    world, log = World(), list[Any]()
    ref = world.system.spawn(lambda: Script(log), mailbox=MailboxSpec(batch=1))
    ref.tell(lambda _actor: world.clock.advance(2.0))
    asking = asyncio.ensure_future(ref.ask("question", 1.0))
    await settled(world)
    with pytest.raises(AskTimeoutError, match="no answer within 1 s"):
        await asking
    assert "question" not in log
    assert world.dead_letters() == {DeadLetterReason.ASK_EXPIRED: 1}


async def test_a_cancelled_asker_gets_its_cancellation_and_the_question_is_dropped() -> None:
    world, log = World(), list[Any]()
    ref = world.system.spawn(lambda: Script(log))
    asking = asyncio.ensure_future(ref.ask("question", 1.0))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    world.run()
    assert "question" not in log
    assert world.clock.timers == 0


async def test_asks_of_full_dead_stopping_and_failing_actors_fail_at_once() -> None:
    world = World()
    ref = world.system.spawn(lambda: Script([]), mailbox=MailboxSpec(1), name="a")
    ref.tell(1)
    with pytest.raises(MailboxFullError, match="system/a: mailbox is full"):
        await ref.ask(2, 1.0)
    world.run()
    waiting = asyncio.ensure_future(ref.ask(3, 1.0))
    await asyncio.sleep(0)
    ref.stop()
    with pytest.raises(ActorStoppedError):
        await waiting
    with pytest.raises(ActorStoppedError, match="actor is stopped"):
        await ref.ask(4, 1.0)
    failing = world.system.spawn(lambda: Script([]))
    asking = asyncio.ensure_future(failing.ask(ValueError("boom"), 1.0))
    await settled(world)
    with pytest.raises(ActorFailedError, match="failed before") as caught:
        await asking
    assert isinstance(caught.value.__cause__, ValueError)


async def test_a_shed_question_fails_its_ask() -> None:
    world = World()
    ref = world.system.spawn(lambda: Script([]), mailbox=MailboxSpec(1, Overflow.DROP_OLDEST))
    asking = asyncio.ensure_future(ref.ask(1, 1.0))
    await asyncio.sleep(0)
    assert ref.tell(2)
    with pytest.raises(MailboxFullError):
        await asking


async def test_under_a_real_loop_messages_asks_and_timeouts_work() -> None:
    system, log = ActorSystem(), list[Any]()
    ref = system.spawn(lambda: Script(log))
    for n in range(200):
        ref.tell(n)
    assert await ref.ask("done", 1.0) == "done"
    assert log[1:-1] == list(range(200))
    with pytest.raises(AskTimeoutError):
        await ref.ask(lambda _actor: DEFERRED, 0.001)
    assert await system.stop(1.0)

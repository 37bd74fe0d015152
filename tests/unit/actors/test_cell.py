"""The life of actors: spawning, supervision, death watch, tasks, timers, ordered stop."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from actors import (
    DEFERRED,
    Actor,
    ActorFailedError,
    ActorRef,
    ActorStoppedError,
    ActorSystem,
    DeadLetterReason,
    Directive,
    NameTakenError,
    Supervision,
    TaskCancelledError,
    Terminated,
)
from actors.testing import Probe

from .support import Flushing, Script, World

Act = Callable[[Script], object]


def spawning(log: list[Any], *names: str, supervision: Supervision | None = None) -> Act:
    def begin(actor: Script) -> None:
        for name in names:
            actor.context.spawn(lambda: Script(log), name=name, supervision=supervision)

    return begin


def test_a_context_shows_the_actors_place() -> None:
    world, seen = World(), list[Any]()

    def look(actor: Script) -> None:
        context = actor.context
        seen.append((context.name, context.ref, context.parent, context.system, context.children, context.reply_to))

    def begin(actor: Script) -> None:
        actor.context.spawn(lambda: Script([], look), name="kid")

    parent = world.system.spawn(lambda: Script([], begin), name="top")
    parent.tell(look)
    world.run()
    kid = seen[0][1]
    assert (kid.path, kid.name, repr(kid)) == ("system/top/kid", "kid", "<ActorRef system/top/kid>")
    assert seen == [
        ("kid", kid, parent, world.system, (), None),
        ("top", parent, None, world.system, (kid,), None),
    ]
    assert world.system.children == (parent,)


def test_names_are_unique_among_the_living_and_given_where_none_is() -> None:
    world = World()
    first = world.system.spawn(lambda: Script([]), name="a")
    with pytest.raises(NameTakenError, match="system/a: name is taken"):
        world.system.spawn(lambda: Script([]), name="a")
    first.stop()
    assert world.system.spawn(lambda: Script([]), name="a") is not first
    assert world.system.spawn(lambda: Script([])).name != world.system.spawn(lambda: Script([])).name


def test_a_factory_that_raises_at_once_spawns_nothing() -> None:
    world = World()

    def factory() -> Actor:
        raise ValueError("factory")

    with pytest.raises(ValueError, match="factory"):
        world.system.spawn(factory, name="a")
    assert world.system.statistics().actors == 0
    assert world.system.spawn(Actor, name="a").alive


def test_messages_told_within_on_start_wait_for_it() -> None:
    world, log = World(), list[Any]()
    world.system.spawn(lambda: Script(log, lambda actor: actor.context.ref.tell("hello")), name="a")
    world.run()
    assert log == ["start a", "hello"]


def test_an_actor_may_stop_within_on_start() -> None:
    world, log = World(), list[Any]()
    ref = world.system.spawn(lambda: Script(log, lambda actor: actor.context.stop()), name="a")
    assert not ref.alive
    assert log == ["start a", "stop a"]
    assert world.system.statistics().actors == 0


def test_a_failure_restarts_the_actor_and_keeps_the_mailbox_but_not_the_message() -> None:
    world, log = World(), list[Any]()
    ref = world.system.spawn(lambda: Script(log), name="a")
    for message in (1, ValueError("boom"), 2):
        ref.tell(message)
    world.run()
    assert log == ["start a", 1, "failure boom", "stop a", "start a", 2]
    assert world.failures == [("system/a", "boom")]
    statistics = world.system.statistics()
    assert (statistics.restarts, statistics.failures, statistics.messages, statistics.actors) == (1, 1, 3, 1)


def test_a_restart_waits_for_its_back_off_while_messages_queue_up() -> None:
    world, log = World(), list[Any]()
    supervision = Supervision(backoff_initial_s=1.0, backoff_factor=2.0, within_s=60.0)
    ref = world.system.spawn(lambda: Script(log), name="a", supervision=supervision)
    ref.tell(ValueError("one"))
    world.run()
    assert ref.tell(1)
    assert ref.alive
    world.clock.advance(0.99)
    assert ref.pending == 1
    world.clock.advance(0.01)
    assert log[-1] == 1
    ref.tell(ValueError("two"))
    ref.tell(2)
    world.clock.advance(1.9)
    assert log[-1] == "stop a"
    world.clock.advance(0.2)
    assert log[-1] == 2


def test_more_failures_than_the_intensity_stop_the_child_and_fail_its_parent() -> None:
    world, log = World(), list[Any]()
    top = world.system.spawn(
        lambda: Script(log, spawning(log, "kid", supervision=Supervision(max_restarts=1, within_s=5.0))), name="top"
    )
    kids = list[ActorRef]()
    top.tell(lambda actor: kids.extend(actor.context.children))
    world.run()
    kids[0].tell(ValueError("one"))
    world.clock.advance(6.0)
    kids[0].tell(ValueError("two"))
    world.clock.advance(1.0)
    assert kids[0].alive
    log.clear()
    kids[0].tell(ValueError("three"))
    top.tell("after")
    world.run()
    assert not kids[0].alive
    assert log[:3] == ["failure three", "stop kid", "failure three"]
    assert log[3:] == ["stop top", "start top", "start kid", "after"]
    assert [path for path, _ in world.failures[-2:]] == ["system/top/kid", "system/top"]


def test_an_escalation_at_the_top_stops_the_actor_for_good_and_is_counted() -> None:
    world = World()
    ref = world.system.spawn(lambda: Script([]), supervision=Supervision(directive=lambda _: Directive.ESCALATE))
    ref.tell(ValueError("boom"))
    world.run()
    assert not ref.alive
    assert world.system.statistics().escalations == 1


def test_an_escalation_to_a_parent_that_stops_or_restarts_changes_nothing() -> None:
    world, log = World(), list[Any]()
    supervision = Supervision(directive=lambda _: Directive.ESCALATE)

    def stop_top_and_fail(actor: Script) -> None:
        assert actor.context.parent is not None
        actor.context.parent.stop()
        raise ValueError("boom")

    top = world.system.spawn(lambda: Script(log, spawning(log, "kid", supervision=supervision)), name="top")
    top.tell(lambda actor: actor.context.children[0].tell(stop_top_and_fail))
    world.run()
    assert log == ["start top", "start kid", "failure boom", "stop kid", "stop top"]


@pytest.mark.parametrize(
    ("directive", "end"),
    [(Directive.RESUME, ["failure boom", 1]), (Directive.STOP, ["failure boom", "stop a"])],
)
def test_a_failed_child_may_be_resumed_or_stopped(directive: Directive, end: list[Any]) -> None:
    world, log = World(), list[Any]()
    ref = world.system.spawn(lambda: Script(log), name="a", supervision=Supervision(directive=lambda _: directive))
    log.clear()
    ref.tell(ValueError("boom"))
    ref.tell(1)
    world.run()
    assert log == end


def test_a_failure_in_a_delivered_turn_leaves_the_actor_in_the_ready_queue() -> None:
    world, log = World(), list[Any]()
    ref = world.system.spawn(
        lambda: Script(log), supervision=Supervision(directive=lambda _: Directive.RESUME), name="a"
    )
    ref.tell(1)
    ref.deliver([ValueError("boom"), 2])
    world.run()
    assert log == ["start a", 1, "failure boom", 2]


def test_a_directive_that_raises_escalates() -> None:
    world = World()

    def directive(_error: Exception) -> Directive:
        raise KeyError("directive")

    ref = world.system.spawn(lambda: Script([]), supervision=Supervision(directive=directive))
    ref.tell(ValueError("boom"))
    world.run()
    assert not ref.alive
    assert len(world.failures) == 2


def test_a_failing_on_start_or_factory_is_retried_up_to_the_intensity_even_when_told_to_resume() -> None:
    world, made = World(), list[int]()

    class Stillborn(Script):
        def on_start(self) -> None:
            raise ValueError("start")

    def factory() -> Actor:
        made.append(1)
        if len(made) == 2:
            raise ValueError("factory")
        return Stillborn([])

    supervision = Supervision(directive=lambda _: Directive.RESUME, max_restarts=2)
    ref = world.system.spawn(factory, supervision=supervision, name="a")
    world.run()
    assert not ref.alive
    assert [text for _, text in world.failures] == ["start", "factory", "start"]
    assert world.system.statistics().actors == 0


def test_errors_in_on_stop_and_on_failure_are_reported_and_change_nothing() -> None:
    world = World()

    class Clumsy(Script):
        def on_stop(self) -> None:
            raise ValueError("on_stop")

        def on_failure(self, error: Exception) -> None:  # noqa: ARG002 - the signature is the base class's
            raise ValueError("on_failure")

    ref = world.system.spawn(lambda: Clumsy([]), name="a")
    ref.tell(ValueError("boom"))
    world.run()
    assert [text for _, text in world.failures] == ["on_failure", "boom", "on_stop"]
    assert ref.alive


def test_watchers_hear_of_the_end_once_and_only_while_they_watch() -> None:
    world = World()
    ref, other = world.system.spawn(lambda: Script([])), world.system.spawn(lambda: Script([]))
    probe, second = Probe(world.system), Probe(world.system)
    probe.watch(ref)
    probe.watch(ref)
    second.watch(ref)
    second.context.unwatch(ref)
    second.context.unwatch(other)
    ref.stop("bye")
    probe.expect(Terminated(ref, "bye"))
    second.expect_nothing()
    second.watch(ref)
    second.expect_terminated(ref, "bye")
    second.watch(ref)
    second.context.unwatch(ref)
    second.expect_nothing()
    with pytest.raises(ValueError, match="other actors"):
        probe.watch(probe.ref)
    Probe(world.system).context.unwatch(ref)


def test_a_stopped_watcher_is_forgotten_and_a_restarted_one_no_longer_watches() -> None:
    world, log = World(), list[Any]()
    ref = world.system.spawn(lambda: Script([]))
    watcher, gone = world.system.spawn(lambda: Script(log), name="w"), Probe(world.system)
    gone.watch(ref)
    gone.ref.stop()
    watcher.tell(lambda actor: actor.context.watch(ref))
    watcher.tell(lambda _actor: ref.stop())
    watcher.tell(ValueError("boom"))
    world.run()
    assert log == ["start w", "failure boom", "stop w", "start w"]
    assert world.dead == []


def test_stopping_is_children_first_and_last_spawned_first() -> None:
    world, log = World(), list[Any]()
    top = world.system.spawn(lambda: Script(log, spawning(log, "a", "b", "c")), name="top")
    log.clear()
    top.tell("waits")
    top.stop()
    top.stop()
    assert log == ["stop c", "stop b", "stop a", "stop top"]
    assert world.dead_letters() == {DeadLetterReason.UNHANDLED: 1}
    world.run()


def test_stop_within_a_turn_ends_it_after_the_message_at_hand() -> None:
    world, log = World(), list[Any]()
    ref = world.system.spawn(lambda: Flushing(log), name="a")
    log.clear()
    for message in (1, lambda actor: actor.context.stop(), 2, 3):
        ref.tell(message)
    world.run()
    assert log == [1, "flush", "stop a"]
    assert world.system.statistics().messages == 2
    assert world.dead_letters() == {DeadLetterReason.UNHANDLED: 2}


def test_a_child_that_stops_its_parent_ends_its_own_turn_first() -> None:
    world, log = World(), list[Any]()
    top = world.system.spawn(lambda: Script(log, spawning(log, "a", "b")), name="top")
    log.clear()

    def stop_parent(actor: Script) -> None:
        assert actor.context.parent is not None
        actor.context.parent.stop()
        log.append("turn ends")
        with pytest.raises(ActorStoppedError):
            actor.context.spawn(Actor)

    top.tell(lambda actor: actor.context.children[0].tell(stop_parent))
    world.run()
    assert log == ["stop b", "turn ends", "stop a", "stop top"]


def test_a_restart_waits_for_children_that_are_within_their_turn() -> None:
    world, log = World(), list[Any]()
    top = world.system.spawn(lambda: Script(log, spawning(log, "kid")), name="top")
    log.clear()

    def fail_parent(_actor: Script) -> None:
        top.deliver([ValueError("boom")])  # the turn of another actor within this one
        world.clock.advance(0)
        log.append("turn ends")

    kids = list[ActorRef]()
    top.deliver([lambda actor: kids.extend(actor.context.children)])
    kids[0].deliver([fail_parent])
    world.run()
    assert log == ["failure boom", "turn ends", "stop kid", "stop top", "start top", "start kid"]


def test_an_actor_stopped_in_its_back_off_is_not_restarted() -> None:
    world, log = World(), list[Any]()
    ref = world.system.spawn(lambda: Script(log), name="a", supervision=Supervision(backoff_initial_s=1.0))
    ref.tell(ValueError("boom"))
    world.run()
    ref.tell(1)
    ref.stop()
    world.clock.advance(5.0)
    assert log == ["start a", "failure boom", "stop a"]
    assert world.clock.timers == 0


def test_timers_tell_self_and_end_with_their_instance() -> None:
    world, log = World(), list[Any]()
    timers = list[Any]()
    ref = world.system.spawn(lambda: Script(log), name="a")

    def begin(actor: Script) -> None:
        timers.extend(actor.context.call_later(delay_s, delay_s) for delay_s in (1.0, 2.0, 3.0))

    ref.tell(begin)
    world.clock.advance(1.0)
    timers[1].cancel()
    timers[0].cancel()
    ref.tell(ValueError("boom"))
    world.clock.advance(5.0)
    assert log == ["start a", 1.0, "failure boom", "stop a", "start a"]
    assert world.clock.timers == 0


async def settle(world: World) -> None:
    for _ in range(4):
        await asyncio.sleep(0)
        world.run()


async def test_the_end_of_a_task_arrives_as_one_message() -> None:
    world, log = World(), list[Any]()
    ref = world.system.spawn(lambda: Script(log), name="a")

    async def work(outcome: Any) -> Any:
        await asyncio.sleep(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def begin(actor: Script) -> None:
        for outcome in (1, ValueError("no"), asyncio.CancelledError()):
            actor.context.run(work(outcome), on_result=lambda n: ("ok", n), on_error=lambda e: ("error", type(e)))

    ref.tell(begin)
    world.run()
    await settle(world)
    assert log == ["start a", ("ok", 1), ("error", ValueError), ("error", TaskCancelledError)]
    assert str(TaskCancelledError("p")) == "p: task was cancelled"


async def test_a_callback_of_a_task_that_raises_fails_the_actor() -> None:
    world = World()

    async def work() -> int:
        return 1

    def broken(_n: object) -> object:
        raise ValueError("callback")

    ref = world.system.spawn(lambda: Script([]), name="a")
    ref.tell(lambda actor: actor.context.run(work(), on_result=broken, on_error=broken))
    world.run()
    await settle(world)
    assert world.failures == [("system/a", "callback")]


async def test_tasks_are_cancelled_and_silent_when_their_instance_ends() -> None:
    system, log = ActorSystem(), list[Any]()
    forever = asyncio.Event()

    def begin(actor: Script) -> None:
        actor.context.run(forever.wait(), on_result=log.append, on_error=log.append)

    system.spawn(lambda: Script(log, begin), name="a")
    assert await system.stop(1.0)
    assert log == ["start a", "stop a"]
    assert not system.tasks


async def test_deferred_asks_fail_with_the_instance_that_promised_the_answer() -> None:
    world = World()
    ref = world.system.spawn(lambda: Script([]))
    for end, error in ((lambda: ref.tell(ValueError("boom")), ActorFailedError), (ref.stop, ActorStoppedError)):
        asking = asyncio.ensure_future(ref.ask(lambda _actor: DEFERRED, 1.0))
        await settle(world)
        end()
        await settle(world)
        with pytest.raises(error):
            await asking


def test_an_actor_that_has_stopped_keeps_nothing_that_it_was_made_of() -> None:
    """What made it may hold its own address: the two would stay until the collector looks at everything."""

    class Held:
        ref: ActorRef

    world, held = World(), Held()
    gone = weakref.ref(held)

    def make(held: Held = held) -> Actor:
        return Script([held])

    held.ref = ref = world.system.spawn(make)
    del held, make
    assert gone() is not None
    gc.disable()
    try:
        ref.stop()
        world.run()
        assert gone() is None
    finally:
        gc.enable()
    assert not ref.alive


@pytest.mark.parametrize("rings", [True, False])
def test_a_message_that_was_put_off_keeps_nothing_once_it_has_rung_or_never_will(rings: bool) -> None:
    class Held:
        """What a message may be."""

    world, timers = World(), list[Any]()
    held = Held()
    gone = weakref.ref(held)

    def put_off(actor: Script, held: Held = held) -> None:
        timers.append(actor.context.call_later(1, lambda _, held=held: held))

    ref = world.system.spawn(lambda: Script([]))
    ref.tell(put_off)
    del held, put_off
    world.run()
    gc.disable()
    try:
        if not rings:
            timers[0].cancel()
        world.clock.advance(2)
        timers.clear()
        assert gone() is None
    finally:
        gc.enable()

"""Mailboxes against a naive model: order, bound, shedding, and nothing lost unaccounted."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from actors import Actor, ActorSystem, DeadLetterReason, MailboxSpec, Supervision
from actors.testing import ManualScheduler

STEP = st.one_of(
    st.tuples(st.just("tell"), st.booleans()), st.tuples(st.just("control"), st.booleans()), st.just(("turn", False))
)


class Recorder(Actor):
    def __init__(self) -> None:
        self.seen: list[Any] = []

    def receive(self, message: Any) -> object:
        self.seen.append(message)
        return None


@given(st.integers(1, 6), st.integers(1, 4), st.lists(STEP, max_size=60))
def test_a_mailbox_behaves_as_its_model(capacity: int, batch: int, steps: list[tuple[str, bool]]) -> None:
    clock, recorder = ManualScheduler(), Recorder()
    system = ActorSystem(clock)
    spec = MailboxSpec(capacity, sheddable=lambda message: bool(message[1]), batch=batch)
    ref = system.spawn(lambda: recorder, mailbox=spec)
    model: list[tuple[int, bool, bool]] = []  # number, sheddable, control
    handled: list[tuple[int, bool]] = []
    shed = refused = 0
    for number, (step, sheddable) in enumerate(steps):
        match step:
            case "turn":
                clock.run_once()
                handled += [(n, s) for n, s, _ in model[:batch]]
                del model[:batch]
            case "control":
                assert ref.tell_control((number, sheddable))
                model.append((number, sheddable, True))
            case _:
                taken = ref.tell((number, sheddable))
                victims = [index for index, (_, s, control) in enumerate(model) if s and not control]
                if len(model) < capacity:
                    assert taken
                    model.append((number, sheddable, False))
                elif sheddable and victims:
                    assert taken
                    del model[victims[0]]
                    model.append((number, sheddable, False))
                    shed += 1
                else:
                    assert not taken
                    refused += 1
        assert ref.pending == len(model)
        assert recorder.seen == handled
    letters = system.statistics().dead_letters
    assert (letters[DeadLetterReason.SHED], letters[DeadLetterReason.REFUSED]) == (shed, refused)


@given(st.lists(st.sampled_from(["ok", "fail"]), max_size=40), st.integers(1, 5))
def test_restarts_lose_only_the_failing_messages(messages: list[str], batch: int) -> None:
    seen: list[int] = []

    class Fragile(Actor):
        def receive(self, message: Any) -> object:
            number, kind = message
            if kind == "fail":
                raise ValueError(kind)
            seen.append(number)
            return None

    clock = ManualScheduler()
    system = ActorSystem(clock, on_failure=lambda _ref, _error: None)
    ref = system.spawn(Fragile, mailbox=MailboxSpec(batch=batch), supervision=Supervision(max_restarts=100))
    for item in enumerate(messages):
        ref.tell(item)
    clock.run_until_idle()
    assert seen == [number for number, kind in enumerate(messages) if kind == "ok"]
    assert system.statistics().messages == len(messages)
    assert system.statistics().restarts == messages.count("fail")

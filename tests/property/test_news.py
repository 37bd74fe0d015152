"""wsprism.policy.news against a naive receiver: in order, nothing twice under two ids, ``missed`` exact."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsprism.policy.news import NewsBounds, NewsQueue

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 8)),
        st.tuples(st.just("later"), st.integers(1, 40)),
        st.tuples(st.just("send"), st.booleans()),
    ),
    max_size=80,
)


@given(STEPS, st.integers(1, 5), st.integers(1, 12), st.integers(5, 100))
def test_a_receiver_always_knows_what_it_knows(
    steps: list[tuple[str, int]], max_events: int, max_waiting: int, max_age_s: int
) -> None:
    queue = NewsQueue(NewsBounds(max_events, max_waiting, 1_000_000, float(max_age_s)))
    now, made, last_seen = 0.0, 0, 0
    bodies: dict[str, list[bytes]] = {}

    def send(taken: bool) -> None:
        nonlocal last_seen
        batch = queue.batch(now, f"id{len(bodies)}")
        if batch is None:
            return
        assert 1 <= len(batch.events) <= max_events
        assert bodies.setdefault(batch.id, batch.events) == batch.events
        numbers = [int(event) for event in batch.events]
        assert numbers == list(range(batch.first_seq, batch.first_seq + len(numbers)))
        if taken:
            assert batch.first_seq == last_seen + batch.missed + 1
            last_seen = numbers[-1]
            queue.taken(batch)

    for what, argument in steps:
        if what == "add":
            for _ in range(argument):
                made += 1
                assert queue.next_seq == made
                queue.add(str(made).encode(), now)
            assert len(queue) <= max_waiting + max_events
        elif what == "later":
            now += argument
        else:
            send(bool(argument))
    while len(queue):
        before = len(queue)
        send(True)
        assert len(queue) < before
    assert queue.sent + queue.missed == made


def test_bytes_bound_what_waits_but_never_the_newest_event() -> None:
    queue = NewsQueue(NewsBounds(10, 100, 20, 60.0))
    for _ in range(5):
        queue.add(b"x" * 9, 0.0)
    assert len(queue) == 2
    queue.add(b"y" * 500, 0.0)
    batch = queue.batch(0.0, "one")
    assert batch is not None
    assert (batch.events, batch.missed, batch.first_seq) == ([b"y" * 500], 5, 6)

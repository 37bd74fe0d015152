"""wsprism.policy.history against a naive model: offsets without a gap, recovery exact and never partial."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsprism.policy.history import Histories, History, HistoryBounds, Position

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 40)),
        st.tuples(st.just("later"), st.integers(1, 30)),
        st.tuples(st.just("recover"), st.integers(-2, 30)),
    ),
    max_size=60,
)


@given(STEPS, st.integers(1, 10), st.integers(1, 200), st.integers(1, 60), st.integers(1, 12))
def test_recovery_is_told_exactly_when_everything_is_kept(
    steps: list[tuple[str, int]], max_messages: int, max_bytes: int, ttl_s: int, recover_max: int
) -> None:
    bounds = HistoryBounds(max_messages, max_bytes, float(ttl_s), recover_max)
    history: History[int] = History("e", bounds, 0.0)
    now = 0.0
    model: list[tuple[int, int, float]] = []  # offset, size, time
    for what, argument in steps:
        if what == "publish":
            offset = history.append(argument, argument, now)
            assert offset == history.top
            model.append((offset, argument, now))
        elif what == "later":
            now += argument
        else:
            since = Position("e", history.top - argument)
            missed = history.missed(since, now)
            model = [one for one in model if now - one[2] < ttl_s]
            kept = {offset for offset, _, _ in model}
            wanted = range(since.offset + 1, history.top + 1)
            complete = 0 <= since.offset <= history.top and all(offset in kept for offset in wanted)
            complete = complete and len(wanted) <= recover_max
            assert (missed is not None) == complete
            if missed is not None:
                assert [one[0] for one in history.after(since.offset, 1000)] == list(wanted)
            assert history.missed(Position("other", history.top), now) is None
        model = model[-max_messages:]
        while sum(size for _, size, _ in model) > max_bytes:
            model.pop(0)
    backwards = [one[0] for one in history.before(history.top + 1, 1000)]
    assert backwards[::-1] == [one[0] for one in history.after(0, 1000)]


def test_nothing_missed_is_recovered_however_long_ago_while_there_are_members() -> None:
    history: History[int] = History("e", HistoryBounds(10, 1000, 5.0, 10), 0.0)
    history.members = True
    for number in range(3):
        history.append(number, 1, 0.0)
    assert history.missed(Position("e", 3), 1000.0) == 0
    assert history.missed(Position("e", 2), 1000.0) is None


def test_an_id_is_known_as_long_as_its_publication_is_kept() -> None:
    history: History[int] = History("e", HistoryBounds(2, 1000, 5.0, 10), 0.0)
    history.append(1, 1, 0.0, "a")
    assert history.offset_of("a") == 1
    history.append(2, 1, 0.0, "b")
    history.append(3, 1, 0.0)
    assert history.offset_of("a") is None
    assert history.offset_of("b") == 2


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 30)), max_size=60), st.integers(1, 4))
def test_a_tenants_histories_stay_within_their_bounds_and_go_whole(
    steps: list[tuple[str, int]], max_rooms: int
) -> None:
    epochs = count(1)
    histories: Histories[int] = Histories(max_rooms, 60, lambda: str(next(epochs)))
    bounds = HistoryBounds(5, 50, 100.0, 5)
    used: list[str] = []
    for number, (room, size) in enumerate(steps):
        had = room in histories
        before = histories.find(room, float(number))
        top = before.top if before is not None else 0
        offset, evicted = histories.append(room, number, size, bounds, float(number))
        assert offset == (top if had else 0) + 1
        assert room not in evicted
        used = [one for one in used if one != room] + [room]
        for gone in evicted:
            assert gone not in histories
        assert len(histories) <= max_rooms
        assert histories.size_bytes <= 60
        assert histories.size_bytes == sum(
            history.size_bytes for name in histories.names() if (history := histories.find(name, float(number)))
        )
        assert list(histories.names()) == [one for one in used if one in histories]


def test_a_history_ends_its_time_after_the_last_publication_or_leave() -> None:
    histories: Histories[int] = Histories(10, 1000, lambda: "e")
    bounds = HistoryBounds(5, 50, 10.0, 5)
    histories.append("a", 1, 1, bounds, 0.0)
    history = histories.find("a", 5.0)
    assert history is not None
    history.members = True
    assert histories.sweep(["a"], 50.0) == []
    history.members = False
    history.used_at = 50.0
    assert histories.sweep(["a"], 59.9) == []
    assert histories.sweep(["a"], 60.0) == ["a"]
    assert histories.size_bytes == 0


@pytest.mark.parametrize(
    "vector",
    json.loads((Path(__file__).parents[1] / "vectors" / "recovery.json").read_text()),
    ids=lambda one: one["name"],
)
def test_recovery_as_its_vector_says(vector: dict[str, Any]) -> None:
    bounds = HistoryBounds(**{"max_bytes": 1000, "ttl_s": 60.0, **vector["bounds"]})
    history: History[int] = History("e", bounds, 0.0)
    history.members = True
    for number in range(vector["published"]):
        history.append(number, 1, 0.0)
    since = Position(vector.get("epoch", "e"), vector["since"])
    assert history.missed(since, float(vector.get("later_s", 0))) == vector["missed"]

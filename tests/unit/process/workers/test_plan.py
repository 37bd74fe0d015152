"""Who accepts what, and when what died is started again."""

from __future__ import annotations

from wsprism.process.workers.plan import accepting, preferred, restart_after_s


def test_each_worker_that_is_there_accepts_from_its_own_slot() -> None:
    assert accepting(3, [1, 2, 3], [1, 2, 3]) == {1: [0], 2: [1], 3: [2]}


def test_slots_whose_worker_is_not_there_are_shared_out_among_the_others() -> None:
    assert accepting(4, [1, 2, 3, 4], [1, 4]) == {1: [0, 1], 4: [2, 3]}
    assert accepting(3, [1, 2, 3], [2]) == {2: [0, 1, 2]}


def test_every_slot_has_exactly_one_worker_whoever_is_there() -> None:
    for missing in range(1, 16):
        there = [number for number in range(1, 5) if missing >> (number - 1) & 1]
        taken = accepting(4, [1, 2, 3, 4], there)
        assert sorted(slot for slots in taken.values() for slot in slots) == [0, 1, 2, 3]


def test_with_one_slot_for_all_everybody_accepts_from_it() -> None:
    assert accepting(1, [1, 2, 3], [1, 3]) == {1: [0], 3: [0]}


def test_nobody_there_accepts_nothing() -> None:
    assert accepting(2, [1, 2], []) == {}


def test_those_that_are_ready_take_all_and_without_any_all_do() -> None:
    assert preferred({1: True, 2: False, 3: True}) == [1, 3]
    assert preferred({1: False, 2: False}) == [1, 2]
    assert preferred({}) == []


def test_the_wait_before_a_restart_doubles_up_to_half_a_minute() -> None:
    assert [restart_after_s(failures) for failures in (1, 2, 3)] == [0.2, 0.4, 0.8]
    assert restart_after_s(9) == restart_after_s(10_000) == 30.0

"""wsprism.realtime.tenant.room_numbers: numbers that stand for rooms while they live."""

from __future__ import annotations

from wsprism.realtime.tenant.room_numbers import RoomNumbers


def test_each_room_has_its_own_and_a_closed_ones_is_not_given_to_the_next() -> None:
    numbers = RoomNumbers()
    a, b = numbers.give("a"), numbers.give("b")
    assert a != b
    assert (numbers.name_of(a), numbers.name_of(b), numbers.name_of(99)) == ("a", "b", None)
    numbers.take_back(a)
    numbers.take_back(a)
    assert numbers.name_of(a) is None
    assert numbers.give("a") not in (a, b)


def test_behind_the_greatest_come_the_first_that_are_free() -> None:
    numbers = RoomNumbers(last=0xFFFF_FFFE)
    assert numbers.give("greatest") == 0xFFFF_FFFF
    assert numbers.give("x") == 1
    again = RoomNumbers(last=0xFFFF_FFFE)
    again._names[1] = "long-lived"
    assert [again.give("a"), again.give("b")] == [0xFFFF_FFFF, 2]

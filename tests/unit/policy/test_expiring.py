"""The bounded table of what ends by itself."""

from __future__ import annotations

from wsprism.policy.expiring import ExpiringTable


def test_an_entry_is_there_until_its_time_and_not_at_it() -> None:
    table: ExpiringTable[str, int] = ExpiringTable(2)
    assert table.put("a", 1, 10.0, now=0.0)
    assert (table.get("a", 9.9), table.get("a", 10.0), table.take("a", 10.0)) == (1, None, None)


def test_what_was_taken_is_gone() -> None:
    table: ExpiringTable[str, int] = ExpiringTable(2)
    table.put("a", 1, 10.0, now=0.0)
    assert (table.take("a", 1.0), table.take("a", 1.0)) == (1, None)


def test_a_full_table_takes_no_new_key_but_a_new_value_for_one_that_it_has() -> None:
    table: ExpiringTable[str, int] = ExpiringTable(1)
    assert table.put("a", 1, 10.0, now=0.0)
    assert not table.put("b", 2, 10.0, now=0.0)
    assert table.put("a", 3, 20.0, now=0.0)
    assert (table.get("a", 15.0), table.get("b", 0.0)) == (3, None)


def test_ended_entries_make_room() -> None:
    table: ExpiringTable[str, int] = ExpiringTable(1)
    table.put("a", 1, 10.0, now=0.0)
    assert table.put("b", 2, 20.0, now=10.0)
    assert len(table) == 1


def test_the_end_of_a_replaced_entry_does_not_end_the_new_one() -> None:
    table: ExpiringTable[str, int] = ExpiringTable(2)
    table.put("a", 1, 10.0, now=0.0)
    table.put("a", 2, 30.0, now=0.0)
    table.put("b", 3, 30.0, now=20.0)
    assert table.get("a", 20.0) == 2


def test_a_time_that_has_passed_removes_the_entry() -> None:
    table: ExpiringTable[str, int] = ExpiringTable(1)
    table.put("a", 1, 10.0, now=0.0)
    assert table.put("a", 1, 0.0, now=5.0)
    assert table.put("b", 2, 10.0, now=5.0)
    assert len(table) == 1


def test_entries_that_come_and_go_leave_nothing_behind() -> None:
    table: ExpiringTable[int, int] = ExpiringTable(10)
    for number in range(1000):
        assert table.put(number, number, 1e9, now=0.0)
        assert table.take(number, 0.0) == number
    assert len(table._ends) <= 20
    table.put(7, 7, 5.0, now=0.0)
    assert (table.get(7, 4.0), table.get(7, 5.0)) == (7, None)

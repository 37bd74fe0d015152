"""Values that a room's members share: versions, bounds, and that nothing is left uncounted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsprism.policy.values import ValueBounds, ValueChange, ValueTable

BOUNDS = ValueBounds(max_keys=3, max_bytes=1000)
UNBOUND = 10**9


def put(table: ValueTable, key: str, data: bytes | None, room: str = "r", service: str = "s") -> int | str:
    refused = refusal(table, key, data, room, service)
    return refused if refused is not None else table.change(room, service, key, data, "ann")


def refusal(
    table: ValueTable, key: str, data: bytes | None, room: str, service: str = "s", together: int = UNBOUND
) -> str | None:
    change = ValueChange(service, key, data, "ann", None, BOUNDS, together)
    denial = table.denial(room, change)
    return None if denial is None else denial.said_of(change)


def test_each_change_has_the_next_version_of_its_room_and_service() -> None:
    table = ValueTable()
    assert [put(table, "a", b"1"), put(table, "b", b"2"), put(table, "a", None)] == [1, 2, 3]
    assert [put(table, "a", b"1", room="other"), put(table, "a", b"1", service="t")] == [1, 1]
    assert table.of("r", "s").version_of("b") == 2
    assert table.of("r", "s").version_of("a") == 0
    assert table.of("r", "s").listing()["version"] == 3


def test_a_room_has_so_many_keys_and_may_change_those_that_it_has() -> None:
    table = ValueTable()
    for key in "abc":
        put(table, key, b"1")
    assert put(table, "d", b"1") == "the room has 3 keys, which is all it may have"
    assert put(table, "a", b"22") == 4
    assert put(table, "a", None) == 5
    assert put(table, "d", b"1") == 6


def test_a_room_has_so_many_bytes_its_users_among_them() -> None:
    table = ValueTable()
    size = 1000 - len("a") - len("ann") - 64
    assert put(table, "a", b"x" * (size + 1)) == "the room's values would have more than 1000 bytes"
    assert put(table, "a", b"x" * size) == 1
    assert table.size_bytes == 1000
    assert isinstance(put(table, "b", b"1"), str)
    assert put(table, "a", b"x" * size) == 2  # in place of what was there


def test_a_tenants_rooms_have_so_many_bytes_together() -> None:
    table = ValueTable()
    put(table, "a", b"x" * 500)
    full = refusal(table, "a", b"x" * 500, "q", together=1000)
    assert full == "the tenant's rooms have no place for more values"
    assert refusal(table, "a", b"x" * 300, "q", together=1000) is None
    assert refusal(table, "a", b"x" * 400, "r", together=0) is None  # it becomes less


def test_a_service_that_is_no_more_keeps_nothing() -> None:
    table = ValueTable()
    put(table, "a", b"1")
    put(table, "a", b"1", service="t")
    table.retain({"t": BOUNDS})
    assert list(table.of_room("r")) == ["t"]
    table.retain({})
    assert (table.keys, table.size_bytes, dict(table.of_room("r"))) == (0, 0, {})


CHANGES = st.lists(
    st.tuples(st.sampled_from(["r", "q"]), st.sampled_from("abcd"), st.none() | st.binary(max_size=400), st.booleans())
)


@given(CHANGES)
def test_what_is_counted_is_what_is_there_and_within_bounds(changes: list[tuple[str, str, bytes | None, bool]]) -> None:
    table = ValueTable()
    for room, key, data, drops in changes:
        put(table, key, data, room)
        if drops:
            table.drop(room)
        rooms = [table.of(one, "s") for one in ("r", "q")]
        assert table.keys == sum(len(one.entries) for one in rooms)
        assert table.size_bytes == sum(one.size_bytes for one in rooms)
        assert all(len(one.entries) <= 3 and one.size_bytes <= 1000 for one in rooms)
        for one in rooms:
            counted = sum(len(k) + len(v.data) + len(v.user) + 64 for k, v in one.entries.items())
            assert counted == one.size_bytes
    table.drop("r")
    table.drop("q")
    assert (table.keys, table.size_bytes) == (0, 0)

"""The route table: what a method and a path name, and that nothing in a path reaches beyond its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsprism.transport.api.paging import read_cursor, show_cursor
from wsprism.transport.api.routes import OPERATIONS, Match, NoRoute, find_route, split_path


def find(method: str, path: str) -> Match | NoRoute:
    parts = split_path(path)
    assert parts is not None
    return find_route(method, parts)


def test_names_are_decoded_in_their_places() -> None:
    found = find("POST", "/v1/tenants/a%2Fb/rooms/%E2%9C%93%20x/publish")
    assert isinstance(found, Match)
    assert (found.operation.name, found.path) == ("publish", {"tenant": "a/b", "room": "✓ x"})


def test_a_plus_is_a_plus() -> None:
    found = find("GET", "/v1/tenants/a+b")
    assert isinstance(found, Match)
    assert found.path["tenant"] == "a+b"


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/tenants/", "/v1/tenants//rooms", "/v1/info/", "/V1/info", "/x"])
def test_what_is_not_there(path: str) -> None:
    assert find("GET", path) == NoRoute()


def test_other_methods_are_named() -> None:
    assert find("PUT", "/v1/tenants/a/rooms/r/members") == NoRoute(("POST", "DELETE"))


def test_a_room_that_cannot_be_is_a_fault() -> None:
    found = find("GET", "/v1/tenants/a/rooms/%01")
    assert isinstance(found, NoRoute)
    assert found.fault.startswith("room: must be a room name")


def test_a_path_that_is_not_utf8_is_none() -> None:
    assert split_path("/v1/tenants/%ff") is None


def test_every_call_has_a_name_of_its_own_and_one_place() -> None:
    assert len({one.name for one in OPERATIONS}) == len(OPERATIONS)
    assert len({(one.method, one.path) for one in OPERATIONS}) == len(OPERATIONS)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_every_call_is_found_and_scoped(operation: object) -> None:
    assert operation in OPERATIONS
    for one in OPERATIONS:
        if one is operation:
            found = find(one.method, one.path.replace("{what}", "sid").replace("{", "").replace("}", ""))
            assert isinstance(found, Match)
            assert found.operation is one
            assert one.gateway_wide is ("tenants" not in one.path and one.name != "key")


@given(st.integers(0, 2**60))
def test_a_cursor_is_read_as_it_was_shown(number: int) -> None:
    shown = show_cursor(number)
    assert shown is not None
    assert read_cursor(shown) == number


def test_no_cursor_is_the_beginning_and_the_end() -> None:
    assert (read_cursor(None), show_cursor(None)) == (0, None)

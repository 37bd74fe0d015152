"""Limits refuse exactly the one that would be too many; 0 is unlimited."""

from __future__ import annotations

import pytest

from wsprism.policy.decisions import DecisionCounters, Denied, Reason
from wsprism.policy.limits import Limits
from wsprism.protocol.codes import ErrorCode


def join(limits: Limits, **changes: int) -> Reason | None:
    counts = {"rooms_total": 0, "room_exists": 1, "users_in_room": 0, "user_in_room": 0, "rooms_of_user": 0} | changes
    denied = limits.may_join(
        rooms_total=counts["rooms_total"],
        room_exists=bool(counts["room_exists"]),
        users_in_room=counts["users_in_room"],
        user_in_room=bool(counts["user_in_room"]),
        rooms_of_user=counts["rooms_of_user"],
    )
    assert denied is None or denied.code is ErrorCode.RESOURCE_EXHAUSTED
    return None if denied is None else denied.reason


def test_zero_is_unlimited() -> None:
    limits = Limits()
    assert limits.may_open_session(10**9) is None
    assert join(limits, rooms_total=10**9, room_exists=0, users_in_room=10**9, rooms_of_user=10**9) is None


def test_the_last_session_is_let_in_and_the_next_is_not() -> None:
    limits = Limits(max_sessions_total=3)
    assert limits.may_open_session(2) is None
    assert limits.may_open_session(3) == Denied(Reason.TENANT_FULL, ErrorCode.RESOURCE_EXHAUSTED)
    assert limits.may_open_session(4) is not None


@pytest.mark.parametrize(
    ("limits", "below", "at", "reason"),
    [
        (Limits(max_rooms_total=3), {"rooms_total": 2, "room_exists": 0}, {"rooms_total": 3}, Reason.TOO_MANY_ROOMS),
        (Limits(max_users_per_room=3), {"users_in_room": 2}, {"users_in_room": 3}, Reason.ROOM_FULL),
        (Limits(max_rooms_per_user=3), {"rooms_of_user": 2}, {"rooms_of_user": 3}, Reason.TOO_MANY_ROOMS_PER_USER),
    ],
)
def test_a_join_at_the_limit_is_refused(
    limits: Limits, below: dict[str, int], at: dict[str, int], reason: Reason
) -> None:
    assert join(limits, **below) is None
    assert join(limits, **(below | at)) is reason


def test_a_room_that_exists_is_not_one_more() -> None:
    assert join(Limits(max_rooms_total=3), rooms_total=3, room_exists=1) is None


def test_a_second_session_of_a_member_counts_nowhere() -> None:
    limits = Limits(max_rooms_total=1, max_users_per_room=1, max_rooms_per_user=1)
    assert join(limits, rooms_total=1, users_in_room=1, rooms_of_user=1, user_in_room=1) is None


def test_every_reason_is_counted_from_zero() -> None:
    counters = DecisionCounters()
    counters.count(Reason.ROOM_FULL)
    counters.count(Reason.ROOM_FULL)
    assert counters[Reason.ROOM_FULL] == 2
    counted = dict(counters.items())
    assert set(counted) == set(Reason)
    assert sum(counted.values()) == 2

"""Which session gives way when a user has one too many."""

from __future__ import annotations

import pytest

from wsprism.policy.decisions import Reason
from wsprism.policy.sessions import Admit, Deny, EvictReason, OnExceed, SessionPolicy
from wsprism.protocol.codes import ErrorCode


def decide(most: int, on_exceed: OnExceed, existing: str, new: str) -> Admit | Deny:
    return SessionPolicy(most, on_exceed).decide(dict.fromkeys(existing), new)


@pytest.mark.parametrize("on_exceed", OnExceed)
def test_below_the_limit_nobody_gives_way(on_exceed: OnExceed) -> None:
    assert decide(3, on_exceed, "ab", "c") == Admit()


@pytest.mark.parametrize("on_exceed", OnExceed)
def test_zero_is_unlimited(on_exceed: OnExceed) -> None:
    assert decide(0, on_exceed, "abcdefgh", "i") == Admit()


def test_deny_refuses_one_too_many() -> None:
    answer = decide(2, OnExceed.DENY, "ab", "c")
    assert isinstance(answer, Deny)
    assert answer.denied.reason is Reason.TOO_MANY_SESSIONS
    assert answer.denied.code is ErrorCode.TOO_MANY_SESSIONS


def test_kick_oldest_evicts_the_oldest_alone() -> None:
    assert decide(2, OnExceed.KICK_OLDEST, "ab", "c") == Admit((("a", EvictReason.KICKED_OLDEST),))


def test_after_the_limit_was_lowered_as_many_go_as_needed() -> None:
    kicked = EvictReason.KICKED_OLDEST
    assert decide(2, OnExceed.KICK_OLDEST, "abcd", "e") == Admit((("a", kicked), ("b", kicked), ("c", kicked)))


@pytest.mark.parametrize("on_exceed", OnExceed)
def test_the_same_sid_is_replaced_and_is_not_one_more(on_exceed: OnExceed) -> None:
    assert decide(2, on_exceed, "ab", "a") == Admit((("a", EvictReason.REPLACED),))


def test_replacing_and_kicking_add_up() -> None:
    expected = Admit((("b", EvictReason.REPLACED), ("a", EvictReason.KICKED_OLDEST)))
    assert decide(1, OnExceed.KICK_OLDEST, "ab", "b") == expected

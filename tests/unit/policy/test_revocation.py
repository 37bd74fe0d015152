"""Who is locked out, and until when."""

from __future__ import annotations

import pytest

from wsprism.policy.revocation import Revocable, Revocations


@pytest.mark.parametrize(
    ("what", "name"), [(Revocable.USER, "ann"), (Revocable.SID, "tab"), (Revocable.TOKEN_ID, "jti")]
)
def test_each_kind_covers_its_own_name_only_until_its_time(what: Revocable, name: str) -> None:
    revocations = Revocations()
    assert not revocations.covers("ann", "tab", "jti", 0.0)
    assert revocations.revoke(what, name, until_s=10.0, now_s=0.0)
    assert revocations.covers("ann", "tab", "jti", 9.9)
    assert not revocations.covers("ann", "tab", "jti", 10.0)
    assert not revocations.covers("bob", "other", None, 0.0)


def test_a_name_is_not_taken_for_one_of_another_kind() -> None:
    revocations = Revocations()
    revocations.revoke(Revocable.USER, "x", until_s=10.0, now_s=0.0)
    assert not revocations.covers("ann", "x", "x", 0.0)


def test_a_time_that_has_passed_lifts_a_revocation() -> None:
    revocations = Revocations()
    revocations.revoke(Revocable.USER, "ann", until_s=10.0, now_s=0.0)
    assert revocations.revoke(Revocable.USER, "ann", until_s=0.0, now_s=1.0)
    assert not revocations.covers("ann", "tab", None, 1.0)


def test_a_full_table_forgets_nobody_and_says_so() -> None:
    revocations = Revocations(max_entries=1)
    assert revocations.revoke(Revocable.USER, "ann", until_s=10.0, now_s=0.0)
    assert not revocations.revoke(Revocable.USER, "bob", until_s=10.0, now_s=0.0)
    assert revocations.covers("ann", "tab", None, 5.0)
    assert revocations.revoke(Revocable.USER, "bob", until_s=20.0, now_s=10.0)


def test_pages_show_those_in_force_in_order_and_one_that_was_prolonged_last() -> None:
    revocations = Revocations()
    for number in range(5):
        revocations.revoke(Revocable.USER, f"u{number}", until_s=5.0 if number == 1 else 10.0, now_s=0.0, reason="r")
    revocations.revoke(Revocable.USER, "u0", until_s=20.0, now_s=0.0)
    first, after = revocations.page(0, 2, 6.0)
    assert [(one.name, one.until_s, one.reason) for one in first] == [("u2", 10.0, "r"), ("u3", 10.0, "r")]
    assert after is not None
    rest, end = revocations.page(after, 2, 6.0)
    assert ([one.name for one in rest], end) == (["u4", "u0"], None)
    assert revocations.lift(Revocable.USER, "u0", 6.0)
    assert not revocations.lift(Revocable.USER, "u0", 6.0)
    assert not revocations.covers("u0", "s", None, 6.0)

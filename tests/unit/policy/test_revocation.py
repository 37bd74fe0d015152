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

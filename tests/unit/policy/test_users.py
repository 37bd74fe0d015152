from __future__ import annotations

import pytest

from wsprism.policy.users import is_user_id


@pytest.mark.parametrize("user", ["user:dev", "ü" * 127, "a" * 255, "Ann Ó Briain", "👩‍👧", "\u00a0"])
def test_what_every_lane_and_log_can_carry_is_a_user_id(user: str) -> None:
    assert is_user_id(user)


@pytest.mark.parametrize(
    "user",
    ["", "a" * 256, "ü" * 128, "a\nb", "a\r", "\x00", "\x1b[31m", "\x7f", "\x9b31m", "a\x85", "\u2028", "\ud800"],
)
def test_what_could_break_one_of_them_is_not(user: str) -> None:
    assert not is_user_id(user)

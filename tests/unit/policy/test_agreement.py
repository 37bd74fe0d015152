"""Who has something else than the others."""

from __future__ import annotations

from wsprism.policy.agreement import who_differs


def test_those_who_agree_do_not_differ() -> None:
    assert who_differs({}) == who_differs({7: "a"}) == who_differs({7: "a", 9: "a"}) == set()


def test_the_few_differ_from_the_many() -> None:
    assert who_differs({1: "new", 2: "old", 3: "old", 4: "other"}) == {1, 4}


def test_of_two_that_as_many_have_the_lowest_number_has_the_rule() -> None:
    assert who_differs({5: "b", 4: "a", 6: "a", 7: "b"}) == {5, 7}

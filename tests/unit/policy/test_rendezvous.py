"""wsprism.policy.rendezvous: everybody chooses alike, and little changes hands."""

from __future__ import annotations

from collections import Counter

from wsprism.policy.rendezvous import choose

NAMES = [f"match:{number}" for number in range(2000)]


def owners(*servers: str) -> dict[str, str | None]:
    return {name: choose(name, [(one, one) for one in servers]) for name in NAMES}


def test_the_order_in_which_servers_are_known_does_not_matter() -> None:
    assert owners("a", "b", "c") == owners("c", "a", "b")


def test_names_are_spread() -> None:
    counts = Counter(owners("a", "b", "c", "d").values())
    assert min(counts.values()) > len(NAMES) / 4 * 0.8


def test_only_the_names_of_a_server_that_went_change_hands() -> None:
    before, after = owners("a", "b", "c"), owners("a", "c")
    for name in NAMES:
        assert before[name] == after[name] or before[name] == "b"


def test_without_a_server_there_is_none() -> None:
    assert choose("match:1", []) is None

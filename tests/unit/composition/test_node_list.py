"""What nodes say of themselves, and what another one makes of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from wsprism.composition.node_list import NodeList, OwnFigures, SeenNode, described
from wsprism.ports import Unavailable
from wsprism.realtime.view import NodeInfo

LEASE_MS = 10_000


@dataclass(frozen=True)
class Seen:
    incarnation: int
    about: bytes
    lease_age_ms: int = 5


class Redis:
    """Answers at once."""

    def __init__(self, *seen: Seen) -> None:
        self.seen: Sequence[Seen] | Unavailable = seen

    def __call__(self, done: Callable[[Sequence[SeenNode] | Unavailable], object]) -> None:
        done(self.seen)


def says(name: str, configuration: str) -> bytes:
    return described(OwnFigures(name, 7, configuration))


def asked(redis: Redis) -> list[NodeInfo] | Unavailable:
    found: list[list[NodeInfo] | Unavailable] = []
    NodeList(redis, LEASE_MS).ask(found.append)
    return found[0]


def test_nodes_stand_by_name_with_what_they_say_and_who_differs_from_most() -> None:
    found = asked(Redis(Seen(3, says("c", "x")), Seen(1, says("a", "y")), Seen(2, says("b", "x"))))
    assert isinstance(found, list)
    assert [(one.name, one.incarnation, one.connections, one.differs) for one in found] == [
        ("a", 1, 7, True),
        ("b", 2, 7, False),
        ("c", 3, 7, False),
    ]


def test_who_drains_is_seen() -> None:
    leaves = described(OwnFigures("b", 7, "x", draining=True))
    older = json.dumps({"name": "c", "connections": 1, "draining": "yes"}).encode()
    found = asked(Redis(Seen(1, says("a", "x")), Seen(2, leaves), Seen(3, older)))
    assert isinstance(found, list)
    assert [one.draining for one in found] == [False, True, False]


@pytest.mark.parametrize("about", [b"", b"no json", b"[1]", b"{}", json.dumps({"name": 1, "connections": -4}).encode()])
def test_a_node_that_says_what_nobody_understands_is_listed(about: bytes) -> None:
    (one,) = asked(Redis(Seen(1, about)))  # type: ignore[misc]
    assert (one.name, one.connections, one.configuration_hash) == ("?", 0, "?")


def test_what_cannot_be_asked_is_told() -> None:
    redis = Redis()
    redis.seen = Unavailable.AWAY
    assert asked(redis) is Unavailable.AWAY


def test_who_differs_is_logged_once_and_that_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    redis = Redis(Seen(1, says("a", "x")), Seen(2, says("b", "x")), Seen(3, says("c", "y")))
    nodes = NodeList(redis, LEASE_MS)
    for _ in range(4):
        nodes.look()
    assert [(one.message, one.__dict__["nodes"]) for one in caplog.records] == [
        ("nodes have another configuration than most", ["c"])
    ]
    assert nodes.differing == {"a": False, "b": False, "c": True}
    redis.seen = Unavailable.AWAY
    nodes.look()
    redis.seen = (Seen(1, says("a", "x")), Seen(4, says("c", "x")))
    nodes.look()
    assert caplog.records[-1].message == "all nodes have the same configuration again"


def test_two_of_one_name_are_one_series() -> None:
    nodes = NodeList(Redis(Seen(1, says("a", "x")), Seen(2, says("a", "y")), Seen(3, says("b", "x"))), LEASE_MS)
    nodes.look()
    nodes.look()
    assert nodes.differing == {"a": True, "b": False}


def test_a_node_that_is_silent_is_not_compared_with_those_that_live() -> None:
    dead = Seen(1, says("a", "old"), lease_age_ms=5_001)
    found = asked(Redis(dead, Seen(2, says("a", "new")), Seen(3, says("b", "new"))))
    assert isinstance(found, list)
    assert [(one.incarnation, one.silent, one.differs) for one in found] == [
        (1, True, False),
        (2, False, False),
        (3, False, False),
    ]


def test_silent_nodes_are_not_the_most() -> None:
    dead = [Seen(number, says(f"old-{number}", "old"), lease_age_ms=20_000) for number in (1, 2, 3)]
    found = asked(Redis(*dead, Seen(4, says("a", "new"))))
    assert isinstance(found, list)
    assert not any(one.differs for one in found)


def test_nodes_that_reload_one_after_the_other_are_not_named(caplog: pytest.LogCaptureFixture) -> None:
    redis = Redis(Seen(1, says("a", "old")), Seen(2, says("b", "old")))
    nodes = NodeList(redis, LEASE_MS)
    nodes.look()
    redis.seen = (Seen(1, says("a", "old")), Seen(2, says("b", "new")))
    nodes.look()
    redis.seen = (Seen(1, says("a", "new")), Seen(2, says("b", "new")))
    nodes.look()
    assert nodes.differing == {"a": False, "b": False}
    assert not caplog.records

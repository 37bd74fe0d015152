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
    NodeList(redis).ask(found.append)
    return found[0]


def test_nodes_stand_by_name_with_what_they_say_and_who_differs_from_most() -> None:
    found = asked(Redis(Seen(3, says("c", "x")), Seen(1, says("a", "y")), Seen(2, says("b", "x"))))
    assert isinstance(found, list)
    assert [(one.name, one.incarnation, one.connections, one.differs) for one in found] == [
        ("a", 1, 7, True),
        ("b", 2, 7, False),
        ("c", 3, 7, False),
    ]


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
    nodes = NodeList(redis)
    for _ in range(3):
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
    nodes = NodeList(Redis(Seen(1, says("a", "x")), Seen(2, says("a", "y")), Seen(3, says("b", "x"))))
    nodes.look()
    assert nodes.differing == {"a": True, "b": False}

"""Events of which not all is known yet: told in their order, and never held without bound."""

from __future__ import annotations

from typing import Any

import msgspec

from wsprism.adapters.backend.held_news import HeldNews, NewsEvent


class Told:
    def __init__(self, most: int = 100, most_bytes: int = 100_000) -> None:
        self.told: list[dict[str, Any]] = []
        self.held = HeldNews(lambda event: self.told.append(msgspec.json.decode(event.body(7))), most, most_bytes)

    def named(self) -> list[str]:
        return [one["type"] for one in self.told]


def event(name: str, **fields: Any) -> NewsEvent:
    return NewsEvent(name, "now", None, fields)


def test_what_happened_since_waits_for_what_is_not_known_yet() -> None:
    told = Told()
    left = told.held.add_unknown(event("left", room="a"))
    told.held.add(event("joined"))
    gone = told.held.add_unknown(event("disconnected"))
    gone({"sessions_left": 0})
    assert told.told == []
    left({"users": 2})
    assert told.named() == ["left", "joined", "disconnected"]
    assert told.told[0] == {"seq": 7, "type": "left", "time": "now", "room": "a", "users": 2}
    assert told.told[2]["sessions_left"] == 0
    assert len(told.held) == 0


def test_beyond_the_bounds_the_oldest_is_told_as_far_as_it_is_known() -> None:
    for told in (Told(most=2), Told(most_bytes=300)):
        first = told.held.add_unknown(event("first", much="x" * 100))
        second = told.held.add_unknown(event("second", much="x" * 100))
        told.held.add(event("third", much="x" * 100))
        assert told.named() == ["first"]
        first({"late": 1})
        assert told.named() == ["first"]
        second({"late": 1})
        assert told.named() == ["first", "second", "third"]
        assert "late" not in told.told[0]


def test_what_will_not_be_known_any_more_is_told_without() -> None:
    told = Told()
    known = told.held.add_unknown(event("left"))
    told.held.add(event("joined"))
    told.held.give_up()
    known({"users": 1})
    assert told.named() == ["left", "joined"]
    assert "users" not in told.told[0]

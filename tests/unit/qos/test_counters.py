"""The account: what is queued follows from what was counted."""

from __future__ import annotations

from qos import Lane, LaneCounters


def test_queued_is_what_was_offered_and_has_not_gone() -> None:
    counters = LaneCounters()
    for _ in range(5):
        counters.offer(Lane.HOT, 10)
    counters.send(Lane.HOT, 1, 10)
    counters.drop(Lane.HOT, 10)
    counters.conflate(Lane.HOT, 1, 10)
    counters.discard(Lane.HOT, 1, 10)
    counters.refuse(Lane.HOT, 10)
    assert counters.queued == [0, 0, 1]
    assert counters.queued_bytes == [0, 0, 10]

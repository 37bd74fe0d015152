"""wsprism.adapters.memory.saved_histories: a store goes on in another process where it stood, truthfully."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from wsprism.adapters.memory.room_store import MemoryRoomStore
from wsprism.adapters.memory.saved_histories import NotReadable, give_back, saved
from wsprism.policy.history import HistoryBounds, Position
from wsprism.protocol.frames import text_frame
from wsprism.realtime.room.kept_publication import KeptPublication

BOUNDS = HistoryBounds(max_messages=4, max_bytes=1000, ttl_s=60.0, recover_max_messages=4)
UNIX = 1_000_000.0
"""Unix time when the first process' clock says 0."""


class Process:
    """A store in a process of its own: monotonic time begins anew in each, Unix time goes on."""

    def __init__(self, unix_at_0: float = UNIX) -> None:
        self.now = 0.0
        self.unix_at_0 = unix_at_0
        self.store = MemoryRoomStore(lambda: self.now)
        self.store.configure(100, 100_000)

    @property
    def unix(self) -> float:
        return self.unix_at_0 + self.now

    def publish(self, room: str, *texts: str, id: str | None = None, members: bool = False) -> list[int]:
        drafts = [(lambda _, text=text: KeptPublication(text_frame(text.encode())), id) for text in texts]
        return self.store.append(room, drafts, BOUNDS, members=members)

    def position(self, room: str) -> Position:
        position = self.store.position(room)
        assert position is not None
        return position

    def kept(self, room: str) -> list[tuple[int, float, bytes]]:
        return [(one.offset, one.at, one.kept.json[2:]) for one in self.store.page(room, None, 99, reverse=False)]

    def end(self) -> list[tuple[bytes, bytes]]:
        return list(saved(self.store, self.now, self.unix))

    def start(
        self, entries: list[tuple[bytes, bytes]], bounds_of: Callable[[str], HistoryBounds | None] = lambda _: BOUNDS
    ) -> int:
        """As the state file gives them: in the order of keys."""
        return sum(give_back(self.store, *entry, bounds_of, self.now, self.unix) for entry in sorted(entries))


def restarted(before: Process, away_s: float = 0.0, **start: Callable[[str], HistoryBounds | None]) -> Process:
    after = Process(before.unix + away_s)
    after.start(before.end(), **start)
    return after


def test_rooms_go_on_with_epoch_offsets_and_messages() -> None:
    before = Process()
    before.now = 500.0
    before.publish("a", *"12345")
    before.now = 510.0
    before.publish("a", "6")
    after = restarted(before, away_s=5.0)
    position = before.position("a")
    assert after.position("a") == position
    assert after.kept("a") == [(3, -15.0, b"3"), (4, -15.0, b"4"), (5, -15.0, b"5"), (6, -5.0, b"6")]
    assert after.store.missed("a", Position(position.epoch, 2)) == 4
    assert after.store.missed("a", Position(position.epoch, 1)) is None
    assert after.store.size_bytes == before.store.size_bytes
    assert after.publish("a", "7") == [7]


def test_ids_are_known_as_long_as_they_would_have_been() -> None:
    before = Process()
    before.publish("a", "1", id="x")
    before.publish("a", "2", "3", "4")
    after = restarted(before)
    assert after.publish("a", "again", id="x") == [1]
    assert after.publish("a", "5") == [5]
    assert after.publish("a", "6", id="x") == [6]


def test_a_room_in_which_nothing_is_kept_still_knows_where_it_stands() -> None:
    before = Process()
    before.publish("a", "1", members=True)
    began = before.store.open("b", BOUNDS, members=True)
    before.now = 100.0
    after = restarted(before)
    assert after.kept("a") == []
    assert (after.position("a").offset, after.position("b")) == (1, began)
    assert after.store.missed("a", before.position("a")) == 0


def test_a_time_to_live_goes_on_while_no_process_runs() -> None:
    before = Process()
    before.publish("a", "1")
    before.now = 30.0
    before.publish("b", "1")
    before.publish("c", "1", members=True)
    before.now = 40.0
    after = restarted(before, away_s=25.0)  # 65 s, 35 s; c was left 25 s ago
    assert [after.store.position(room) is None for room in "abc"] == [True, False, False]
    assert after.store.expired == 1
    after.now = 26.0
    assert [after.store.position(room) is None for room in "bc"] == [True, False]
    after.now = 36.0
    assert after.store.position("c") is None


def test_the_bounds_of_today_hold() -> None:
    before = Process()
    before.publish("a", *"1234")
    tight = HistoryBounds(max_messages=2, max_bytes=1000, ttl_s=60.0, recover_max_messages=1)
    after = restarted(before, bounds_of=lambda _: tight)
    epoch = before.position("a").epoch
    assert [offset for offset, _, _ in after.kept("a")] == [3, 4]
    assert [after.store.missed("a", Position(epoch, offset)) for offset in (4, 3, 2)] == [0, 1, None]
    small = HistoryBounds(max_messages=4, max_bytes=3, ttl_s=60.0, recover_max_messages=4)
    assert [offset for offset, _, _ in restarted(before, bounds_of=lambda _: small).kept("a")] == [4]


def test_of_more_rooms_than_the_tenant_may_have_those_used_last_go_on() -> None:
    before = Process()
    for room in "abcab":
        before.publish(room, "1")
    after = Process(before.unix)
    after.store.configure(2, 100_000)
    after.start(before.end())
    assert after.store.names() == ["a", "b"]
    assert after.store.evicted == 1


def test_what_was_used_least_recently_still_is() -> None:
    before = Process()
    for room in "abca":
        before.publish(room, "1")
    assert restarted(before).store.names() == before.store.names() == ["b", "c", "a"]


def test_a_room_that_is_to_keep_nothing_any_more_loses_it() -> None:
    before = Process()
    for room in "ab":
        before.publish(room, "1")
    after = Process(before.unix)
    assert after.start(before.end(), lambda room: BOUNDS if room == "b" else None) == 1
    assert after.store.names() == ["b"]


def test_a_clock_that_was_put_back_makes_nothing_live_longer() -> None:
    before = Process()
    before.publish("a", "1")
    after = restarted(before, away_s=-1000.0)
    assert after.kept("a") == [(1, 0.0, b"1")]
    after.now = 60.0
    assert after.store.position("a") is None


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xc1",
        msgspec.msgpack.encode([2, "e", 1, 0.0, []]),
        msgspec.msgpack.encode([1, "e", -1, 0.0, []]),
        msgspec.msgpack.encode([1, "e", 0, 0.0, [[b"x", 0.0, None]]]),
        msgspec.msgpack.encode([1, "e", 1, 0.0, [[b"x", 0.0]]]),
        msgspec.msgpack.encode([1, "e", 1, 0.0, [], "more"]),
    ],
)
def test_what_cannot_be_read_is_no_history(value: bytes) -> None:
    process = Process()
    with pytest.raises(NotReadable, match="cannot be read"):
        process.start([(bytes(8) + b"a", value)])
    with pytest.raises(NotReadable, match="cannot be read"):
        process.start([(bytes(8) + b"\xff\xff", msgspec.msgpack.encode([1, "e", 0, 0.0, []]))])
    assert len(process.store) == 0

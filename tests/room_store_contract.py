"""What every ``RoomStore`` must do: a suite that each implementation's tests inherit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from wsprism.policy.history import HistoryBounds, Position
from wsprism.policy.present import Entry, Listing
from wsprism.ports import KeepPublication, RoomStore

__all__ = ["RoomStoreContract"]

BOUNDS = HistoryBounds(max_messages=4, max_bytes=100, ttl_s=60.0, recover_max_messages=3)


@dataclass
class Said:
    text: str
    offset: int

    @property
    def size_bytes(self) -> int:
        return len(self.text)


def said(*texts: str, id: str | None = None) -> list[tuple[KeepPublication, str | None]]:
    """A turn's publications."""
    return [(partial(Said, text), id) for text in texts]


def entry(sid: str, since: str = "t", **fields: Any) -> Entry:
    return Entry(sid, since, **fields)


class RoomStoreContract:
    """``store`` and ``pass_time`` are the implementation's."""

    def store(self) -> RoomStore:
        raise NotImplementedError

    def pass_time(self, seconds: float) -> None:
        raise NotImplementedError

    def append(
        self, store: RoomStore, room: str, *texts: str, id: str | None = None, members: bool = False
    ) -> list[int]:
        return store.append(room, said(*texts, id=id), BOUNDS, members=members)

    def test_offsets_rise_without_a_gap_over_turns(self) -> None:
        store = self.store()
        assert store.position("a") is None
        assert self.append(store, "a", "1", "2") == [1, 2]
        assert self.append(store, "a", "3") == [3]
        position = store.position("a")
        assert position is not None
        assert position.offset == 3
        assert self.append(store, "b", "1") == [1]
        assert len(store) == 2
        assert store.size_bytes == 4

    def test_a_known_id_has_the_firsts_offset_while_that_is_kept(self) -> None:
        store = self.store()
        self.append(store, "a", "1", id="x")
        assert self.append(store, "a", "2", id="x") == [1]
        assert self.append(store, "a", "2", "3", "4", "5") == [2, 3, 4, 5]
        assert self.append(store, "a", "6", id="x") == [6]

    def test_missed_is_told_exactly_when_all_of_it_is_kept_and_not_too_much(self) -> None:
        store = self.store()
        self.append(store, "a", *"12345")
        position = store.position("a")
        assert position is not None
        epoch = position.epoch
        found = {offset: store.missed("a", Position(epoch, offset)) for offset in range(8)}
        assert found == {0: None, 1: None, 2: 3, 3: 2, 4: 1, 5: 0, 6: None, 7: None}
        assert store.missed("a", Position("other", 5)) is None
        assert store.missed("never", Position(epoch, 0)) is None

    def test_what_is_read_behind_a_place_is_whole_or_nothing(self) -> None:
        store = self.store()
        self.append(store, "a", *"12345")
        position = store.position("a")
        assert position is not None
        read = store.after("a", Position(position.epoch, 1), 2)
        assert read is not None
        assert [(one.offset, one.kept.text) for one in read] == [(2, "2"), (3, "3")]
        assert store.after("a", Position(position.epoch, 0), 2) is None
        assert store.after("a", Position("other", 1), 2) is None
        assert store.after("a", Position(position.epoch, 5), 2) == []

    def test_pages_begin_where_there_is_something(self) -> None:
        store = self.store()
        self.append(store, "a", *"12345")

        def page(offset: int | None, limit: int, *, reverse: bool) -> list[int]:
            return [one.offset for one in store.page("a", offset, limit, reverse=reverse)]

        assert page(None, 2, reverse=False) == [2, 3]
        assert page(None, 2, reverse=True) == [5, 4]
        assert page(3, 9, reverse=False) == [4, 5]
        assert page(4, 9, reverse=True) == [3, 2]
        assert store.page("never", None, 9, reverse=False) == []

    def test_bytes_bound_a_room_too(self) -> None:
        store = self.store()
        self.append(store, "a", "x" * 60, "y" * 60)
        assert store.size_bytes == 60
        assert [one.offset for one in store.page("a", None, 9, reverse=False)] == [2]

    def test_a_history_ends_its_time_after_the_last_publication_or_leave_and_not_while_there_are_members(self) -> None:
        store = self.store()
        self.append(store, "a", "1", members=True)
        before = store.position("a")
        self.pass_time(100.0)
        assert store.position("a") == before
        assert store.page("a", None, 9, reverse=False) == []
        store.left("a")
        self.pass_time(59.0)
        assert store.position("a") == before
        self.pass_time(2.0)
        assert store.position("a") is None
        assert store.open("a", BOUNDS, members=True) != before

    def test_each_publication_into_an_empty_room_gives_its_history_its_time_anew(self) -> None:
        store = self.store()
        self.append(store, "a", "1")
        before = store.position("a")
        self.pass_time(40.0)
        self.append(store, "a", "2")
        self.pass_time(59.0)
        after = store.position("a")
        assert before is not None
        assert after == Position(before.epoch, 2)
        assert [one.offset for one in store.page("a", None, 9, reverse=False)] == [2]
        self.pass_time(1.0)
        assert store.position("a") is None

    def test_a_leave_gives_a_history_its_time_anew_and_another_leave_does_not(self) -> None:
        store = self.store()
        self.append(store, "a", "1", members=True)
        self.pass_time(1000.0)
        store.left("a")
        self.pass_time(30.0)
        store.left("a")
        store.left("never")
        self.pass_time(29.0)
        assert store.position("a") is not None
        self.pass_time(1.0)
        assert store.position("a") is None

    def test_a_sweep_gives_back_what_nobody_asks_for(self) -> None:
        store = self.store()
        self.append(store, "a", "1")
        self.pass_time(61.0)
        store.sweep()
        assert (len(store), store.size_bytes, store.expired) == (0, 0, 1)

    def test_the_one_used_least_recently_is_evicted_whole_and_told(self) -> None:
        store = self.store()
        evicted: list[str] = []
        store.on_evicted = evicted.append
        store.configure(2, 1000)
        for room in "aba":
            self.append(store, room, "1")
        store.open("c", BOUNDS, members=True)
        assert evicted == ["b"]
        assert store.names() == ["a", "c"]
        store.configure(2, 1)
        assert evicted == ["b", "a"]
        assert store.evicted == 2

    def test_an_epoch_that_was_given_out_already_names_the_new_history(self) -> None:
        store = self.store()
        assert store.open("a", BOUNDS, members=True, epoch="given") == Position("given", 0)
        assert store.open("a", BOUNDS, members=True, epoch="other") == Position("given", 0)

    def test_a_purge_begins_a_new_epoch_and_a_dropped_room_none(self) -> None:
        store = self.store()
        assert store.purge("a") is None
        self.append(store, "a", "1")
        before = store.position("a")
        after = store.purge("a")
        assert after is not None
        assert before is not None
        assert (after.epoch != before.epoch, after.offset, store.size_bytes) == (True, 0, 0)
        assert self.append(store, "a", "1") == [1]
        store.drop("a")
        store.drop("never")
        assert store.position("a") is None
        self.append(store, "b", "1")
        store.clear()
        assert (len(store), store.size_bytes) == (0, 0)

    # Presence

    def test_who_is_present_is_listed_by_user_in_the_order_of_coming(self) -> None:
        store = self.store()
        assert store.list_entries("a", 9) == Listing({}, 0, 0, False)
        assert store.put_entry("a", "bob", entry("1")) is None
        assert store.put_entry("a", "ann", entry("2")) is None
        assert store.put_entry("a", "bob", entry("0")) is None
        listing = store.list_entries("a", 9)
        assert listing == Listing({"bob": [entry("1"), entry("0")], "ann": [entry("2")]}, 2, 3, False)
        assert list(listing.users) == ["bob", "ann"]
        assert store.list_entries("a", 1) == Listing({"bob": [entry("1"), entry("0")]}, 2, 3, True)
        assert store.list_entries("a", 2).truncated is False
        assert store.count_entries("a") == (2, 3)

    def test_an_entry_takes_the_place_of_the_one_before_and_keeps_its_own(self) -> None:
        store = self.store()
        info, state = msgspec.Raw(b'{"name":"Ann"}'), msgspec.Raw(b"[1]")
        store.put_entry("a", "ann", entry("1"))
        store.put_entry("a", "ann", entry("2"))
        assert store.put_entry("a", "ann", entry("1", info=info, state=state)) == entry("1")
        kept = store.entry("a", "ann", "1")
        assert kept is not None
        assert (kept.info, kept.state) == (info, state)
        assert [one.sid for one in store.list_entries("a", 9).users["ann"]] == ["1", "2"]
        assert store.count_entries("a") == (1, 2)
        assert store.put_entry("a", "ann", entry("1")) == kept

    def test_what_is_removed_is_told_once(self) -> None:
        store = self.store()
        store.put_entry("a", "ann", entry("1", "then"))
        store.put_entry("a", "ann", entry("2"))
        assert store.remove_entry("a", "ann", "1") == entry("1", "then")
        assert store.remove_entry("a", "ann", "1") is None
        assert store.remove_entry("a", "bob", "1") is None
        assert store.remove_entry("never", "ann", "1") is None
        assert store.entry("a", "ann", "1") is None
        assert store.entry("never", "ann", "1") is None
        assert store.count_entries("a") == (1, 1)
        store.remove_entry("a", "ann", "2")
        assert store.list_entries("a", 9) == Listing({}, 0, 0, False)

    def test_rooms_know_nothing_of_each_others_entries(self) -> None:
        store = self.store()
        for room in "ab":
            store.put_entry(room, "ann", entry("1"))
        store.drop_entries("a")
        store.drop_entries("never")
        assert (store.count_entries("a"), store.count_entries("b")) == ((0, 0), (1, 1))
        assert store.put_entry("a", "ann", entry("1")) is None

    def test_presence_and_history_of_a_room_are_dropped_apart_and_cleared_together(self) -> None:
        store = self.store()
        self.append(store, "a", "1")
        store.put_entry("a", "ann", entry("1"))
        store.drop("a")
        assert (len(store), store.count_entries("a")) == (0, (1, 1))
        self.append(store, "a", "1")
        store.drop_entries("a")
        assert (len(store), store.count_entries("a")) == (1, (0, 0))
        store.put_entry("a", "ann", entry("1"))
        store.clear()
        assert (len(store), store.count_entries("a")) == (0, (0, 0))

    def test_presence_has_no_time_and_no_bound_of_its_own(self) -> None:
        store = self.store()
        store.configure(1, 1)
        for room in "abc":
            store.put_entry(room, "ann", entry("1"))
        self.pass_time(1e6)
        store.sweep()
        assert [store.count_entries(room) for room in "abc"] == [(1, 1)] * 3

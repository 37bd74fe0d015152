"""What every ``Broker`` must do: a suite that each implementation's tests inherit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from wsprism.policy.history import HistoryBounds, Position
from wsprism.policy.values import Value, ValueBounds, ValueChange, ValueDenial, Why
from wsprism.ports import Batch, Broker, Draft, EntryPage, Ordered, Unavailable, Window

__all__ = ["BrokerContract", "Ear"]

BOUNDS = HistoryBounds(max_messages=4, max_bytes=1000, ttl_s=600.0, recover_max_messages=4)


class Ear:
    """A listener that notes what it is told."""

    def __init__(self, broker: Broker, room: str = "a", bounds: HistoryBounds | None = BOUNDS) -> None:
        self.told: list[Any] = []
        self.subscription = broker.subscribe(room, bounds, self)
        assert self.told == []

    def subscribed(self) -> None:
        self.told.append("subscribed")

    def lost(self) -> None:
        self.told.append("lost")

    def ordered(self, batch: Batch) -> None:
        self.told.append(Batch(batch.epoch, batch.first, tuple(batch.payloads)))

    def hot(self, frames: Sequence[bytes]) -> None:
        self.told.append(list(frames))

    def present(self, user: str, sid: str, entry: bytes | None) -> None:
        self.told.append((user, sid, entry))


class BrokerContract:
    """``brokers`` are of two nodes. ``until`` has everything go its way until something holds, ``settle`` until nothing
    is on its way. ``lose`` has a node lose its connection, ``come_again`` have one again.
    """

    async def brokers(self) -> tuple[Broker, Broker]:
        raise NotImplementedError

    async def until(self, holds: Callable[[], bool]) -> None:
        raise NotImplementedError

    async def settle(self) -> None:
        raise NotImplementedError

    async def lose(self, broker: Broker) -> None:
        raise NotImplementedError

    async def come_again(self, broker: Broker) -> None:
        raise NotImplementedError

    async def ask(self, ask: Callable[..., object], *arguments: Any) -> Any:
        """The answer, which never comes before the call has returned, and once."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        ask(*arguments, future.set_result)
        assert not future.done()
        await self.until(future.done)
        return future.result()

    async def publish(self, broker: Broker, *payloads: bytes, id: str | None = None, room: str = "a") -> Ordered:
        answer = await self.ask(broker.publish, room, [Draft(one, id) for one in payloads], BOUNDS)
        assert isinstance(answer, Ordered)
        return answer

    async def read(self, broker: Broker, since: Position | None = None) -> Window:
        window = await self.ask(broker.read, "a", since, BOUNDS)
        assert isinstance(window, Window)
        return window

    async def change(
        self,
        broker: Broker,
        key: str,
        data: bytes | None,
        *,
        bounds: HistoryBounds | None = BOUNDS,
        service: str = "s",
        user: str = "ann",
        if_version: int | None = None,
        most: ValueBounds | None = None,
        together: int = 10_000,
        room: str = "a",
    ) -> Any:
        of = ValueBounds(3, 1000) if most is None else most
        change = ValueChange(service, key, data, user, if_version, of, together)
        return await self.ask(broker.change_value, room, b"p", change, bounds)

    async def values(
        self, broker: Broker, service: str | None = None, key: str | None = None, room: str = "a"
    ) -> dict[str, tuple[int, int, dict[str, Value]]]:
        """Of each service the version, the bytes and the entries."""
        found = await self.ask(broker.read_values, room, service, key)
        assert isinstance(found, dict)
        return {name: (one.version, one.size_bytes, one.entries) for name, one in found.items()}

    async def hears(self, ear: Ear, *what: Any) -> None:
        await self.until(lambda: len(ear.told) >= len(what))
        assert ear.told == list(what)
        ear.told.clear()

    async def test_every_node_hears_one_order_the_publishers_own_included(self) -> None:
        one, two = await self.brokers()
        ears = [Ear(one), Ear(two)]
        for ear in ears:
            await self.hears(ear, "subscribed")
        first = await self.publish(one, b"1", b"2")
        second = await self.publish(two, b"3")
        assert (first.first, list(first.offsets)) == (1, [1, 2])
        assert second == Ordered(first.epoch, 3, [3])
        for ear in ears:
            await self.hears(ear, Batch(first.epoch, 1, (b"1", b"2")), Batch(first.epoch, 3, (b"3",)))

    async def test_turns_that_are_handed_over_one_after_the_other_stand_so(self) -> None:
        one, _ = await self.brokers()
        answers: list[Any] = []
        for n in range(20):
            one.publish("a", [Draft(b"%d" % n)], BOUNDS, answers.append)
        await self.until(lambda: len(answers) == 20)
        assert [answer.offsets[0] for answer in answers] == list(range(1, 21))

    async def test_what_is_known_by_its_id_is_not_published_again(self) -> None:
        one, two = await self.brokers()
        ear = Ear(two)
        await self.hears(ear, "subscribed")
        first = await self.publish(one, b"1", id="x")
        again = await self.ask(two.publish, "a", [Draft(b"1", "x"), Draft(b"2")], BOUNDS)
        assert again == Ordered(first.epoch, 2, [1, 2])
        await self.publish(one, b"1", id="x")
        await self.settle()
        await self.hears(ear, Batch(first.epoch, 1, (b"1",)), Batch(first.epoch, 2, (b"2",)))
        await self.publish(one, *(b"%d" % n for n in range(3, 7)))
        assert (await self.publish(one, b"1", id="x")).offsets == [7]

    async def test_a_window_ends_where_the_room_stands(self) -> None:
        one, two = await self.brokers()
        empty = await self.read(one)
        assert (empty.top, list(empty.items)) == (0, [])
        assert (await self.publish(two, *(b"%d" % n for n in range(1, 7)))).epoch == empty.epoch

        async def behind(since: Position | None) -> list[tuple[int, bytes]]:
            window = await self.read(one, since)
            assert (window.epoch, window.top) == (empty.epoch, 6)
            return [(item.offset, item.payload) for item in window.items]

        assert await behind(None) == [(n, b"%d" % n) for n in range(3, 7)]
        assert await behind(Position(empty.epoch, 4)) == [(5, b"5"), (6, b"6")]
        assert await behind(Position(empty.epoch, 6)) == []
        assert await behind(Position("another", 4)) == await behind(None)

    async def test_a_room_without_history_counts_and_keeps_nothing(self) -> None:
        one, two = await self.brokers()
        ear = Ear(two, bounds=None)
        await self.hears(ear, "subscribed")
        window = await self.ask(one.read, "a", None, None)
        answer = await self.ask(one.publish, "a", [Draft(b"1"), Draft(b"2")], None)
        assert answer == Ordered(window.epoch, 1, [1, 2])
        await self.hears(ear, Batch(window.epoch, 1, (b"1", b"2")))
        window = await self.ask(two.read, "a", None, None)
        assert (window.top, list(window.items)) == (2, [])

    async def test_a_purge_begins_a_new_epoch_and_is_told_as_an_empty_batch(self) -> None:
        one, two = await self.brokers()
        ear = Ear(one)
        await self.hears(ear, "subscribed")
        first = await self.publish(one, b"1")
        purged = await self.ask(two.purge, "a", BOUNDS)
        assert purged.epoch != first.epoch
        assert await self.publish(two, b"2") == Ordered(purged.epoch, 1, [1])
        await self.hears(
            ear, Batch(first.epoch, 1, (b"1",)), Batch(purged.epoch, 1, ()), Batch(purged.epoch, 1, (b"2",))
        )

    async def test_hot_frames_go_to_the_other_nodes(self) -> None:
        one, two = await self.brokers()
        ears = [Ear(one), Ear(two)]
        for ear in ears:
            await self.hears(ear, "subscribed")
        await self.settle()
        assert ears[0].subscription.others
        one.publish_hot("a", [b"\x00x", b"y"])
        await self.hears(ears[1], [b"\x00x", b"y"])
        ears[1].subscription.close()
        await self.settle()
        assert not ears[0].subscription.others
        assert ears[0].told == []

    async def test_whoever_has_closed_hears_nothing_and_may_come_again_at_once(self) -> None:
        one, two = await self.brokers()
        gone = Ear(one)
        await self.hears(gone, "subscribed")
        gone.subscription.close()
        gone.subscription.close()
        again = Ear(one)
        await self.hears(again, "subscribed")
        answer = await self.publish(two, b"1")
        await self.hears(again, Batch(answer.epoch, 1, (b"1",)))
        assert gone.told == []

    async def test_a_loss_is_told_and_meanwhile_everything_is_refused(self) -> None:
        one, two = await self.brokers()
        ear = Ear(one)
        await self.hears(ear, "subscribed")
        before = await self.publish(one, b"1")
        await self.until(lambda: len(ear.told) == 1)
        ear.told.clear()
        await self.lose(one)
        await self.hears(ear, "lost")
        assert one.away
        assert await self.ask(one.publish, "a", [Draft(b"x")], BOUNDS) is Unavailable.AWAY
        assert await self.ask(one.read, "a", None, BOUNDS) is Unavailable.AWAY
        assert await self.ask(one.purge, "a", BOUNDS) is Unavailable.AWAY
        one.publish_hot("a", [b"x"])
        late = Ear(one, "late")
        await self.hears(late, "lost")
        missed = await self.publish(two, b"2")
        await self.come_again(one)
        for listener in (ear, late):
            await self.hears(listener, "subscribed")
        window = await self.read(one, Position(before.epoch, 1))
        assert [(item.offset, item.payload) for item in window.items] == [(2, b"2")]
        assert missed.epoch == window.epoch
        third = await self.publish(two, b"3")
        await self.hears(ear, Batch(third.epoch, 3, (b"3",)))

    async def listed(self, broker: Broker, room: str = "a") -> dict[tuple[str, str], bytes]:
        found: dict[tuple[str, str], bytes] = {}
        cursor = ""
        while True:
            page = await self.ask(broker.list_entries, room, cursor)
            assert isinstance(page, EntryPage)
            found.update({(one.user, one.sid): one.entry for one in page.entries})
            cursor = page.cursor
            if not cursor:
                return found

    async def test_who_is_present_is_told_every_node_in_the_order_of_what_is_published(self) -> None:
        one, two = await self.brokers()
        ears = [Ear(one), Ear(two)]
        for ear in ears:
            await self.hears(ear, "subscribed")
        one.put_entry("a", "ann", "1", b"\xff\x00")
        first = await self.publish(one, b"1")
        one.put_entry("a", "ann", "1", b"\xff\x00")
        one.remove_entry("a", "ann", "1")
        one.remove_entry("a", "never", "1")
        second = await self.publish(one, b"2")
        for ear in ears:
            await self.hears(
                ear,
                ("ann", "1", b"\xff\x00"),
                Batch(first.epoch, 1, (b"1",)),
                ("ann", "1", None),
                Batch(second.epoch, 2, (b"2",)),
            )

    async def test_an_entry_is_of_the_node_that_put_it_last(self) -> None:
        one, two = await self.brokers()
        ear = Ear(two)
        await self.hears(ear, "subscribed")
        one.put_entry("a", "ann", "1", b"on one")
        await self.hears(ear, ("ann", "1", b"on one"))
        two.put_entry("a", "ann", "1", b"on two")
        await self.hears(ear, ("ann", "1", b"on two"))
        one.remove_entry("a", "ann", "1")
        await self.settle()
        assert await self.listed(one) == await self.listed(two) == {("ann", "1"): b"on two"}
        two.remove_entry("a", "ann", "1")
        await self.hears(ear, ("ann", "1", None))
        assert await self.listed(one) == {}

    async def test_pages_have_everybody_who_is_there_all_the_while(self) -> None:
        one, two = await self.brokers()
        expected = {(f"u{n}", "1"): b"%d" % n for n in range(1000)}
        for (user, sid), entry in expected.items():
            (one if int(entry) % 2 else two).put_entry("a", user, sid, entry)
        await self.settle()
        await self.publish(one, b"behind them")
        await self.publish(two, b"behind them")
        assert await self.listed(one) == expected
        assert await self.listed(one, "b") == {}

    async def test_what_is_said_of_presence_while_the_connection_is_lost_is_owed(self) -> None:
        one, two = await self.brokers()
        for sid in ("goes", "changes"):
            one.put_entry("a", "ann", sid, b"before")
        await self.publish(one, b"behind them")
        ear = Ear(two)
        await self.hears(ear, "subscribed")
        await self.lose(one)
        assert await self.ask(one.list_entries, "a", "") is Unavailable.AWAY
        one.remove_entry("a", "ann", "goes")
        one.put_entry("a", "ann", "changes", b"meanwhile")
        one.put_entry("a", "ann", "changes", b"after")
        one.put_entry("a", "ann", "comes", b"new")
        await self.come_again(one)
        await self.until(lambda: ("ann", "comes", b"new") in ear.told)
        await self.settle()
        assert await self.listed(two) == {("ann", "changes"): b"after", ("ann", "comes"): b"new"}

    async def test_changes_have_one_order_of_versions_over_all_nodes_and_stand_among_what_is_published(self) -> None:
        for bounds, room in ((BOUNDS, "a"), (None, "b")):
            one, two = await self.brokers()
            ears = [Ear(one, room, bounds), Ear(two, room, bounds)]
            for ear in ears:
                await self.hears(ear, "subscribed")
            first = await self.change(one, "k", b"[1]", bounds=bounds, room=room)
            assert isinstance(first, Ordered)
            assert (first.first, list(first.offsets), first.version) == (1, [1], 1)
            assert (await self.ask(two.publish, room, [Draft(b"x")], bounds)).offsets == [2]
            assert (await self.change(two, "k", None, bounds=bounds, room=room, user="bob")).offsets == [3]
            assert (await self.change(two, "l", b'"\xc3\xa9"', bounds=bounds, room=room)).offsets == [4]
            told = [b"p" + msgspec.msgpack.encode(1), b"x", *(b"p" + msgspec.msgpack.encode(n) for n in (2, 3))]
            for ear in ears:
                await self.hears(ear, *(Batch(first.epoch, n + 1, (payload,)) for n, payload in enumerate(told)))
            kept = {"s": (3, 1 + 4 + 3 + 64, {"l": Value(b'"\xc3\xa9"', 3, "ann")})}
            assert await self.values(one, room=room) == await self.values(two, room=room) == kept

    async def test_values_are_read_whole_by_service_and_by_key(self) -> None:
        one, two = await self.brokers()
        await self.hears(Ear(one), "subscribed")
        assert await self.values(two) == {}
        for service, key, data in (("s", "1:a", b"1"), ("s", "", b"2"), ("s1:", "a", b"3"), ("t", "k", b"4")):
            assert isinstance(await self.change(one, key, data, service=service), Ordered)
        whole = await self.values(two)
        assert {name: [(key, one.data) for key, one in entries.items()] for name, (_, _, entries) in whole.items()} == {
            "s": [("1:a", b"1"), ("", b"2")],
            "s1:": [("a", b"3")],
            "t": [("k", b"4")],
        }
        assert await self.values(two, "t") == {"t": whole["t"]}
        assert {name: list(one[2]) for name, one in (await self.values(two, "s", "1:a")).items()} == {"s": ["1:a"]}
        assert (await self.values(two, "t", "no"))["t"] == (1, 0, {})

    async def test_what_does_not_fit_is_denied_and_nothing_is_changed_or_told(self) -> None:
        one, two = await self.brokers()
        ear = Ear(one)
        await self.hears(ear, "subscribed")
        await self.hears(Ear(two), "subscribed")

        async def denied(*what: Any, **options: Any) -> ValueDenial:
            answer = await self.change(*what, **options)
            assert isinstance(answer, ValueDenial)
            return answer

        assert await denied(one, "k", b"1", if_version=3) == ValueDenial(Why.VERSION, 0)
        assert await denied(one, "k", None) == ValueDenial(Why.UNSET)
        epoch = (await self.change(one, "k", b"1", if_version=0)).epoch
        assert await denied(two, "k", b"2", if_version=0) == ValueDenial(Why.VERSION, 1)
        assert await denied(two, "l", b"2", most=ValueBounds(1, 1000)) == ValueDenial(Why.KEYS)
        full = ValueBounds(3, 2 * (64 + 3 + 1 + 1))
        assert await denied(two, "l", b"22", most=full) == ValueDenial(Why.BYTES)
        assert isinstance(await self.change(two, "l", b"2", most=full), Ordered)
        assert isinstance(await self.change(two, "l", b"3", most=full), Ordered), "in place of what was there"
        assert await denied(two, "m", b"2", together=3 * 69 - 1) == ValueDenial(Why.TOGETHER)
        assert isinstance(await self.change(two, "l", b"4", together=0), Ordered), "it becomes no more"
        assert isinstance(await self.change(two, "k", None, if_version=1), Ordered)
        assert isinstance(await self.change(two, "m", b"2", together=2 * 69), Ordered)
        told = [Batch(epoch, n, (b"p" + msgspec.msgpack.encode(n),)) for n in range(1, 7)]
        await self.hears(ear, *told)
        assert {key: value.version for key, value in (await self.values(one))["s"][2].items()} == {"l": 4, "m": 6}

    async def test_values_are_there_while_any_node_listens_and_count_no_more_then(self) -> None:
        one, two = await self.brokers()
        ears = [Ear(one), Ear(two)]
        for ear in ears:
            await self.hears(ear, "subscribed")
        assert isinstance(await self.change(one, "k", b"1", together=69), Ordered)
        ears[0].subscription.close()
        await self.settle()
        assert await self.change(one, "k", b"2") is Unavailable.AWAY, "it has no members there"
        assert (await self.values(two))["s"][0] == 1
        ears[1].subscription.close()
        await self.settle()
        assert await self.values(two) == {}
        await self.hears(Ear(two), "subscribed")
        assert await self.values(two) == {}
        assert isinstance(await self.change(two, "k", b"1", together=69), Ordered)

    async def test_a_purge_takes_no_values_away(self) -> None:
        one, _ = await self.brokers()
        ear = Ear(one)
        await self.hears(ear, "subscribed")
        await self.change(one, "k", b"1")
        await self.ask(one.purge, "a", BOUNDS)
        assert (await self.change(one, "k", b"2", if_version=1)).offsets == [1]

    async def test_a_change_whose_answer_was_lost_has_happened_once(self) -> None:
        one, two = await self.brokers()
        await self.hears(Ear(one), "subscribed")
        ear = Ear(two)
        await self.hears(ear, "subscribed")
        answers: list[Any] = []
        change = ValueChange("s", "k", b"1", "ann", None, ValueBounds(3, 1000), 10_000)
        one.change_value("a", b"p", change, BOUNDS, answers.append)
        await self.until(lambda: bool(ear.told) or bool(answers))
        await self.lose(one)
        assert await self.ask(one.read_values, "a", None, None) is Unavailable.AWAY
        assert await self.change(one, "k", b"2") is Unavailable.AWAY
        await self.come_again(one)
        await self.until(lambda: bool(answers))
        await self.settle()
        assert [type(each) for each in answers] == [Ordered]
        assert (await self.values(two))["s"] == (1, 69, {"k": Value(b"1", 1, "ann")})
        assert [one.payloads for one in ear.told] == [(b"p\x01",)]

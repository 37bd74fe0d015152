"""load.chaos.account: every broken promise is seen, and none where all were kept."""

from __future__ import annotations

from typing import Any

from load.chaos.account import Account, Place, Stay


def stay(account: Account, member: str = "ann", room: str = "kept:1", **data: Any) -> Stay:
    """A member who has just joined."""
    found = Stay(account, member, room, keeps=room.startswith("kept"))
    found.joined({"epoch": "e", "offset": 0} | data if found.keeps else data, data.get("since"))
    return found


def message(text: str, offset: int | None = None) -> dict[str, Any]:
    return {"data": {"msg": text}} | ({} if offset is None else {"offset": offset})


def closed(account: Account) -> list[str]:
    account.close()
    return account.broken


def test_a_sequence_without_a_hole_breaks_nothing() -> None:
    account = Account()
    ann, bob = stay(account), stay(account, "bob")
    account.say("one", "kept:1", "ann")
    for member in (ann, bob):
        member.heard(message("one", 1))
        member.heard(message("two", 2))
    account.acknowledged("one", 1)
    assert closed(account) == []


def test_a_hole_is_broken_unless_it_was_told() -> None:
    account = Account()
    ann, bob = stay(account), stay(account, "bob")
    bob.gap({"epoch": "e", "offset": 1})
    bob.heard(message("two", 2))
    assert account.broken == []
    ann.heard(message("two", 2))
    assert "heard 2 behind 0" in account.broken[0]


def test_two_truths_about_one_place_and_one_text_at_two_places_are_broken() -> None:
    account = Account()
    stay(account).heard(message("one", 1))
    stay(account, "bob").heard(message("other", 1))
    assert "is one for one and other for another" in account.broken[0]
    bob = stay(account, "bob", offset=1)
    bob.heard(message("one", 2))
    assert "one stands twice" in account.broken[1]


def test_a_room_that_keeps_nothing_has_one_order_for_all() -> None:
    account = Account()
    ann, bob, cora = (stay(account, name, "plain:1") for name in ("ann", "bob", "cora"))
    for text in ("1", "2", "3"):
        ann.heard(message(text))
    bob.heard(message("1"))
    bob.gap(None)
    bob.heard(message("3"))
    assert account.broken == []
    cora.heard(message("1"))
    cora.heard(message("3"))
    assert "behind 1 one member heard 2, another 3" in account.broken[0]


def test_what_is_heard_twice_is_broken() -> None:
    account = Account()
    ann = stay(account, room="plain:1")
    ann.heard(message("1"))
    ann.gap(None)
    ann.heard(message("1"))
    assert account.broken == ["ann has heard 1 twice"]


def test_what_was_refused_is_nowhere_and_what_was_acknowledged_is_somewhere_or_its_loss_was_told() -> None:
    account = Account()
    ann = stay(account)
    for text in ("refused", "gone", "lost", "open"):
        account.say(text, "kept:1", "ann")
    account.refused("refused")
    account.acknowledged("gone", 7)
    ann.heard(message("refused", 1))
    assert sorted(closed(account)) == [
        "gone was acknowledged and is not there, and ann was told nothing",
        "lost has neither been acknowledged nor refused",
        "open has neither been acknowledged nor refused",
        f"refused was refused and is there: {Place('kept:1', 'e', 1)}",
    ]


def test_an_acknowledged_loss_that_was_told_is_no_breach() -> None:
    account = Account()
    ann = stay(account)
    account.say("lost", "kept:1", "ann")
    account.acknowledged("lost", 1)
    ann.gap({"epoch": "another", "offset": 0})
    assert closed(account) == []


def test_an_acknowledgement_names_the_place() -> None:
    account = Account()
    ann = stay(account)
    account.say("one", "kept:1", "ann")
    account.acknowledged("one", 2)
    ann.heard(message("one", 1))
    assert "was acknowledged as 2 and stands at" in closed(account)[0]


def test_recovered_is_exact() -> None:
    for data, since, good in [
        ({"epoch": "e", "offset": 5, "recovered": True, "count": 2}, ("e", 3), True),
        ({"epoch": "e", "offset": 5, "recovered": True, "count": 1}, ("e", 3), False),
        ({"epoch": "f", "offset": 5, "recovered": True, "count": 2}, ("e", 3), False),
        ({"epoch": "e", "offset": 5, "recovered": False, "count": 0}, ("e", 3), False),
        ({"epoch": "f", "offset": 5, "recovered": False, "count": 0}, ("e", 3), True),
    ]:
        account = Account()
        Stay(account, "ann", "kept:1", keeps=True).joined(data, since)
        assert (account.broken == []) is good, data


def test_a_history_with_a_hole_or_another_text_is_broken() -> None:
    account = Account()
    ann = stay(account)
    for offset in (1, 2, 3):
        ann.heard(message(str(offset), offset))
    account.history("kept:1", "e", {2: "2", 3: "3"}, "n0")
    assert account.broken == []
    account.history("kept:1", "e", {1: "1", 3: "3"}, "n0")
    assert len(account.broken) == 2
    account.history("kept:1", "e", {3: "another"}, "n1")
    assert "is 3 for one and another for another" in account.broken[2]


def test_no_more_is_shown_than_can_be_read() -> None:
    account = Account()
    for n in range(100):
        account.breaks(str(n))
    assert (len(account.broken), account.counts["broken"]) == (20, 100)

"""wsprism.policy.presence: state and diffs fit together without a gap or an overlap, whoever subscribes when."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from wsprism.policy.presence import Diff, Presence, PresenceBounds
from wsprism.policy.present import Entry, PresentSessions

Picture = dict[str, dict[str, Entry]]


def apply(picture: Picture, diff: Diff) -> None:
    """As docs/rooms.md tells client authors: left, then joined, then changed; nothing twice."""
    for user, sids in diff.left.items():
        for sid in sids:
            del picture[user][sid]
        if not picture[user]:
            del picture[user]
    for user, entries in diff.joined.items():
        for entry in entries:
            assert entry.sid not in picture.get(user, {})
            picture.setdefault(user, {})[entry.sid] = entry
    for user, entries in diff.changed.items():
        for entry in entries:
            assert picture[user][entry.sid] != entry
            picture[user][entry.sid] = entry


@given(st.randoms(use_true_random=False), st.integers(1, 6))
def test_every_subscribers_picture_is_the_truth_at_every_quiet_moment(random: Random, max_diff_users: int) -> None:
    presence = Presence(PresenceBounds(100, max_diff_users), "r", PresentSessions())
    truth: Picture = {}
    pictures: list[Picture] = []
    marks: list[int] = []
    for number in range(80):
        choice = random.random()
        user, sid = random.choice("abcd"), random.choice("12")
        if choice < 0.4:
            entry = Entry(sid, str(random.randrange(3)), state=random.randrange(3))
            presence.put(user, entry)
            truth.setdefault(user, {})[sid] = entry
        elif choice < 0.7:
            was = presence.remove(user, sid)
            assert was == (sid in truth.get(user, {}))
            truth.get(user, {}).pop(sid, None)
            if user in truth and not truth[user]:
                del truth[user]
        elif choice < 0.85:
            listing = presence.listing()
            pictures.append({name: {one.sid: one for one in entries} for name, entries in listing.users.items()})
            marks.append(presence.mark)
            assert pictures[-1] == truth
        else:
            for at, picture in enumerate(pictures):
                diff = presence.diff(marks[at])
                if diff.totals is None:
                    apply(picture, diff)
                else:
                    assert diff.totals == (len(truth), sum(map(len, truth.values())))
                    picture.clear()
                    picture.update({name: dict(entries) for name, entries in truth.items()})
                assert picture == truth, number
            presence.settle()
            marks = [0] * len(pictures)
        assert presence.sessions == sum(map(len, truth.values()))


def test_who_came_and_went_within_a_batch_is_in_no_list() -> None:
    presence = Presence(PresenceBounds(10, 10), "r", PresentSessions())
    presence.put("ann", Entry("1", "t"))
    presence.remove("ann", "1")
    assert presence.diff(0).is_empty


def test_a_crowd_is_told_as_a_number() -> None:
    presence = Presence(PresenceBounds(3, 2), "r", PresentSessions())
    for number in range(5):
        presence.put(f"user{number}", Entry("1", "t"))
    assert presence.diff(0) == Diff({}, {}, {}, (5, 5))
    assert not presence.diff(3).is_empty
    listing = presence.listing()
    assert (len(listing.users), listing.total_users, listing.truncated) == (3, 5, True)

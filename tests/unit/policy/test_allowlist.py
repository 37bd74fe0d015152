"""Allowlists deny what they do not name, and refuse entries that cannot be read."""

from __future__ import annotations

import pytest

from wsprism.policy.allowlist import AllowlistError, ExtAllowlist, HotAllowlist


def test_an_empty_list_allows_nothing() -> None:
    assert not ExtAllowlist.compile([]).allows("room", "join")
    assert not HotAllowlist.compile([]).allows(0, 0)


def test_an_ext_entry_allows_its_type_alone() -> None:
    allowlist = ExtAllowlist.compile(["room:join", "room:leave"])
    assert allowlist.allows("room", "join")
    assert allowlist.allows("room", "leave")
    assert not allowlist.allows("room", "members")
    assert not allowlist.allows("room", "*")
    assert not allowlist.allows("chat", "join")


@pytest.mark.parametrize("entries", [["chat:*"], ["chat:*", "chat:send"], ["chat:send", "chat:*"]])
def test_a_star_allows_every_type_of_its_service(entries: list[str]) -> None:
    allowlist = ExtAllowlist.compile(entries)
    assert allowlist.allows("chat", "anything")
    assert not allowlist.allows("room", "anything")


def test_a_hot_entry_allows_its_opcode_alone() -> None:
    allowlist = HotAllowlist.compile(["1:2", "255:0"])
    assert allowlist.allows(1, 2)
    assert allowlist.allows(255, 0)
    assert not allowlist.allows(1, 0)
    assert not allowlist.allows(2, 2)


def test_a_star_allows_every_opcode_of_its_service() -> None:
    allowlist = HotAllowlist.compile(["1:7", "1:*"])
    assert all(allowlist.allows(1, opcode) for opcode in range(256))
    assert not allowlist.allows(0, 7)


@pytest.mark.parametrize(
    "entry", ["", ":", "room", "room:", ":join", "*:*", "*:join", "room:a b", "ro om:*", "r:" + "x" * 65]
)
def test_a_bad_ext_entry_is_named(entry: str) -> None:
    with pytest.raises(AllowlistError) as caught:
        ExtAllowlist.compile(["room:join", entry])
    assert caught.value.entry == entry
    assert str(caught.value) == f"bad allowlist entry {entry!r}: svc:type or svc:*"


@pytest.mark.parametrize(
    "entry",
    ["", ":", "1", "1:", ":1", "*:*", "*:1", "256:1", "1:256", "-1:1", "1:+1", "1: 1", "x:1", "1:x", "٣:1", "1:2:3"],
)
def test_a_bad_hot_entry_is_named(entry: str) -> None:
    with pytest.raises(AllowlistError, match="id:opcode") as caught:
        HotAllowlist.compile([entry])
    assert caught.value.entry == entry

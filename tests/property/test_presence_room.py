"""At any quiet moment every subscriber's picture of a room equals the truth: joins, leaves, losses, states, crashes."""

from __future__ import annotations

from math import ceil
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.realtime_support import Peer, World
from wsprism.realtime.tenant.backend_messages import DisconnectForBackend, Who
from wsprism.realtime.tenant.presences import PresenceForBackend

LINGER_S = 1.25
BATCH_S = 0.5
Picture = dict[str, dict[str, Any]]


class Client:
    """One user and sid, connected or not: the picture that it keeps as docs/rooms.md tells it to."""

    def __init__(self, user: str, sid: str) -> None:
        self.user, self.sid = user, sid
        self.peer: Peer | None = None
        self.picture: Picture | None = None

    def hear(self) -> None:
        assert self.peer is not None
        for message in self.peer.heard():
            assert isinstance(message, dict)
            if message["type"] == "joined":
                told = message.get("data", {}).get("presence")
                self.picture = None if told is None else by_sid(told["users"])
            elif message["type"] == "presence_diff":
                assert self.picture is not None, "told without having asked"
                apply(self.picture, message["data"])
            elif message["type"] == "left":
                self.picture = None


def by_sid(users: dict[str, list[Any]]) -> Picture:
    return {user: {one["sid"]: one for one in entries} for user, entries in users.items()}


def apply(picture: Picture, diff: dict[str, Any]) -> None:
    for user, sids in diff["left"].items():
        for sid in sids:
            del picture[user][sid]
        if not picture[user]:
            del picture[user]
    for user, entries in diff["joined"].items():
        for entry in entries:
            assert entry["sid"] not in picture.get(user, {})
            picture.setdefault(user, {})[entry["sid"]] = entry
    for user, entries in diff["changed"].items():
        for entry in entries:
            assert picture[user][entry["sid"]] != entry
            picture[user][entry["sid"]] = entry


class Truth:
    """Who is present by the rules of the page: with which state, and until when one that was lost lingers."""

    def __init__(self, linger_s: float) -> None:
        self.linger_s = linger_s
        self.states: dict[tuple[str, str], Any] = {}
        self.lingers: dict[tuple[str, str], float] = {}

    def lost(self, key: tuple[str, str], now: float) -> None:
        if self.linger_s:
            self.lingers[key] = ceil((now + self.linger_s) / BATCH_S) * BATCH_S
        else:
            del self.states[key]

    def settle(self, now: float) -> None:
        for key in [key for key, until in self.lingers.items() if until <= now]:
            del self.lingers[key], self.states[key]


@pytest.mark.parametrize("history", [False, True])
@pytest.mark.parametrize("crashes", [False, True])
@given(st.integers(0, 2**32))
async def test_at_any_quiet_moment_every_picture_equals_the_truth(crashes: bool, history: bool, seed: int) -> None:
    random = Random(seed)
    linger_s = 0.0 if crashes else LINGER_S
    room: dict[str, Any] = {"match": "r", "presence": {"enabled": True, "linger_ms": int(linger_s * 1000)}}
    w = World(rooms=[room | ({"history": {}} if history else {})])
    clients = [Client(user, sid) for user in ("ann", "bob", "cyd") for sid in ("1", "2")]
    truth = Truth(linger_s)
    for _ in range(60):
        await step(w, random.choice(clients), truth, random, crashes=crashes)
        if random.random() < 0.3:
            w.scheduler.advance(random.choice([0.125, 0.25, 0.5, 1.0]))
        if random.random() < 0.2:
            await compare(w, clients, truth, quiet_s=5.0 if crashes else BATCH_S)
    await compare(w, clients, truth, quiet_s=5.0 if crashes else BATCH_S)
    assert bool(w.failures) <= crashes


async def compare(w: World, clients: list[Client], truth: Truth, quiet_s: float) -> None:
    w.scheduler.advance(quiet_s)
    truth.settle(w.scheduler.now())
    listing = await w.call(PresenceForBackend("r"))
    listed = by_sid(msgspec.json.decode(msgspec.json.encode(listing))["users"])
    seen = {(user, sid): one.get("state") for user, some in listed.items() for sid, one in some.items()}
    assert seen == truth.states
    for client in clients:
        if client.peer is not None:
            client.hear()
            assert client.picture is None or client.picture == listed


async def step(w: World, client: Client, truth: Truth, random: Random, *, crashes: bool) -> None:
    key = (client.user, client.sid)
    truth.settle(w.scheduler.now())
    if client.peer is None:
        client.peer = await w.connect(client.user, client.sid)
        client.peer.heard()
        return
    peer, inside = client.peer, "r" in client.peer.session.rooms
    what = random.choice(["join", "join", "join", "leave", "lost", "close", "state", "crash"])
    if what == "join":
        data: dict[str, Any] = {"presence": random.random() < 0.7}
        if random.random() < 0.5:
            data["state"] = random.randrange(3)
        peer.say({"v": 1, "svc": "room", "type": "join", "room": "r", "data": data})
        stays = inside or key in truth.lingers
        truth.states[key] = data.get("state", truth.states.get(key) if stays else None)
        truth.lingers.pop(key, None)
        client.hear()
    elif what == "leave" and inside:
        peer.say({"v": 1, "svc": "room", "type": "leave", "room": "r"})
        del truth.states[key]
        client.hear()
    elif what == "state" and inside:
        truth.states[key] = random.randrange(3)
        peer.say({"v": 1, "svc": "room", "type": "state", "room": "r", "data": {"state": truth.states[key]}})
    elif what in ("lost", "close"):
        if what == "close":
            await w.call(DisconnectForBackend(Who(*key), None, 4500, "kicked"))
        peer.vanish()
        client.peer = client.picture = None
        if inside and what == "lost":
            truth.lost(key, w.scheduler.now())
        elif inside:
            del truth.states[key]
    elif what == "crash" and crashes and w.tenant.rooms:
        w.tenant.registry.rooms["r"].ref.tell("what a room does not take")
        w.settle()

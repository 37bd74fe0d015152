"""Whether all is well again: everybody hears everybody, and what nodes and Redis say is what clients know."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import aiohttp

from load.chaos.account import agree
from load.chaos.clients import HERE, HOT, KEPT, PIT, ROOMS, Member
from load.chaos.nodes import Node
from load.chaos.world import OUTLAW, NotSettledError, World

__all__ = ["all_settled", "check", "settle"]

_PAGE: Final = 500
_TIMES_SAID: Final = 4
_HEARD_WITHIN_S: Final = 5.0


async def settle(world: World) -> None:
    """Everybody is where it wants to be, and hears what is said now. Raises NotSettledError."""
    world.quiet.set()
    for contender in world.contenders:
        contender.quiet = True
    await world.until("every node ready", partial(_all_ready, world))
    await world.until("every member in every room", partial(all_settled, world))
    for room in world.members[0].rooms:
        for members in _who_hear_each_other(world, room):
            await _is_heard(world, room, members)
            if room in HOT:
                await _is_heard(world, room, members, hot=True)
    await world.until("what members were told about Redis taken back", partial(_none_degraded, world))


def _who_hear_each_other(world: World, room: str) -> list[list[Member]]:
    if room != HERE:
        return [world.members]
    return [[one for one in world.members if one.at == at] for at in {one.at for one in world.members}]


async def _all_ready(world: World) -> bool:
    return all([await one.serves(world.session) for one in world.alive()])


async def all_settled(world: World) -> bool:
    return all(one.settled for one in world.members)


async def _none_degraded(world: World) -> bool:
    return not any(one.degraded for one in world.members)


async def _is_heard(world: World, room: str, members: Sequence[Member], *, hot: bool = False) -> None:
    """What is said now, by all; again where the first was lost with what everybody was told of then."""

    def deaf(text: str) -> list[str]:
        if hot:
            return [one.user for one in members[1:] if one.last_hot(room) != text]  # who sends it does not get it
        return [one.user for one in members if one.last(room) != text]

    async def all_there() -> bool:
        return all(one.socket is not None and room in one.stays for one in members)

    for _ in range(_TIMES_SAID):
        await world.until(f"all members in {room}", all_there)
        text = await (members[0].say_hot(room) if hot else members[0].say(room))

        async def heard(text: str = text) -> bool:
            return not deaf(text)

        with contextlib.suppress(NotSettledError):
            await world.until("it heard", heard, within_s=_HEARD_WITHIN_S)
            return
    raise NotSettledError(f"what is said in {room}{', hot,' * hot} afterwards is not heard by {deaf(text)}")


async def check(world: World) -> None:
    """What nodes and Redis say now is what clients know."""
    await _check_histories(world)
    await _check_registry(world)
    await _check_presence(world)
    for node in world.alive():
        url = f"{node.base}/v1/ws?tenant=acme&ticket=dev:{OUTLAW}"
        try:
            socket = await world.session.ws_connect(url)
        except aiohttp.WSServerHandshakeError as error:
            if error.status != 401:
                world.account.breaks(f"a revoked user was refused with {error.status} by {node.name}")
        else:
            world.account.breaks(f"a revoked user was let in by {node.name}")
            await socket.close()


async def _check_histories(world: World) -> None:
    for room in KEPT:
        epochs = set()
        for node in world.alive():
            items, top, its_epochs = await _history(world, node, room)
            epochs |= its_epochs
            if items and max(items) != top:
                world.account.breaks(f"the history of {room} on {node.name} ends with {max(items)}, not with {top}")
            for epoch in its_epochs:
                world.account.history(room, epoch, items, node.name)
        if len(epochs) != 1:
            world.account.breaks(f"nodes do not agree on the epoch of {room}: {epochs}")


async def _history(world: World, node: Node, room: str) -> tuple[dict[int, str], int, set[str]]:
    """Texts by offset, the newest offset and the epochs that its pages name; a page is asked for until it comes.

    Raises NotSettledError.
    """
    items: dict[int, str] = {}
    epochs: set[str] = set()
    page: Any = {"more": True}
    since = ""
    while page["more"]:
        path = f"/tenants/acme/rooms/{room}/history?limit={_PAGE}{since}"

        async def told(path: str = path) -> bool:
            nonlocal page
            status, answer = await node.call(world.session, "GET", path)
            page = answer if status == 200 else page
            return status == 200

        await world.until(f"the history of {room} on {node.name}", told)
        items |= {item["offset"]: item["data"]["msg"] for item in page["items"]}
        epochs.add(page["epoch"])
        since = f"&since_epoch={page['epoch']}&since_offset={max(items, default=0)}"
    return items, page["offset"], epochs


async def _check_registry(world: World) -> None:
    """Sessions and memberships that are counted are those that there are."""
    tight, acme = world.prefix("tight"), world.prefix("acme")

    async def same() -> bool:
        inside = {f"user:{one.user}" for one in world.contenders if one.inside}
        connected = sum(one.socket is not None for one in world.contenders)
        return (
            set(await world.redis.ask("HKEYS", f"{tight}u:{PIT}")) == inside
            and await world.redis.ask("HLEN", f"{tight}s") == connected
            and await world.redis.ask("HLEN", f"{acme}s") == sum(one.socket is not None for one in world.members)
            and await counted() == dict.fromkeys(ROOMS, len(world.members))
        )

    async def counted() -> dict[str, int]:
        return {room: await world.redis.ask("HLEN", f"{acme}r:{room}") for room in ROOMS}

    try:
        await world.until("what is counted and what is there the same", same)
    except NotSettledError as error:
        world.account.breaks(str(error))
        inside = [f"user:{one.user}" for one in world.contenders if one.inside]
        agree(world.account, "members of the pit", await world.redis.ask("HKEYS", f"{tight}u:{PIT}"), inside)
        for room, number in (await counted()).items():
            if number != len(world.members):
                world.account.breaks(f"{number} are counted in {room}, and {len(world.members)} are there")


async def _check_presence(world: World) -> None:
    """Each node sees in each room who is there."""
    members = {f"user:{one.user}" for one in world.members}
    for room in KEPT:
        for node in world.alive():

            async def seen(node: Node = node, room: str = room) -> bool:
                _, page = await node.call(world.session, "GET", f"/tenants/acme/rooms/{room}/presence")
                return page is not None and set(page["users"]) == members

            try:
                await world.until(f"presence in {room} on {node.name} who is there", seen, within_s=30.0)
            except NotSettledError as error:
                world.account.breaks(str(error))

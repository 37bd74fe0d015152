"""Handlers of publish, broadcast and send: a body becomes publications, all of them or none.

What a backend publishes is trusted: allowlists and rate limits do not apply to it, ``limits.max_backend_bytes`` does.
"""

from __future__ import annotations

import asyncio
import base64
from typing import Final

from wsprism.protocol import sysmsg
from wsprism.protocol.envelope import JSON
from wsprism.protocol.frames import binary_frame
from wsprism.protocol.hot import HotFault, decode_hot, with_room
from wsprism.protocol.nesting import is_portable
from wsprism.realtime.messages import Exclusion, ExtPublication, HotPublication, Publications
from wsprism.realtime.room.publications import BACKEND
from wsprism.realtime.rules import TenantRules
from wsprism.realtime.tenant.backend_messages import PublishForBackend, PublishToRooms, SendForBackend
from wsprism.realtime.tenant.histories import PublishedAt
from wsprism.transport.api.answers import MembersAnswer, RoomsAnswer, SessionsAnswer
from wsprism.transport.api.calls import Call, ask_tenant
from wsprism.transport.api.models import ExcludeBody, ExtItem, HotItem
from wsprism.transport.api.problems import Problem

__all__ = ["broadcast", "publish", "publish_to_rooms", "send"]

_MADE_AT_ONCE: Final = 500
"""Publications that are made in one turn of the loop."""


async def publish(call: Call) -> MembersAnswer | Problem:
    room = call.path["room"]
    publications = _publications(call.body, call.tenant.rules, room)
    if isinstance(publications, Problem):
        return publications
    answer = await ask_tenant(call.tenant, PublishForBackend(room, publications), call.timeout_s)
    if isinstance(answer, PublishedAt):
        return MembersAnswer(members=answer.members, offset=answer.offset)
    return answer if isinstance(answer, Problem) else MembersAnswer(members=answer)


async def publish_to_rooms(call: Call) -> RoomsAnswer | Problem:
    """Each room has publications of its own; the longest name decides what is too large."""
    body, rules = call.body, call.tenant.rules
    names = list(dict.fromkeys(body.rooms))
    longest = max(names, key=lambda name: len(JSON.encode(name)))
    exclude = _exclusion(body.exclude)
    made = _publications(body.messages, rules, longest, exclude)
    if isinstance(made, Problem):
        where = tuple(("/messages" + at, why) for at, why in made.errors)
        return Problem(made.status, made.detail, errors=where)
    rooms: dict[str, Publications] = {}
    unyielded = 0
    for name in names:
        rooms[name] = tuple(_in_room(one, name) for one in made)
        unyielded += len(made)
        if unyielded >= _MADE_AT_ONCE:
            unyielded = 0
            await asyncio.sleep(0)
    members: dict[str, int] = {}
    answer = await ask_tenant(call.tenant, PublishToRooms(rooms, members), call.timeout_s)
    return answer if isinstance(answer, Problem) else RoomsAnswer(rooms=members)


async def broadcast(call: Call) -> SessionsAnswer | Problem:
    return await _send(call, None)


async def send(call: Call) -> SessionsAnswer | Problem:
    return await _send(call, call.path["user"])


async def _send(call: Call, user: str | None) -> SessionsAnswer | Problem:
    publications = _publications(call.body, call.tenant.rules, None)
    if isinstance(publications, Problem):
        return publications
    answer = await ask_tenant(call.tenant, SendForBackend(user, publications), call.timeout_s)
    return answer if isinstance(answer, Problem) else SessionsAnswer(sessions=answer)


def _publications(
    body: ExtItem | HotItem | list[ExtItem | HotItem],
    rules: TenantRules,
    room: str | None,
    exclude: Exclusion | None = None,
) -> Publications | Problem:
    publications: list[ExtPublication | HotPublication] = []
    for position, item in enumerate(body if isinstance(body, list) else [body]):
        made = _ext(item, rules, room) if isinstance(item, ExtItem) else _hot(item, rules, room)
        if isinstance(made, Problem):
            where = f"/{position}" if isinstance(body, list) else ""
            return Problem(made.status, made.detail, errors=tuple((where + at, why) for at, why in made.errors))
        made.exclude = _exclusion(item.exclude) or exclude
        publications.append(made)
    return tuple(publications)


def _exclusion(body: ExcludeBody | None) -> Exclusion | None:
    return None if body is None else Exclusion(body.user, body.sid)


def _in_room(publication: ExtPublication | HotPublication, room: str) -> ExtPublication | HotPublication:
    """The same for another room: a frame is conflated with those of its room only."""
    if isinstance(publication, ExtPublication):
        svc, type, data = publication.svc, publication.type, publication.data
        return ExtPublication(svc, type, data, id=publication.id, exclude=publication.exclude)
    key = None if publication.key is None else (room, *publication.key[1:])
    return HotPublication(publication.frame, key, exclude=publication.exclude)


def _ext(item: ExtItem, rules: TenantRules, room: str | None) -> ExtPublication | Problem:
    if not is_portable(item.data):
        return _fault("/data", "holds a number out of range, or nests too deep")
    data = JSON.encode(item.data)
    size_bytes = len(JSON.encode(sysmsg.publication(item.svc, item.type, room, None))) - len(b"null") + len(data)
    too_large = _too_large(size_bytes, rules, "/data")
    return too_large or ExtPublication(item.svc, item.type, data, id=item.id)


def _hot(item: HotItem, rules: TenantRules, room: str | None) -> HotPublication | Problem:
    raw = base64.b64decode(item.hot)  # its model has seen that it is base64
    frame = decode_hot(raw, rules.hot_framing)
    if isinstance(frame, HotFault):
        return _fault("/hot", frame.reason)
    too_large = _too_large(len(raw), rules, "/hot")
    if too_large is not None:
        return too_large
    frame = with_room(frame, None)
    conflation = rules.conflation
    key = None
    if conflation.active:
        key = (room, frame.service_id, conflation.key_for(BACKEND, frame.opcode, frame.payload))
    return HotPublication(binary_frame(frame.raw), key)


def _fault(pointer: str, detail: str) -> Problem:
    return Problem(422, "the body is not what this call takes; nothing was done", errors=((pointer, detail),))


def _too_large(size_bytes: int, rules: TenantRules, pointer: str) -> Problem | None:
    most = rules.limits.max_backend_bytes
    if size_bytes <= most:
        return None
    error = (pointer, f"makes a message of {size_bytes} bytes")
    return Problem(413, f"a message has at most {most} bytes; nothing was done", errors=(error,))

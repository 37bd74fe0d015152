"""A service at work without a gateway: what tests and the command line drive it with.

It decides what a gateway decides: what fits, what is an answer, when ticks are due. It carries nothing out.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import threading
from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeVar

import msgspec

from wsprism.effects import Effect, Refuse
from wsprism.plugin.answers import FROM_MESSAGES, UNASKED, BadAnswer, checked, checked_frame, listed
from wsprism.plugin.context import Context
from wsprism.plugin.incoming import read_data
from wsprism.plugin.service import Service, handlers_of, is_async, state_maker_of
from wsprism.plugin.words import words_of
from wsprism.ports import HotVerdict
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.envelope import JSON, Envelope
from wsprism.protocol.faults import DataFault
from wsprism.protocol.hot import Framing, HotFault, decode_hot

__all__ = ["Refused", "Trial"]

MAX_BYTES: Final = 65_536
"""``limits.max_backend_bytes``, unless a configuration says otherwise."""

_MISSING: Final = object()

T = TypeVar("T")


class _JsonSender:
    """Whoever it is, it speaks JSON."""

    def decode_data(self, envelope: Envelope, type: Any = Any) -> Any:
        return JSON.decode_data(envelope.data, type)


_JSON_SENDER: Final = _JsonSender()


class Refused(Exception):
    """The gateway would answer ``sys.error`` with this code. ``INTERNAL``: the service has failed, see its cause."""

    def __init__(self, code: ErrorCode, msg: str) -> None:
        super().__init__(f"{code.value}: {msg}")
        self.code: str = code.value
        self.msg = msg


class Trial:
    """``now_ms`` is the moment at which it stands; a ``Home`` for contexts."""

    def __init__(self, service: Service, tenant: str, options: Mapping[str, Any] | None, now_ms: int) -> None:
        self.tenant = tenant
        self.options: Mapping[str, Any] = MappingProxyType(copy.deepcopy(dict(options or {})))
        self.log = logging.getLogger("wsprism.service")
        self.moment_ms = now_ms
        self.members: dict[str, dict[tuple[str, str], None]] = {}
        """Who is in which room, by user and sid, in the order of joining."""
        self.states: dict[str | None, Any] = {}
        self._rooms_of: dict[str, dict[str, None]] = {}
        self._handlers = handlers_of(service)
        self._make_state = state_maker_of(service)
        for handler in self._handlers.on.values():
            handler.prepare()
        self._elapsed_s = 0.0
        self._due_s = [one.every_s for one in self._handlers.ticks]

    def now_ms(self) -> int:
        return self.moment_ms + round(self._elapsed_s * 1000)

    def state_of(self, room: str | None) -> Any:
        if self._make_state is None:
            return None
        state = self.states.get(room, _MISSING)
        if state is _MISSING:
            state = self.states[room] = self._make_state()
        return state

    def active_room(self, user: str) -> str | None:
        """The room that a user is in, of several the one that it has joined last."""
        return next(reversed(self._rooms_of.get(user, {})), None)

    def join(self, user: str, sid: str, room: str) -> list[Effect]:
        """A session comes to a room; nothing when it is there."""
        inside = self.members.setdefault(room, {})
        if (user, sid) in inside:
            return []
        inside[user, sid] = None
        self._rooms_of.setdefault(user, {})[room] = None
        return self._call(self._handlers.joined, UNASKED, Context(self, room, user, sid))

    def leave(self, user: str, sid: str, room: str) -> list[Effect]:
        """It goes; with the last one the room and its state are gone."""
        inside = self.members.get(room, {})
        if (user, sid) not in inside:
            return []
        del inside[user, sid]
        self._rooms_of[user].pop(room, None)
        effects = self._call(self._handlers.left, UNASKED, Context(self, room, user, sid))
        if not inside:
            del self.members[room]
            self.states.pop(room, None)
        return effects

    def message(
        self,
        type: str,
        data: msgspec.Raw | None,
        user: str,
        sid: str,
        room: str | None,
        seq: int | None = None,
    ) -> list[Effect]:
        """What a message brings about. Raises Refused."""
        handler = self._handlers.on.get(type)
        if handler is None:
            raise Refused(ErrorCode.NOT_ALLOWED, f"the service has no type {type}")
        envelope = Envelope(v=1, svc="", type=type, data=data)
        arguments = self._guarded(lambda: read_data(handler, envelope, _JSON_SENDER))
        if isinstance(arguments, DataFault):
            raise Refused(ErrorCode.BAD_REQUEST, arguments.msg)
        effects = self._call(handler.function, FROM_MESSAGES, Context(self, room, user, sid, type, seq), *arguments)
        if effects and isinstance(effects[0], Refuse):
            raise Refused(effects[0].code, effects[0].msg)
        return effects

    def hot(self, frame: bytes, user: str, sid: str, room: str) -> bytes | HotVerdict:
        """What becomes of a frame. Raises Refused when the service fails, where a gateway would drop it."""
        read = decode_hot(frame, Framing.COMPACT)
        if isinstance(read, HotFault):
            raise Refused(ErrorCode.BAD_REQUEST, read.reason)
        function = self._handlers.hot.get(read.opcode, self._handlers.hot.get(None))
        if function is None:
            return HotVerdict.DROP
        context = Context(self, room, user, sid, None, read.seq)
        return self._guarded(lambda: checked_frame(function(context, frame), Framing.COMPACT, MAX_BYTES))

    def advance(self, seconds: float) -> list[Effect]:
        """Time passes: the effects of all ticks that are due, in their order, room by room."""
        effects: list[Effect] = []
        until_s = self._elapsed_s + seconds
        ticks = self._handlers.ticks
        while ticks:
            number = min(range(len(ticks)), key=self._due_s.__getitem__)
            if self._due_s[number] > until_s + 1e-9:
                break
            self._elapsed_s = self._due_s[number]
            self._due_s[number] += ticks[number].every_s
            for room in list(self.members):
                effects += self._call(ticks[number].function, UNASKED, Context(self, room))
        self._elapsed_s = until_s
        return effects

    def _call(
        self, function: Callable[..., Any] | None, allowed: frozenset[type], context: Context, *data: Any
    ) -> list[Effect]:
        if function is None:
            return []

        def call() -> list[Effect]:
            returned = function(context, *data)
            if is_async(function):
                returned = _run(returned)
            checked(returned, allowed, Framing.COMPACT, MAX_BYTES)
            return list(listed(returned))

        return self._guarded(call)

    def _guarded(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except BadAnswer as fault:
            raise Refused(ErrorCode.INTERNAL, str(fault)) from fault
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            raise Refused(ErrorCode.INTERNAL, words_of(error)) from error


def _run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """To its end, also where a loop runs already: then in a thread of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    ended: list[tuple[Any, BaseException | None]] = []

    def run() -> None:
        try:
            ended.append((asyncio.run(coroutine), None))
        except BaseException as error:  # it is raised where it was asked for
            ended.append((None, error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    [(result, error)] = ended
    if error is not None:
        raise error
    return result

"""A service: its handlers, as its author declares them. Whoever runs it (a gateway, a test) reads them."""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, overload

from wsprism.plugin.data import DataParameter, data_parameter
from wsprism.protocol.envelope import MAX_NAME_LENGTH, is_name

__all__ = ["Handler", "Handlers", "Service", "Tick", "handlers_of", "is_async", "state_maker_of"]

F = TypeVar("F", bound=Callable[..., Any])

_SHORTEST_TICK_S: Final = 0.005
_NO_NAMES: Final[Mapping[str, Any]] = {}


@dataclass(slots=True)
class Handler:
    """A handler of messages. ``is_async``: it runs beside. ``takes_data``: it has a second parameter, which ``data``
    describes once it is prepared."""

    function: Callable[..., Any]
    is_async: bool
    takes_data: bool
    data: DataParameter | None = None

    def prepare(self) -> None:
        """Everything around it is declared: find out what it takes. Raises NameError or TypeError."""
        if self.takes_data and self.data is None:
            try:
                self.data = data_parameter(self.function, _NO_NAMES)
            except NameError as error:
                raise NameError(f"the annotation of its data: {error}") from error


@dataclass(frozen=True, slots=True)
class Tick:
    """A handler that every room with members calls every so many seconds."""

    function: Callable[..., Any]
    every_s: float


@dataclass(slots=True)
class Handlers:
    """All of a service."""

    on: dict[str, Handler] = field(default_factory=dict)
    ticks: list[Tick] = field(default_factory=list)
    joined: Callable[..., Any] | None = None
    left: Callable[..., Any] | None = None
    hot: dict[int | None, Callable[..., Any]] = field(default_factory=dict)
    """By opcode; None: of every other one."""
    migrate: Callable[[Any], Any] | None = None


class Service:
    """``state()`` is called for the state of each tenant and room.

    Handlers are declared by its decorators, which give the function back as it is. All but those of messages are plain
    functions, not ``async``.
    """

    def __init__(self, *, state: Callable[[], Any] | None = None) -> None:
        if state is not None and not callable(state):
            raise TypeError(f"state must be a class or function without parameters, found {state!r:.80}")
        self._make_state = state
        self._handlers = Handlers()

    def on(self, type: str) -> Callable[[F], F]:
        """``f(context)`` or ``f(context, data)``, plain or async, answers messages of this type; a list of effects.

        ``data`` is made by its annotation: a msgspec Struct, a dataclass, a TypedDict …, anything JSON without one.
        What does not fit is ``BAD_REQUEST`` before the handler runs.
        """
        if not isinstance(type, str) or not is_name(type):
            raise ValueError(f"a type must be 1-{MAX_NAME_LENGTH} characters of A-Z a-z 0-9 _ . -, found {type!r:.80}")

        def declare(function: F) -> F:
            parameters = _parameters(function, 1, 2, "f(context) or f(context, data)")
            if type in self._handlers.on:
                raise ValueError(f"two handlers for {type!r}")
            handler = Handler(function, is_async(function), parameters > 1)
            try:
                handler.data = data_parameter(function, _names_around(2))
            except NameError:
                handler.data = None  # perhaps it comes further below in the file: ``prepare`` looks again
            self._handlers.on[type] = handler
            return function

        return declare

    def every(self, seconds: float) -> Callable[[F], F]:
        """``f(context)`` runs every so many seconds for each room that has members. It publishes and sends."""
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
            raise ValueError(f"seconds must be a number, found {seconds!r:.80}")
        if seconds < _SHORTEST_TICK_S:
            raise ValueError(f"seconds must be {_SHORTEST_TICK_S} or more, found {seconds!r}")

        def declare(function: F) -> F:
            _plain(function, 1, "f(context)")
            self._handlers.ticks.append(Tick(function, float(seconds)))
            return function

        return declare

    def joined(self, function: F) -> F:
        """``f(context)`` for each session that comes to a room. It publishes and sends."""
        _plain(function, 1, "f(context)")
        if self._handlers.joined is not None:
            raise ValueError("two handlers for joined")
        self._handlers.joined = function
        return function

    def left(self, function: F) -> F:
        """``f(context)`` for each session that is in a room no more. It publishes and sends."""
        _plain(function, 1, "f(context)")
        if self._handlers.left is not None:
            raise ValueError("two handlers for left")
        self._handlers.left = function
        return function

    @overload
    def hot(self, function_or_opcode: int, /) -> Callable[[F], F]: ...
    @overload
    def hot(self, function_or_opcode: F, /) -> F: ...
    def hot(self, function_or_opcode: F | int, /) -> F | Callable[[F], F]:
        """``f(context, frame)`` looks at every hot frame, or at those of one opcode (``@service.hot(opcode)``).

        ``frame`` is the whole frame as the client sent it. It returns ``PASS``, ``DROP`` or the whole frame that goes
        out instead. A frame whose opcode no handler takes is dropped.
        """
        if not isinstance(function_or_opcode, int):
            return self._hot(None, function_or_opcode)
        opcode = function_or_opcode
        if isinstance(opcode, bool) or not 0 <= opcode <= 255:
            raise ValueError(f"an opcode must be from 0 to 255, found {opcode!r}")
        return lambda function: self._hot(opcode, function)

    def migrate(self, function: F) -> F:
        """``f(old_state) -> state`` hands a room's state over when a reload replaces this service's predecessor.

        When it raises the reload has failed and the predecessor stays, so it should leave ``old_state`` as it is.
        """
        _plain(function, 1, "f(old_state)")
        if self._handlers.migrate is not None:
            raise ValueError("two handlers for migrate")
        self._handlers.migrate = function
        return function

    def _hot(self, opcode: int | None, function: F) -> F:
        _plain(function, 2, "f(context, frame)")
        if opcode in self._handlers.hot:
            raise ValueError("two handlers for hot frames" if opcode is None else f"two handlers for opcode {opcode}")
        self._handlers.hot[opcode] = function
        return function


def handlers_of(service: Service) -> Handlers:
    """What its author has declared; for whoever runs it."""
    return service._handlers


def state_maker_of(service: Service) -> Callable[[], Any] | None:
    """What makes the state of a room; None: it has none."""
    return service._make_state


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling it gives something to await: a function, or an object that is called like one."""
    if inspect.iscoroutinefunction(function):
        return True
    return inspect.iscoroutinefunction(getattr(type(function), "__call__", None))  # noqa: B004 (what it is, is asked)


def _plain(function: Callable[..., Any], parameters: int, shown: str) -> None:
    _parameters(function, parameters, parameters, shown)
    if is_async(function):
        raise TypeError(f"{_named(function)} must be a plain function, not async: only handlers of messages may wait")


def _parameters(function: Callable[..., Any], least: int, most: int, shown: str) -> int:
    if not callable(function):
        raise TypeError(f"a handler must be a function {shown}, found {function!r:.80}")
    parameters = inspect.signature(function).parameters.values()
    by_position = [
        one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD, one.VAR_POSITIONAL)
    ]
    if not least <= len(by_position) <= most or len(by_position) < len(parameters):
        raise TypeError(f"{_named(function)} must be {shown}")
    return len(by_position)


def _named(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__name__", function))


def _names_around(depth: int) -> Mapping[str, Any]:
    """The local names where a decorator stands: a class of the same function may be an annotation there."""
    frame = sys._getframe(depth)
    return _NO_NAMES if frame.f_locals is frame.f_globals else dict(frame.f_locals)

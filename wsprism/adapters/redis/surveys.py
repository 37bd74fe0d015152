"""Questions to all nodes, and their answers.

A question stands in the stream that every node follows. Answers come by the same channel, and are kept for a while for
who was not connected then. It is known which nodes could hear a question: whoever may write at that moment. One that
may write no more has nothing to answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from wsprism.adapters.redis.protocol import Refused, Word
from wsprism.adapters.redis.scripts import Script, script
from wsprism.adapters.redis.simple_call import SimpleCall
from wsprism.ports import Unavailable

__all__ = ["Asker", "Surveys"]

_LOOK_S: Final = 0.5
_MOST: Final = 1024
_FORGOTTEN_AFTER_S: Final = 120.0

_EVERYBODY: Final = "*"
_NOBODY: Final = "-"

Done = Callable[[Sequence[bytes] | Unavailable], object]


class Asker(Protocol):
    """Whose questions they are."""

    @property
    def incarnation(self) -> int: ...
    def later(self, call: Callable[[], object]) -> None: ...
    def next_number(self) -> int: ...
    def add(self, number: int, what: SimpleCall[Any]) -> None:
        """Have a script called, again where its outcome is not known."""
        ...

    def call(self, which: Script, arguments: Sequence[Word], answered: Callable[[Any], object]) -> Refused | None: ...


@dataclass(slots=True)
class _Survey:
    """``awaited`` is None until it is known who has heard the question."""

    asker: int
    number: int
    done: Done
    patience_s: float
    begun_at: float
    awaited: set[bytes] | None = None
    answers: dict[bytes, bytes] = field(default_factory=dict)


class Surveys:
    """Of one tenant. ``up`` and ``down`` as connections come and go."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._surveys: dict[tuple[int, int], _Survey] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._connected = False

    def ask(
        self, body: bytes, done: Done, patience_s: float | None = None, among: frozenset[bytes] | None = None
    ) -> None:
        """Ask all nodes, or those ``among`` them."""
        if len(self._surveys) >= _MOST:
            self._asker.later(lambda: done(Unavailable.OVERLOADED))
            return
        asker, number = self._asker.incarnation, self._asker.next_number()
        who = _EVERYBODY if among is None else f" {' '.join(sorted(one.decode() for one in among))} "
        now = asyncio.get_running_loop().time()
        survey = _Survey(asker, number, done, patience_s or _FORGOTTEN_AFTER_S, now)
        self._surveys[asker, number] = survey

        def asked(answer: frozenset[bytes] | Unavailable) -> None:
            if isinstance(answer, Unavailable):
                self._end(survey, answer)
                return
            heard = answer if among is None else answer & among
            survey.awaited = set(heard) - survey.answers.keys()
            self._settle(survey)
            self._watch()

        self._say(asker, number, body, who, asked)

    def tell(self, body: bytes, refused: Callable[[], object]) -> None:
        """Tell all nodes; nobody is to answer."""

        def told(answer: frozenset[bytes] | Unavailable) -> None:
            if isinstance(answer, Unavailable):
                refused()

        self._say(self._asker.incarnation, self._asker.next_number(), body, _NOBODY, told)

    def heard(self, asker: int, number: int, node: bytes, body: bytes) -> None:
        """A node has answered."""
        survey = self._surveys.get((asker, number))
        if survey is not None:
            survey.answers[node] = body
            if survey.awaited is not None:
                survey.awaited.discard(node)
                self._settle(survey)

    def up(self) -> None:
        """Answers may have been missed."""
        self._connected = True
        if self._surveys:
            self._look()

    def down(self) -> None:
        """Nothing is heard."""
        self._connected = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _say(
        self,
        asker: int,
        number: int,
        body: bytes,
        who: str,
        said: Callable[[frozenset[bytes] | Unavailable], object],
    ) -> None:
        self._asker.add(number, SimpleCall(script("ask"), (asker, number, body, who), _nodes, said, len(body)))

    def _watch(self) -> None:
        if self._timer is None and self._connected and self._surveys:
            self._timer = asyncio.get_running_loop().call_later(_LOOK_S, self._look)

    def _look(self) -> None:
        """Who is silent may have died, or its answer was missed; or nobody waits for it any longer."""
        self._timer = None
        now = asyncio.get_running_loop().time()
        for survey in list(self._surveys.values()):
            if survey.awaited is None:
                continue
            if now - survey.begun_at >= survey.patience_s:
                survey.awaited.clear()
                self._settle(survey)
            else:
                self._look_at(survey)
        self._watch()

    def _look_at(self, survey: _Survey) -> None:
        def told(answer: Any) -> None:
            if not isinstance(answer, list) or survey.awaited is None:
                return
            for node, body, gone in zip(answer[1::3], answer[2::3], answer[3::3], strict=True):
                if not gone:
                    survey.answers[node] = body
                survey.awaited.discard(node)
            self._settle(survey)

        self._asker.call(script("answers"), (survey.asker, survey.number, *(survey.awaited or ())), told)

    def _settle(self, survey: _Survey) -> None:
        if not survey.awaited:
            self._end(survey, list(survey.answers.values()))

    def _end(self, survey: _Survey, answer: Sequence[bytes] | Unavailable) -> None:
        if self._surveys.pop((survey.asker, survey.number), None) is not None:
            survey.done(answer)
        if not self._surveys and self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _nodes(answer: Sequence[bytes]) -> frozenset[bytes]:
    return frozenset(answer[1:])

"""The questions that a backend is asked, each with its body and the reading of its answer (docs/backend.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from wsprism.adapters.backend.desk import Answered, Route
from wsprism.protocol.backend import question_body, rfc3339
from wsprism.protocol.nesting import MAX_DEPTH
from wsprism.protocol.outside_json import decode_json
from wsprism.protocol.traces import CallTrace

__all__ = ["DecisionService", "MessageService", "PendingQuestion"]

_OVERHEAD_BYTES: Final = 512
"""What a question holds besides its data: names, ids, the envelope around it."""


@dataclass(frozen=True, slots=True)
class PendingQuestion:
    """One question that waits or is under way. ``fields`` stand in its body besides kind, id, time and tenant."""

    service: DecisionService | MessageService
    fields: Mapping[str, Any]
    data_bytes: int
    deadline: float
    answered: Answered
    trace: CallTrace | None = None

    @property
    def size_bytes(self) -> int:
        return self.data_bytes + _OVERHEAD_BYTES


class DecisionService:
    """``connect``, ``join`` or ``ping``: one question a call, whose answer ``read`` makes something of."""

    def __init__(
        self,
        kind: str,
        tenant: str,
        route: Route,
        read: Callable[[bytes], Any | str],
        unix_now: Callable[[], float],
    ) -> None:
        self.kind = kind
        self.route = route
        self._tenant = tenant
        self._read = read
        self._unix_now = unix_now

    def body(self, asked: Sequence[PendingQuestion], question_id: str, traceparent: str | None = None) -> bytes:
        """The body of the one question."""
        [question] = asked
        fields = question.fields if traceparent is None else {**question.fields, "traceparent": traceparent}
        return question_body(self.kind, question_id, rfc3339(self._unix_now()), self._tenant, fields)

    def decode(self, count: int) -> Callable[[int, bytes], list[Any] | str]:  # noqa: ARG002 (always one)
        """Only a 200 is a usable answer."""

        def decode(status: int, body: bytes) -> list[Any] | str:
            value = self._read(body) if status == 200 else f"status {status}"
            return value if isinstance(value, str) else [value]

        return decode


class MessageService:
    """A webhook service: single messages, or with ``batch`` above 1 as many at once as wait anyway.

    ``read`` makes effects of the JSON ``{"effects": [...]}``, or says what is wrong with it.
    """

    def __init__(
        self,
        tenant: str,
        route: Route,
        batch: int,
        read: Callable[[bytes], Any | str],
        unix_now: Callable[[], float],
    ) -> None:
        self.kind = "messages" if batch > 1 else "message"
        self.route = route
        self.batch = batch
        self._tenant = tenant
        self._read = read
        self._unix_now = unix_now

    def body(self, asked: Sequence[PendingQuestion], question_id: str, traceparent: str | None = None) -> bytes:
        """The body for all of ``asked``, in their order."""
        fields = asked[0].fields if self.batch == 1 else {"messages": [one.fields for one in asked]}
        if traceparent is not None:
            fields = {**fields, "traceparent": traceparent}
        return question_body(self.kind, question_id, rfc3339(self._unix_now()), self._tenant, fields)

    def decode(self, count: int) -> Callable[[int, bytes], list[Any] | str]:
        """204 is an empty list for every message; one answer that cannot be used makes all of them unusable."""

        def decode(status: int, body: bytes) -> list[Any] | str:
            if status == 204:
                return [self._read(b'{"effects":[]}') for _ in range(count)]
            if self.batch == 1:
                value = self._read(body)
                return value if isinstance(value, str) else [value]
            return self._read_several(body, count)

        return decode

    def _read_several(self, body: bytes, count: int) -> list[Any] | str:
        try:
            answers = decode_json(body, _Answers, max_depth=2 * MAX_DEPTH).answers
        except msgspec.DecodeError:
            return "the answer is not what it must be"
        if len(answers) != count:
            return f"the answer has {len(answers)} answers for {count} messages"
        values = [self._read(bytes(answer)) for answer in answers]
        faults = [value for value in values if isinstance(value, str)]
        return faults[0] if faults else values


class _Answers(msgspec.Struct, forbid_unknown_fields=True):
    answers: list[msgspec.Raw]

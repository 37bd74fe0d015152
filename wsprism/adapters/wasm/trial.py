"""A module tried out without a gateway: a message in, what would come of it out, both as JSON."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import msgspec

from wsprism.adapters.wasm.bounds import GuestFault
from wsprism.adapters.wasm.instance import Instance
from wsprism.adapters.wasm.services import effects_of
from wsprism.protocol.hot import Framing

if TYPE_CHECKING:
    from wsprism.adapters.wasm.bounds import Bounds
    from wsprism.adapters.wasm.instance import Say
    from wsprism.adapters.wasm.module import GuestModule

__all__ = ["Trial"]

_MAX_DATA_BYTES: Final = 65_536
"""Of an effect, as `limits.max_backend_bytes` is by default."""


class Trial:
    """One instance; after a fault the next message begins with a new one."""

    def __init__(self, module: GuestModule, bounds: Bounds, options: bytes, say: Say) -> None:
        self._module = module
        self._bounds = bounds
        self._options = options
        self._say = say
        self._instance: Instance | None = None

    def answer(self, line: bytes) -> bytes:
        """``{"effects", "fuel", "memory_bytes"}``, or ``{"fault", "fuel"}``. What ``line`` leaves out is filled in."""
        return msgspec.json.encode(self._answer(line))

    def close(self) -> None:
        """Let go of the instance."""
        instance, self._instance = self._instance, None
        if instance is not None:
            instance.close()

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            message = _whole(line)
        except ValueError as problem:
            return {"fault": str(problem), "fuel": 0}
        try:
            if self._instance is None:
                self._instance = Instance(self._module, self._bounds, self._options, self._say)
            answer = self._instance.handle(message)
            effects_of(answer, self._bounds, Framing.COMPACT, _MAX_DATA_BYTES)
        except GuestFault as fault:
            fuel = 0 if self._instance is None else self._instance.fuel_used()
            self.close()
            return {"fault": fault.words, "fuel": fuel}
        effects = [] if answer is None else msgspec.json.decode(answer)["effects"]
        return {"effects": effects, "fuel": self._instance.fuel_used(), "memory_bytes": self._instance.memory_bytes}


def _whole(line: bytes) -> bytes:
    """The message of one line with all its fields. Raises ValueError."""
    try:
        given = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ValueError("this line is not JSON") from error
    session = given.get("session", {}) if isinstance(given, dict) else None
    if not isinstance(session, dict):
        raise ValueError("this line is no message: it takes an object, and an object as its session")
    default = {"tenant": "test", "type": "message", "now_ms": int(time.time() * 1000)}
    return msgspec.json.encode(default | given | {"session": {"user": "ann", "sid": "1", "generation": 1} | session})

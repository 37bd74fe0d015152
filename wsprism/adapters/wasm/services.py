"""Services of kind `wasm`: of the ext lane, in effects; of the hot lane, as a filter of frames. They never raise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from wsprism.adapters.wasm.bounds import Cause, GuestFault
from wsprism.adapters.wasm.guest import Guest, Terms
from wsprism.adapters.wasm.instance import DROP, PASS
from wsprism.adapters.wasm.messages import encode_message
from wsprism.effects import Answer, Effect, Fail, Refuse, read_effects
from wsprism.ports import HotVerdict
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.envelope import DataFault
from wsprism.protocol.hot import HotFault, decode_hot
from wsprism.services.conduct import FAULT, SUSPENDED

if TYPE_CHECKING:
    from wsprism.adapters.wasm.bounds import Bounds
    from wsprism.adapters.wasm.instance import Instance
    from wsprism.ports import ServiceContext, ServiceHost, ServiceStatus
    from wsprism.protocol.envelope import Envelope
    from wsprism.protocol.hot import Framing, HotFrame

__all__ = ["WasmExtService", "WasmHotService", "effects_of"]


def effects_of(instance: Instance, message: bytes, bounds: Bounds, framing: Framing, max_bytes: int) -> list[Effect]:
    """What ``instance`` answers ``message``. Raises GuestFault."""
    answer = instance.handle(message)
    if answer is None:
        return []
    effects = read_effects(answer, framing=framing, max_bytes=max_bytes, max_effects=bounds.effects)
    if isinstance(effects, str):
        raise GuestFault(Cause.ANSWER, effects)
    return effects


class WasmExtService:
    """Takes every type: what they mean is the module's business."""

    types = None

    def __init__(self, name: str, terms: Terms) -> None:
        self._guest = Guest("ext", name, terms)
        self.terms = terms

    @property
    def status(self) -> ServiceStatus:
        return self._guest.status

    def start(self, host: ServiceHost) -> None:
        self._guest.start(host)

    def stop(self, *, at_once: bool) -> None:  # noqa: ARG002 (nothing of it is under way)
        self._guest.stop()

    def handle(self, context: ServiceContext, envelope: Envelope) -> Answer | Refuse | Fail:
        guest = self._guest
        host = guest.host
        if host is None:
            return SUSPENDED
        data: Any = msgspec.UNSET
        if envelope.data is not None:
            data = context.decode_data(envelope)
            if type(data) is DataFault:
                return Refuse(ErrorCode.BAD_REQUEST, data.msg)
        pass_ = guest.conduct.begin(host.now())
        if pass_ is None:
            return SUSPENDED
        message = encode_message(
            context.tenant,
            context.user,
            context.sid,
            context.generation,
            envelope.type,
            int(host.unix_now() * 1000),
            envelope.room or context.active_room,
            envelope.seq,
            data,
        )

        def call(instance: Instance, host: ServiceHost) -> tuple[list[Effect], int]:
            effects = effects_of(instance, message, self.terms.bounds, host.framing, host.max_bytes)
            return effects, len(effects)

        effects = guest.ask(pass_, call)
        return FAULT if effects is None else Answer(effects)


class WasmHotService:
    """``to``: all, others or nobody get the frames that it lets through."""

    include_sender = False
    to_backend = False
    filters = True

    def __init__(self, name: str, terms: Terms) -> None:
        self._guest = Guest("hot", name, terms)
        self.terms = terms
        self.echo = terms.to == "all"
        self.deliver = terms.to != "nobody"

    @property
    def status(self) -> ServiceStatus:
        return self._guest.status

    def start(self, host: ServiceHost) -> None:
        self._guest.start(host)

    def stop(self, *, at_once: bool) -> None:  # noqa: ARG002 (nothing of it is under way)
        self._guest.stop()

    def filter(self, context: ServiceContext, room: str | None, frame: HotFrame) -> bytes | HotVerdict:  # noqa: ARG002
        guest = self._guest
        host = guest.host
        pass_ = None if host is None else guest.conduct.begin(host.now())
        if pass_ is None:
            return HotVerdict.DROP
        raw = frame.raw

        def call(instance: Instance, host: ServiceHost) -> tuple[bytes | HotVerdict, int]:
            verdict = instance.judge(raw)
            if verdict == DROP:
                return HotVerdict.DROP, 0
            if verdict == PASS:
                return HotVerdict.PASS, 1
            assert isinstance(verdict, bytes)
            if len(verdict) > host.max_bytes:
                raise GuestFault(Cause.ANSWER, f"its frame has {len(verdict)} bytes; {host.max_bytes} are allowed")
            read = decode_hot(verdict, host.framing)
            if isinstance(read, HotFault):
                raise GuestFault(Cause.ANSWER, f"its frame is none: {read.reason}")
            return verdict, 1

        gave: bytes | HotVerdict | None = guest.ask(pass_, call)
        return HotVerdict.DROP if gave is None else gave

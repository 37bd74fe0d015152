"""Services of kind `wasm`: of the ext lane, in effects; of the hot lane, as a filter of frames. They never raise."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec

from wsprism.adapters.wasm.bounds import Cause, GuestFault
from wsprism.adapters.wasm.guest import Guest, Terms
from wsprism.adapters.wasm.instance import PASS
from wsprism.adapters.wasm.messages import compact, encode_message
from wsprism.effects import Answer, Effect, Fail, Refuse, read_effects
from wsprism.ports import HotVerdict
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.envelope import DataFault
from wsprism.protocol.hot import HotFault, decode_hot
from wsprism.services.conduct import ENDED, FAULT, SUSPENDED

if TYPE_CHECKING:
    from wsprism.adapters.wasm.bounds import Bounds
    from wsprism.ports import ServiceContext, ServiceHost, ServiceStatus
    from wsprism.protocol.envelope import Envelope
    from wsprism.protocol.hot import Framing, HotFrame

__all__ = ["WasmExtService", "WasmHotService", "effects_of"]


def effects_of(answer: bytes | None, bounds: Bounds, framing: Framing, max_bytes: int) -> list[Effect]:
    """What a guest's ``answer`` says; None is a yes with nothing to do. Raises GuestFault."""
    if answer is None:
        return []
    effects = read_effects(answer, framing=framing, max_bytes=max_bytes, max_effects=bounds.effects)
    if isinstance(effects, str):
        raise GuestFault(Cause.ANSWER, effects)
    return effects


class _Hosted:
    """One guest, hosted."""

    def __init__(self, guest: Guest, terms: Terms) -> None:
        self._guest = guest
        self.terms = terms

    @property
    def status(self) -> ServiceStatus:
        return self._guest.status

    def start(self, host: ServiceHost) -> None:
        self._guest.start(host)

    def stop(self, *, at_once: bool) -> None:  # noqa: ARG002 (nothing of it is under way)
        self._guest.stop()


class WasmExtService(_Hosted):
    """Takes every type: what they mean is the module's business."""

    types = None

    def __init__(self, name: str, terms: Terms) -> None:
        super().__init__(Guest("ext", name, terms), terms)

    def handle(self, context: ServiceContext, envelope: Envelope) -> Answer | Refuse | Fail:
        guest = self._guest
        host = guest.host
        if host is None:
            return ENDED
        data: Any = msgspec.UNSET
        if envelope.data is not None:
            data = context.decode_data(envelope, msgspec.Raw)
            if type(data) is DataFault:
                return Refuse(ErrorCode.BAD_REQUEST, data.msg)
            data = compact(data)
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
        began = perf_counter()
        try:
            instance = guest.instance()
            guest.begin()
            answer = instance.handle(message)
            guest.end()
            effects = effects_of(answer, self.terms.bounds, host.framing, host.max_bytes)
        except GuestFault as fault:
            guest.failed(pass_, fault)
            return FAULT
        guest.worked(pass_, instance, len(effects), perf_counter() - began)
        return Answer(effects)


class WasmHotService(_Hosted):
    """``to``: all, others or nobody get the frames that it lets through."""

    include_sender = False
    to_backend = False
    filters = True

    def __init__(self, name: str, terms: Terms) -> None:
        super().__init__(Guest("hot", name, terms), terms)
        self.echo = terms.to == "all"
        self.deliver = terms.to != "nobody"

    def filter(self, context: ServiceContext, room: str | None, frame: HotFrame) -> bytes | HotVerdict:  # noqa: ARG002
        guest = self._guest
        host = guest.host
        if host is None:
            return HotVerdict.SUSPENDED
        pass_ = guest.conduct.begin(host.now())
        if pass_ is None:
            return HotVerdict.SUSPENDED
        began = perf_counter()
        try:
            instance = guest.instance()
            guest.begin()
            gave = instance.judge(frame.raw)
            guest.end()
            verdict = _verdict(gave, host)
        except GuestFault as fault:
            guest.failed(pass_, fault)
            return HotVerdict.FAILED
        guest.worked(pass_, instance, int(verdict is not HotVerdict.DROP), perf_counter() - began)
        return verdict


def _verdict(gave: bytes | int, host: ServiceHost) -> bytes | HotVerdict:
    if not isinstance(gave, bytes):
        return HotVerdict.PASS if gave == PASS else HotVerdict.DROP
    if len(gave) > host.max_bytes:
        raise GuestFault(Cause.ANSWER, f"its frame has {len(gave)} bytes; {host.max_bytes} are allowed")
    read = decode_hot(gave, host.framing)
    if isinstance(read, HotFault):
        raise GuestFault(Cause.ANSWER, f"its frame is none: {read.reason}")
    return gave

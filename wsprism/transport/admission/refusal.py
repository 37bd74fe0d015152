"""A no before there is a connection: what the client sees, and the one reason that it is counted under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wsprism.protocol.codes import CloseCode, ErrorCode
from wsprism.protocol.envelope import JSON

__all__ = ["Refusal"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """``reason`` is what is counted, the rest is what the client sees: ``status`` and ``headers`` where it is HTTP."""

    status: int
    code: ErrorCode
    msg: str
    reason: str
    headers: Mapping[str, str] | tuple[tuple[str, str], ...] = ()
    tenant: str | None = None
    """Whose client it was, once that is known."""
    close: CloseCode | None = None
    """What the client itself can act on may be told behind the upgrade too, with this code; None: it stays HTTP."""

    @property
    def retry_after_ms(self) -> int:
        """What ``Retry-After`` says."""
        return int(dict(self.headers).get("Retry-After", "1")) * 1000

    def body(self) -> bytes:
        """What stands in an HTTP answer: JSON."""
        return JSON.encode({"code": self.code.value, "msg": self.msg})

    def raw(self) -> bytes:
        """The whole HTTP answer as bytes, for a request that never became one; the socket is to be closed after it."""
        body = self.body()
        lines = [f"HTTP/1.1 {self.status} {self.msg}", "Content-Type: application/json; charset=utf-8"]
        lines += [f"{name}: {value}" for name, value in dict(self.headers).items()]
        return "\r\n".join([*lines, f"Content-Length: {len(body)}", "Connection: close", "\r\n"]).encode() + body

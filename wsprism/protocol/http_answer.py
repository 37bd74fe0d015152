"""What a server answers to a POST over HTTP/1.1 (RFC 9112), taken apart as its bytes come.

Pure, and strict: what can be understood in two ways is a fault, and so is what is larger than was asked for.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["AnswerFault", "AnswerReader"]

MAX_HEAD_BYTES: Final = 32 * 1024
"""Of everything that is no body: status lines, headers, what chunks are framed by at one place, trailers."""

_END_OF_HEAD: Final = b"\r\n\r\n"
_BODILESS: Final = (204, 304)
_SWITCHING: Final = 101

_status_line = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n\x00]*)?").fullmatch
_header = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\x00]*?)[ \t]*").fullmatch
_digits = re.compile(rb"[0-9]{1,15}").fullmatch
_chunk_head = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;[^\r\n\x00]*)?").fullmatch


class AnswerFault(ValueError):
    """This is no answer that can be used; the message is fit for an operator's log."""


class AnswerReader:
    """Reads one answer. ``status``, ``body``, ``retry_after`` and ``keeps_alive`` are right once it is ``done``.

    ``began``: any byte of it has come.
    """

    __slots__ = (
        "_chunked",
        "_head_bytes",
        "_in_chunk",
        "_left",
        "_max_bytes",
        "_raw",
        "_trailers",
        "body",
        "done",
        "keeps_alive",
        "retry_after",
        "status",
    )

    def __init__(self, max_bytes: int) -> None:
        self.status = 0
        self.body = b""
        self.retry_after: str | None = None
        self.keeps_alive = False
        self.done = False
        self._max_bytes = max_bytes
        self._raw = bytearray()
        self._head_bytes = 0
        self._left: int | None = None
        self._chunked: bytearray | None = None
        self._in_chunk = False
        self._trailers = False

    @property
    def began(self) -> bool:
        """Whether anything has been answered."""
        return bool(self.status or self._raw or self._head_bytes)

    def feed(self, data: bytes) -> bool:
        """Take what came; whether the answer is whole. Raises AnswerFault, and is of no use afterwards."""
        self._raw += data
        while not self.status:
            if not self._read_head():
                return False
        if self._chunked is not None:
            self.done = self._read_chunks(self._chunked)
        elif self._left is None:
            self._check_size(len(self._raw))
        elif len(self._raw) >= self._left:
            self._end(bytes(memoryview(self._raw)[: self._left]), rest=len(self._raw) - self._left)
        return self.done

    def end(self) -> bool:
        """The server says nothing more; whether that is the end of a whole answer."""
        if not self.done and self.status and self._left is None and self._chunked is None:
            self._end(bytes(self._raw), rest=0)
            self.keeps_alive = False
        return self.done

    def _end(self, body: bytes, *, rest: int) -> None:
        self.body = body
        self.done = True
        self.keeps_alive = self.keeps_alive and not rest

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._max_bytes:
            raise AnswerFault("the answer is too large")

    def _count_head(self, size_bytes: int) -> None:
        self._head_bytes += size_bytes
        if self._head_bytes > MAX_HEAD_BYTES:
            raise AnswerFault("the answer's head is too large")

    def _read_head(self) -> bool:
        """Whether a head was there: that of the answer, or of an interim one (1xx), which says nothing."""
        raw = self._raw
        if raw[:5] != b"HTTP/"[: len(raw)]:
            raise AnswerFault("the answer is not HTTP/1.1")
        end = raw.find(_END_OF_HEAD)
        if end < 0:
            if self._head_bytes + len(raw) > MAX_HEAD_BYTES:
                raise AnswerFault("the answer's head is too large")
            return False
        first, *lines = bytes(raw[:end]).split(b"\r\n")
        del raw[: end + len(_END_OF_HEAD)]
        self._count_head(end)
        found = _status_line(first)
        if found is None:
            raise AnswerFault("the answer is not HTTP/1.1")
        status = int(found[2])
        if status < 200:
            if status == _SWITCHING:
                raise AnswerFault("the answer is another protocol")
            return True
        self._read_headers(status, lines, keeps_alive=found[1] == b"1")
        self.status = status
        return True

    def _read_headers(self, status: int, lines: list[bytes], *, keeps_alive: bool) -> None:
        length: bytes | None = None
        coding = b""
        closes = False
        for line in lines:
            found = _header(line)
            if found is None:
                raise AnswerFault("the answer has a malformed header")
            name, value = found[1].lower(), found[2]
            if name == b"content-length":
                if _digits(value) is None or length not in (None, value):
                    raise AnswerFault("the answer has a malformed length")
                length = value
            elif name == b"transfer-encoding":
                coding = coding + b"," + value.lower() if coding else value.lower()
            elif name == b"connection":
                words = [word.strip() for word in value.lower().split(b",")]
                closes = closes or b"close" in words
                keeps_alive = keeps_alive or b"keep-alive" in words
            elif name == b"content-encoding":
                if value.lower() not in (b"", b"identity"):
                    raise AnswerFault("the answer is compressed")
            elif name == b"retry-after":
                self.retry_after = value.decode("latin-1")
        self.keeps_alive = keeps_alive and not closes
        if status in _BODILESS:
            self._left = 0
        elif coding:
            if coding != b"chunked" or length is not None:
                raise AnswerFault("the answer has a transfer coding that was not asked for")
            self._chunked = bytearray()
        elif length is not None:
            self._left = int(length)
            self._check_size(self._left)

    def _read_chunks(self, body: bytearray) -> bool:
        raw = self._raw
        while True:
            if self._in_chunk:
                assert self._left is not None
                if len(raw) < self._left + 2:
                    return False
                if raw[self._left : self._left + 2] != b"\r\n":
                    raise AnswerFault("the answer has a malformed chunk")
                body += memoryview(raw)[: self._left]
                del raw[: self._left + 2]
                self._in_chunk = False
            end = raw.find(b"\r\n")
            if end < 0:
                if len(raw) > MAX_HEAD_BYTES:
                    raise AnswerFault("the answer has a malformed chunk")
                return False
            line = bytes(raw[:end])
            del raw[: end + 2]
            if self._trailers:
                self._count_head(end)
                if not line:
                    self._end(bytes(body), rest=len(raw))
                    return True
                continue
            found = _chunk_head(line)
            if found is None:
                raise AnswerFault("the answer has a malformed chunk")
            self._left = int(found[1], 16)
            self._check_size(len(body) + self._left)
            self._trailers = not self._left
            self._in_chunk = bool(self._left)

"""RFC 6455 on the echo path, case by case in the manner of Autobahn's list, with and without compression offered."""

from __future__ import annotations

import asyncio
import zlib
from dataclasses import dataclass, field

import pytest

from tests.conftest import Running, StartGateway
from tests.masked import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    PING,
    PONG,
    RSV1,
    RSV2,
    RSV3,
    TEXT,
    close_body,
    compress,
    frame,
)
from tests.raw import RawClient

MAX_BYTES = 1_100_000
TIMEOUT_S = 20.0
HELLO = "Hello-µ@ßöäüàá-UTF-8!!".encode()


def text(payload: bytes, *, fin: bool = True, first: int = 0) -> bytes:
    return frame((FIN if fin else 0) | TEXT | first, payload)


def binary(payload: bytes, *, fin: bool = True) -> bytes:
    return frame((FIN if fin else 0) | BINARY, payload)


def more(payload: bytes, *, fin: bool = False, first: int = 0) -> bytes:
    return frame((FIN if fin else 0) | CONTINUATION | first, payload)


@dataclass(frozen=True)
class Case:
    """What is sent, what must come back (opcode and payload), and the Close's code, if the server has to close.

    Without a code the client closes 1000 once it has heard all and must see its code echoed.
    """

    name: str
    sent: list[bytes]
    echoed: list[tuple[int, bytes]] = field(default_factory=list)
    code: int | None = None


SIZES = (0, 125, 126, 127, 128, 65535, 65536)
PONGS = [(PONG, b"x%d" % number) for number in range(10)]

CASES = [
    *(Case(f"1.1 text of {size}", [text(b"*" * size)], [(TEXT, b"*" * size)]) for size in SIZES),
    *(Case(f"1.2 binary of {size}", [binary(b"\xfe" * size)], [(BINARY, b"\xfe" * size)]) for size in SIZES),
    Case("2.1 ping without payload", [frame(FIN | PING)], [(PONG, b"")]),
    Case("2.3 ping with binary payload", [frame(FIN | PING, b"\x00\xff\xfe")], [(PONG, b"\x00\xff\xfe")]),
    Case("2.4 ping of 125", [frame(FIN | PING, b"\xfe" * 125)], [(PONG, b"\xfe" * 125)]),
    Case("2.5 ping of 126", [frame(FIN | PING, b"\xfe" * 126)], code=1002),
    Case("2.7 pong unasked", [frame(FIN | PONG, b"unasked"), text(b"a")], [(TEXT, b"a")]),
    Case("2.10 ten pings", [b"".join(frame(FIN | PING, payload) for _, payload in PONGS)], PONGS),
    Case("3.1 RSV3", [text(b"a", first=RSV3)], code=1002),
    Case("3.2 RSV2 behind a good one", [text(b"a"), text(b"b", first=RSV2)], [(TEXT, b"a")], 1002),
    Case("3.5 RSV in binary", [frame(FIN | BINARY | RSV2 | RSV3, b"a")], code=1002),
    Case("3.6 RSV in ping", [frame(FIN | PING | RSV2, b"a")], code=1002),
    Case("3.7 RSV in close", [frame(FIN | CLOSE | RSV3, close_body(1000))], code=1002),
    Case("3.8 RSV1 in ping", [frame(FIN | PING | RSV1, b"a")], code=1002),
    *(Case(f"4.1 opcode {code}", [frame(FIN | code, b"a")], code=1002) for code in (3, 4, 5, 6, 7)),
    *(Case(f"4.2 opcode {code}", [frame(FIN | code, b"")], code=1002) for code in (11, 12, 13, 14, 15)),
    Case("5.1 fragmented ping", [frame(PING, b"a"), more(b"b", fin=True)], code=1002),
    Case("5.2 fragmented pong", [frame(PONG, b"a"), more(b"b", fin=True)], code=1002),
    Case("5.3 two fragments", [text(b"a", fin=False), more(b"b", fin=True)], [(TEXT, b"ab")]),
    Case(
        "5.6 ping between fragments",
        [text(b"a", fin=False), frame(FIN | PING, b"p"), more(b"b", fin=True)],
        [(PONG, b"p"), (TEXT, b"ab")],
    ),
    Case("5.9 continuation of nothing", [more(b"a", fin=True), text(b"b")], code=1002),
    Case("5.11 unfinished continuation of nothing", [more(b"a"), text(b"b")], code=1002),
    Case(
        "5.15 continuation behind a whole one",
        [text(b"a", fin=False), more(b"b", fin=True), more(b"c")],
        [(TEXT, b"ab")],
        1002,
    ),
    Case("5.18 text inside a fragmented one", [text(b"a", fin=False), text(b"b")], code=1002),
    Case(
        "5.19 pings between five fragments",
        [
            text(b"1", fin=False),
            more(b"2"),
            frame(FIN | PING, b"p"),
            more(b"3"),
            more(b"4"),
            frame(FIN | PING, b"q"),
            more(b"5", fin=True),
        ],
        [(PONG, b"p"), (PONG, b"q"), (TEXT, b"12345")],
    ),
    Case("5 empty fragments", [text(b"", fin=False), more(b""), more(b"", fin=True)], [(TEXT, b"")]),
    Case(
        "5 a thousand fragments",
        [binary(b"", fin=False), *[more(b"x")] * 1000, more(b"", fin=True)],
        [(BINARY, b"x" * 1000)],
    ),
    Case("6.1 empty middle", [text(b"", fin=False), more(b"middle"), more(b"", fin=True)], [(TEXT, b"middle")]),
    Case("6.2.1 UTF-8", [text(HELLO)], [(TEXT, HELLO)]),
    Case(
        "6.2.3 UTF-8 cut at each byte",
        [text(HELLO[:1], fin=False), *(more(bytes([byte])) for byte in HELLO[1:]), more(b"", fin=True)],
        [(TEXT, HELLO)],
    ),
    Case("6.3.1 invalid", [text(b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited")], code=1007),
    Case(
        "6.4.1 fails at the fragment",
        [text(b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", fin=False), more(b"\xf4\x90\x80\x80")],
        code=1007,
    ),
    Case("6.4.2 fails inside a character", [text(b"\xce\xba", fin=False), more(b"\xf4"), more(b"\x90")], code=1007),
    *(
        Case(f"6 valid {payload.hex()}", [text(payload)], [(TEXT, payload)])
        for payload in (
            b"\x00",
            b"\x7f",
            b"\xc2\x80",
            b"\xdf\xbf",
            b"\xe0\xa0\x80",
            b"\xef\xbf\xbf",
            b"\xf0\x90\x80\x80",
            b"\xf4\x8f\xbf\xbf",
            b"\xef\xbf\xbe",
        )
    ),
    *(
        Case(f"6 invalid {payload.hex()}", [text(payload)], code=1007)
        for payload in (
            b"\x80",
            b"\xbf",
            b"\xc0\xaf",
            b"\xe0\x80\xaf",
            b"\xf0\x80\x80\xaf",
            b"\xf8\x88\x80\x80\x80",
            b"\xed\xa0\x80",
            b"\xed\xbf\xbf",
            b"\xf4\x90\x80\x80",
            b"\xfe",
            b"\xe1\x80",
            b"a\xf0\x9f\x92",
        )
    ),
    Case("7.1.4 what follows a close is not heard", [frame(FIN | CLOSE, close_body(1000)), text(b"b")], code=1000),
    Case(
        "7.1.5 close inside a fragmented one",
        [text(b"a", fin=False), frame(FIN | CLOSE, close_body(1000)), more(b"b", fin=True)],
        code=1000,
    ),
    Case("7.3.1 close without payload", [frame(FIN | CLOSE)], code=1005),
    Case("7.3.2 close of one byte", [frame(FIN | CLOSE, b"a")], code=1002),
    Case("7.3.4 close with a reason", [frame(FIN | CLOSE, close_body(1000, "Hello World!"))], code=1000),
    Case("7.3.5 close of 125", [frame(FIN | CLOSE, close_body(1000, "*" * 123))], code=1000),
    Case("7.3.6 close of 126", [frame(FIN | CLOSE, close_body(1000, "*" * 124))], code=1002),
    Case("7.5.1 reason is not UTF-8", [frame(FIN | CLOSE, b"\x03\xe8\xce\xba\xed\xa0\x80")], code=1007),
    *(
        Case(f"7.7 close code {code}", [frame(FIN | CLOSE, close_body(code))], code=code)
        for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
    ),
    *(
        Case(f"7.9 close code {code}", [frame(FIN | CLOSE, close_body(code))], code=1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    ),
    Case("not masked", [frame(FIN | TEXT, b"a", key=None)], code=1002),
    Case("length not the shortest", [frame(FIN | TEXT, b"a", length_bytes=2)], code=1002),
    Case("9 big text", [text(b"*" * 1_000_000)], [(TEXT, b"*" * 1_000_000)]),
    Case(
        "9 big in fragments",
        [binary(b"*" * 64, fin=False), *[more(b"*" * 999)] * 1000, more(b"", fin=True)],
        [(BINARY, b"*" * 999_064)],
    ),
    Case("10 over the limit", [binary(b"*" * (MAX_BYTES + 1))], code=1009),
    Case("10 over the limit in fragments", [binary(b"*" * 600_000, fin=False), more(b"*" * 600_000)], code=1009),
]

DEFLATED = [
    Case("12 text", [text(compress(HELLO * 100), first=RSV1)], [(TEXT, HELLO * 100)]),
    Case("12 short", [text(compress(b"a"), first=RSV1)], [(TEXT, b"a")]),
    Case("12 empty", [text(compress(b""), first=RSV1)], [(TEXT, b"")]),
    Case("12 big", [text(compress(b"*" * 1_000_000), first=RSV1)], [(TEXT, b"*" * 1_000_000)]),
    Case("12 not compressed", [text(b"plain")], [(TEXT, b"plain")]),
    Case(
        "12 in fragments, a ping between them",
        [
            text(compress(HELLO * 9)[:7], fin=False, first=RSV1),
            frame(FIN | PING, b"p"),
            more(compress(HELLO * 9)[7:], fin=True),
        ],
        [(PONG, b"p"), (TEXT, HELLO * 9)],
    ),
    Case("12 RSV1 on a continuation", [text(compress(b"a"), fin=False, first=RSV1), more(b"", first=RSV1)], code=1002),
    Case("12 not deflate", [text(b"\xff\xff\xff", first=RSV1)], code=1007),
    Case("12 not UTF-8 inside", [text(compress(b"\xed\xa0\x80"), first=RSV1)], code=1007),
    Case("12 inflates over the limit", [text(compress(b"*" * (MAX_BYTES + 1)), first=RSV1)], code=1009),
]


async def start(start_gateway: StartGateway, *, compression: bool) -> Running:
    return await start_gateway(
        gateway={"diagnostics": {"echo_path": "/echo"}, "compression": compression},
        acme={
            "limits": {"max_frame_bytes": MAX_BYTES},
            "qos": {"reliable_max_bytes": 4 * MAX_BYTES, "reliable_max_messages": 20_000},
        },
    )


async def run(case: Case, gateway: Running, *, deflate: bool) -> None:
    client = await RawClient.upgrade(gateway.port, "/echo", deflate=deflate)
    client.send(*case.sent)
    heard: list[tuple[int, bytes]] = []
    while True:
        if len(heard) == len(case.echoed) and case.code is None:
            client.send(frame(FIN | CLOSE, close_body(1000)))
        first, payload = await asyncio.wait_for(client.whole_frame(), TIMEOUT_S)
        opcode = first & 0x0F
        if opcode == CLOSE:
            break
        if first & RSV1:
            payload = zlib.decompressobj(-15).decompress(payload + b"\x00\x00\xff\xff")
        heard.append((opcode, payload))
    pongs = [one for one in heard if one[0] == PONG]
    echoes = [one for one in heard if one[0] != PONG]
    assert pongs == [one for one in case.echoed if one[0] == PONG], case.name
    expected = [one for one in case.echoed if one[0] != PONG]
    assert [(opcode, len(body)) for opcode, body in echoes] == [(opcode, len(body)) for opcode, body in expected], (
        case.name
    )
    assert echoes == expected, case.name
    code = int.from_bytes(payload[:2], "big") if payload else 1005
    assert code == (1000 if case.code is None else case.code), case.name
    await client.ended()
    client.abort()


@pytest.mark.parametrize("compression", [False, True], ids=["plain", "compression"])
async def test_every_case_of_the_list(start_gateway: StartGateway, compression: bool) -> None:
    gateway = await start(start_gateway, compression=compression)
    await asyncio.gather(*(run(case, gateway, deflate=compression) for case in CASES))


async def test_every_case_of_compression(start_gateway: StartGateway) -> None:
    gateway = await start(start_gateway, compression=True)
    await asyncio.gather(*(run(case, gateway, deflate=True) for case in DEFLATED))


async def test_without_compression_rsv1_is_a_violation(start_gateway: StartGateway) -> None:
    gateway = await start(start_gateway, compression=False)
    case = Case("3 RSV1", [text(compress(b"a"), first=RSV1)], code=1002)
    await run(case, gateway, deflate=True)


async def test_frames_may_arrive_byte_by_byte(start_gateway: StartGateway) -> None:
    gateway = await start(start_gateway, compression=False)
    client = await RawClient.upgrade(gateway.port, "/echo")
    sent = b"".join(
        [text(b"a", fin=False), frame(FIN | PING, b"p"), more(HELLO), more(b"!", fin=True), binary(b"*" * 300)]
    )
    for byte in sent:
        client.send(bytes([byte]))
        await client.writer.drain()
        await asyncio.sleep(0)
    assert [await client.frame() for _ in range(3)] == [
        (PONG, b"p"),
        (TEXT, b"a" + HELLO + b"!"),
        (BINARY, b"*" * 300),
    ]
    client.abort()

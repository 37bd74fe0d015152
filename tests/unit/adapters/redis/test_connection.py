"""wsprism.adapters.redis.connection and opening, against the real server and against servers that misbehave."""

from __future__ import annotations

import asyncio
import signal
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import make_certificate
from tests.components import free_port
from tests.redis_server import ENGINES, RedisServer, running_redis
from wsprism.adapters.redis.address import parse_address
from wsprism.adapters.redis.connection import Bounds, RedisConnection
from wsprism.adapters.redis.errors import RedisUnreachable
from wsprism.adapters.redis.opening import Opener
from wsprism.adapters.redis.protocol import Refused, Unknown
from wsprism.errors import OperatorError

pytestmark = pytest.mark.both_loops


@pytest.fixture(params=ENGINES, scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with running_redis(engine=request.param) as server:
        yield server


@pytest.fixture
def mortal() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@asynccontextmanager
async def connected(
    url: str,
    pushed: Callable[[Any], object] = lambda _: None,
    lost: Callable[[str], object] = lambda _: None,
    bounds: Bounds | None = None,
) -> AsyncIterator[RedisConnection]:
    connection = await Opener(parse_address(url), bounds).open("wsprism-test", pushed, lost)
    try:
        yield connection
    finally:
        await connection.close()


class Losses(list[str]):
    """Why connections were lost; ``told`` when the first was."""

    def __init__(self) -> None:
        self.told = asyncio.Event()

    def __call__(self, why: str) -> None:
        self.append(why)
        self.told.set()

    async def first(self, within_s: float) -> str:
        async with asyncio.timeout(within_s):
            await self.told.wait()
        return self[0]


async def test_commands_of_one_turn_are_answered_in_their_order(server: RedisServer) -> None:
    for url in (server.url, server.tcp_url, f"{server.tcp_url}/3"):
        async with connected(url) as connection:
            answers = await asyncio.gather(
                connection.ask("SET", "k", b"\xff\r\n"), connection.ask("GET", "k"), connection.ask("NO", "SUCH")
            )
            assert list(answers[:2]) == [b"OK", b"\xff\r\n"]
            assert isinstance(answers[2], Refused)
            assert answers[2].code == "ERR"
            assert b"name=wsprism-test" in await connection.ask("CLIENT", "INFO")
            assert connection.waiting_bytes == 0


async def test_a_read_stands_between_the_pushes_before_and_after_it(server: RedisServer) -> None:
    pushes: list[Any] = []
    async with connected(server.url, pushes.append) as connection, connected(server.url) as other:
        confirmed = asyncio.get_running_loop().create_future()
        connection.subscribe("SSUBSCRIBE", [b"one", b"two"], confirmed.set_result)
        assert await confirmed is None
        await other.ask("SPUBLISH", "one", "before")
        reads = connection.ask("GET", "nothing")
        assert await reads is None
        assert pushes == [[b"smessage", b"one", b"before"]]
        await other.ask("SPUBLISH", "two", "after")
        await connection.ask("GET", "nothing")
        assert pushes[1:] == [[b"smessage", b"two", b"after"]]


@pytest.mark.parametrize("end", ["kill", "close"])
async def test_a_loss_is_known_at_once_and_answers_everything_once(server: RedisServer, end: str) -> None:
    losses = Losses()
    never = Bounds(answer_s=600.0, ping_s=600.0)  # it is not the silence that tells it
    async with connected(server.url, lost=losses, bounds=never) as connection, connected(server.url) as other:
        assert connection.server is not None
        waits = asyncio.create_task(connection.ask("BLPOP", "never", 0))
        await asyncio.sleep(0)
        if end == "kill":
            assert await other.ask("CLIENT", "KILL", "ID", connection.server.client_id) == 1
        else:
            connection.abort("closed")
        assert await losses.first(within_s=30)
        answer = await waits
        assert isinstance(answer, Unknown)
        refused = await connection.ask("PING")
        assert isinstance(refused, Refused)
        assert refused.code == "AWAY"
    assert len(losses) == 1


async def test_a_server_that_was_killed_is_lost_and_can_be_reached_again(mortal: RedisServer) -> None:
    losses = Losses()
    opener = Opener(parse_address(mortal.url))
    async with connected(mortal.url, lost=losses, bounds=Bounds(answer_s=600.0, ping_s=600.0)):
        mortal.kill()
        await losses.first(within_s=30)
    with pytest.raises(RedisUnreachable, match=r"cannot be reached"):
        await opener.open("x")
    mortal.start()
    async with connected(mortal.url) as again:
        assert await again.ask("PING") == b"PONG"


@pytest.mark.parametrize("how", ["SIGSTOP", "CLIENT PAUSE"])
async def test_a_server_that_stands_still_is_lost_within_its_time_and_not_before(mortal: RedisServer, how: str) -> None:
    async def stand_still(connection: RedisConnection, seconds: float) -> None:
        if how == "SIGSTOP":
            mortal.signal(signal.SIGSTOP)
            asyncio.get_running_loop().call_later(seconds, mortal.signal, signal.SIGCONT)
        else:
            connection.say("CLIENT", "PAUSE", int(seconds * 1000), "ALL", answered=lambda _: None)

    losses = Losses()
    bounds = Bounds(answer_s=1.5, ping_s=0.4)
    async with connected(mortal.url, lost=losses, bounds=bounds) as connection:
        await stand_still(connection, 0.2)
        assert await connection.ask("GET", "k") is None
        assert not losses
        await stand_still(connection, 30.0)
        answer = connection.ask("SET", "k", "v")
        assert "no answer within" in await losses.first(within_s=30)
        assert isinstance(await answer, (Unknown, Refused))


async def test_silence_is_asked_about(mortal: RedisServer) -> None:
    losses = Losses()
    async with connected(mortal.url, lost=losses, bounds=Bounds(answer_s=0.5, ping_s=0.3)):
        mortal.signal(signal.SIGSTOP)
        assert "no answer within 0.5 s" in await losses.first(within_s=30)


async def test_round_trips_are_told_while_it_is_silent_and_while_much_is_said(server: RedisServer) -> None:
    trips: list[float] = []
    told = asyncio.Event()

    def took(seconds: float) -> None:
        trips.append(seconds)
        told.set()

    async with connected(server.url, bounds=Bounds(ping_s=0.25)) as connection:
        connection.on_round_trip = took
        await asyncio.wait_for(told.wait(), 30)
        told.clear()
        async with asyncio.timeout(30):
            while not told.is_set():
                await connection.ask("GET", "k")
        assert all(0 < one < 30 for one in trips)


async def test_a_slow_answer_is_a_long_round_trip_and_none_at_all_is_no_round_trip(mortal: RedisServer) -> None:
    trips: list[float] = []
    losses = Losses()
    async with connected(mortal.url, lost=losses, bounds=Bounds(answer_s=2.0, ping_s=0.25)) as connection:
        connection.on_round_trip = trips.append
        connection.say("CLIENT", "PAUSE", 700, "ALL", answered=lambda _: None)
        async with asyncio.timeout(30):
            while not trips or max(trips) < 0.1:  # noqa: ASYNC110 (the server's doing)
                await asyncio.sleep(0.05)
        mortal.signal(signal.SIGSTOP)
        count = len(trips)
        assert "no answer within" in await losses.first(within_s=30)
        assert len(trips) <= count + 1


async def test_a_process_that_did_not_run_hears_what_was_answered_meanwhile(server: RedisServer) -> None:
    losses = Losses()
    async with connected(server.url, lost=losses, bounds=Bounds(answer_s=0.1, ping_s=0.1)) as connection:
        answer = asyncio.create_task(connection.ask("PING"))
        await asyncio.sleep(0.001)
        time.sleep(0.8)  # noqa: ASYNC251 (the loop is to stand still)
        assert await answer == b"PONG"
        assert not losses


async def test_an_unread_backlog_is_refused_beyond_its_bytes_and_memory_stays_bounded(mortal: RedisServer) -> None:
    async with connected(mortal.tcp_url, bounds=Bounds(waiting_bytes=100_000, answer_s=5.0)) as connection:
        mortal.signal(signal.SIGSTOP)
        value = b"x" * 10_000
        asked = [asyncio.create_task(connection.ask("SET", "k", value)) for _ in range(100)]
        await asyncio.sleep(0)
        refused = [one for one in asked if one.done() and isinstance(one.result(), Refused)]
        assert len(refused) >= 90
        assert {one.result().code for one in refused} == {"BACKLOG"}
        assert connection.waiting_bytes <= 100_000
        assert connection.say("PING", answered=lambda _: None, urgent=True) is None
        mortal.signal(signal.SIGCONT)
        assert [one for one in await asyncio.gather(*asked) if one == b"OK"]


async def test_a_name_that_redis_does_not_take_is_written_otherwise_there(server: RedisServer) -> None:
    connection = await Opener(parse_address(server.url)).open("eu west\n1 \u05d0-line")
    assert b"name=eu_west_1__-line " in await connection.ask("CLIENT", "INFO")
    await connection.close()


async def test_users_and_passwords() -> None:
    with running_redis("--requirepass", "secret") as server:
        async with connected(f"unix://:secret@{server.path}") as connection:
            await connection.ask("ACL", "SETUSER", "gate", "on", ">word", "~wsprism:*", "&wsprism:*", "+@all", "-info")
        for url, why in {
            server.url: "asks for a password",
            f"unix://:wrong@{server.path}": "refuses the user or password",
            f"unix://nobody:secret@{server.path}": "refuses the user or password",
            f"unix://gate:word@{server.path}": "may not use INFO",
        }.items():
            with pytest.raises(OperatorError, match=why) as raised:
                await Opener(parse_address(url)).open("x")
            assert "secret" not in str(raised.value)


async def test_an_eviction_policy_that_forgets_is_refused() -> None:
    with (
        running_redis("--maxmemory", "10mb", "--maxmemory-policy", "allkeys-lru") as server,
        pytest.raises(OperatorError, match=r"maxmemory-policy allkeys-lru.*set it to noeviction"),
    ):
        await Opener(parse_address(server.url)).open("x")


async def test_a_replica_is_not_the_primary(server: RedisServer) -> None:
    with (
        running_redis("--replicaof", "127.0.0.1", str(server.port)) as replica,
        pytest.raises(RedisUnreachable, match=r"not the primary|not ready"),
    ):
        await Opener(parse_address(replica.url)).open("x")


async def test_a_cluster_is_refused() -> None:
    options = ["--cluster-enabled", "yes", "--cluster-port", str(free_port())]
    with running_redis(*options) as server, pytest.raises(OperatorError, match="in cluster mode"):
        await Opener(parse_address(server.url)).open("x")


async def test_tls(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    options = ["--tls-cert-file", str(certificate.cert), "--tls-key-file", str(certificate.key)]
    with running_redis(*options, "--tls-ca-cert-file", str(certificate.cert), "--tls-auth-clients", "no") as server:
        async with connected(server.url) as plain:
            port = free_port()
            assert await plain.ask("CONFIG", "SET", "tls-port", port) == b"OK"
        url = f"rediss://127.0.0.1:{port}"
        async with connected(f"{url}?ca_file={certificate.cert}") as connection:
            assert await connection.ask("PING") == b"PONG"
        with pytest.raises(RedisUnreachable, match=r"CERTIFICATE_VERIFY_FAILED"):
            await Opener(parse_address(url)).open("x")
        with pytest.raises(RedisUnreachable, match=r"cannot be reached|no answer"):
            await Opener(parse_address(f"rediss://127.0.0.1:{server.port}"), Bounds(connect_s=0.5)).open("x")
    with pytest.raises(OperatorError, match=r"TLS files of gateway\.broker\.url cannot be used \(/nowhere\)"):
        Opener(parse_address("rediss://redis?ca_file=/nowhere"))


async def test_sentinel_tells_where_the_primary_is(server: RedisServer, tmp_path: Path) -> None:
    file = tmp_path / "sentinel.conf"
    file.write_text(f"sentinel monitor mine 127.0.0.1 {server.port} 1\n")
    with running_redis(sentinel=file) as sentinel:
        at = f"127.0.0.1:{sentinel.port}"
        async with connected(f"sentinel://127.0.0.1:1,{at}/mine") as connection:
            assert await connection.ask("PING") == b"PONG"
        with pytest.raises(RedisUnreachable, match=r"cannot be reached.*knows no primary 'other'"):
            await Opener(parse_address(f"sentinel://127.0.0.1:1,{at}/other")).open("x")
        with pytest.raises(OperatorError, match=f"is a Sentinel: write sentinel://{at}"):
            await Opener(parse_address(f"redis://{at}")).open("x")


class Says(asyncio.Protocol):
    """A server's connection that says ``greeting``, whatever it is asked."""

    def __init__(self, greeting: bytes, then_close: bool) -> None:
        self._greeting = greeting
        self._then_close = then_close
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:  # noqa: ARG002
        assert self._transport is not None
        self._transport.write(self._greeting)
        self._greeting = b""
        if self._then_close:
            self._transport.close()


@asynccontextmanager
async def says(greeting: bytes, *, then_close: bool = False) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    async with await loop.create_server(lambda: Says(greeting, then_close), "127.0.0.1", 0) as server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"


HELLO = b"%4\r\n+version\r\n+%s\r\n+id\r\n:1\r\n+mode\r\n+standalone\r\n+role\r\n+master\r\n"


@pytest.mark.parametrize(
    ("greeting", "why"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "speaks no RESP3"),
        (b"+OK\r\n", "no usable answer to HELLO"),
        (b"%0\r\n", "no usable answer to HELLO"),
        (b"-LOADING Redis is loading the dataset in memory\r\n", "not ready: LOADING"),
        (b"-ERR max number of clients reached\r\n", "not ready: ERR max number"),
        (b"-ERR unknown command 'HELLO'\r\n", "too old: 7.0 or newer"),
        (b"-DENIED Redis is running in protected mode\r\n", "refuses HELLO: DENIED"),
        (HELLO.replace(b"%s", b"6.2.14"), "version 6.2.14: 7.0 or newer"),
        (HELLO.replace(b"%s", b"x"), "version x: 7.0 or newer"),
        (HELLO.replace(b"%s", b"7.0.0") + b"+no info\r\n", "speaks no RESP3|it answered what was not asked"),
        (b"%4\r\n+version\r\n", "gave no answer within"),
        (b"", "gave no answer within"),
    ],
)
async def test_whoever_is_no_redis_that_can_be_used_is_named(greeting: bytes, why: str) -> None:
    bounds = Bounds(connect_s=0.3 if "no answer within" in why else 30.0)
    async with says(greeting) as url:
        with pytest.raises((OperatorError, RedisUnreachable), match=why):
            await Opener(parse_address(url), bounds).open("x")


async def test_a_server_that_closes_in_the_middle_of_its_greeting_is_away() -> None:
    async with says(b"%4\r\n+version\r\n", then_close=True) as url:
        with pytest.raises(RedisUnreachable, match="is away: the connection was closed"):
            await Opener(parse_address(url)).open("x")


def test_ssl_is_verified() -> None:
    context = Opener(parse_address("rediss://redis"))._tls
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)

"""A backend that is slow, silent, half-closed, lying, too large, of another status, redirecting, dead and back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from aiohttp import web

from actors import LoopScheduler
from tests.backends import KEY, backend, raw_backend
from tests.client import until
from tests.components import free_port, refusing_port
from wsprism.adapters.backend.backend import BackendPlan, HttpBackend, ServicePlan
from wsprism.policy.news import NewsBounds
from wsprism.policy.questions import Line
from wsprism.ports import CallResult, Unanswered
from wsprism.protocol.backend import ConnectAnswer, SessionFacts

ANN = SessionFacts("ann", "s1", 1)
PLAN = BackendPlan(
    url="",
    keys=[KEY],
    timeout_s=30.0,
    max_in_flight=8,
    max_waiting=100,
    failures=1000,
    pause_s=0.2,
    asks=frozenset({"connect", "join"}),
    on_failure_allow=False,
    events=frozenset(),
    event_rooms=None,
    news=NewsBounds(10, 100, 1 << 20, 60.0),
    news_delay_s=0.01,
    services={"game": ServicePlan(None, None), "orders": ServicePlan(None, None, batch=8)},
)


def effects(body: bytes) -> list[Any] | str:
    try:
        return list(msgspec.json.decode(body)["effects"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return "not effects"


@asynccontextmanager
async def gateway_side(url: str, **changes: Any) -> AsyncIterator[HttpBackend]:
    scheduler = LoopScheduler(asyncio.get_running_loop())
    one = HttpBackend("acme", replace(PLAN, url=url, **changes), scheduler, "node1", effects)
    one.start()
    try:
        yield one
    finally:
        await one.close()


async def message(side: HttpBackend, number: int = 0, line: Line[Any] | None = None, service: str = "game") -> Any:
    answer = asyncio.get_running_loop().create_future()
    line = line or side.line(service)
    assert line is not None
    body = {"svc": service, "type": "move", "data": msgspec.Raw(str(number).encode())}
    refused = side.ask_message(service, line, ANN, body, 1, answer.set_result)
    return refused if refused is not None else await answer


async def test_a_message_is_asked_as_the_page_says() -> None:
    async with backend() as there, gateway_side(there.url) as side:
        assert await message(side, 42) == []
        [question] = there.asked
        assert {"kind", "id", "time", "tenant", "session", "message"} == set(question)
        assert question["session"] == {"user": "ann", "sid": "s1", "generation": 1}
        assert question["message"] == {"svc": "game", "type": "move", "data": 42}
        assert there.headers[0]["webhook-id"] == question["id"]
        assert there.headers[0]["user-agent"].startswith("wsprism/")


async def test_one_connections_messages_are_asked_one_after_the_other_and_answered_in_order() -> None:
    async def answer(question: dict[str, Any]) -> Any:
        await asyncio.sleep(0.02 if question["message"]["data"] % 2 == 0 else 0)
        return {"effects": [question["message"]["data"]]}

    async with backend() as there, gateway_side(there.url) as side:
        there.answer = answer
        line = side.line("game")
        answers = await asyncio.gather(*(message(side, number, line) for number in range(10)))
        assert answers == [[number] for number in range(10)]
        assert there.most_under_way == 1
        assert [one["message"]["data"] for one in there.asked] == list(range(10))


async def test_no_more_questions_are_under_way_than_allowed_and_decisions_keep_a_place() -> None:
    release = asyncio.Event()

    async def answer(question: dict[str, Any]) -> Any:
        if question["kind"] == "message":
            await release.wait()
            return {"effects": []}
        return {"allow": True}

    async with backend() as there, gateway_side(there.url) as side:
        there.answer = answer
        flood = [asyncio.ensure_future(message(side, number)) for number in range(50)]
        await until(lambda: there.under_way == 7)
        assert await side.ask_connect({"session": ANN}) == ConnectAnswer(True)
        assert there.most_under_way == 8
        release.set()
        assert await asyncio.gather(*flood) == [[]] * 50


async def test_one_more_than_may_wait_is_refused_at_once() -> None:
    async def answer(_: dict[str, Any]) -> Any:
        await asyncio.sleep(0.1)
        return {"effects": []}

    async with backend() as there, gateway_side(there.url, max_in_flight=2, max_waiting=3) as side:
        there.answer = answer
        results = await asyncio.gather(*(message(side, number) for number in range(10)))
        assert results.count(CallResult.OVERLOADED) >= 5
        assert [] in results
        line = side.line("game")
        waiting = [asyncio.ensure_future(message(side, number, line)) for number in range(2)]
        await asyncio.gather(*waiting)


async def test_what_waits_anyway_is_asked_together_and_answered_in_order() -> None:
    async def answer(question: dict[str, Any]) -> Any:
        await asyncio.sleep(0.01)
        return {"answers": [{"effects": [one["message"]["data"]]} for one in question["messages"]]}

    async with backend() as there, gateway_side(there.url, max_in_flight=2) as side:
        there.answer = answer
        answers = await asyncio.gather(*(message(side, number, service="orders") for number in range(40)))
        assert answers == [[number] for number in range(40)]
        sizes = [len(one["messages"]) for one in there.asked]
        assert max(sizes) == 8
        assert len({one["kind"] for one in there.asked}) == 1


async def test_no_batch_holds_two_messages_of_one_connection() -> None:
    async with backend() as there, gateway_side(there.url) as side:
        line = side.line("orders")
        await asyncio.gather(*(message(side, number, line, "orders") for number in range(9)))
        assert [len(one["messages"]) for one in there.asked] == [1] * 9


def reply(*, status: int = 200, **more: Any) -> Callable[[dict[str, Any]], Awaitable[web.Response]]:
    async def answer(_: dict[str, Any]) -> web.Response:
        return web.Response(status=status, **more)

    return answer


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (reply(text="{"), CallResult.INVALID),
        (reply(text='{"effects": 3}'), CallResult.INVALID),
        (reply(body=b"\xff"), CallResult.INVALID),
        (reply(text='{"effects": ["' + "x" * 300_000 + '"]}'), CallResult.INVALID),
        (reply(status=201, text='{"effects": []}'), CallResult.INVALID),
        (reply(status=302, headers={"Location": "http://127.0.0.1:1/"}), CallResult.INVALID),
        (reply(status=500), CallResult.INVALID),
        (reply(status=429), CallResult.INVALID),
        (reply(status=408), CallResult.INVALID),
        (reply(status=400), CallResult.REFUSED),
        (reply(status=403), CallResult.REFUSED),
        (reply(status=404), CallResult.REFUSED),
        (reply(text='{"effects": []}', headers={"Content-Encoding": "gzip"}), CallResult.INVALID),
    ],
)
async def test_an_unusable_answer_is_no_answer(
    answer: Callable[[dict[str, Any]], Awaitable[web.Response]], result: CallResult
) -> None:
    async with backend() as there, gateway_side(there.url) as side:
        there.answer = answer
        got = await message(side)
        assert isinstance(got, Unanswered)
        assert got.result is result
        assert side.counters.calls["message", result] == 1
        there.answer = reply(status=204)
        assert await message(side) == []


@pytest.mark.parametrize("wrong", [[], [{"effects": []}], [{"effects": []}] * 4, [{"effects": []}] * 2 + [{}], "x"])
async def test_a_batch_is_answered_message_by_message_or_not_at_all(wrong: Any) -> None:
    async def answer(question: dict[str, Any]) -> Any:
        return {"answers": wrong if len(question["messages"]) == 3 else [{"effects": []}]}

    async with backend() as there, gateway_side(there.url) as side:
        there.answer = answer
        got = await asyncio.gather(*(message(side, number, service="orders") for number in range(3)))
        assert all(isinstance(one, Unanswered) and one.result is CallResult.INVALID for one in got)
        assert await message(side, service="orders") == []


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
    for _ in range(100):
        writer.write(b"{")
        await writer.drain()
        await asyncio.sleep(0.05)


async def hang_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def half_an_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"effects"')


async def no_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
        await writer.drain()


@pytest.mark.parametrize(
    ("conduct", "result"),
    [
        (silent, CallResult.TIMEOUT),
        (drip, CallResult.TIMEOUT),
        (hang_up, CallResult.UNREACHABLE),
        (half_an_answer, CallResult.INVALID),
        (no_http, CallResult.INVALID),
        (endless, CallResult.INVALID),
    ],
)
async def test_a_server_that_misbehaves_costs_one_question_its_time(conduct: Any, result: CallResult) -> None:
    timeout_s = 0.3 if result is CallResult.TIMEOUT else 30.0
    async with raw_backend(conduct) as url, gateway_side(url, timeout_s=timeout_s) as side:
        got = await message(side)
        assert isinstance(got, Unanswered)
        assert got.result is result
        assert side.desk.questions.in_flight == 0


async def test_nobody_there_is_unreachable() -> None:
    with refusing_port() as port:
        async with gateway_side(f"http://127.0.0.1:{port}/wsprism") as side:
            got = await message(side)
            assert isinstance(got, Unanswered)
            assert got.result is CallResult.UNREACHABLE


async def test_a_socket_closed_without_an_answer_is_asked_once_more_with_the_same_id() -> None:
    heads: list[bytes] = []

    async def second_time(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        if len(heads) > 1:
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            await writer.drain()

    async with raw_backend(second_time) as url, gateway_side(url) as side:
        assert await message(side) == []
        ids = {line for head in heads for line in head.split(b"\r\n") if line.lower().startswith(b"webhook-id")}
        assert (len(heads), len(ids)) == (2, 1)


async def test_after_failures_in_a_row_nothing_is_asked_for_a_while_then_one_probe_decides() -> None:
    async with backend() as there, gateway_side(there.url, failures=3, pause_s=1.0) as side:
        there.answer = reply(status=500)
        for _ in range(3):
            await message(side)
        assert await message(side) is CallResult.OPEN
        assert len(there.asked) == 3
        there.answer = reply(status=204)
        await asyncio.sleep(1.3)
        assert await message(side) == []
        assert await message(side) == []


async def test_who_waits_when_it_opens_is_told_at_once() -> None:
    async def answer(_: dict[str, Any]) -> Any:
        await asyncio.sleep(0.02)
        return web.Response(status=500)

    async with backend() as there, gateway_side(there.url, failures=1, pause_s=30.0, max_in_flight=2) as side:
        there.answer = answer
        got = await asyncio.gather(*(message(side, number) for number in range(30)))
        assert len(there.asked) <= 3
        assert sum(1 for one in got if isinstance(one, Unanswered) and one.result is CallResult.OPEN) >= 27
        assert side.desk.questions.waiting == 0


async def test_retry_after_is_obeyed() -> None:
    async with backend() as there, gateway_side(there.url) as side:
        there.answer = reply(status=503, headers={"Retry-After": "7"})
        await message(side)
        assert await message(side) is CallResult.OPEN


async def test_what_waits_longer_than_its_time_is_given_up() -> None:
    async def answer(_: dict[str, Any]) -> Any:
        await asyncio.sleep(0.25)
        return {"effects": []}

    async with backend() as there, gateway_side(there.url, max_in_flight=2, timeout_s=0.3) as side:
        there.answer = answer
        got = await asyncio.gather(*(message(side, number) for number in range(12)))
        late = [one for one in got if isinstance(one, Unanswered)]
        assert {one.result for one in late} == {CallResult.TIMEOUT}
        assert side.desk.questions.waiting == 0


async def test_a_connection_that_ends_takes_what_it_has_not_asked_with_it() -> None:
    release = asyncio.Event()

    async def answer(_: dict[str, Any]) -> Any:
        await release.wait()
        return {"effects": []}

    async with backend() as there, gateway_side(there.url) as side:
        there.answer = answer
        line = side.line("game")
        tasks = [asyncio.ensure_future(message(side, number, line)) for number in range(5)]
        await until(lambda: there.under_way == 1)
        assert line is not None
        side.desk.withdraw(line)
        release.set()
        assert await tasks[0] == []
        assert len(there.asked) == 1
        for task in tasks[1:]:
            task.cancel()


# News


async def test_what_has_no_answer_when_the_backend_is_taken_away_is_told_so() -> None:
    async with raw_backend(silent) as url, gateway_side(url, max_in_flight=2, timeout_s=60.0) as side:
        line = side.line("game")
        asks = [message(side, number, line) for number in range(3)]
        waiting = [asyncio.ensure_future(one) for one in (*asks, side.ask_connect({"session": ANN}), side.ping())]
        await asyncio.sleep(0.05)
        await side.close()
        got = await asyncio.wait_for(asyncio.gather(*waiting), 30)
        assert {one.result for one in got} == {CallResult.UNREACHABLE}
        assert await message(side) is CallResult.OVERLOADED


async def test_news_come_in_order_in_batches() -> None:
    async with backend() as there, gateway_side(there.url) as side:
        assert side.news is not None
        for number in range(25):
            side.news.tell("joined", ANN, {"room": "match:1", "users": number})
        await until(lambda: len(there.events()) == 25)
        assert [one["seq"] for one in there.events()] == list(range(1, 26))
        assert there.events()[0]["session"] == {"user": "ann", "sid": "s1", "generation": 1}
        assert [len(one["events"]) for one in there.asked] == [10, 10, 5]
        assert {one["node"] for one in there.asked} == {"node1"}
        assert there.asked[1]["first_seq"] == 11


async def test_a_batch_is_sent_again_under_its_id_until_it_is_taken() -> None:
    async with backend() as there, gateway_side(there.url) as side:
        assert side.news is not None
        there.answer = reply(status=500)
        side.news.tell("joined", ANN, {"room": "match:1"})
        await until(lambda: len(there.asked) >= 3)
        there.answer = reply(status=204)
        await until(lambda: not len(side.news.queue))
        assert len({one["id"] for one in there.asked}) == 1
        assert len({headers["webhook-id"] for headers in there.headers}) == 1


async def test_a_backend_that_was_away_gets_what_fits_and_the_number_of_what_it_missed() -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/wsprism"
    news = NewsBounds(10, 20, 1 << 20, 60.0)
    async with gateway_side(url, news=news) as side:
        assert side.news is not None
        side.news.tell("joined", ANN, {"number": 1})
        await asyncio.sleep(0.1)
        for number in range(2, 102):
            side.news.tell("joined", ANN, {"number": number})
        async with backend(port) as there:
            side.news.retry_now()
            await until(lambda: bool(there.events()) and there.events()[-1]["seq"] == 101)
            batches = there.of_kind("events")
            seen = 0
            for batch in batches:
                assert batch["first_seq"] == seen + batch["missed"] + 1
                seen = batch["events"][-1]["seq"]
            assert sum(batch["missed"] for batch in batches) == 101 - len(there.events()) == 80


async def test_the_end_hands_on_what_waits_within_its_grace() -> None:
    async with backend() as there, gateway_side(there.url, news_delay_s=30.0) as side:
        assert side.news is not None
        side.news.tell("joined", ANN, {})
        assert await side.close(5.0) == 0
        assert len(there.events()) == 1


async def test_the_end_does_not_wait_for_a_dead_backend_longer_than_its_grace() -> None:
    async with raw_backend(silent) as url, gateway_side(url) as side:
        assert side.news is not None
        side.news.tell("joined", ANN, {})
        assert await side.close(0.2) == 1


async def test_every_key_signs_while_they_rotate() -> None:
    async with backend() as there, gateway_side(there.url, keys=[b"new" * 10, KEY]) as side:
        assert await message(side) == []
        assert there.headers[0]["webhook-signature"].count("v1,") == 2

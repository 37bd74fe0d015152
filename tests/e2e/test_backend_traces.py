"""Calls to a backend in traces: a client span each, beside the message that they are about, over HTTP and a stream."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from tests.api import start_with_api
from tests.backends import SECRET, Backend, backend
from tests.client import Client, until
from tests.conftest import StartGateway
from tests.otlp_receiver import Received, attributes, otlp_http
from tests.streams import STREAM, Stream

ALLOW = {"ext_allowlist": ["room:*", "game:*", "many:*"]}
ASKED = f"00-{'c' * 32}-{'d' * 16}-01"


def tracing(received: Received, sample_ratio: float = 1.0) -> dict[str, Any]:
    return {"tracing": {"endpoint": received.endpoint, "sample_ratio": sample_ratio}}


def tenant(there: Backend) -> dict[str, Any]:
    return {
        "backend": {"url": there.url, "secret": SECRET, "ask": ["connect", "join"]},
        "policy": ALLOW,
        "services": {"ext": {"game": {"kind": "webhook"}, "many": {"kind": "webhook", "batch": 8}}},
    }


async def calls_in(received: Received, count: int) -> list[Any]:
    def calls() -> list[Any]:
        return [span for span in received.spans() if span.name == "backend call"]

    await until(lambda: len(calls()) >= count)
    return sorted(calls(), key=lambda span: span.start_time_unix_nano)


def message_spans(received: Received) -> dict[bytes, Any]:
    return {span.span_id: span for span in received.spans() if span.name == "message"}


async def test_each_sampled_call_is_a_client_span_with_a_link_to_what_it_is_about(start_gateway: StartGateway) -> None:
    async with otlp_http() as received, backend() as there:
        gateway = await start_gateway(gateway=tracing(received), acme=tenant(there))
        async with Client(gateway.base) as ann:
            await ann.join("r")
            await ann.send("game", "move", flags=4, trace=ASKED)
            assert (await ann.receive())["type"] == "ack"
        connect, join, move = await calls_in(received, 3)
        assert [attributes(one)["wsprism.kind"] for one in (connect, join, move)] == ["connect", "join", "message"]
        assert [header["traceparent"] for header in there.headers] == [
            f"00-{one.trace_id.hex()}-{one.span_id.hex()}-01" for one in (connect, join, move)
        ]
        await until(lambda: any(span.name == "connection" for span in received.spans()))
        (connection,) = [span for span in received.spans() if span.name == "connection"]
        assert (connect.trace_id, connect.parent_span_id) == (connection.trace_id, connection.span_id)
        assert [link.span_id for link in connect.links] == [connection.span_id]
        for one in (join, move):
            [link] = one.links
            about = message_spans(received)[link.span_id]
            assert (one.trace_id, one.parent_span_id) == (about.trace_id, about.span_id)
            assert one.kind == 3
        assert move.trace_id.hex() == "c" * 32
        assert attributes(move) == {
            "wsprism.kind": "message",
            "wsprism.way": "http",
            "wsprism.result": "ok",
            "wsprism.questions": 1,
        }
        assert move.end_time_unix_nano > move.start_time_unix_nano


async def test_a_call_for_several_messages_links_to_all_of_them(start_gateway: StartGateway) -> None:
    async with otlp_http() as received, backend() as there:
        settings = tenant(there)
        settings["backend"] |= {"ask": [], "max_in_flight": 1}
        gateway = await start_gateway(gateway=tracing(received), acme=settings)
        async with Client(gateway.base) as ann, Client(gateway.base) as bob, Client(gateway.base) as cid:
            for client in (ann, bob, cid):  # the first leaves at once, the others together
                await client.send("many", "x", flags=4)
            for client in (ann, bob, cid):
                await client.receive()
        calls = await calls_in(received, len(there.asked))
        assert sum(len(one.links) for one in calls) == 3
        linked = {link.span_id for one in calls for link in one.links}
        await until(lambda: linked <= message_spans(received).keys())  # they end later than the calls
        assert sum(attributes(one)["wsprism.questions"] for one in calls) == 3


async def test_a_call_that_fails_is_an_error_span(start_gateway: StartGateway) -> None:
    async with otlp_http() as received, backend() as there:
        settings = tenant(there)
        settings["backend"]["ask"] = []
        gateway = await start_gateway(gateway=tracing(received), acme=settings)

        async def fail(_: dict[str, Any]) -> Any:
            return web.Response(status=500)

        there.answer = fail
        async with Client(gateway.base) as ann:
            await ann.send("game", "move")
            await ann.expect_error("INTERNAL")
        [call] = await calls_in(received, 1)
        assert attributes(call)["wsprism.result"] == "invalid"
        assert call.status.code == 2


@pytest.mark.parametrize("exported", [False, True])
async def test_what_is_not_sampled_has_no_traceparent(start_gateway: StartGateway, exported: bool) -> None:
    async with otlp_http() as received, backend() as there:
        gateway = await start_gateway(gateway=tracing(received, 0.0) if exported else {}, acme=tenant(there))
        async with Client(gateway.base) as ann:
            await ann.join("r")
            for number in range(300):  # some of them are timed
                await ann.send("game", "move", seq=number, flags=4)
                await ann.receive()
        assert len(there.headers) == 302
        assert not [headers for headers in there.headers if "traceparent" in headers]


@pytest.mark.parametrize("msgpack", [False, True])
async def test_over_a_stream_the_question_has_it_in_its_body(start_gateway: StartGateway, msgpack: bool) -> None:
    async with otlp_http() as received:
        gateway, internal = await start_with_api(
            start_gateway,
            gateway=tracing(received, 0.0),
            acme={"backend": STREAM, "policy": ALLOW, "services": {"ext": {"game": {"kind": "webhook"}}}},
        )
        async with Stream(internal, msgpack=msgpack) as stream, Client(gateway.base) as ann:
            await ann.send("game", "move", flags=4, trace=ASKED)
            question = await stream.question("message")
            await stream.say({"id": question["id"], "effects": []})
            await ann.receive()
            await ann.send("game", "move", flags=4)
            unsampled = await stream.question("message")
            assert "traceparent" not in unsampled
            await stream.say({"id": unsampled["id"], "effects": []})
        [call] = await calls_in(received, 1)
        assert question["traceparent"] == f"00-{call.trace_id.hex()}-{call.span_id.hex()}-01"
        assert attributes(call)["wsprism.way"] == "stream"
        [link] = call.links
        await until(lambda: link.span_id in message_spans(received))  # it ends later than the call
        assert link.trace_id.hex() == "c" * 32

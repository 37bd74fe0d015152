"""Several workers on one machine as one gateway: real processes on a real Redis."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.client import Client, connect_url, until
from tests.e2e.test_tail import Tail
from tests.process import GatewayCommand
from tests.redis_server import running_redis
from tests.streams import Stream
from tests.workers import KEY, answer, children, new_child, stopped, until_all_are_up, workers
from wsprism.composition.advice import METRICS_OF_ONE


def serving(gateway: GatewayCommand) -> set[object]:
    """The workers that clients came to, as far as the log has been read."""
    return {one["worker"] for one in gateway.messages() if one["message"] == "connection opened"}


async def test_clients_of_all_workers_are_in_one_room_and_one_listener_answers_for_all(tmp_path: Path) -> None:
    async with workers(tmp_path, 2) as gateway, contextlib.AsyncExitStack() as stack:
        clients: list[Client] = []
        async with asyncio.timeout(60):
            while serving(gateway) != {1, 2}:  # which of them has a client, the kernel draws lots for
                clients.append(await stack.enter_async_context(Client(gateway.base, ticket=f"dev:u{len(clients)}")))
        for client in clients:
            await client.send("room", "join", {}, room="r")
            while (await client.receive())["type"] != "joined":
                pass
        await clients[0].send("chat", "send", {"msg": "hello"}, room="r", seq=1)
        for client in clients:
            async with asyncio.timeout(60):
                while (said := await client.receive())["svc"] != "chat":
                    pass
            assert said["data"]["msg"] == "hello"
        assert json.loads((await answer(gateway, "/v1/info"))[1])["connections"] == len(clients)
        points = json.loads((await answer(gateway, "/v1/stats"))[1])["points"]
        assert points["connections"][-1] in range(len(clients) + 1)
        text = (await answer(gateway, "/metrics"))[1]
        for number in (1, 2):
            assert f'wsprism_connections{{worker="{number}"' in text
        assert text.count("# TYPE wsprism_connections ") == 1
        status, body = await answer(
            gateway, "/v1/tenants/acme/rooms/r/publish", "POST", json={"svc": "chat", "type": "said", "data": 1}
        )
        assert status == 202, body
        for client in clients:
            async with asyncio.timeout(60):
                while (await client.receive())["type"] != "said":
                    pass


async def test_the_page_and_a_rooms_tail_come_through_the_parent(tmp_path: Path) -> None:
    async with workers(tmp_path, 2) as gateway, Client(gateway.base, ticket="dev:ann") as ann:
        status, page = await answer(gateway, "/ui/")
        assert (status, "<!doctype html>" in page) == (200, True)
        assert json.loads((await answer(gateway, "/ui/listener.json"))[1])["url"].endswith(f":{gateway.port}")
        await ann.send("room", "join", {}, room="r")
        url = f"{gateway.internal_base}/v1/tenants/acme/rooms/r/tail"
        headers = {"Authorization": f"Bearer {KEY}"}
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(url, headers=headers, protocols=["wsprism.tail.v1"]) as one,
            session.ws_connect(url, headers=headers, protocols=["wsprism.tail.v1"]) as other,
        ):
            hearing = [asyncio.create_task(tail.receive()) for tail in (one, other)]
            async with asyncio.timeout(60):  # the worker without members listens from some moment on
                while not all(one.done() for one in hearing):
                    await ann.send("chat", "send", {"msg": "hello"}, room="r")
                    await asyncio.wait(hearing, timeout=0.05)
            assert ["hello" in task.result().data for task in hearing] == [True, True]
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(url, protocols=["wsprism.tail.v1"])
        assert refused.value.status == 401


async def test_a_worker_that_dies_is_started_anew_and_nobody_waits_for_it_meanwhile(tmp_path: Path) -> None:
    async with workers(tmp_path, 2) as gateway:
        before = children(gateway.pid)
        victim = before[0]
        os.kill(victim, signal.SIGKILL)
        await gateway.logged("a worker has ended, and is started anew")
        with stopped(await new_child(gateway, before)):  # as one that takes long to come up
            async with asyncio.timeout(60):
                for number in range(30):  # the slot of the dead one has a stand-in
                    async with Client(gateway.base, ticket=f"dev:v{number}"):
                        pass
        await until_all_are_up(gateway, 2)
        assert victim not in children(gateway.pid)
        text = (await answer(gateway, "/metrics"))[1]
        restarts = [line for line in text.splitlines() if line.startswith("wsprism_worker_restarts_total{")]
        assert sum(float(line.split()[-1]) for line in restarts) == 1


async def test_a_backends_streams_go_to_all_workers_whatever_else_is_open(tmp_path: Path) -> None:
    async with workers(tmp_path, 2, tenant="backend: {stream: true}") as gateway, contextlib.AsyncExitStack() as stack:
        base = gateway.internal_base
        for _ in range(3):  # tails are not counted among streams
            await stack.enter_async_context(Tail(base, "r", key=KEY))
        streams = [Stream(base, key=KEY) for _ in range(4)]
        await asyncio.gather(*(stack.enter_async_context(one) for one in streams))  # all at once
        assert await streams_of_workers(gateway) == {1: 2, 2: 2}
        for one in streams[:2]:
            await one.close()
        await until_streams(gateway, 2)
        again = [Stream(base, key=KEY) for _ in range(2)]
        await asyncio.gather(*(stack.enter_async_context(one) for one in again))
        assert await streams_of_workers(gateway) == {1: 2, 2: 2}


async def streams_of_workers(gateway: GatewayCommand) -> dict[int, int]:
    found = {}
    for line in (await answer(gateway, "/metrics"))[1].splitlines():
        if line.startswith("wsprism_backend_streams{"):
            (number,) = re.findall(r'worker="(\d+)"', line)
            found[int(number)] = int(float(line.split()[-1]))
    return found


async def until_streams(gateway: GatewayCommand, count: int) -> None:
    async with asyncio.timeout(60):
        while sum((await streams_of_workers(gateway)).values()) != count:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_all_workers_reload_or_none(tmp_path: Path) -> None:
    async with workers(tmp_path, 2) as gateway:
        good = gateway.path.read_text()
        gateway.path.write_text(good.replace("max_sessions_per_user: 100", "max_sessions_per_user: 50"))
        status, told = await answer(gateway, "/v1/reload", "POST")
        assert (status, json.loads(told)["result"]) == (200, "applied")
        await gateway.logged("configuration applied", 2)
        gateway.path.write_text(good.replace("kind: dev", "kind: nothing"))
        status, told = await answer(gateway, "/v1/reload", "POST")
        assert status == 422
        assert "kind" in told
        gateway.path.write_text(good)
        gateway.signal(signal.SIGHUP)
        await gateway.logged("configuration applied", 4)
        hashes = {one["hash"] for one in gateway.messages() if one["message"] == "configuration applied"}
        assert len(hashes) == 2
        gateway.path.unlink()
        gateway.signal(signal.SIGHUP)
        await gateway.logged("configuration rejected, all workers keep the old one", 2)


async def test_a_worker_that_is_started_anew_has_the_configuration_of_the_others(tmp_path: Path) -> None:
    async with workers(tmp_path, 2) as gateway:
        gateway.path.write_text("this: is nothing that anybody would start with")
        os.kill(children(gateway.pid)[0], signal.SIGKILL)
        await gateway.logged("a worker has ended, and is started anew")
        await until_all_are_up(gateway, 2)


async def test_a_worker_that_starts_during_a_reload_has_what_the_others_have(tmp_path: Path) -> None:
    async with workers(tmp_path, 2) as gateway:
        os.kill(children(gateway.pid)[0], signal.SIGKILL)
        await gateway.logged("a worker has ended, and is started anew")
        await until(lambda: len(children(gateway.pid)) == 2, 60)  # and it has been given the old one
        text = gateway.path.read_text()
        gateway.path.write_text(text.replace("max_sessions_per_user: 100", "max_sessions_per_user: 50"))
        gateway.signal(signal.SIGHUP)
        await gateway.logged("configuration applied", 2)
        hashes = {one["hash"] for one in gateway.messages() if one["message"] == "configuration applied"}
        assert len(hashes) == 1


async def test_a_worker_that_dies_in_a_reload_ends_it_for_all_and_the_next_one_succeeds(tmp_path: Path) -> None:
    async with service_manager(tmp_path) as (notify, heard), workers(tmp_path, 2, NOTIFY_SOCKET=notify) as gateway:
        victim = children(gateway.pid)[0]
        os.kill(victim, signal.SIGSTOP)  # it will not have looked at the file
        text = gateway.path.read_text()
        gateway.path.write_text(text.replace("max_sessions_per_user: 100", "max_sessions_per_user: 50"))
        gateway.signal(signal.SIGHUP)
        await until(lambda: "RELOADING=1" in heard, 60)
        os.kill(victim, signal.SIGKILL)
        await gateway.logged("configuration rejected, all workers keep the old one")
        await until_all_are_up(gateway, 2)
        assert not any(one["message"] == "configuration applied" for one in gateway.messages())
        status, told = await answer(gateway, "/v1/reload", "POST")
        assert (status, json.loads(told)["result"]) == (200, "applied")
        await gateway.logged("configuration applied", 2)


async def test_a_port_that_somebody_has_ends_the_start_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "wsprism.yaml"
    with socket.socket() as taken, tempfile.TemporaryDirectory() as place:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for keys in (f"listen: '127.0.0.1:{port}'", f"listen: '127.0.0.1:0', internal: {{listen: '127.0.0.1:{port}'}}"):
            path.write_text(
                f"version: 1\ngateway: {{{keys}, workers: 2, broker: {{url: 'redis://127.0.0.1:1'}}}}\n"
                "tenants: [{id: acme, auth: {kind: dev}}]\n"
            )
            code, said = await _run("start", "--config", str(path), TMPDIR=place)
            assert code == 1, said
            assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in said
            assert os.listdir(place) == []


async def test_what_a_killed_parent_has_left_goes_with_the_next_start(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as place:
        async with workers(tmp_path, 2, TMPDIR=place) as gateway:
            pids = children(gateway.pid)
            os.kill(gateway.pid, signal.SIGKILL)
            await until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), 60)
        left = os.listdir(place)
        assert len(left) == 1
        async with workers(tmp_path, 2, TMPDIR=place) as gateway:
            (own,) = os.listdir(place)
            assert own not in left
            gateway.signal(signal.SIGTERM)
            assert await gateway.wait(60) == 0
        assert os.listdir(place) == []


async def test_sigterm_drains_all_and_a_second_one_ends_the_wait(tmp_path: Path) -> None:
    async with workers(tmp_path, 2, grace_ms=60_000) as gateway, Client(gateway.base) as client:
        gateway.signal(signal.SIGTERM)
        assert (await client.receive())["type"] == "draining"
        status, told = await answer(gateway, "/readyz")
        assert (status, json.loads(told)) == (503, {"status": "draining"})
        async with aiohttp.ClientSession() as session, session.get(connect_url(gateway.base)) as refused:
            assert refused.status == 503
            assert "Retry-After" in refused.headers
        gateway.signal(signal.SIGTERM)
        assert await gateway.wait(60) == 0
        assert sum(one["message"] == "stopped" and one.get("worker") is not None for one in gateway.messages()) == 2


async def test_the_api_drains_all(tmp_path: Path) -> None:
    async with workers(tmp_path, 2) as gateway:
        assert (await answer(gateway, "/v1/drain", "POST"))[0] == 202
        assert await gateway.wait(60) == 0


async def test_log_levels_are_set_in_all(tmp_path: Path) -> None:
    async with workers(tmp_path, 2) as gateway:
        body = {"level": "debug", "component": "api"}
        assert (await answer(gateway, "/v1/log-level", "PUT", json=body))[0] == 200
        for _ in range(4):
            assert json.loads((await answer(gateway, "/v1/log-level"))[1])["levels"]["api"] == "debug"
        assert (await answer(gateway, "/v1/log-level", "PUT", json={"level": "no"}))[0] == 422


async def test_workers_whose_parent_was_killed_drain(tmp_path: Path) -> None:
    async with workers(tmp_path, 2) as gateway, Client(gateway.base) as client:
        pids = children(gateway.pid)
        os.kill(gateway.pid, signal.SIGKILL)
        assert (await client.receive())["type"] == "draining"
        await until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), 60)


async def test_they_share_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "public.sock"
    async with workers(tmp_path, 2, listen=f"unix:{path}") as gateway:
        connector = aiohttp.UnixConnector(str(path))
        async with aiohttp.ClientSession(connector=connector) as session:
            for number in range(20):
                async with session.ws_connect(f"http://x/v1/ws?tenant=acme&ticket=dev:u{number}") as client:
                    assert json.loads((await client.receive()).data)["type"] == "authed"
        gateway.signal(signal.SIGTERM)
        assert await gateway.wait(60) == 0
    assert not path.exists()


@contextlib.asynccontextmanager
async def service_manager(directory: Path) -> AsyncIterator[tuple[str, list[str]]]:
    """Where to notify it, and the first line of each datagram that it was told."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as manager:
        manager.bind(str(directory / "notify"))
        heard: list[str] = []

        async def hear() -> None:
            while True:
                datagram = await asyncio.get_running_loop().sock_recv(manager, 4096)
                heard.append(datagram.decode().split("\n")[0])

        hearing = asyncio.create_task(hear())
        try:
            yield str(directory / "notify"), heard
        finally:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)


async def test_systemd_hears_of_the_parent_alone(tmp_path: Path) -> None:
    async with service_manager(tmp_path) as (notify, heard):
        async with workers(tmp_path, 2, NOTIFY_SOCKET=notify) as gateway:
            assert heard[0] == "READY=1"
            gateway.signal(signal.SIGHUP)
            await until(lambda: "RELOADING=1" in heard and heard[-1] == "READY=1", 60)
            gateway.signal(signal.SIGTERM)
            assert await gateway.wait(60) == 0
        await until(lambda: heard.count("STOPPING=1") == 1)


async def test_a_worker_that_hangs_is_killed_when_the_service_manager_watches(tmp_path: Path) -> None:
    async with (
        service_manager(tmp_path) as (notify, _),
        workers(tmp_path, 2, NOTIFY_SOCKET=notify, WATCHDOG_USEC="3000000") as gateway,
    ):
        os.kill(children(gateway.pid)[0], signal.SIGSTOP)
        await gateway.logged("a worker says nothing, and is killed")
        await until_all_are_up(gateway, 2)


@pytest.mark.parametrize("workers_wanted", ["2", "0"])
async def test_more_than_one_without_a_broker_stops_the_start_and_the_check(
    tmp_path: Path, workers_wanted: str
) -> None:
    path = tmp_path / "wsprism.yaml"
    path.write_text("version: 1\ntenants: [{id: acme, auth: {kind: dev}}]\n")
    code, said = await _run("start", "--config", str(path), "--workers", workers_wanted)
    assert code == 2
    assert (
        f"--workers: needs gateway.broker, which makes one gateway of several processes, found {workers_wanted}" in said
    )
    path.write_text(
        f"version: 1\ngateway: {{workers: {workers_wanted}}}\ntenants: [{{id: acme, auth: {{kind: dev}}}}]\n"
    )
    code, said = await _run("check", str(path))
    assert code == 2
    assert "gateway.workers: needs gateway.broker" in said


async def test_a_start_without_an_internal_listener_warns_once_that_metrics_are_one_workers(tmp_path: Path) -> None:
    with running_redis() as redis:
        config = (
            f"version: 1\ngateway: {{listen: '127.0.0.1:0', broker: {{url: '{redis.url}'}}}}\n"
            "logging: {format: json}\ntenants: [{id: acme, auth: {kind: dev}}]\n"
        )
        async with GatewayCommand(config, tmp_path, "--workers", "2") as gateway:
            await gateway.logged(METRICS_OF_ONE)
            gateway.signal(signal.SIGTERM)
            assert await gateway.wait(60) == 0
            assert sum(METRICS_OF_ONE in line for line in gateway.log) == 1
    (tmp_path / "check.yaml").write_text(config.replace("broker:", "workers: 2, broker:"))
    code, said = await _run("check", str(tmp_path / "check.yaml"))
    assert code == 0
    assert f"gateway.workers: warning: {METRICS_OF_ONE}" in said


async def test_what_only_a_worker_finds_wrong_ends_the_start_and_is_said_once(tmp_path: Path) -> None:
    path = tmp_path / "wsprism.yaml"
    path.write_text(
        "version: 1\ngateway: {listen: '127.0.0.1:0', workers: 2, broker: {url: 'redis://127.0.0.1:1'}}\n"
        "tenants: [{id: acme, auth: {kind: dev}, services: {ext: {x: {kind: python, factory: 'no.such:make'}}}}]\n"
    )
    code, said = await _run("start", "--config", str(path))
    assert code == 2
    assert said.count("services.ext.x") == 1, said


@pytest.mark.parametrize("bad", ["-1", "257", "many"])
async def test_a_number_that_is_none_is_wrong_usage(tmp_path: Path, bad: str) -> None:
    code, said = await _run("start", "--config", str(tmp_path / "no.yaml"), f"--workers={bad}")
    assert code == 2
    assert "--workers" in said


async def _run(*arguments: str, **environment: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "wsprism",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | environment,
    )
    async with asyncio.timeout(60):
        said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()

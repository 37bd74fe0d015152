"""SIGUSR2: workers are replaced one by one while clients come and go, and nobody finds the door closed."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from tests.client import Client, connect_url, until
from tests.process import GatewayCommand
from tests.workers import answer, children, new_child, stopped, until_all_are_up, workers

ROLLS = 3
"""On a machine that pauses, those who are half in when a worker leaves may find it gone: not in every roll."""


async def knock(base: str, name: str, seen: Counter[str], done: asyncio.Event) -> None:
    """One client after another, each over a connection of its own."""
    number = 0
    while not done.is_set():
        number += 1
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(connect_url(base, ticket=f"dev:{name}-{number}")) as client,
            ):
                first = json.loads((await client.receive(timeout=60)).data)
                seen[first["type"]] += 1
        except aiohttp.WSServerHandshakeError as refused:
            later = refused.status == 503 and "Retry-After" in (refused.headers or {})
            seen["later" if later else "refused"] += 1
        except (OSError, aiohttp.ClientError, TimeoutError) as error:
            seen[repr(error)] += 1
        await asyncio.sleep(0.01)


@pytest.mark.alone
async def test_during_a_roll_everybody_gets_in_and_the_parent_stays(tmp_path: Path) -> None:
    async with workers(tmp_path, 3, grace_ms=500) as gateway, Client(gateway.base, ticket="dev:stays") as stays:
        before, seen, done = set(children(gateway.pid)), Counter[str](), asyncio.Event()
        knocking = [asyncio.create_task(knock(gateway.base, f"k{number}", seen, done)) for number in range(8)]
        gateway.path.write_text(
            gateway.path.read_text().replace("max_sessions_per_user: 100", "max_sessions_per_user: 99")
        )
        gateway.signal(signal.SIGUSR2)
        await gateway.logged("rolling restart")
        gateway.signal(signal.SIGUSR2)
        await gateway.logged("a rolling restart is under way already")
        status, told = await answer(gateway, "/v1/reload", "POST")
        assert (status, "rolling restart" in told) == (422, True)
        await gateway.logged("rolling restart done", within_s=90)
        done.set()
        await asyncio.gather(*knocking)
        assert set(seen) <= {"authed", "later"}, seen
        assert seen["authed"] > 100
        assert seen["later"] <= seen["authed"] / 100
        after = set(children(gateway.pid))
        assert len(after) == 3
        assert not before & after
        async with asyncio.timeout(60):
            while (await stays.receive())["type"] != "draining":  # its worker was replaced as well
                pass
        hashes = {json.loads((await answer(gateway, "/v1/info"))[1])["configuration_hash"] for _ in range(6)}
        assert len(hashes) == 1
        assert (await answer(gateway, "/readyz"))[0] == 200
        gateway.signal(signal.SIGTERM)
        assert await gateway.wait(60) == 0


async def test_what_does_not_start_ends_the_roll_and_the_old_ones_stay(tmp_path: Path) -> None:
    async with workers(tmp_path, 2) as gateway:
        before, good = children(gateway.pid), gateway.path.read_text()
        gateway.path.write_text("version: 1\ntenants: []\n")
        gateway.signal(signal.SIGUSR2)
        await gateway.logged("the rolling restart is given up, the other workers stay")
        assert children(gateway.pid) == before
        async with Client(gateway.base):
            pass
        os.kill(before[0], signal.SIGKILL)  # whoever is started anew has what the others have
        await gateway.logged("a worker has ended, and is started anew")
        await until_all_are_up(gateway, 2)
        gateway.path.write_text(good)
        gateway.signal(signal.SIGUSR2)
        await gateway.logged("rolling restart done", within_s=90)
        assert not set(children(gateway.pid)) & set(before)


async def test_a_roll_that_is_given_up_leaves_all_workers_with_what_they_had(tmp_path: Path) -> None:
    alone = tmp_path / "alone.py"  # runs in one process only, as long as nothing allows more
    alone.write_text(f"""
import os
from pathlib import Path
from wsprism.plugin import Service

directory = Path({str(tmp_path)!r})
(directory / f"{{os.getpid()}}.pid").touch()
if len(list(directory.glob("*.pid"))) > 1 and not (directory / "allowed").exists():
    raise RuntimeError("another process has it")
service = Service()
""")
    async with workers(tmp_path, 3, grace_ms=0) as gateway:
        before, text = await hashes_of(gateway), gateway.path.read_text()
        service = f"chat: {{kind: chat}}, alone: {{kind: python, file: {str(alone)!r}}}"
        new = text.replace("lease_ms: 3000", "lease_ms: 4000").replace("chat: {kind: chat}", service)
        assert new.count("4000") == new.count("alone:") == 1
        gateway.path.write_text(new)
        gateway.signal(signal.SIGUSR2)
        await gateway.logged("the rolling restart is given up, the other workers stay", within_s=90)
        await gateway.logged("the rolling restart has ended", within_s=90)
        await gateway.logged("a worker was replaced", 2)
        await until_all_are_up(gateway, 3, within_s=60)
        assert await hashes_of(gateway) == before
        (tmp_path / "allowed").touch()
        gateway.signal(signal.SIGUSR2)
        await gateway.logged("rolling restart done", within_s=120)
        assert not await hashes_of(gateway) & before


async def hashes_of(gateway: GatewayCommand) -> set[str]:
    """Of the configurations of all workers; more than one where they differ."""
    lines = (await answer(gateway, "/metrics"))[1].splitlines()
    found = [re.findall(r'hash="(\w+)"', line) for line in lines if line.startswith("wsprism_config_info{")]
    return {one for (one,) in found}


@pytest.mark.alone
async def test_thousands_who_come_at_once_during_a_roll_get_in(tmp_path: Path) -> None:
    async with workers(tmp_path, 2, grace_ms=10_000) as gateway:  # nobody stays, and who is slow to speak is answered
        told: list[Counter[str]] = []
        for number in range(1, ROLLS + 1):
            seen, done = Counter[str](), asyncio.Event()
            crowd = [asyncio.create_task(knock(gateway.base, f"c{number}-{one}", seen, done)) for one in range(100)]
            gateway.signal(signal.SIGUSR2)
            await gateway.logged("rolling restart done", number, within_s=120)
            async with asyncio.timeout(120):
                while seen["authed"] < 2000:  # noqa: ASYNC110 (a slow machine needs longer for them)
                    await asyncio.sleep(0.1)
            done.set()
            await asyncio.gather(*crowd)
            assert set(seen) <= {"authed", "later"}, seen
            told.append(seen)
            if seen["later"] <= seen["authed"] / 100:
                return
        pytest.fail(f"too many were sent away: {told}")


async def test_sigterm_ends_a_roll_and_all_drain(tmp_path: Path) -> None:
    async with workers(tmp_path, 2) as gateway, Client(gateway.base) as client:
        before = children(gateway.pid)
        gateway.signal(signal.SIGUSR2)
        with stopped(await new_child(gateway, before)):  # it replaces nobody before the signal comes
            gateway.signal(signal.SIGTERM)
            assert (await client.receive())["type"] == "draining"
            assert await gateway.wait(60) == 0
        assert not any(one["message"] == "a worker was replaced" for one in gateway.messages())


async def test_sighup_during_a_roll_is_carried_out_after_it(tmp_path: Path) -> None:
    async with workers(tmp_path, 2) as gateway:
        before = children(gateway.pid)
        gateway.signal(signal.SIGUSR2)
        await gateway.logged("rolling restart")
        text = gateway.path.read_text()
        new = await new_child(gateway, before)  # the file has been read
        with stopped(new):  # the roll does not end before they have been sent
            gateway.path.write_text(text.replace("max_sessions_per_user: 100", "max_sessions_per_user: 99"))
            for _ in range(20):
                gateway.signal(signal.SIGHUP)
                await asyncio.sleep(0.01)  # or the system would make one of them
        await gateway.logged("rolling restart done", within_s=90)
        await gateway.logged("configuration applied", 2)
        status, _ = await answer(gateway, "/v1/reload", "POST")  # comes behind all of them
        assert status == 200
        await gateway.logged("configuration unchanged", 2)
        messages = [one["message"] for one in gateway.messages()]
        assert messages.index("configuration applied") > messages.index("rolling restart done")
        assert messages.count("configuration applied") == 2
        assert messages.count("configuration unchanged") == 2


async def test_a_new_worker_that_is_killed_ends_the_roll_and_an_old_one_does_not(tmp_path: Path) -> None:
    async with workers(tmp_path, 2) as gateway:
        before = children(gateway.pid)
        gateway.signal(signal.SIGUSR2)
        os.kill(await new_child(gateway, before), signal.SIGKILL)
        await gateway.logged("the rolling restart is given up, the other workers stay")
        assert children(gateway.pid) == before
        gateway.signal(signal.SIGUSR2)
        await new_child(gateway, before)
        os.kill(before[0], signal.SIGKILL)
        await gateway.logged("rolling restart done", within_s=90)
        await until_all_are_up(gateway, 2)
        await until(lambda: len(children(gateway.pid)) == 2, 60)
        assert not set(children(gateway.pid)) & set(before)
        async with Client(gateway.base):
            pass

"""Services in Python in a gateway that is a process of its own: checked, reloaded by the API, ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.client import Client
from tests.process import GatewayCommand
from tests.python_services import COUNTER, tenant_with, write

KEY = "k" * 20
ROOT = Path(__file__).parents[2]


def configuration(**tenant: Any) -> str:
    gateway = {
        "listen": "127.0.0.1:0",
        "drain_grace_ms": 200,
        "drain_notice_ms": 0,
        "internal": {"listen": "127.0.0.1:0", "api_keys": [{"name": "o", "key": KEY, "tenants": "all"}]},
    }
    settings = {"id": "acme", "auth": {"kind": "dev"}, **tenant}
    return yaml.safe_dump({"version": 1, "gateway": gateway, "tenants": [settings]})


async def call(gateway: GatewayCommand, method: str, path: str) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {KEY}"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.request(method, gateway.internal_base + path) as answer,
    ):
        return answer.status, await answer.json()


def check(path: Path) -> tuple[int, str]:
    told = subprocess.run(
        [sys.executable, "-m", "wsprism", "check", str(path)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
        timeout=60,
    )
    assert "Traceback" not in told.stderr
    return told.returncode, told.stdout + told.stderr


async def test_the_api_tells_services_reloads_them_and_refuses_a_faulty_one_naming_its_file(tmp_path: Path) -> None:
    write(tmp_path, COUNTER)
    async with GatewayCommand(configuration(**tenant_with("game.py")), tmp_path) as gateway:
        status, answer = await call(gateway, "GET", "/v1/tenants/acme/services")
        [item] = answer["items"]
        assert (status, item["lane"], item["name"], item["kind"]) == (200, "ext", "game", "python")
        assert (item["state"], item["last_fault"], len(item["version"])) == ("running", None, 16)
        assert item["since"].endswith("Z")
        async with Client(gateway.base, ticket="dev:ann") as client:
            await client.send("game", "move", {"x": 1})
            assert (await client.expect_error("NOT_ALLOWED"))["data"]["msg"] == "join a room first"
            assert (await client.receive())["type"] == "move"
            write(tmp_path, COUNTER + "\n\nraise ValueError('not today')\n")
            status, answer = await call(gateway, "POST", "/v1/reload")
            assert status == 422
            assert "game.py" in json.dumps(answer)
            assert "not today" in json.dumps(answer)
            write(tmp_path, COUNTER.replace("moved", "went"))
            status, answer = await call(gateway, "POST", "/v1/reload")
            assert (status, answer["result"]) == (200, "applied")
            await client.join("r")
            await client.send("game", "move", {"x": 1})
            types = [(await client.receive())["type"] for _ in range(4)]
            assert "went" in types
        _, answer = await call(gateway, "GET", "/v1/tenants/acme/services")
        assert answer["items"][0]["version"] != item["version"]
        assert (await call(gateway, "GET", "/v1/tenants/nobody/services"))[0] == 404


STUBBORN = """
    import asyncio, threading, time
    from wsprism.plugin import Service
    service = Service()
    kept = []

    async def for_ever():
        while True:
            try:
                await asyncio.sleep(3600)
            except BaseException:
                pass

    @service.on("cancelled")
    async def cancelled(context):
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass

    @service.on("anything")
    async def anything(context):
        await for_ever()

    @service.on("task")
    async def task(context):
        kept.append(asyncio.create_task(for_ever()))
        await kept[0]

    @service.on("worker")
    async def worker(context):
        await asyncio.to_thread(time.sleep, 3600)

    @service.on("thread")
    def thread(context):
        threading.Thread(target=time.sleep, args=(3600,), name="my-thread").start()
"""


@pytest.mark.parametrize(
    ("type", "named"),
    [
        ("cancelled", None),
        ("anything", None),
        ("task", "for_ever (/"),
        ("worker", "uvloop_0"),
        ("thread", "my-thread"),
    ],
)
async def test_code_that_never_ends_does_not_keep_the_process(tmp_path: Path, type: str, named: str | None) -> None:
    write(tmp_path, STUBBORN)
    async with (
        GatewayCommand(configuration(**tenant_with("game.py")), tmp_path) as gateway,
        Client(gateway.base, ticket="dev:ann") as client,
    ):
        await client.send("game", type)
        await client.send("sys", "ping")
        await client.receive()
        gateway.signal(signal.SIGTERM)
        assert await gateway.wait(60) == 0
        said = [line for line in gateway.log if "do not end" in line]
        assert len(said) == (named is not None)
        assert all(str(named) in line for line in said)


@pytest.mark.parametrize(
    ("code", "line", "said"),
    [
        ("\nimport msgspec\nservice = Servise()\n", 3, "NameError"),
        ("def f(:\n", 1, "SyntaxError"),
        ("import msgspec\nimport nowhere_at_all\n", 2, "ModuleNotFoundError"),
        ("import sys\n\nsys.exit(3)\n", 3, "SystemExit"),
        ("class Odd(BaseException): pass\nraise Odd('x')\n", 2, "Odd"),
        (
            "from wsprism.plugin import Service\nservice = Service()\nservice.on('a b')\n",
            3,
            "ValueError",
        ),
    ],
)
def test_check_says_what_is_wrong_in_the_files_own_line(tmp_path: Path, code: str, line: int, said: str) -> None:
    file = write(tmp_path, code)
    path = tmp_path / "wsprism.yaml"
    path.write_text(configuration(**tenant_with("game.py")))
    returncode, output = check(path)
    assert returncode == 2
    [told] = output.splitlines()
    assert told.startswith(f"{file}:{line}: tenants[0].services.ext.game: {said}")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"file": "nowhere.py"}, "must be a file that can be read"),
        ({"factory": "nowhere_at_all:make"}, "ModuleNotFoundError"),
        ({"factory": "json:nowhere"}, "json has no nowhere"),
        ({"factory": "json:loads"}, "TypeError"),
        ({"factory": "os:getcwd"}, "must return a wsprism.plugin.Service, found str"),
        ({"entry_point": "nowhere"}, "there is no entry point 'nowhere'"),
    ],
)
def test_check_says_where_there_is_no_service(tmp_path: Path, given: dict[str, str], said: str) -> None:
    path = tmp_path / "wsprism.yaml"
    tenant = tenant_with("unused")
    tenant["services"]["ext"]["game"] = {"kind": "python", **given}
    path.write_text(configuration(**tenant))
    returncode, output = check(path)
    assert returncode == 2
    assert said in output
    assert "tenants[0].services.ext.game" in output


def test_files_that_import_each_other_in_a_circle_are_told(tmp_path: Path) -> None:
    (tmp_path / "circle_a.py").write_text("import circle_b\nx = circle_b.y\n")
    (tmp_path / "circle_b.py").write_text("import circle_a\ny = circle_a.x\n")
    write(tmp_path, f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nimport circle_a\n")
    path = tmp_path / "wsprism.yaml"
    path.write_text(configuration(**tenant_with("game.py")))
    returncode, output = check(path)
    assert (returncode, "game.py:3" in output, "circular import" in output) == (2, True, True)

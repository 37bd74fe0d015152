"""Services of kind wasm through a real gateway: configured, checked, reloaded, watched, and never in anybody's way."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.api import Backend, start_with_api
from tests.client import Client
from tests.conftest import Running, StartGateway
from tests.guests import answering, guest
from wsprism.cli import main
from wsprism.composition.preflight import read_configuration
from wsprism.protocol.hot import encode_hot
from wsprism.settings import SettingsError

ENDLESS = guest("(loop (br 0)) i64.const 0", hot="(loop (br 0)) i64.const 0")
UPPER = """
  (i32.store8 (i32.add (local.get $at) (i32.const 3)) (i32.const 65))
  (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32)) (i64.extend_i32_u (local.get $size)))
"""
"""Its frame with an `A` as its first byte behind the header."""


def saying(word: str, **parts: str) -> bytes:
    effects = [{"publish": {"type": "said", "data": {"word": word}}}, {"reply": {"word": word}}]
    return answering(json.dumps({"effects": effects}), **parts)


def settings_of(directory: Path, **services: Any) -> dict[str, object]:
    rules = {"kind": "wasm", "file": str(directory / "rules.wasm"), **services}
    moves = {"kind": "wasm", "file": str(directory / "moves.wasm"), "to": "all"}
    return {
        "policy": {"ext_allowlist": ["room:*", "rules:*", "chat:*"], "hot_allowlist": ["1:*", "3:*"]},
        "services": {"ext": {"chat": "chat", "rules": rules}, "hot": {1: "echo", 3: moves}},
    }


@pytest.fixture
async def gateway(start_gateway: StartGateway, tmp_path: Path) -> tuple[Running, str]:
    (tmp_path / "rules.wasm").write_bytes(saying("hello"))
    (tmp_path / "moves.wasm").write_bytes(guest(hot=UPPER))
    return await start_with_api(start_gateway, acme=settings_of(tmp_path))


async def test_a_module_answers_messages_and_rewrites_frames(gateway: tuple[Running, str]) -> None:
    async with Client(gateway[0].base, ticket="dev:ann") as ann, Client(gateway[0].base, ticket="dev:bob") as bob:
        await ann.join("r")
        await bob.join("r")
        await ann.send("rules", "anything", {"x": 1}, seq=5)
        heard = [await ann.receive() for _ in range(2)]
        assert sorted((one["type"], one.get("seq")) for one in heard) == [("anything", 5), ("said", None)]
        assert (await bob.receive())["data"] == {"word": "hello"}
        await ann.ws.send_bytes(encode_hot(3, 1, b"abc"))
        assert [await one.receive_hot() for one in (ann, bob)] == [encode_hot(3, 1, b"Abc")] * 2
    async with Backend(gateway[1]) as backend:
        items = (await backend.get("/v1/tenants/acme/services")).json["items"]
        assert [(one["lane"], one["name"], one["kind"], one["state"]) for one in items] == [
            ("ext", "rules", "wasm", "running"),
            ("hot", "3", "wasm", "running"),
        ]
        assert [len(one["version"]) for one in items] == [12, 12]
        assert [one["last_fault"] for one in items] == [None, None]


async def test_a_guest_that_loops_for_ever_costs_nobody_else_anything(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    (tmp_path / "rules.wasm").write_bytes(ENDLESS)
    (tmp_path / "moves.wasm").write_bytes(ENDLESS)
    running, api = await start_with_api(start_gateway, acme=settings_of(tmp_path))
    async with Client(running.base, ticket="dev:ann") as ann, Client(running.base, ticket="dev:bob") as bob:
        await ann.join("r")
        await bob.join("r")
        for _ in range(30):
            await ann.send("rules", "x")
            await ann.ws.send_bytes(encode_hot(3, 1, b"abc"))
        codes = [(await ann.receive())["data"]["code"] for _ in range(30)]
        assert codes == ["INTERNAL"] * 10 + ["UNAVAILABLE"] * 20
        await bob.send("chat", "send", {"msg": "still here"})
        assert (await bob.receive())["data"]["msg"] == "still here"
        assert (await ann.receive())["data"]["msg"] == "still here"
    async with Backend(api) as backend:
        items = (await backend.get("/v1/tenants/acme/services")).json["items"]
    assert {one["state"] for one in items} == {"suspended"}
    assert "used up its fuel" in items[0]["last_fault"]
    counters = running.process.tenant("acme").counters  # type: ignore[union-attr]
    assert counters.services["ext", "rules"].faults["fuel"] == 10
    assert counters.services["ext", "rules"].fuel == 10_000_000


async def test_a_changed_module_takes_over_with_a_reload_and_one_that_did_not_change_goes_on(
    gateway: tuple[Running, str], tmp_path: Path
) -> None:
    running, _ = gateway
    tenant = running.process.tenant("acme")
    assert tenant is not None
    async with Client(running.base, ticket="dev:ann") as ann:
        await ann.join("r")
        before = tenant.rules.services
        (tmp_path / "rules.wasm").write_bytes(saying("goodbye"))
        report = await running.process.reload()
        assert [change.key for change in report.changed] == ["services.ext.rules.file"]
        after = tenant.rules.services
        assert (after.hot[3] is before.hot[3], after.ext["rules"] is before.ext["rules"]) == (True, False)
        await ann.send("rules", "x")
        assert {(await ann.receive())["data"]["word"] for _ in range(2)} == {"goodbye"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"nothing of the kind", "this is no WebAssembly module"),
        (saying("x", abi="i32.const 2"), "it speaks ABI 2"),
        (saying("x", init="i32.const 1"), "wsprism_init has refused its options with 1"),
        (saying("x", imports='(import "env" "f" (func))'), "imports env.f"),
        (guest(more="(start $s) (func $s (loop (br 0)))"), "used up its fuel"),
    ],
)
async def test_a_module_that_is_refused_keeps_the_old_one(
    gateway: tuple[Running, str], tmp_path: Path, content: bytes, words: str
) -> None:
    running, api = gateway
    (tmp_path / "rules.wasm").write_bytes(content)
    with pytest.raises(SettingsError) as error:
        await running.process.reload()
    [fault] = error.value.faults
    assert words in fault.problem
    assert fault.path == "tenants[0].services.ext.rules.file"
    assert fault.line > 0
    async with Backend(api) as backend:
        answer = await backend.call("POST", "/v1/reload")
    assert answer.status == 422
    async with Client(running.base, ticket="dev:ann") as ann:
        await ann.join("r")
        await ann.send("rules", "x")
        assert {(await ann.receive())["data"]["word"] for _ in range(2)} == {"hello"}


async def test_check_names_what_is_wrong_in_its_line(
    start_gateway: StartGateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rules.wasm").write_bytes(saying("hello"))
    (tmp_path / "moves.wasm").write_bytes(guest(hot=UPPER))
    running = await start_gateway(acme=settings_of(tmp_path))
    good = tmp_path / "good.yaml"
    good.write_text(running.file.read_text())
    assert main(["check", str(good)]) == 0
    capsys.readouterr()
    (tmp_path / "moves.wasm").write_bytes(guest())
    assert main(["check", str(good)]) == 2
    assert "services.hot.3.file: the module does not export `wsprism_hot`" in capsys.readouterr().err.replace("\n", " ")
    (tmp_path / "moves.wasm").unlink()
    with pytest.raises(SettingsError) as error:
        read_configuration(str(good))
    assert "cannot be read" in error.value.faults[0].problem


async def test_without_the_engine_the_start_says_what_to_install(
    start_gateway: StartGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rules.wasm").write_bytes(saying("hello"))
    (tmp_path / "moves.wasm").write_bytes(guest(hot=UPPER))
    running = await start_gateway(acme=settings_of(tmp_path))
    monkeypatch.setattr("wsprism.composition.wasm_code.engine_is_installed", lambda: False)
    with pytest.raises(SettingsError) as error:
        read_configuration(str(running.file))
    assert "pip install 'wsprism[wasm]'" in error.value.faults[0].problem


async def test_limits_and_options_are_the_configurations(start_gateway: StartGateway, tmp_path: Path) -> None:
    """Its init takes options of 12 bytes only; two effects are one too many."""
    init = "(i32.ne (local.get $size) (i32.const 12))"
    (tmp_path / "rules.wasm").write_bytes(saying("hello", init=init))
    (tmp_path / "moves.wasm").write_bytes(guest(hot=UPPER))
    running = await start_gateway(acme=settings_of(tmp_path, options={"board": 12}, limits={"effects": 1}))
    async with Client(running.base, ticket="dev:ann") as ann:
        await ann.send("rules", "x")
        await ann.expect_error("INTERNAL")
    good = {"kind": "wasm", "file": str(tmp_path / "rules.wasm"), "options": {"board": 12}}

    def change(wrong: dict[str, Any], data: dict[str, Any]) -> None:
        data["tenants"][0]["services"]["ext"]["rules"] = good | wrong

    for wrong, words in (
        ({"limits": {"fuel": 10}}, "must be from 1000 to 20000000, found 10"),
        ({"limits": {"memory_mib": 17}}, "must be from 1 to 16, found 17"),
        ({"options": {"board": 123}}, "refused its options"),
        ({"file": ""}, "must not be empty"),
    ):
        with pytest.raises(SettingsError) as error:
            await running.reconfigure(partial(change, wrong))
        assert words in error.value.faults[0].problem


def test_nothing_of_the_engine_is_imported_where_no_module_is_configured(tmp_path: Path) -> None:
    config = tmp_path / "wsprism.yaml"
    config.write_text("version: 1\ntenants: [{id: acme, auth: {kind: dev}}]\n")
    code = (
        "import sys; from wsprism.composition.app import GatewayProcess; from wsprism.cli import main; "
        f"assert main(['check', {str(config)!r}]) == 0; assert 'wasmtime' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

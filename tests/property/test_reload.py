"""Any sequence of good and bad configurations, against a model: what is in force, who is connected, what is counted."""

from __future__ import annotations

import asyncio
import copy
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.client import until
from tests.examples import examples
from tests.realtime_support import FakeTransport, frames_in
from wsprism.composition.app import GatewayProcess
from wsprism.ports import Principal
from wsprism.protocol.envelope import JSON
from wsprism.realtime.counters import ReloadResult
from wsprism.realtime.messages import Attached, OpenSession
from wsprism.realtime.outbound.wire import wire_format
from wsprism.realtime.session import Session
from wsprism.settings import SettingsError, load_settings

IDS = ("a", "b", "c")

tenant = st.fixed_dictionaries(
    {
        "limits": st.fixed_dictionaries(
            {"max_rooms_total": st.integers(0, 2), "max_frame_bytes": st.sampled_from([9, 99])}
        ),
        "policy": st.fixed_dictionaries({"rate_limit_rps": st.integers(1, 2), "hot_error_mode": st.just("silent")}),
        "auth": st.sampled_from([[], [{"kind": "dev"}], [{"kind": "one_time"}, {"kind": "dev"}]]),
    }
)
good = st.builds(
    lambda tenants, grace_ms, header_bytes: {
        "version": 1,
        "gateway": {
            "listen": "127.0.0.1:0",
            "drain_grace_ms": grace_ms,
            "limits": {"max_header_bytes": header_bytes},
        },
        "tenants": [{"id": id, **one} for id, one in tenants.items()],
    },
    st.dictionaries(st.sampled_from(IDS), tenant, min_size=1),
    st.integers(0, 2),
    st.sampled_from([2000, 3000]),
)
spoil = st.sampled_from(["unknown key", "out of range", "no yaml", "no file", "twice", "no tenants"])
step = st.one_of(good, st.tuples(good, spoil), st.sampled_from(IDS), st.just("same"))


def spoilt(config: dict[str, Any], how: str) -> str | None:
    """The text of a configuration with one fault; None: no file."""
    config = copy.deepcopy(config)
    match how:
        case "unknown key":
            config["tenants"][-1]["limit"] = {}
        case "out of range":
            config["gateway"]["drain_grace_ms"] = -1
        case "twice":
            config["tenants"].append(config["tenants"][0])
        case "no tenants":
            config["tenants"] = []
        case "no yaml":
            return yaml.safe_dump(config)[:-3] + "{"
        case _:
            return None
    return yaml.safe_dump(config)


class Model:
    """What must be in force: the last good configuration, except what needs a restart."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.header_bytes = config["gateway"]["limits"]["max_header_bytes"]
        self.generation = 1
        self.results: Counter[str] = Counter()
        self.sessions: dict[str, list[tuple[Session, FakeTransport]]] = {}
        self.removed: list[FakeTransport] = []

    @property
    def tenants(self) -> dict[str, Any]:
        return {one["id"]: one for one in self.config["tenants"]}

    def apply(self, config: dict[str, Any]) -> None:
        before = self.tenants
        same = before == {one["id"]: one for one in config["tenants"]}
        same &= self.config["gateway"]["drain_grace_ms"] == config["gateway"]["drain_grace_ms"]
        self.results["unchanged" if same else "applied"] += 1
        if same:
            return
        self.generation += 1
        self.config = config
        for id in set(before) - set(self.tenants):
            self.removed += [transport for _, transport in self.sessions.pop(id, [])]

    def check(self, process: GatewayProcess) -> None:
        gateway = process.settings.gateway
        assert gateway.drain_grace_ms == self.config["gateway"]["drain_grace_ms"]
        assert gateway.limits.max_header_bytes == self.header_bytes
        assert {one.id for one in process.settings.tenants} == set(self.tenants)
        contexts = {one.id: one for one in process.tenants()}
        assert set(contexts) == set(self.tenants)
        for id, one in self.tenants.items():
            rules = contexts[id].rules
            assert rules.limits.max_rooms_total == one["limits"]["max_rooms_total"]
            assert rules.rate_limit_rps == contexts[id].bucket.rate_per_s == one["policy"]["rate_limit_rps"]
            assert rules.one_time_tickets is any(auth["kind"] == "one_time" for auth in one["auth"])
            live = self.sessions.get(id, [])
            assert set(contexts[id].registry) == {session for session, _ in live}
            for _, transport in live:
                assert transport.ended is None
                assert transport.max_message_bytes in (None, one["limits"]["max_frame_bytes"])
        for transport in self.removed:
            closes = [payload for opcode, payload in frames_in(transport.written) if opcode == 8]
            assert closes == [(4504).to_bytes(2, "big") + b"tenant removed"]
        counters = process.counters
        assert counters.config_generation == self.generation
        assert {str(result): count for result, count in counters.config_reloads.items()} == {
            str(result): self.results[str(result)] for result in ReloadResult
        }


async def connect(process: GatewayProcess, id: str, model: Model) -> None:
    context = next((one for one in process.tenants() if one.id == id), None)
    if context is None:
        return
    user = f"user-{sum(map(len, model.sessions.values()))}"
    question = OpenSession(Principal(user), None, wire_format(JSON, deflated=False), "f" * 32, "::1")
    session = (await context.ref.ask(question, 5.0)).session
    transport = FakeTransport(session.outlet)
    session.connection.deliver([Attached(transport)])
    model.sessions.setdefault(id, []).append((session, transport))


def write(file: Path, text: str | None) -> None:
    """``text`` as the whole file; None: no file."""
    file.unlink(missing_ok=True)
    if text is not None:
        file.write_text(text)


async def scenario(first: dict[str, Any], steps: list[Any], file: Path) -> None:
    write(file, yaml.safe_dump(first))
    process = GatewayProcess(load_settings(file), file=str(file))
    await process.start()
    model = Model(first)
    last = first
    try:
        for one in steps:
            if one in IDS:
                await connect(process, one, model)
            elif isinstance(one, tuple):
                write(file, spoilt(*one))
                with pytest.raises(SettingsError) as caught:
                    await process.reload()
                assert caught.value.faults
                model.results["rejected"] += 1
            else:
                last = last if one == "same" else one
                write(file, yaml.safe_dump(last))
                report = await process.reload()
                model.apply(last)
                needs_restart = last["gateway"]["limits"]["max_header_bytes"] != model.header_bytes
                assert [change.key for change in report.needs_restart] == [
                    "gateway.limits.max_header_bytes"
                ] * needs_restart
            await settle(process, model)
            model.check(process)
    finally:
        for sessions in model.sessions.values():
            for session, _ in sessions:
                session.connection.stop()
        await process.stop()


async def settle(process: GatewayProcess, model: Model) -> None:
    """All has been told, and what is to be closed has been."""
    await until(lambda: process.actors().mailbox_depth == 0 and all(one.writes for one in model.removed))
    await until(lambda: all(any(opcode == 8 for opcode, _ in frames_in(one.written)) for one in model.removed))


@settings(max_examples=examples(40))
@given(good, st.lists(step, max_size=8))
def test_whatever_comes_the_last_good_configuration_is_in_force_entirely(
    first: dict[str, Any], steps: list[Any]
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(scenario(first, steps, Path(directory) / "wsprism.yaml"))

"""Calls of the internal API that concern the whole process: a real one, with its file, is reloaded and drained."""

from __future__ import annotations

from pathlib import Path

from tests.api import ADMIN, Backend
from tests.client import Client
from tests.components import free_port
from tests.process import GatewayCommand

CONFIG = """
version: 1
gateway:
  listen: 127.0.0.1:0
  drain_grace_ms: 300
  internal: {{listen: "127.0.0.1:{port}", api_keys: [{{name: admin, key: {key}}}]}}
tenants:
- id: acme
  auth: {{kind: dev}}
  limits: {{max_rooms_total: 7}}
"""


async def test_a_reload_says_what_changed_and_what_needs_a_restart(tmp_path: Path) -> None:
    port = free_port()
    config = CONFIG.format(port=port, key=ADMIN)
    async with GatewayCommand(config, tmp_path), Backend(f"http://127.0.0.1:{port}") as backend:
        unchanged = await backend.post("/v1/reload")
        assert (unchanged.status, unchanged.json["result"], unchanged.json["changed"]) == (200, "unchanged", [])
        changed = config.replace("total: 7", "total: 8").replace("listen: 127.0.0.1:0", "listen: 127.0.0.1:1")
        (tmp_path / "wsprism.yaml").write_text(changed)
        applied = (await backend.post("/v1/reload")).json
        assert applied["result"] == "applied"
        assert ["max_rooms_total" in one for one in applied["changed"]] == [True]
        assert ["gateway.listen" in one for one in applied["needs_restart"]] == [True]
        assert (await backend.get("/v1/tenants/acme")).json["limits"]["max_rooms_total"] == 8
        assert (await backend.get("/v1/info")).json["configuration_generation"] == 2


async def test_a_faulty_file_is_refused_with_every_fault_and_the_old_configuration_goes_on(tmp_path: Path) -> None:
    port = free_port()
    config = CONFIG.format(port=port, key=ADMIN)
    async with GatewayCommand(config, tmp_path), Backend(f"http://127.0.0.1:{port}") as backend:
        faulty = config.replace("max_rooms_total: 7", "max_rooms_total: -1").replace("drain_grace_ms", "drain_grace")
        (tmp_path / "wsprism.yaml").write_text(faulty)
        refused = await backend.post("/v1/reload")
        assert (refused.status, refused.code) == (422, "BAD_REQUEST")
        told = [one["detail"] for one in refused.json["errors"]]
        assert len(told) == 2
        assert "gateway.drain_grace" in told[0]
        assert "tenants[0].limits.max_rooms_total" in told[1]
        assert (await backend.get("/v1/tenants/acme")).json["limits"]["max_rooms_total"] == 7
        (tmp_path / "wsprism.yaml").unlink()
        assert (await backend.post("/v1/reload")).status == 422


async def test_a_drain_ends_the_process_as_sigterm_does(tmp_path: Path) -> None:
    port = free_port()
    async with GatewayCommand(CONFIG.format(port=port, key=ADMIN), tmp_path) as gateway:
        async with Client(gateway.base) as ann, Backend(f"http://127.0.0.1:{port}") as backend:
            assert (await backend.post("/v1/drain")).status == 202
            assert (await ann.receive())["type"] == "draining"
            assert (await ann.expect_close())[0] == 1001
        assert await gateway.wait(60) == 0

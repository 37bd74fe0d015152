"""The OpenAPI document is valid, and a fuzzer that reads it finds nothing that the gateway does otherwise.

Its stateful phase is left out: the links that it infers put names into paths that the document forbids.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import aiohttp
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.api import ADMIN
from tests.components import free_port
from tests.process import GatewayCommand
from wsprism.transport.api import document

RUN_TIMEOUT_S = 240.0

CONFIG = """
version: 1
gateway:
  listen: 127.0.0.1:0
  internal: {{listen: "127.0.0.1:{port}", api_keys: [{{name: fuzzer, key: {key}}}]}}
tenants:
- id: acme
  auth: [{{kind: dev}}, {{kind: one_time}}]
"""

FUZZER = """
[parameters]
"path.tenant" = "acme"

# What a JSON Schema cannot say: a hot frame's header, a reason in bytes, a configuration that may be at fault.
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "403", "404", "409", "422", "503"]
"""


def test_the_document_is_valid_openapi() -> None:
    OpenAPIV31SpecValidator(document()).validate()


async def test_what_is_served_is_that_document(tmp_path: Path) -> None:
    port = free_port()
    async with (
        GatewayCommand(CONFIG.format(port=port, key=ADMIN), tmp_path),
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/openapi.json") as response,
    ):
        assert await response.json() == document()


async def test_a_fuzzer_finds_no_difference_between_document_and_gateway(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "schemathesis.toml").write_text(FUZZER)
    async with GatewayCommand(CONFIG.format(port=port, key=ADMIN), tmp_path) as gateway:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(tmp_path / "schemathesis.toml")),
            *("run", f"http://127.0.0.1:{port}/openapi.json", "--header", f"Authorization: Bearer {ADMIN}"),
            *("--phases", "coverage,fuzzing", "--checks", "all"),
            *("--max-examples", "40", "--generation-deterministic"),
            *("--exclude-path", "/v1/drain", "--request-timeout", "10", "--warnings", "off", "--no-color"),
            cwd=tmp_path,
            env=os.environ | {"PYTHONWARNINGS": ""},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(RUN_TIMEOUT_S):
                said = (await process.communicate())[0].decode()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, said[-8000:]
        assert [one for one in gateway.messages() if one["level"] == "error"] == []

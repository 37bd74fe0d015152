"""Services that are WebAssembly modules: code that need not be trusted as the gateway is (docs/services.md)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from wsprism.protocol.nesting import is_portable
from wsprism.settings.base import FilePath, Model

__all__ = ["WasmHotSettings", "WasmLimitsSettings", "WasmServiceSettings"]


class WasmLimitsSettings(Model):
    """What a module may use."""

    fuel: int = Field(1_000_000, ge=1000, le=20_000_000, description="of one call: some 2000 a microsecond")
    memory_mib: int = Field(4, ge=1, le=16, description="memory of an instance")
    output_bytes: int = Field(65_536, ge=64, le=1_048_576, description="bytes of an answer")
    effects: int = Field(16, ge=1, le=64, description="effects of an answer")


def _said_in_json(value: dict[str, Any]) -> dict[str, Any]:
    if not is_portable(value):
        raise PydanticCustomError("options", "must be what JSON can say")
    return value


Options = Annotated[dict[str, Any], AfterValidator(_said_in_json)]


class _Wasm(Model):
    kind: Literal["wasm"] = Field(description="a WebAssembly module, bounded in time and memory")
    file: FilePath = Field(description="the module, relative to the configuration")
    options: Options = Field({}, description="given to its `wsprism_init` as JSON; no place for secrets")
    limits: WasmLimitsSettings = Field(WasmLimitsSettings(), description="what it may use")


class WasmServiceSettings(_Wasm):
    """A WebAssembly module answers this service's messages; needs the extra `wsprism[wasm]`."""


class WasmHotSettings(_Wasm):
    """A hot service: a WebAssembly module passes, drops or rewrites each frame; needs the extra `wsprism[wasm]`."""

    to: Literal["all", "others", "nobody"] = Field("others", description="who gets what it lets pass")

"""WebAssembly modules of the configuration: read, compiled and started once by a check, then run by the gateway.

Nothing of the engine is imported before the first module is asked for.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from wsprism.adapters.wasm.bounds import Bounds, ModuleRefused
from wsprism.composition.code_fault import CodeFault
from wsprism.services.python import LoadFault
from wsprism.settings.wasm import WasmHotSettings, WasmServiceSettings

if TYPE_CHECKING:
    from wsprism.adapters.wasm.guest import Terms
    from wsprism.adapters.wasm.module import Modules
    from wsprism.adapters.wasm.services import WasmExtService, WasmHotService
    from wsprism.realtime.rules import ServiceRegistry
    from wsprism.settings import TenantSettings

__all__ = ["MISSING", "WasmCode", "engine_is_installed"]

MISSING: Final = "needs the WebAssembly engine, which is not installed: pip install 'wsprism[wasm]'"


def engine_is_installed() -> bool:
    """Whether the extra `wsprism[wasm]` is there."""
    return importlib.util.find_spec("wasmtime") is not None


class WasmCode:
    """One for a process: a module is compiled once, however many tenants have it."""

    def __init__(self) -> None:
        self._modules: Modules | None = None
        self._proved: set[Terms] = set()

    def check(self, tenant: TenantSettings) -> Iterator[CodeFault]:
        """Compile and start what is new; what is wrong with it. Takes a while: belongs into a thread."""
        for path, settings in _places(tenant):
            try:
                self._prove(path, settings)
            except CodeFault as fault:
                yield fault

    def ext(self, name: str, settings: WasmServiceSettings, before: ServiceRegistry | None = None) -> WasmExtService:
        """The service; the one before, with what it knows, where nothing of it has changed. Raises CodeFault."""
        terms = self._prove(("services", "ext", name), settings)
        from wsprism.adapters.wasm.services import WasmExtService

        known = None if before is None else before.ext.get(name)
        if isinstance(known, WasmExtService) and known.terms == terms:
            return known
        return WasmExtService(name, terms)

    def hot(self, number: int, settings: WasmHotSettings, before: ServiceRegistry | None = None) -> WasmHotService:
        """The same on the hot lane."""
        terms = self._prove(("services", "hot", str(number)), settings)
        from wsprism.adapters.wasm.services import WasmHotService

        known = None if before is None else before.hot.get(number)
        if isinstance(known, WasmHotService) and known.terms == terms:
            return known
        return WasmHotService(str(number), terms)

    def keep_only(self, tenants: Iterable[TenantSettings]) -> None:
        """These are in force: forget what they do not have."""
        if self._modules is not None:
            files = {settings.file for tenant in tenants for _, settings in _places(tenant)}
            self._modules.keep(files)
            self._proved = {terms for terms in self._proved if self._modules.has(terms.module)}

    def _prove(self, path: tuple[str, ...], settings: WasmServiceSettings | WasmHotSettings) -> Terms:
        if not engine_is_installed():
            raise CodeFault((*path, "kind"), LoadFault(MISSING))
        from wsprism.adapters.wasm.guest import Terms
        from wsprism.adapters.wasm.module import Modules, prove

        if self._modules is None:
            self._modules = Modules()
        limits = settings.limits
        bounds = Bounds(limits.fuel, limits.memory_mib * 1024 * 1024, limits.output_bytes, limits.effects)
        to = settings.to if isinstance(settings, WasmHotSettings) else ""
        try:
            module = self._modules.find(settings.file)
            if isinstance(settings, WasmHotSettings) and not module.is_hot:
                raise ModuleRefused("the module does not export `wsprism_hot`, which looks at frames")
            terms = Terms(module, bounds, msgspec.json.encode(settings.options), to)
            if terms not in self._proved:
                prove(module, bounds, terms.options)
                self._proved.add(terms)
        except ModuleRefused as refusal:
            raise CodeFault((*path, "file"), LoadFault(str(refusal))) from refusal
        return terms


def _places(tenant: TenantSettings) -> Iterator[tuple[tuple[str, ...], WasmServiceSettings | WasmHotSettings]]:
    services: Mapping[str, object] = tenant.services.ext
    for name, ext in services.items():
        if isinstance(ext, WasmServiceSettings):
            yield ("services", "ext", name), ext
    for number, hot in tenant.services.hot.items():
        if isinstance(hot, WasmHotSettings):
            yield ("services", "hot", str(number)), hot

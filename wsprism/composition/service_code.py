"""The operator's code, loaded once: what a check has imported and constructed is what the gateway then runs.

Code is loaded in a thread where a reload reads its file, and stays until another version has its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from wsprism.composition.code_fault import CodeFault
from wsprism.composition.wasm_code import WasmCode
from wsprism.realtime.rules import ServiceRegistry
from wsprism.services.python import (
    Engine,
    LoadedService,
    LoadFault,
    PythonHotService,
    PythonService,
    Source,
    load,
)
from wsprism.settings import PythonHotSettings, PythonServiceSettings, TenantSettings

__all__ = ["CodeFault", "PythonServices", "ServiceCode", "take_over"]

Key = tuple[str, str]
"""Lane and name."""

_NO_FRAMES: Final = "has no handler of hot frames (@service.hot): each would be dropped"


@dataclass(frozen=True, slots=True)
class PythonServices:
    """Those of one tenant, by name and id; ``engines`` are what is behind them, each once."""

    ext: Mapping[str, PythonService]
    hot: Mapping[int, PythonHotService]
    engines: tuple[Engine, ...]


class ServiceCode:
    """Loaded services by tenant and place in its configuration. ``wasm`` has the modules."""

    def __init__(self) -> None:
        self._loaded: dict[tuple[str, Key], LoadedService] = {}
        self._replaced: list[LoadedService] = []
        self.wasm = WasmCode()

    def check(self, tenant: TenantSettings) -> Iterator[CodeFault]:
        """Load what is new or has changed; what is wrong with it."""
        for key, source in dict(_places(tenant).values()).items():
            try:
                self._load(tenant.id, key, source.value)
            except CodeFault as fault:
                yield fault
        for (lane, name), (key, _) in _places(tenant).items():
            loaded = self._loaded.get((tenant.id, key))
            if lane == "hot" and loaded is not None and not loaded.sees_frames:
                yield CodeFault(("services", lane, name), LoadFault(_NO_FRAMES))
        yield from self.wasm.check(tenant)

    def python_services(self, tenant: TenantSettings, before: ServiceRegistry | None = None) -> PythonServices:
        """The services in Python of a tenant. Whatever of ``before`` is the same still goes on. Raises CodeFault."""
        engines: dict[Key, Engine] = {}
        old = dict(_engines_in(before))
        ext: dict[str, PythonService] = {}
        hot: dict[int, PythonHotService] = {}
        for (lane, name), (key, source) in _places(tenant).items():
            engine = engines.get(key)
            if engine is None:
                loaded = self._load(tenant.id, key, source.value)
                engine = old.get(key)
                if engine is None or engine.version != loaded.version:
                    engine = Engine(loaded.service, key[1], source.value.options, loaded.version)
                engines[key] = engine
            if lane == "ext":
                settings = tenant.services.ext[name]
                assert isinstance(settings, PythonServiceSettings)
                ext[name] = _same_ext(before, name, engine, settings)
            else:
                hot_settings = tenant.services.hot[int(name)]
                assert isinstance(hot_settings, PythonHotSettings)
                hot[int(name)] = PythonHotService(engine, name, hot_settings.to)
        return PythonServices(ext, hot, tuple(engines.values()))

    def keep_only(self, tenants: Iterable[TenantSettings]) -> None:
        """These are in force: forget what they do not have."""
        tenants = list(tenants)
        self.wasm.keep_only(tenants)
        wanted = {(tenant.id, key) for tenant in tenants for key, _ in _places(tenant).values()}
        for place in [one for one in self._loaded if one not in wanted]:
            self._replaced.append(self._loaded.pop(place))
        for loaded in self._replaced:
            loaded.forget()
        self._replaced.clear()

    def _load(self, tenant: str, key: Key, source: Source) -> LoadedService:
        try:
            known = self._loaded.get((tenant, key))
            if known is not None and known.version == source.version():
                return known
            loaded = load(source)
        except LoadFault as fault:
            raise CodeFault(("services", *key), fault) from fault
        if known is not None:
            self._replaced.append(known)
        self._loaded[tenant, key] = loaded
        return loaded


def take_over(before: ServiceRegistry, after: ServiceRegistry) -> None:
    """Have new services take over the states of those whose place they take. Raises MigrationFailed."""
    old = dict(_engines_in(before))
    for key, engine in _engines_in(after):
        predecessor = old.get(key)
        if predecessor is not None and predecessor is not engine:
            engine.take_over(predecessor)


@dataclass(frozen=True, slots=True, eq=False)
class _ByIdentity:
    """Options are no key of a mapping."""

    value: Source


def _places(tenant: TenantSettings) -> dict[Key, tuple[Key, _ByIdentity]]:
    """Lane and name of each, to the one whose engine it has: a hot service shares that of the same code and options."""
    places: dict[Key, tuple[Key, _ByIdentity]] = {}
    services = tenant.services
    for name, one in services.ext.items():
        if isinstance(one, PythonServiceSettings):
            places["ext", name] = ("ext", name), _ByIdentity(_source(one))
    for number, hot in services.hot.items():
        if isinstance(hot, PythonHotSettings):
            source = _source(hot)
            same = next((place for place in places.values() if place[1].value == source), None)
            places["hot", str(number)] = same or (("hot", str(number)), _ByIdentity(source))
    return places


def _source(settings: PythonServiceSettings | PythonHotSettings) -> Source:
    return Source(settings.file, settings.factory, settings.entry_point, settings.options)


def _engines_in(registry: ServiceRegistry | None) -> Iterator[tuple[Key, Engine]]:
    """By lane and name of each way into one."""
    if registry is None:
        return
    for name, one in registry.ext.items():
        if isinstance(one, PythonService):
            yield ("ext", name), one.engine
    for number, hot in registry.hot.items():
        if isinstance(hot, PythonHotService):
            yield ("hot", str(number)), hot.engine


def _same_ext(
    before: ServiceRegistry | None, name: str, engine: Engine, settings: PythonServiceSettings
) -> PythonService:
    """The one before, whose messages may be under way, if nothing of it has changed."""
    timeout_s = settings.handler_timeout_ms / 1000
    known = None if before is None else before.ext.get(name)
    if isinstance(known, PythonService) and known.engine is engine and known.timeout_s == timeout_s:
        return known
    return PythonService(engine, name, timeout_s)

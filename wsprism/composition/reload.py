"""Hot reload: reads the configuration's file again and puts what changed in force, or says why not and changes nothing.

Signals, the API and ``--watch`` all end here. What each part does with its new settings is ``live``'s business.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from actors import ActorError
from wsprism.composition.advice import log_advice
from wsprism.composition.live import LiveParts, Switch
from wsprism.errors import OperatorError
from wsprism.realtime.counters import GatewayCounters, ReloadResult
from wsprism.settings import (
    Change,
    Digests,
    Fault,
    Settings,
    SettingsError,
    changed_files,
    compare,
    configuration_hash,
    file_digests,
    keep,
)

__all__ = ["NEEDS_RESTART", "ReloadReport", "Reloader"]

_log = logging.getLogger("wsprism.reload")

NEEDS_RESTART: Final = (
    "gateway.broker",
    "gateway.listen",
    "gateway.diagnostics",
    "gateway.internal.listen",
    "gateway.limits.max_header_bytes",
    "gateway.metrics",
    "gateway.node",
    "gateway.state_file",
    "gateway.tracing",
    "gateway.workers",
)
"""Keys whose new value waits for the next start, with everything below them."""


@dataclass(frozen=True, slots=True)
class ReloadReport:
    """How a reload ended. ``unchanged``: nothing was applied, though ``needs_restart`` may have something."""

    result: ReloadResult
    generation: int
    configuration_hash: str
    changed: tuple[Change, ...]
    needs_restart: tuple[Change, ...]

    @property
    def applied(self) -> bool:
        """Whether anything is in force that was not before."""
        return self.result is ReloadResult.APPLIED


@dataclass(frozen=True, slots=True)
class _Found:
    """What a look at the file has found; the settings are as they would be in force."""

    settings: Settings
    hash: str
    digests: Digests
    changes: tuple[Change, ...]
    needs_restart: tuple[Change, ...]


class Reloader:
    """Holds the configuration in force. ``read`` gives the one of the file, or of what is said to be in it; it may
    block and runs in a thread."""

    def __init__(
        self,
        settings: Settings,
        file: str,
        read: Callable[[bytes | None], Settings],
        parts: LiveParts,
        counters: GatewayCounters,
    ) -> None:
        self.settings = settings
        self._file = file
        self._read = read
        self._parts = parts
        self._counters = counters
        self._digests = file_digests(settings)
        self._lock = asyncio.Lock()
        self._prepared: _Found | None = None
        counters.config_hash = configuration_hash(settings)

    async def reload(self) -> ReloadReport:
        """One reload; concurrent ones wait for each other. Raises SettingsError when the old configuration stays."""
        async with self._lock:
            return await self._carry_out(await self._find(None))

    async def prepare(self, content: bytes) -> str:
        """Look at ``content`` as if it was in the file. What comes of it is told by its hash, and is not in force until
        ``commit``, or forgotten with ``abandon``. Raises SettingsError.
        """
        async with self._lock:
            self._prepared = await self._find(content)
            return self._prepared.hash

    async def commit(self) -> ReloadReport:
        """Put in force what was prepared. Raises SettingsError when the old configuration stays."""
        async with self._lock:
            found, self._prepared = self._prepared, None
            if found is None:
                raise SettingsError([Fault(self._file, 0, "", "nothing was prepared")])
            return await self._carry_out(found)

    def abandon(self, why: str) -> None:
        """Forget what was prepared."""
        if self._prepared is not None:
            self._prepared = None
            self._rejected([why])

    async def _find(self, content: bytes | None) -> _Found:
        try:
            return await asyncio.to_thread(self._look, content)
        except SettingsError as error:
            self._rejected([str(fault) for fault in error.faults])
            raise

    async def _carry_out(self, found: _Found) -> ReloadReport:
        try:
            if found.changes:
                await self._apply(found)
        except SettingsError as error:
            self._rejected([str(fault) for fault in error.faults])
            raise
        counters = self._counters
        report = ReloadReport(
            ReloadResult.APPLIED if found.changes else ReloadResult.UNCHANGED,
            counters.config_generation,
            counters.config_hash,
            found.changes,
            found.needs_restart,
        )
        counters.config_reloads[report.result] += 1
        self._say(report)
        return report

    def _rejected(self, faults: Sequence[str]) -> None:
        self._counters.config_reloads[ReloadResult.REJECTED] += 1
        _log.error("configuration rejected, the old one stays in force", extra={"faults": faults})

    def _look(self, content: bytes | None) -> _Found:
        """Read the file and compare; in a thread, since a thousand tenants take a while."""
        try:
            settings = self._read(content)
        except SettingsError:
            raise
        except OperatorError as error:
            raise SettingsError([Fault(self._file, 0, "", str(error))]) from error
        digests = file_digests(settings)
        changes = compare(self.settings, settings) + changed_files(self._digests, digests)
        kept = _kept_keys(self.settings, settings)
        for key in kept:
            settings = keep(self.settings, settings, key)
        return _Found(
            settings,
            configuration_hash(settings),
            digests,
            changes=tuple(one for one in changes if not _is_below(one, kept)),
            needs_restart=tuple(one for one in changes if _is_below(one, kept)),
        )

    async def _apply(self, found: _Found) -> None:
        settings = found.settings
        switch = self._parts.build(settings, found.changes)
        try:
            self._refuse_faults(switch)
            await self._parts.spawn(switch)
            self._parts.take_over(switch)
            self._refuse_faults(switch)
            self._parts.switch(switch)
            self.settings = settings
        except ActorError as error:
            raise SettingsError([Fault(self._file, 0, "tenants", "the gateway is stopping")]) from error
        finally:
            if self.settings is not settings:
                await self._parts.discard(switch)
        self._digests = found.digests
        self._counters.config_generation += 1
        self._counters.config_hash = found.hash

    def _refuse_faults(self, switch: Switch) -> None:
        if switch.faults:
            raise SettingsError([Fault(self._file, 0, key, problem) for key, problem in switch.faults])

    def _say(self, report: ReloadReport) -> None:
        fields = {
            "generation": report.generation,
            "hash": report.configuration_hash,
            "changed": [str(change) for change in report.changed],
        }
        _log.info(f"configuration {report.result}", extra=fields)
        if report.needs_restart:
            keys = [str(change) for change in report.needs_restart]
            _log.warning("these changes need a restart", extra={"needs_restart": keys})
        if report.changed:
            log_advice(self.settings)


def _kept_keys(old: Settings, new: Settings) -> tuple[str, ...]:
    """``NEEDS_RESTART``, and TLS when it is to begin or to end: its certificate may change."""
    toggles_tls = (old.gateway.tls.cert_file is None) is not (new.gateway.tls.cert_file is None)
    return (*NEEDS_RESTART, "gateway.tls") if toggles_tls else NEEDS_RESTART


def _is_below(change: Change, keys: Sequence[str]) -> bool:
    return change.tenant is None and any(
        change.key == key or change.key.startswith((key + ".", key + "[")) for key in keys
    )

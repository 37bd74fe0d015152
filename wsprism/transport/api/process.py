"""Handlers of the calls that concern the whole process: info, configuration, drain, reload, log levels."""

from __future__ import annotations

import asyncio
import logging
import platform
from dataclasses import asdict
from typing import Final

from wsprism import __version__, is_compiled
from wsprism.errors import OperatorError
from wsprism.realtime.tenant.over_nodes import AWAY
from wsprism.settings import Fault, SettingsError, masked
from wsprism.transport.api import answers
from wsprism.transport.api.calls import Call
from wsprism.transport.api.problems import Problem, problem_of
from wsprism.transport.api.trends import INTERVAL_S, Point

__all__ = [
    "drain",
    "get_config",
    "get_info",
    "get_key",
    "get_log_levels",
    "get_nodes",
    "get_stats",
    "reload",
    "set_log_level",
]

_TENANTS_PER_TURN: Final = 50
_NODES_WITHIN_S: Final = 5.0

_REFUSED: Final = "the configuration was refused; the one in force stays"


async def get_info(call: Call) -> answers.InfoAnswer:
    gateway = call.gateway
    return answers.InfoAnswer(
        version=__version__,
        build=answers.BuildAnswer(
            python=platform.python_version(),
            loop=type(asyncio.get_running_loop()).__module__.partition(".")[0],
            compiled=is_compiled(),
        ),
        uptime_s=round(gateway.uptime_s(), 3),
        configuration_hash=gateway.counters.config_hash,
        configuration_generation=gateway.counters.config_generation,
        draining=gateway.draining(),
        connections=gateway.connections(),
        tenants=sum(1 for _ in gateway.tenants()),
    )


async def get_nodes(call: Call) -> answers.NodesAnswer | Problem:
    try:
        async with asyncio.timeout(_NODES_WITHIN_S):
            nodes = await call.gateway.nodes()
    except TimeoutError:
        nodes = None
    if nodes is None:
        return problem_of(AWAY)
    return answers.NodesAnswer(items=[answers.NodeItem(**asdict(one)) for one in nodes])


async def get_stats(call: Call) -> answers.StatsAnswer:
    assert call.trends is not None
    columns = list(zip(*call.trends.points, strict=True))
    backends = []
    for position, tenant in enumerate(list(call.gateway.tenants()), 1):
        if tenant.backend is not None:
            now = tenant.backend.figures
            backends.append(
                answers.BackendState(
                    tenant=tenant.id,
                    breakers=dict(now.breakers),
                    streams=now.streams,
                    in_flight=now.in_flight,
                    waiting=now.waiting,
                    events_waiting=now.events_waiting,
                    events_missed=now.events_missed,
                    last_failure=now.last_failure,
                )
            )
        if position % _TENANTS_PER_TURN == 0:
            await asyncio.sleep(0)
    return answers.StatsAnswer(
        interval_s=INTERVAL_S,
        points=answers.StatsPoints.model_validate(dict(zip(Point._fields, columns, strict=True))),
        backends=backends,
    )


async def get_log_levels(_: Call) -> answers.LogLevelsAnswer:
    levels = {}
    for name in sorted(logging.root.manager.loggerDict):
        logger = logging.getLogger(name)
        if name.startswith("wsprism.") and logger.level != logging.NOTSET:
            levels[name.removeprefix("wsprism.")] = logging.getLevelName(logger.level).lower()
    return answers.LogLevelsAnswer(level=logging.getLevelName(logging.getLogger().level).lower(), levels=levels)


async def get_key(call: Call) -> answers.KeyAnswer:
    key = call.key
    tenants = "all" if key.tenants is None else sorted(key.tenants)
    return answers.KeyAnswer.model_validate({"name": key.name, "tenants": tenants, "read_only": key.read_only})


async def get_config(call: Call) -> answers.ConfigAnswer:
    return answers.ConfigAnswer.model_validate(masked(call.gateway.settings))


async def drain(call: Call) -> answers.DrainAnswer:
    call.gateway.begin_drain()
    return answers.DrainAnswer(draining=True)


async def reload(call: Call) -> answers.ReloadAnswer | Problem:
    try:
        report = await call.gateway.reload()
    except SettingsError as error:
        faults = tuple(("", _shown(fault)) for fault in error.faults)
        return Problem(422, _REFUSED, errors=faults)
    except OperatorError as error:
        return Problem(422, _REFUSED, errors=(("", str(error)),))
    return answers.ReloadAnswer(
        result="applied" if report.applied else "unchanged",
        changed=[str(change) for change in report.changed],
        needs_restart=[str(change) for change in report.needs_restart],
    )


async def set_log_level(call: Call) -> answers.LogLevelAnswer | Problem:
    component, level = call.body.component, call.body.level
    if component is not None:
        component = component.removeprefix("wsprism.")
    if not _set_level(component, level):
        return Problem(422, "no such component", errors=(("/component", "names no component that logs"),))
    return answers.LogLevelAnswer(component=component, level=level)


def _set_level(component: str | None, level: str) -> bool:
    """Give a component its own level, or (None) all that have none. False: no component of this name logs."""
    name = f"wsprism.{component}"
    if component is not None and name not in logging.root.manager.loggerDict:
        return False
    (logging.getLogger() if component is None else logging.getLogger(name)).setLevel(level.upper())
    return True


def _shown(fault: Fault) -> str:
    """The configuration is meant unless the fault says that it is in another file."""
    return str(fault) if fault.elsewhere else f"line {fault.line}: {fault.path}: {fault.problem}"

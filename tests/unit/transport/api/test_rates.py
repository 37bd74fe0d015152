"""Rates: means over ten seconds of what the counters say, and nothing of a tenant that is gone."""

from __future__ import annotations

from actors.testing import ManualScheduler
from tests.realtime_support import World
from wsprism.realtime.rules import TenantContext
from wsprism.transport.api.rates import RateMeter, Rates


def meter() -> tuple[RateMeter, ManualScheduler, list[TenantContext]]:
    clock = ManualScheduler()
    tenants = [World().tenant]
    return RateMeter(clock, lambda: tenants), clock, tenants


def test_before_anything_was_looked_at_there_are_none() -> None:
    rates, clock, tenants = meter()
    assert rates.of(tenants[0]) == Rates()
    rates.start()
    assert rates.of(tenants[0]) == Rates()
    rates.stop()
    assert clock.timers == 0


def test_a_young_tenants_rate_is_over_its_life() -> None:
    rates, clock, (tenant,) = meter()
    rates.start()
    tenant.counters.messages_in_ext += 10
    tenant.counters.bytes_in_hot += 500
    clock.advance(2.0)
    found = rates.of(tenant)
    assert (found.messages_in, found.bytes_in, found.messages_out) == (5.0, 250.0, 0.0)


def test_the_window_is_ten_seconds() -> None:
    rates, clock, (tenant,) = meter()
    rates.start()
    for second in range(60):
        tenant.counters.lanes.reliable.sent += second
        clock.advance(1.0)
    assert 50 <= rates.of(tenant).messages_out <= 59
    clock.advance(11.0)
    assert rates.of(tenant) == Rates()


def test_a_removed_tenant_is_forgotten() -> None:
    rates, clock, tenants = meter()
    rates.start()
    tenant = tenants.pop()
    clock.advance(1.0)
    assert rates.of(tenant) == Rates()
    assert not rates._samples

"""What a service manager hears, over a real datagram socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.testing import ManualScheduler
from wsprism.process.systemd import ServiceManager


class Listener:
    """The manager's end of ``NOTIFY_SOCKET``."""

    def __init__(self, address: str) -> None:
        self.environment = {"NOTIFY_SOCKET": address}
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def heard(self) -> list[list[str]]:
        """The assignments of each datagram since the last call."""
        datagrams = []
        while True:
            try:
                datagrams.append(self.socket.recv(4096).decode().split("\n"))
            except BlockingIOError:
                return datagrams


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Listener]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@wsprism-test-{os.getpid()}"
    listener = Listener(address)
    yield listener
    listener.socket.close()


def test_the_manager_hears_of_start_reload_and_drain(listener: Listener) -> None:
    manager = ServiceManager(listener.environment, ManualScheduler())
    manager.ready("serving 1 tenants")
    manager.reloading()
    manager.ready("serving 2 tenants")
    manager.stopping(2.0)
    manager.close()
    ready, reloading, again, stopping = listener.heard()
    assert ready == ["READY=1", "STATUS=serving 1 tenants"]
    assert reloading[0] == "RELOADING=1"
    assert reloading[1].startswith("MONOTONIC_USEC=")
    assert again[0] == "READY=1"
    assert stopping == ["STOPPING=1", "STATUS=draining", "EXTEND_TIMEOUT_USEC=12000000"]


def test_the_watchdog_is_fed_from_the_loops_timers_at_half_its_time(listener: Listener) -> None:
    scheduler = ManualScheduler()
    manager = ServiceManager(listener.environment | {"WATCHDOG_USEC": "3000000"}, scheduler)
    scheduler.advance(10)
    assert listener.heard() == [], "not before it is ready"
    manager.ready("")
    manager.ready("")
    assert listener.heard().count(["WATCHDOG=1"]) == 1
    scheduler.advance(3)
    assert listener.heard() == [["WATCHDOG=1"]] * 2
    manager.close()
    scheduler.advance(10)
    assert listener.heard() == []


@pytest.mark.parametrize(
    "environment", [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "9", "WATCHDOG_PID": "1"}]
)
def test_a_watchdog_that_is_not_for_this_process_is_not_fed(listener: Listener, environment: dict[str, str]) -> None:
    scheduler = ManualScheduler()
    manager = ServiceManager(listener.environment | environment, scheduler)
    manager.ready("")
    assert scheduler.timers == 0
    manager.close()


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}])
def test_without_a_manager_nothing_is_said(environment: dict[str, str]) -> None:
    manager = ServiceManager(environment, ManualScheduler())
    manager.ready("")
    manager.stopping(1.0)
    manager.close()


def test_a_manager_that_has_gone_away_is_no_reason_to_fail(tmp_path: Path) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}, ManualScheduler())
    manager.ready("")
    manager.close()

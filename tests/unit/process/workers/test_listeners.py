"""The sockets that a parent binds for its workers."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

import pytest

from wsprism.config_file import ListenAddress
from wsprism.errors import OperatorError
from wsprism.process.workers.listeners import bind_public


def test_each_worker_has_a_socket_of_the_same_port() -> None:
    public = bind_public(ListenAddress("127.0.0.1", 0), 3)
    with contextlib.closing(public):
        assert len(public.slots) == 3
        assert {one.getsockname()[1] for slot in public.slots for one in slot} == {public.address.port}
        assert public.address.port


def test_a_port_that_somebody_has_is_not_shared_with_them() -> None:
    with contextlib.closing(bind_public(ListenAddress("127.0.0.1", 0), 2)) as first:
        for slot in first.slots:
            slot[0].listen()
        with pytest.raises(OperatorError, match=rf"cannot listen on 127\.0\.0\.1:{first.address.port}: .*in use"):
            bind_public(first.address, 2)


def test_where_ports_cannot_be_shared_there_is_one_socket_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "SO_REUSEPORT")
    with contextlib.closing(bind_public(ListenAddress("127.0.0.1", 0), 3)) as public:
        assert len(public.slots) == 1


def test_a_unix_socket_is_one_for_all_and_goes_with_the_parent(tmp_path: Path) -> None:
    path = str(tmp_path / "w.sock")
    public = bind_public(ListenAddress(path=path), 3)
    assert len(public.slots) == 1
    assert os.path.exists(path)
    public.close()
    assert not os.path.exists(path)


def test_a_unix_socket_of_a_dead_process_is_taken_over_and_that_of_a_living_one_is_not(tmp_path: Path) -> None:
    path = str(tmp_path / "w.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    with contextlib.closing(bind_public(ListenAddress(path=path), 2)) as public:
        public.slots[0][0].listen()
        with pytest.raises(OperatorError, match="somebody else listens there"):
            bind_public(ListenAddress(path=path), 2)


def test_a_name_that_nobody_has_is_told() -> None:
    with pytest.raises(OperatorError, match=r"cannot listen on no\.such\.host\.invalid:80"):
        bind_public(ListenAddress("no.such.host.invalid", 80), 2)

"""How a new process hears that it is a worker."""

from __future__ import annotations

import os
import socket

import pytest

from wsprism.config_file import ListenAddress
from wsprism.process.workers.invitation import VARIABLE, Invitation, take_invitation, with_length


def test_the_invited_has_seat_channel_and_configuration_and_the_manager_stays_the_parents() -> None:
    parent, channel = socket.socketpair()
    public = socket.socket()
    with parent, public:
        invitation = Invitation(2, ListenAddress("127.0.0.1", 8080), [[public], [public]], "/run/2", channel)
        environment = invitation.environment({"A": "b", "NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "1"})
        assert set(environment) == {"A", VARIABLE}
        assert invitation.descriptors == [channel.fileno(), public.fileno(), public.fileno()]
        copies = {one: os.dup(one) for one in {channel.fileno(), public.fileno()}}
        text = environment[VARIABLE]
        for old, new in copies.items():
            text = text.replace(f'"channel": {old}', f'"channel": {new}').replace(
                f"[[{old}], [{old}]]", f"[[{new}], []]"
            )
        parent.sendall(with_length(b"version: 1"))
        taken = {VARIABLE: text}
        found = take_invitation(taken)
        assert found is not None
        seat, its, content = found
        with its, seat.sockets[0][0]:
            assert (seat.number, seat.address, seat.internal) == (
                2,
                ListenAddress("127.0.0.1", 8080),
                ListenAddress(path="/run/2"),
            )
            assert content == b"version: 1"
            assert taken == {}
    channel.close()


def test_without_an_invitation_a_process_is_nobodys_worker() -> None:
    assert take_invitation({"A": "b"}) is None


def test_a_parent_that_is_gone_is_told() -> None:
    parent, channel = socket.socketpair()
    invitation = Invitation(1, ListenAddress("127.0.0.1", 1), [], "/run/1", channel)
    environment = invitation.environment({})
    channel.detach()
    parent.sendall(with_length(b"a whole configuration")[:12])
    parent.close()
    with pytest.raises(ConnectionResetError, match="the parent is gone"):
        take_invitation(environment)

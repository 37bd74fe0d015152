"""What a server says of itself when a connection begins, and whether it is one that the gateway can stand on. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from wsprism.adapters.redis.errors import RedisUnreachable
from wsprism.adapters.redis.protocol import Refused
from wsprism.errors import OperatorError

__all__ = ["Server", "check_info", "check_refusal", "read_server"]

OLDEST: Final = (7, 0)
_PASSING: Final = frozenset({"LOADING", "MASTERDOWN", "BUSY", "AWAY", "BACKLOG"})


@dataclass(frozen=True, slots=True)
class Server:
    """``client_id`` is this connection's, by which another one to the same ``run_id`` can kill it."""

    version: str
    client_id: int
    role: str
    run_id: str = ""


def read_server(hello: Any, where: str) -> Server:
    """Of HELLO's answer. Raises OperatorError for a server that cannot be used, RedisUnreachable for a strange one."""
    if not isinstance(hello, Mapping):
        raise RedisUnreachable(f"{where} gave no usable answer to HELLO")
    version, client_id = hello.get(b"version"), hello.get(b"id")
    if not isinstance(version, bytes) or not isinstance(client_id, int):
        raise RedisUnreachable(f"{where} gave no usable answer to HELLO")
    told = version.decode("ascii", "replace")
    numbers = re.match(r"(\d+)\.(\d+)", told)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < OLDEST:
        raise OperatorError(f"Redis at {where} is version {told}: 7.0 or newer is needed (Valkey: 7.2)")
    mode = hello.get(b"mode")
    if mode == b"cluster":
        raise OperatorError(f"Redis at {where} is in cluster mode: name one server, or a primary that Sentinel watches")
    return Server(told, client_id, str(hello.get(b"role", b""), "ascii", "replace"))


def check_refusal(refused: Refused, where: str, command: str) -> None:
    """Raise what a refused command of the beginning means."""
    match refused.code:
        case "NOAUTH":
            raise OperatorError(f"Redis at {where} asks for a password: gateway.broker.url has none")
        case "WRONGPASS":
            raise OperatorError(f"Redis at {where} refuses the user or password of gateway.broker.url")
        case "NOPERM":
            raise OperatorError(f"the user of gateway.broker.url may not use {command} of Redis at {where}: {refused}")
        case code if code in _PASSING or "max number of clients" in refused.message:
            raise RedisUnreachable(f"Redis at {where} is not ready: {refused}")
        case _ if command == "HELLO" and "unknown command" in refused.message:
            raise OperatorError(f"Redis at {where} is too old: 7.0 or newer is needed (Valkey: 7.2)")
        case _:
            raise OperatorError(f"Redis at {where} refuses {command}: {refused}")


def check_info(info: Any, where: str) -> str:
    """Of INFO's answer about server and memory: the run id.

    Raises OperatorError where Redis may evict what the gateway has been promised.
    """
    text = info.decode("utf-8", "replace") if isinstance(info, bytes) else ""
    found = re.search(r"^maxmemory_policy:([\w-]+)", text, re.MULTILINE)
    run_id = re.search(r"^run_id:(\w+)", text, re.MULTILINE)
    if found is None or run_id is None:
        raise RedisUnreachable(f"{where} gave no usable answer to INFO")
    if found[1] != "noeviction":
        raise OperatorError(
            f"Redis at {where} has maxmemory-policy {found[1]}, which lets it forget sessions and histories: "
            "set it to noeviction"
        )
    return run_id[1]

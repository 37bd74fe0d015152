"""Drives the Python SDK as a test says, line by line over standard input and output: driver.mjs does the same with the
JavaScript one. Runs on every Python that the SDK runs on, and needs nothing but the SDK."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import json
import logging
import sys
import time
from collections.abc import Callable
from typing import Any

from wsprism_client import Client, Room, WsPrismError

CLIENT_EVENTS = ("state", "message", "hot", "error", "draining", "degraded")
TRUE_TIME = time.time
ROOM_EVENTS = ("message", "hot", "joined", "recovered", "lost", "presence", "left", "error")


def plain(value: Any) -> Any:
    """As JSON."""
    if isinstance(value, (bytes, bytearray)):
        return {"hex": value.hex()}
    if isinstance(value, WsPrismError):
        return {"error": "WsPrismError", "code": value.code, "msg": value.msg}
    if isinstance(value, Exception):
        return {"error": type(value).__name__, "code": None, "msg": str(value)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value


def unhex(value: Any) -> Any:
    """Bytes from their JSON."""
    return bytes.fromhex(value["hex"]) if isinstance(value, dict) and set(value) == {"hex"} else value


class Driver:
    """The clients of one test after the other."""

    def __init__(self) -> None:
        self._clients: dict[str, Client] = {}
        self._rooms: dict[tuple[str, str], Room] = {}

    def send(self, message: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()

    def tell(self, **fields: Any) -> None:
        self.send({**fields, "at": TRUE_TIME() * 1000})

    def telling(self, **fields: Any) -> Callable[[Any], None]:
        """A listener that tells the test."""
        return lambda value: self.tell(**fields, value=plain(value))

    def ticket(self, steps: Any, client: str) -> Any:
        if not isinstance(steps, list):
            return steps
        left = list(steps)

        async def ask() -> str:
            step = left.pop(0) if len(left) > 1 else left[0]
            self.tell(client=client, event="ticket", value=None)
            if isinstance(step, str):
                return step
            if "throw" in step:
                raise RuntimeError(step["throw"])
            if "give" in step:
                return step["give"]  # type: ignore[no-any-return]
            if "cancel" in step:
                raise asyncio.CancelledError
            if "close" in step:
                await self._clients[client].close()
                return "late"
            await asyncio.sleep(3600)
            raise AssertionError

        return ask

    def of(self, client: str, room: str | None) -> Any:
        return self._clients[client] if room is None else self._rooms[client, room]

    async def do_new(self, client: str, url: str, options: dict[str, Any], listen: bool) -> None:
        options["ticket"] = self.ticket(options["ticket"], client)
        made = self._clients[client] = Client(url, **options)
        for event in CLIENT_EVENTS:
            if listen or event != "error":
                made.on(event, self.telling(client=client, event=event))

    async def do_room(self, client: str, room: str, options: dict[str, Any], listen: bool) -> bool:
        made = self._clients[client].room(room, **options)
        same = self._rooms.get((client, room)) is made
        if listen and not same:
            for event in ROOM_EVENTS:
                made.on(event, self.telling(client=client, room=room, event=event))
        self._rooms[client, room] = made
        return same

    async def do_call(self, client: str, room: str | None, method: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        value = getattr(self.of(client, room), method)(*map(unhex, args), **kwargs)
        return plain(await value if asyncio.iscoroutine(value) else value)

    async def do_change(self, client: str, room: str, before: Any, after: Any) -> Any:
        """Publish ``before``, and make the same object ``after`` while that is under way."""
        publishing = asyncio.create_task(self.of(client, room).publish("send", before))
        await asyncio.sleep(0)
        before.clear()
        before.update(after)
        return await publishing

    async def do_get(self, client: str, room: str | None, name: str) -> Any:
        return plain(getattr(self.of(client, room), name))

    async def do_throwing(self, client: str, room: str | None, event: str, later: bool) -> None:
        def throw(_: Any) -> None:
            raise RuntimeError("thrown by a listener")

        async def throw_later(_: Any) -> None:
            await asyncio.sleep(0)
            raise RuntimeError("thrown by an async listener")

        self.of(client, room).on(event, throw_later if later else throw)

    async def do_react(self, client: str, room: str | None, event: str, on: str | None, method: str, args: Any) -> None:
        """The first time that it happens, call a method of the client, or of the room ``on``, from the listener."""
        done: list[asyncio.Task[Any]] = []

        def react(_: Any) -> None:
            if not done:
                done.append(asyncio.create_task(getattr(self.of(client, on), method)(*args)))

        self.of(client, room).on(event, react)

    async def do_flood(self, client: str, room: str, count: int) -> dict[str, int]:
        """Publish so many at once: how many ended with which code."""
        made = self.of(client, room)
        calls = [made.publish("send", {"msg": str(number)}) for number in range(count)]
        ends = await asyncio.gather(*calls, return_exceptions=True)
        codes = [end.code if isinstance(end, WsPrismError) else "ok" for end in ends]
        return {code: codes.count(code) for code in set(codes)}

    async def do_jump(self, by_s: float) -> None:
        """Set the clock of this process, that which people read."""
        time.time = lambda: TRUE_TIME() + by_s

    async def do_reset(self) -> None:
        for client in self._clients.values():
            await client.close()
        self._clients.clear()
        self._rooms.clear()
        gc.collect()  # what was left open is told

    async def handle(self, line: dict[str, Any]) -> None:
        number, what = line.pop("id"), line.pop("do")
        try:
            self.send({"id": number, "value": await getattr(self, f"do_{what}")(**line)})
        except Exception as error:
            code = error.code if isinstance(error, WsPrismError) else None
            msg = error.msg if isinstance(error, WsPrismError) else str(error)
            self.send({"id": number, "error": {"type": type(error).__name__, "code": code, "msg": msg}})


class Told(logging.Handler):
    """What is logged, as an event."""

    def __init__(self, driver: Driver) -> None:
        super().__init__()
        self._driver = driver

    def emit(self, record: logging.LogRecord) -> None:
        event = "unhandled" if record.name == "asyncio" else "log"
        self._driver.tell(event=event, value=self.format(record))


async def main() -> None:
    driver = Driver()
    logging.basicConfig(handlers=[Told(driver)], level=logging.WARNING)
    sys.unraisablehook = lambda found: driver.tell(event="unhandled", value=str(found.exc_value))
    loop = asyncio.get_running_loop()
    loop.slow_callback_duration = 60.0  # a busy machine is nobody's fault
    reader = asyncio.StreamReader(limit=2**24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    tasks: set[asyncio.Task[None]] = set()
    while line := await reader.readline():
        task = loop.create_task(driver.handle(json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


asyncio.run(main())

"""Scenarios for Locust: name user classes on its command line, or choose them on its page (``--class-picker``).

Room sizes come from how many users of a class run. See load/README.md for commands.
"""

from __future__ import annotations

import gevent  # type: ignore[import-untyped]
import websocket
from locust import constant_pacing, constant_throughput, task

from load.locust_user import GatewayUser

__all__ = ["ChatRoom", "ConnectionStorm", "GameMatch20Hz", "MarketTicks", "SlowReader", "Stage"]

_MATCH_SIZE = 10
_CHAT_SIZE = 50
_STAGE_LISTENERS_FOR_EACH_SPEAKER = 100
_SLOW_PAUSE_S = 1.0
_SLOW_READS = 200


class ChatRoom(GatewayUser):
    """Rooms of 50, everybody says something each second, on the ext lane."""

    wait_time = constant_throughput(1)

    def room(self) -> str:
        return f"chat:{self.place // _CHAT_SIZE}"

    @task
    def say(self) -> None:
        """One chat message."""
        self.publish()


class GameMatch20Hz(GatewayUser):
    """Matches of 10, everybody sends its state 20 times a second, on the hot lane."""

    lane = "hot"
    wait_time = constant_throughput(20)

    def room(self) -> str:
        return f"match:{self.place // _MATCH_SIZE}"

    @task
    def move(self) -> None:
        """One state update."""
        self.publish()


class MarketTicks(GatewayUser):
    """One room on the hot lane: the first user is a feed of 50 ticks a second, all others listen."""

    lane = "hot"
    wait_time = constant_throughput(50)

    def room(self) -> str:
        return "market"

    @task
    def tick(self) -> None:
        """One tick, of the feed only."""
        if self.place == 0:
            self.publish()
        else:
            gevent.sleep(1)


class Stage(GatewayUser):
    """One room for thousands on the ext lane; one user in 100 speaks once a second."""

    wait_time = constant_pacing(1)

    def room(self) -> str:
        return "stage"

    @task
    def speak(self) -> None:
        """One message, of speakers only."""
        if self.place % _STAGE_LISTENERS_FOR_EACH_SPEAKER == 0:
            self.publish()


class ConnectionStorm(GatewayUser):
    """Connects and leaves as fast as the gateway answers; only handshakes are reported."""

    def on_start(self) -> None:
        """Nothing stays connected."""
        self.name = f"storm{next(type(self)._places)}"

    def on_stop(self) -> None:
        """Nothing to leave."""

    @task
    def storm(self) -> None:
        """One connection, until the gateway has greeted it."""
        try:
            socket = self.connect()
        except (websocket.WebSocketException, OSError):
            gevent.sleep(0.1)
            return
        socket.recv()
        self.leave(socket)


class SlowReader(GatewayUser):
    """Joins match 0, sends 20 times a second, but reads in gulps: reports how old the first frame after a pause is."""

    lane = "hot"
    receive_buffer_bytes = 8192
    wait_time = constant_throughput(20)

    def room(self) -> str:
        return "match:0"

    @task
    def move(self) -> None:
        """One state update."""
        self.publish()

    def read(self) -> None:
        """Pause, read a gulp, pause again."""
        try:
            while True:
                gevent.sleep(_SLOW_PAUSE_S)
                age_s = self.received(self.socket.recv())
                if age_s is not None:
                    self.report(self.lane, "staleness", age_s, 0)
                for _ in range(_SLOW_READS - 1):
                    self.received(self.socket.recv())
        except (websocket.WebSocketException, OSError) as error:
            self.report(self.lane, "connection", 0.0, 0, error)

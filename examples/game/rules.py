"""The game's rules, and nothing else: who moves how, who gets the coin. No clock, no sockets; chance by its seed.

Whoever runs it calls ``steer`` for each input and ``step`` for each tick, 20 times a second.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

TICKS_PER_S = 20
WIDTH, HEIGHT = 400, 300
STEP = 6
REACH = 14
MOST_PLAYERS = 50
SILENT_TICKS = 2 * TICKS_PER_S
"""A page says every half a second which keys are down; who says nothing for so long has gone."""

LEFT, RIGHT, UP, DOWN = 1, 2, 4, 8


@dataclass
class Player:
    x: int
    y: int
    keys: int = 0
    coins: int = 0
    silent: int = 0


class World:
    """One room's game."""

    def __init__(self, seed: int | None = None) -> None:
        self.tick = 0
        self.players: dict[str, Player] = {}
        self._random = random.Random(seed)
        self.coin = self._somewhere()

    def steer(self, name: str, keys: int) -> None:
        """These keys are down from now on; whoever steers for the first time comes in, if there is room."""
        player = self.players.get(name)
        if player is None:
            if len(self.players) >= MOST_PLAYERS:
                return
            player = self.players[name] = Player(*self._somewhere())
        player.keys, player.silent = keys, 0

    def step(self) -> None:
        """One tick: everybody moves, the first who reaches the coin has it, whoever has gone is taken out."""
        self.tick += 1
        for name, player in list(self.players.items()):
            player.silent += 1
            if player.silent > SILENT_TICKS:
                del self.players[name]
                continue
            player.x = _within(player.x + STEP * (_is(player.keys, RIGHT) - _is(player.keys, LEFT)), WIDTH)
            player.y = _within(player.y + STEP * (_is(player.keys, DOWN) - _is(player.keys, UP)), HEIGHT)
            if abs(player.x - self.coin[0]) <= REACH and abs(player.y - self.coin[1]) <= REACH:
                player.coins += 1
                self.coin = self._somewhere()

    def state(self) -> dict[str, Any]:
        """What a page has to know to draw it."""
        players = {name: [one.x, one.y, one.coins] for name, one in self.players.items()}
        return {"tick": self.tick, "coin": self.coin, "players": players}

    def _somewhere(self) -> tuple[int, int]:
        return self._random.randrange(REACH, WIDTH - REACH), self._random.randrange(REACH, HEIGHT - REACH)


def _is(keys: int, key: int) -> int:
    return int(keys & key != 0)


def _within(place: int, size: int) -> int:
    return max(0, min(size, place))

"""The rules of examples/game: pure, so that they are tried without a clock, a socket or luck."""

from __future__ import annotations

import json

from examples.game.rules import (
    DOWN,
    HEIGHT,
    LEFT,
    MOST_PLAYERS,
    RIGHT,
    SILENT_TICKS,
    STEP,
    UP,
    WIDTH,
    Player,
    World,
)


def world(**players: tuple[int, int]) -> World:
    """With these players, and the coin where nobody is."""
    made = World(seed=1)
    made.coin = (-1000, -1000)
    for name, (x, y) in players.items():
        made.players[name] = Player(x, y)
    return made


def place(of: World, name: str) -> tuple[int, int]:
    return of.players[name].x, of.players[name].y


def test_whoever_steers_comes_in_and_moves_a_step_a_tick_while_a_key_is_down() -> None:
    of = World(seed=1)
    of.coin = (-1000, -1000)
    of.steer("ann", RIGHT | DOWN)
    x, y = place(of, "ann")
    of.step()
    of.step()
    assert place(of, "ann") == (x + 2 * STEP, y + 2 * STEP)
    of.steer("ann", 0)
    of.step()
    assert place(of, "ann") == (x + 2 * STEP, y + 2 * STEP)


def test_opposite_keys_hold_each_other_and_unknown_ones_do_nothing() -> None:
    of = world(ann=(100, 100))
    of.steer("ann", LEFT | RIGHT | UP | DOWN | 0xF0)
    of.step()
    assert place(of, "ann") == (100, 100)


def test_nobody_leaves_the_field() -> None:
    of = world(ann=(2, 2), bob=(WIDTH - 2, HEIGHT - 2))
    of.steer("ann", LEFT | UP)
    of.steer("bob", RIGHT | DOWN)
    of.step()
    assert (place(of, "ann"), place(of, "bob")) == ((0, 0), (WIDTH, HEIGHT))


def test_one_who_reaches_the_coin_has_it_and_it_is_somewhere_else() -> None:
    of = world(ann=(100, 100), bob=(101, 100))
    of.coin = (100, 100)
    of.step()
    assert [one.coins for one in of.players.values()] == [1, 0]
    assert of.coin != (100, 100)


def test_whoever_is_silent_for_too_long_has_gone() -> None:
    of = world(ann=(100, 100))
    for _ in range(SILENT_TICKS):
        of.step()
    assert "ann" in of.players
    of.steer("ann", 0)
    for _ in range(SILENT_TICKS + 1):
        of.step()
    assert of.players == {}


def test_a_world_is_full_at_some_point() -> None:
    of = World(seed=1)
    for number in range(MOST_PLAYERS + 5):
        of.steer(str(number), 0)
    assert len(of.players) == MOST_PLAYERS


def test_the_same_seed_and_inputs_are_the_same_game_and_its_state_is_json() -> None:
    states = []
    for _ in range(2):
        of = World(seed=7)
        for number in range(50):
            of.steer("ann", number % 16)
            of.steer("bob", (number * 7) % 16)
            of.step()
        states.append(json.dumps(of.state()))
    assert states[0] == states[1]
    assert json.loads(states[0])["tick"] == 50

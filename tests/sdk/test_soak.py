"""The soak in small: see ``tests.sdk.soak``."""

from __future__ import annotations

from tests.sdk.soak import soak


async def test_whoever_comes_back_to_another_node_hears_everything_once_and_in_order() -> None:
    account = await soak(clients=8, seconds=4.0, rate_each=2.0, mean_life_s=1.5, seed=2, nodes=2)
    assert not account.differences, str(account)
    assert account.published > 5
    assert account.recovered > 0


async def test_whoever_is_cut_off_again_and_again_hears_everything_once_and_in_order() -> None:
    account = await soak(clients=20, seconds=6.0, rate_each=2.0, mean_life_s=1.5, seed=1)
    assert not account.differences, str(account)
    assert account.published > 20
    assert account.recovered > 3

"""wsprism.policy.breaker: when a failing server is asked, and by whom it is found to work again."""

from __future__ import annotations

from wsprism.policy.breaker import Breaker, BreakerState


def failing(breaker: Breaker, times: int, now: float = 0.0) -> None:
    for _ in range(times):
        pass_ = breaker.ask(now)
        assert pass_ is not None
        breaker.failed(pass_, now)


def test_opens_after_so_many_failures_in_a_row() -> None:
    breaker = Breaker(3, 5.0)
    failing(breaker, 2)
    assert breaker.admits(0.0)
    failing(breaker, 1)
    assert breaker.state is BreakerState.OPEN
    assert breaker.ask(4.9) is None


def test_one_success_ends_the_row() -> None:
    breaker = Breaker(2, 5.0)
    failing(breaker, 1)
    pass_ = breaker.ask(0.0)
    assert pass_ is not None
    breaker.worked(pass_)
    failing(breaker, 1)
    assert breaker.state is BreakerState.CLOSED


def test_after_the_pause_exactly_one_probe_is_asked_and_its_success_closes() -> None:
    breaker = Breaker(1, 5.0)
    failing(breaker, 1)
    probe = breaker.ask(5.0)
    assert probe is not None
    assert breaker.ask(5.0) is None
    breaker.worked(probe)
    assert breaker.ask(5.0) is not None


def test_a_probe_that_fails_opens_again_for_a_whole_pause() -> None:
    breaker = Breaker(3, 5.0)
    failing(breaker, 3)
    probe = breaker.ask(5.0)
    assert probe is not None
    breaker.failed(probe, 6.0)
    assert not breaker.admits(10.9)
    assert breaker.admits(11.0)


def test_what_was_asked_before_it_opened_decides_nothing_afterwards() -> None:
    breaker = Breaker(1, 5.0)
    early, other = breaker.ask(0.0), breaker.ask(0.0)
    assert early is not None
    assert other is not None
    breaker.failed(early, 0.0)
    breaker.worked(other)
    assert not breaker.admits(4.9)
    probe = breaker.ask(5.0)
    assert probe is not None
    breaker.failed(other, 5.0)
    assert breaker.state is BreakerState.PROBING


def test_a_probe_that_is_withdrawn_lets_another_one_probe() -> None:
    breaker = Breaker(1, 5.0)
    failing(breaker, 1)
    probe = breaker.ask(5.0)
    assert probe is not None
    breaker.withdrawn(probe, 5.0)
    assert breaker.ask(5.0) is not None


def test_a_server_may_ask_for_a_pause_of_its_own() -> None:
    breaker = Breaker(10, 5.0)
    pass_ = breaker.ask(0.0)
    assert pass_ is not None
    breaker.pause(pass_, 30.0)
    assert not breaker.admits(29.9)
    assert breaker.admits(30.0)

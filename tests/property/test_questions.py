"""wsprism.policy.questions: bounded, in order for each line, fair between lines, whatever ends in which order."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from wsprism.policy.questions import Batch, Line, QuestionBounds, Questions


@dataclass(frozen=True)
class Asked:
    line: int
    number: int
    size_bytes: int = 10
    deadline: float = 100.0


@given(
    st.randoms(use_true_random=False),
    st.integers(1, 8),
    st.integers(0, 30),
    st.integers(1, 4),
    st.integers(1, 5),
    st.booleans(),
)
def test_each_line_is_asked_in_its_order_within_all_bounds(
    random: Random, places: int, most_waiting: int, abreast: int, together: int, decisions: bool
) -> None:
    bounds = QuestionBounds.of(places, most_waiting, 10_000, decisions=decisions)
    questions: Questions[Asked] = Questions(bounds)
    lines = [Line[Asked](abreast, together) for _ in range(5)]
    added: dict[int, int] = defaultdict(int)
    asked: dict[int, list[int]] = defaultdict(list)
    under_way: list[tuple[object, Batch[Asked]]] = []

    def ask() -> None:
        while (found := questions.next()) is not None:
            under_way.append(found)
            for _, one in found[1].items:
                asked[one.line].append(one.number)
            assert len(found[1].items) <= together

    for _ in range(120):
        choice = random.random()
        if choice < 0.6:
            number = random.randrange(-1 if decisions else 0, 5)
            question = Asked(number, added[number])
            if questions.fits(question.size_bytes):
                added[number] += 1
                if number < 0:
                    questions.decide(question)
                else:
                    questions.add("game" if number % 2 else "orders", lines[number], question)
                ask()
        elif under_way:
            questions.done(*under_way.pop(random.randrange(len(under_way))))
            ask()
        assert questions.in_flight == len(under_way) <= places
        assert questions.waiting <= max(most_waiting, 1)
        for line in lines:
            assert line.asked <= abreast
    while under_way:
        questions.done(*under_way.pop())
        ask()
    assert questions.waiting == questions.waiting_bytes == questions.in_flight == 0
    for number, count in added.items():
        assert asked[number] == list(range(count))


def test_who_has_much_to_ask_delays_nobody_who_has_little() -> None:
    questions: Questions[Asked] = Questions(QuestionBounds.of(1, 1000, 1_000_000, decisions=False))
    greedy, modest = Line[Asked](1), Line[Asked](1)
    for number in range(100):
        questions.add("game", greedy, Asked(0, number))
    first = questions.next()
    assert first is not None
    questions.add("game", modest, Asked(1, 0))
    order = []
    questions.done(*first)
    for _ in range(2):
        found = questions.next()
        assert found is not None
        order.append(found[1].items[0][1].line)
        questions.done(*found)
    assert 1 in order


def test_decisions_go_first_and_have_places_of_their_own() -> None:
    questions: Questions[Asked] = Questions(QuestionBounds.of(8, 1000, 1_000_000, decisions=True))
    line = Line[Asked](16)
    for number in range(20):
        questions.add("game", line, Asked(0, number))
    taken = list(iter(questions.next, None))
    assert len(taken) == 7
    questions.decide(Asked(-1, 0))
    decision = questions.next()
    assert decision is not None
    assert decision[0] is None


def test_what_has_waited_too_long_is_taken_back() -> None:
    questions: Questions[Asked] = Questions(QuestionBounds.of(1, 10, 1000, decisions=False))
    line = Line[Asked](1)
    questions.add("game", line, Asked(0, 0, deadline=1.0))
    questions.add("game", line, Asked(0, 1, deadline=2.0))
    assert [one.number for one in questions.expired(line, 1.5)] == [0]
    assert questions.waiting == 1
    assert [one.number for one in questions.withdraw(line)] == [1]
    assert questions.next() is None

import random

import pytest

from telic.data import Example, Prediction
from telic.evaluate import Row
from telic.optimizers._gepa_pool import BREVITY, Member, Pair, Pool, balanced_rows
from telic.optimizers._gepa_validate import is_behind, objectives_of


def member(scores, texts=None, parents=(), objectives=None):
    made = Member("m", texts or {"self": str(scores)}, parents, None, None, len(scores))
    for i, score in enumerate(scores):
        if score is not None:
            made.rows[i] = Row(i, Example(), Prediction(), float(score), "", None, ())
            made.objectives[i] = {} if objectives is None else objectives[i]
    return made


def pool(*members, frontier="instance", brevity=False):
    made = Pool(frontier, brevity, lambda one: one.mean)
    for one in members:
        made.add(one)
    return made


# Algorithm 2


def test_the_front_holds_who_leads_somewhere_and_nobody_dominated():
    made = pool(member([1, 0, 0]), member([0, 1, 1]), member([0, 1, 0]), member([0, 0, 0]))

    assert made.front() == {0: 1, 1: 2}


def test_of_equals_the_better_one_stays():
    made = pool(member([1, 0, 1]), member([1, 0, 0]))

    assert made.front() == {0: 3}


def test_parents_are_drawn_by_how_many_rows_they_lead():
    made = pool(member([1, 0, 0, 0]), member([0, 1, 1, 1]))
    rng = random.Random(0)
    drawn = [made.select("pareto", rng).index for _ in range(400)]

    assert 60 < drawn.count(0) < 140
    assert made.select("current_best", rng).index == 1


def test_a_candidate_that_was_given_up_leads_where_it_is_known_and_is_never_the_best():
    made = pool(member([0, 0, 0]), member([1, None, None]))

    assert 1 in made.front()
    assert made.best.index == 0


def test_a_view_does_not_see_what_comes_later():
    made = pool(member([0, 0]))
    view = made.view()
    made.add(member([1, 1]))

    assert len(view.members) == 1
    assert view.best.index == 0


@pytest.mark.parametrize(
    ("frontier", "cells"),
    [
        ("instance", {("row", 0), ("row", 1)}),
        ("objective", {("objective", "right"), ("objective", "cheap")}),
        ("hybrid", {("row", 0), ("row", 1), ("objective", "right"), ("objective", "cheap")}),
        ("cartesian", {("row", i, name) for i in (0, 1) for name in ("right", "cheap")}),
    ],
)
def test_fronts_are_over_rows_objectives_both_or_each_pair(frontier, cells):
    first = member([1, 0], objectives=[{"right": 1, "cheap": 0}, {"right": 0, "cheap": 0}])
    second = member([0, 0], objectives=[{"right": 0, "cheap": 1}, {"right": 0, "cheap": 1}])
    made = pool(first, second, frontier=frontier)

    assert set(made.fronts()) == cells
    assert set(made.front()) == ({0} if frontier == "instance" else {0, 1})


def test_the_shortest_instructions_have_a_place_on_the_front_where_length_counts():
    long, short = member([1, 1], {"self": "long text"}), member([0, 0], {"self": "a"})

    assert set(pool(long, short).front()) == {0}
    made = pool(long, short, brevity=True)
    assert made.fronts()[BREVITY] == [1]
    assert set(made.front()) == {0, 1}


# Algorithms 3 and 4


def family(third=("A", "y"), scores=((0, 0), (1, 0), (0, 1))):
    """An ancestor and two descendants of it."""
    texts = [("x", "y"), ("x2", "y"), third]
    parents = [(), (0,), (0,)]
    return pool(
        *[
            member(s, dict(zip("ab", t, strict=True)), p)
            for s, t, p in zip(scores, texts, parents, strict=True)
        ]
    )


def test_a_merge_takes_of_each_step_what_was_changed_since_the_ancestor():
    made = family(third=("x", "y2"))
    pair = made.pair(random.Random(0), 2)

    assert pair == Pair(1, 2, 0)
    assert made.merged(pair, random.Random(0)) == {"a": "x2", "b": "y2"}


def test_where_both_changed_a_step_the_better_one_counts():
    made = family(third=("x3", "y2"), scores=((0, 0, 0), (1, 0, 0), (0, 1, 1)))

    assert made.merged(Pair(1, 2, 0), random.Random(0)) == {"a": "x3", "b": "y2"}


def test_each_pair_is_merged_once():
    made = family(third=("x", "y2"))

    assert made.pair(random.Random(0), 2) is not None
    assert made.pair(random.Random(0), 2) is None


def test_a_view_and_its_pool_share_what_was_merged():
    made = family(third=("x", "y2"))

    assert made.view().pair(random.Random(0), 2) is not None
    assert made.pair(random.Random(0), 2) is None


@pytest.mark.parametrize(
    "made",
    [
        pool(member([0, 0]), member([1, 0], parents=(0,))),
        family(third=("x3", "y")),
        family(third=("x", "y2"), scores=((1, 1), (1, 0), (0, 1))),
    ],
    ids=["one descends from the other", "nothing to join", "the ancestor is better"],
)
def test_what_a_merge_cannot_bring_on_is_no_pair(made):
    assert made.pair(random.Random(0), 2) is None


def test_too_few_rows_that_both_know_are_no_pair():
    made = family(third=("x", "y2"), scores=((0, 0), (1, None), (None, 1)))

    assert made.pair(random.Random(0), 1) is None


def test_rows_of_a_merge_are_balanced_between_who_is_ahead():
    first, second = [1] * 10 + [0] * 10 + [1] * 10, [0] * 10 + [1] * 10 + [1] * 10
    rows = balanced_rows(first, second, 6, random.Random(0))

    assert rows == sorted(rows)
    assert [sum(lo <= i < lo + 10 for i in rows) for lo in (0, 10, 20)] == [2, 2, 2]


def test_where_a_kind_of_rows_runs_out_the_others_fill_up():
    assert balanced_rows([1, 1, 1], [0, 0, 0], 5, random.Random(0)) == [0, 1, 2]


# Dynamic validation


@pytest.mark.parametrize(
    ("mine", "theirs", "behind"),
    [
        ([0] * 8, [1] * 8, True),
        ([0, 1] * 4, [1, 0] * 4, False),
        ([0, 0, 0, 1, 1, 1, 1, 1], [1] * 8, True),
        ([0] + [1] * 7, [1] * 8, False),
        ([1] * 8, [1] * 8, False),
    ],
)
def test_a_candidate_is_behind_only_where_that_is_shown(mine, theirs, behind):
    assert is_behind(member(mine).rows, member(theirs).rows) is behind


def test_only_rows_that_both_know_are_compared():
    assert not is_behind(member([1, None, 1]).rows, member([1, 0, 1]).rows)


def test_objectives_are_numbers_by_name():
    told = Prediction(score=1.0, objective_scores={"right": True, "cheap": 2})
    assert objectives_of(told, "m") == {"right": 1.0, "cheap": 2}

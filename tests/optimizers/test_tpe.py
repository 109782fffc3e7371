from collections import Counter
from random import Random
from statistics import fmean

import pytest

from telic.optimizers._tpe import Seen, suggest


def searched(value, sizes, trials, seed, startup):
    """Return the value of the best combination that so many trials with noise find."""
    rng, scores = Random(seed), {}
    for number in range(trials):
        seen = [Seen(choice, fmean(values)) for choice, values in scores.items()]
        choice = suggest(seen, sizes, Random(seed * 1000 + number), startup=startup)
        scores.setdefault(choice, []).append(value(choice) + rng.gauss(0, 0.05))
    return value(max(scores, key=lambda choice: fmean(scores[choice])))


def test_it_finds_better_combinations_than_chance_does():
    guided, even = [], []
    for seed in range(25):
        weights = [[Random(f"{seed} {d} {k}").gauss(0, 0.1) for k in range(8)] for d in range(4)]

        def value(choice, weights=weights):
            return sum(weights[d][k] for d, k in enumerate(choice))

        guided.append(searched(value, [8] * 4, 40, seed, startup=10))
        even.append(searched(value, [8] * 4, 40, seed, startup=10**9))

    assert fmean(guided) > fmean(even) + 0.02


def test_the_first_draws_are_even_and_none_comes_twice():
    seen = []
    for number in range(12):
        seen.append(Seen(suggest(seen, [3, 4], Random(number), startup=100), 0.0))

    assert len({one.choice for one in seen}) == 12
    assert {len({one.choice[d] for one in seen}) for d in (0, 1)} == {3, 4}


def test_what_is_done_is_not_drawn_while_there_is_something_else():
    seen = [Seen((k,), float(k)) for k in range(5)]

    drawn = Counter(suggest(seen, [5], Random(n), startup=0, done={(4,), (3,)}) for n in range(40))

    assert not {(4,), (3,)} & set(drawn)
    assert suggest([Seen((0,), 1.0)], [1], Random(0), startup=0, done={(0,)}) == (0,)


def test_choices_that_came_later_are_drawn_once_the_others_are_done():
    seen = [Seen((k,), 0.5) for k in range(3)]

    assert {suggest(seen, [5], Random(n), startup=0, done={(0,), (1,), (2,)}) for n in range(40)} == {
        (3,),
        (4,),
    }


@pytest.mark.parametrize("seen", [[], [Seen((0, 0), 1.0)]])
def test_little_seen_means_an_even_draw(seen):
    assert {suggest(seen, [2, 2], Random(n), startup=0) for n in range(40)} >= {(0, 1), (1, 0), (1, 1)}


def test_equal_streams_give_equal_draws():
    seen = [Seen((k, k % 2), float(k)) for k in range(6)]

    assert suggest(seen, [6, 2], Random(3), startup=0) == suggest(seen, [6, 2], Random(3), startup=0)

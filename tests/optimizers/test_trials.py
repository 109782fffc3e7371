import random

import pytest
from arithmetic import examples

from telic.data import Prediction
from telic.errors import BudgetExceeded, EvaluationError
from telic.evaluate import MetricCall
from telic.modules import Module
from telic.optimizers._pool import run_pool
from telic.optimizers._report import Candidate
from telic.optimizers._trial_events import events_of
from telic.optimizers._trials import Owner, Space, Trials

ROWS = examples(20)


class Program(Module):
    """Right by its combination and the row; counts its runs."""

    def __init__(self, choice, runs):
        self.choice, self._runs = choice, runs

    def forward(self, question):
        self._runs.append((self.choice, question))
        if self.choice[0] == 9:
            raise ValueError("broken")
        good = random.Random(f"{self.choice} {question}").random() < 0.2 + 0.1 * sum(self.choice)
        return Prediction(right=good)


def searched(trials=12, batch=5, full_every=3, sizes=(4, 4), threads=1, metric=None, rows=ROWS, **options):
    runs, decided, recorded = [], {}, []

    def scored(choice, program, result):
        recorded.append(choice)
        return Candidate.of(program, result, None, str(choice))

    revise = options.pop("revise", None)
    events = events_of(trials, batch, full_every=full_every, revised=options.pop("revised", 0))
    made = Trials(
        rows,
        MetricCall((lambda example, prediction: prediction.right) if metric is None else metric),
        events,
        Owner(lambda choice: Program(choice, runs), scored, decided.__setitem__, revise),
        given=options.pop("given", (0,) * len(sizes)),
        batch=batch,
        seed=0,
        max_errors=options.pop("max_errors", 100),
    )
    made.open(Space(list(sizes)))
    run_pool(made, threads)
    return made, runs, decided, recorded


def test_events_are_the_given_program_trials_and_full_evaluations():
    kinds = [event.kind for event in events_of(7, 35, full_every=3)]

    assert kinds == ["given", *["trial"] * 3, "full", *["trial"] * 3, "full", "trial", "full", "full"]
    assert [event.kind for event in events_of(2, 10, full_every=None)] == ["given", "trial", "trial"]


def test_every_event_sees_all_but_the_few_before_it_and_the_last_ones_see_all():
    events = events_of(9, 35, full_every=4)

    assert [event.sees for event in events[:6]] == [0, 0, 1, 2, 3, 4]
    assert [event.sees for event in events[-2:]] == [len(events) - 2] * 2
    assert all(event.sees >= number - 3 for number, event in enumerate(events_of(9, 3, full_every=None)))


def test_a_revision_stands_in_the_middle_and_its_choices_get_a_trial_each():
    events = events_of(10, 35, full_every=5, revised=2)
    middle = [event.kind for event in events].index("revise")

    fresh = [event for event in events if event.fresh is not None]
    assert [event.fresh for event in fresh] == [0, 1]
    assert all(event.sees > middle for event in fresh)
    assert "revise" not in {event.kind for event in events_of(3, 35, full_every=5, revised=2)}


@pytest.mark.parametrize("threads", [2, 32])
def test_any_number_of_threads_finds_the_same(threads):
    alone, runs, decided, _ = searched()
    many, more_runs, more_decided, _ = searched(threads=threads)

    assert decided == more_decided
    assert sorted(runs) == sorted(more_runs)
    assert [one.candidate.to_dict() for one in alone.found] == [one.candidate.to_dict() for one in many.found]
    assert alone.outcomes() == many.outcomes()


def test_no_row_of_a_combination_is_run_twice():
    _, runs, _, recorded = searched(trials=40, sizes=(2, 2))

    assert len(set(runs)) == len(runs)
    assert len(set(recorded)) == len(recorded) == 4


def test_full_evaluations_go_to_the_best_on_average_that_has_had_none():
    made, _, decided, recorded = searched(trials=12)

    assert recorded[0] == (0, 0)
    assert len(recorded) >= 4
    assert all(len(one.candidate.subscores) == len(ROWS) for one in made.found)
    partly = dict(made.partly)
    finals = [choice for name, choice in decided.items() if name.startswith("full")]
    assert finals and not set(finals) & set(partly)


def test_what_is_not_likely_to_win_gets_no_full_evaluation():
    made, _, decided, _ = searched(trials=30, sizes=(8, 8), batch=10, full_every=2, given=(7, 7))

    means = {one.candidate.label: one.result.mean for one in made.found}
    fulls = [choice for name, choice in decided.items() if name.startswith("full")]
    assert means["(7, 7)"] == 1.0
    assert len(fulls) < 15  # of 16 events
    assert min(means[str(choice)] for choice in fulls) > 0.5


def test_without_minibatches_every_trial_is_on_all_rows():
    made, runs, _, recorded = searched(trials=6, batch=len(ROWS), full_every=None)

    assert made.partly == []
    assert len(runs) == len(recorded) * len(ROWS)


def test_the_best_combination_of_many_is_found():
    made, _, _, _ = searched(trials=40, batch=10, full_every=5, sizes=(5, 5))

    best = max(made.found, key=lambda one: one.result.mean)
    assert best.result.mean >= 0.8
    assert sum(best.candidate.program.choice) >= 6


def test_a_revision_adds_choices_and_tries_them_beside_the_best():
    asked = []

    def revise(means, ready):
        asked.append(means)
        ready(Space([6, 4], [(0, 4), (0, 5)]))

    made, _, decided, _ = searched(trials=12, batch=10, full_every=4, revise=revise, revised=2)

    assert len(asked) == 1
    best = max(asked[0], key=asked[0].__getitem__)
    tried = list(decided.values())
    assert (4, best[1]) in tried or any(choice[0] == 4 for choice in tried)
    assert {choice[0] for choice in tried} >= {4, 5}
    assert made.stopped is None


def test_too_many_failures_of_one_combination_end_it():
    with pytest.raises(EvaluationError, match=r"failed on 3 of .* rows \(max_errors=3\)"):
        searched(sizes=(10, 1), trials=60, max_errors=3)


def test_failures_below_that_are_told():
    made, _, _, _ = searched(sizes=(10, 1), trials=60)

    assert any("broken" in text for text in made.failures)


@pytest.mark.parametrize("threads", [1, 8])
def test_a_spent_budget_stops_it_with_what_is_complete(threads):
    count = []

    def metric(example, prediction):
        count.append(1)
        if len(count) > 30:
            raise BudgetExceeded("spent")
        return prediction.right

    made, _, _, recorded = searched(metric=metric, threads=threads)

    assert made.stopped.startswith("budget")
    assert recorded[:1] == [(0, 0)]
    assert made.finished


def test_one_choice_alone_costs_one_evaluation():
    made, runs, _, _ = searched(sizes=(1, 1), trials=10)

    assert len(runs) == len(ROWS)
    assert len(made.found) == 1


def test_a_decision_that_cannot_be_written_down_ends_the_pool():
    made = Trials(
        ROWS,
        MetricCall(lambda example, prediction: 1.0),
        events_of(3, 5, full_every=None),
        Owner(lambda choice: Program(choice, []), lambda *a: Candidate(None, 0.0), _fail),
        given=(0,),
        batch=5,
        seed=0,
        max_errors=5,
    )
    for threads in (1, 4):
        with pytest.raises(OSError, match="disk full"):
            run_pool(made, threads)


def _fail(label, value):
    raise OSError("disk full")

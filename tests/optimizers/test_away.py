"""Teachers and rollouts where an executor works, here in processes of the standard library."""

from __future__ import annotations

import os

import pytest
from arithmetic import demos_of, examples
from processes import (
    Fragile,
    Insatiable,
    Processes,
    TwoSteps,
    elsewhere,
    interrupt,
    picky,
    reply,
    right,
    unreadable,
    with_objectives,
)

import telic
from telic.context import context
from telic.errors import BudgetExceeded, ConfigurationError, WorkerLostError
from telic.evaluate import EvaluationInterrupted, MetricCall, done_away
from telic.optimizers import COPRO, GEPA, BootstrapFewShot
from telic.optimizers._finetune_traces import Traces
from telic.optimizers._gepa_rollout import Rollouts
from telic.optimizers._grpo_rollouts import Rewards, RolloutJob
from telic.optimizers._pool import run_pool
from telic.testing import FaultServer, faults

ROWS = examples(10)


@pytest.fixture(scope="module")
def executor():
    os.environ["TELIC_TEST_MAIN"] = str(os.getpid())
    made = Processes()
    yield made
    made.close()
    del os.environ["TELIC_TEST_MAIN"]


@pytest.fixture
def server():
    with FaultServer(reply) as made:
        yield made


def lm(server, **options):
    return telic.LM("openai/m", api_base=server.url, api_key="k", cache=False, **options)


def compiled(server, executor, metric=right, program=None, **options):
    run = {name: options.pop(name) for name in ("run_dir", "budget") if name in options}
    with context(lm=lm(server, **options.pop("options", {})), executor=executor, num_threads=4):
        return BootstrapFewShot(metric, max_bootstrapped_demos=4, **options).compile(
            telic.Predict("question -> answer") if program is None else program, trainset=ROWS, **run
        )


def test_a_bootstrap_away_finds_what_one_here_does(server, executor, tmp_path):
    here = compiled(server, None, picky, max_rounds=2, run_dir=tmp_path / "here")
    jobs = executor.jobs
    there = compiled(server, executor, picky, max_rounds=2, run_dir=tmp_path / "there")

    assert executor.jobs > jobs
    assert demos_of(there) == demos_of(here)
    assert there.report.failures == here.report.failures != []
    assert "KeyError" in there.report.failures[0]


def test_every_attempt_is_made_there(server, executor):
    made = compiled(server, executor, elsewhere)

    assert len([demo for demo in made.demos if demo.get("augmented")]) == 4


def test_what_it_cost_is_in_the_report_by_role_and_predictor(server, executor, tmp_path):
    program = TwoSteps()
    made = compiled(server, executor, program=program, max_labeled_demos=0, run_dir=tmp_path)

    calls = made.report.spend["teacher"].calls
    assert calls == len(server.requests)
    parts = {one.predictor: one.usage.calls for one in made.report.spend_parts if one.role == "teacher"}
    assert parts["first"] == parts["second"] == calls // 3
    assert sum(parts.values()) == calls


def test_calls_are_named_by_the_predictors_of_this_process(server, executor):
    program = TwoSteps()
    with context(lm=lm(server), executor=executor), telic.track_usage() as tracker:
        telic.Evaluate(devset=ROWS[:2], metric=right)(program)

    named = {name: usage.calls for name, usage in tracker.by_predictor(program).items()}
    assert named.pop("first") == named.pop("second") == 2
    assert list(named.values()) == [2]


def test_the_same_run_again_pays_for_nothing_failed_attempts_included(server, executor, tmp_path):
    first = compiled(server, executor, picky, max_rounds=2, run_dir=tmp_path)
    paid = len(server.requests)
    again = compiled(server, executor, picky, max_rounds=2, run_dir=tmp_path)

    assert len(server.requests) == paid
    assert demos_of(again) == demos_of(first)
    assert again.report.total_spend.calls == first.report.total_spend.calls == paid


def test_an_lm_that_is_away_is_waited_for(executor, tmp_path):
    with FaultServer(reply, faults=[faults.status(503)] * 9) as server:
        made = compiled(server, executor, run_dir=tmp_path, options={"num_retries": 0})

    assert not made.report.failures
    assert made.report.stopped is None
    assert made.report.failed_calls == 9


def test_an_attempt_whose_process_died_is_made_by_another(server, tmp_path):
    executor = Processes(tries=2)
    here = compiled(server, None, max_labeled_demos=0)
    program = Fragile(ROWS[1].question, str(tmp_path / "died"))
    there = compiled(server, executor, program=program, max_labeled_demos=0)
    executor.close()

    assert (tmp_path / "died").exists()
    assert there.ask.demos == here.demos
    assert not there.report.failures


def test_an_attempt_that_ends_every_process_is_a_failure_that_says_so(server):
    executor = Processes(1)
    made = compiled(server, executor, program=Fragile(ROWS[1].question), num_threads=1)
    executor.close()

    (failure,) = made.report.failures
    assert "raised on row 1: WorkerLostError: a process died" in failure
    assert any(demo.get("augmented") for demo in made.ask.demos)


def test_a_budget_holds_within_the_work_that_is_away(server, executor, tmp_path):
    made = compiled(server, executor, program=Insatiable(), budget=telic.Budget(calls=4), run_dir=tmp_path)

    assert "budget of 4 calls" in made.report.stopped
    assert 4 <= len(server.requests) <= 16, "four rows at once may each use what was left"
    with context(lm=lm(server), executor=executor, num_threads=1), pytest.raises(BudgetExceeded):
        before = len(server.requests)
        telic.Evaluate(devset=ROWS, metric=right)(Insatiable(), budget=telic.Budget(calls=13))
    assert len(server.requests) == before + 13


@pytest.mark.parametrize("num_threads", [1, 3])
def test_ctrl_c_while_rows_are_away_keeps_the_finished_ones(server, num_threads):
    executor = Processes(1)
    with (
        context(lm=lm(server), executor=executor, num_threads=num_threads),
        pytest.raises(EvaluationInterrupted) as stopped,
    ):
        telic.Evaluate(devset=ROWS, metric=interrupt)(telic.Predict("question -> answer"))
    executor.close()

    assert [row.score for row in stopped.value.results[:2]] == [1.0, 1.0]
    assert len(stopped.value.results) < len(ROWS)


def test_what_cannot_be_sent_is_named_before_anything_is_paid_for(server, executor):
    program = telic.Predict("question -> answer")
    program.shadow = lambda: None
    with context(lm=lm(server), executor=executor), pytest.raises(ConfigurationError, match="cannot be sent"):
        COPRO(metric=right, breadth=2, depth=1).compile(program, trainset=ROWS)

    assert server.requests == []


def test_traces_for_finetuning_are_collected_there(server, executor):
    def collected(executor):
        with context(lm=lm(server), executor=executor):
            made = Traces(
                [TwoSteps()], ROWS[:4], MetricCall(right), threshold=None, settings=None, max_errors=5
            )
            run_pool(made, 2)
            return made.runs()

    assert collected(executor) == collected(None) != []


def rollouts(server, executor, program=None):
    job = RolloutJob(
        telic.Predict("question -> answer") if program is None else program,
        {"self" if program is None else "ask": lm(server)},
        Rewards(MetricCall(right), 0.0, -1.0),
    )
    if executor is None:
        return [job.made(row, index, 7) for index, row in enumerate(ROWS[:3])]
    return [done_away(executor, job, RolloutJob.made, row, index, 7) for index, row in enumerate(ROWS[:3])]


def test_rollouts_away_hear_the_same_words(server, executor):
    here = rollouts(server, None)
    with telic.track_usage() as tracker:
        there = rollouts(server, executor)

    assert there == here
    assert [len(one.calls) for one in there] == [1, 1, 1]
    assert tracker.total.calls == 3


def test_a_rollout_whose_process_dies_says_so(server):
    executor = Processes(1)
    with pytest.raises(WorkerLostError):
        rollouts(server, executor, Fragile(ROWS[0].question))
    executor.close()


def test_gepa_is_told_of_replies_that_could_not_be_read_there(executor):
    def unread(server, executor):
        rollouts = Rollouts(None, ROWS, MetricCall(right), failure_score=0.0, perfect_score=1.0, seed=0)
        with context(lm=lm(server), executor=executor, max_retries=0):
            made = rollouts.run(telic.Predict("question -> answer: int"), 1)
        ((inputs, error),) = made.unread["self"]
        return inputs, error.lm_response, made.calls, made.row.score, str(made.row.error)

    with FaultServer(unreadable) as server:
        assert unread(server, executor) == unread(server, None)


def test_gepas_objectives_come_back(server, executor):
    def objectives(executor):
        with context(lm=lm(server), executor=executor, num_threads=2):
            made = GEPA(
                with_objectives, max_metric_calls=16, reflection_lm=telic.testing.FunctionLM(proposal),
                gepa_kwargs={"frontier_type": "objective"},
            ).compile(telic.Predict("question -> answer"), trainset=ROWS[:4], valset=ROWS[4:8])  # fmt: skip
        return made.report.score, [one.score for one in made.report.candidates]

    def proposal(text):
        return "```\nAdd the numbers.\n```"

    assert objectives(executor) == objectives(None)

"""Rows that an executor runs, here in processes of the standard library."""

from __future__ import annotations

import asyncio
import os
import signal
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

import pytest

import telic
from telic.errors import BudgetExceeded, EvaluationError, WorkerLostError
from telic.evaluate import MetricCall, RowJob, score_row
from telic.evaluate._row import ascore_row
from telic.testing import FaultServer

TEXT = "[[ ## reasoning ## ]]\nSo.\n\n[[ ## answer ## ]]\nParis"
REPLY = {
    "choices": [{"message": {"content": TEXT}}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 3},
}
ROWS = [telic.Example(question=f"q{n}", answer="Paris").with_inputs("question") for n in range(6)]


class Processes:
    """An executor over a pool of processes; a pool that broke is given up."""

    def __init__(self, workers=2):
        self.pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))

    def share(self, value):
        return value

    def run(self, work, *args):
        try:
            return self.pool.submit(work, *args).result()
        except BrokenProcessPool as error:
            raise WorkerLostError(f"a process died: {error}") from error


@pytest.fixture(scope="module")
def executor():
    made = Processes()
    yield made
    made.pool.shutdown()


class TwoSteps(telic.Module):
    """Asks twice."""

    def __init__(self):
        super().__init__()
        self.first = telic.Predict("question -> answer")
        self.second = telic.ChainOfThought("question -> answer")

    def forward(self, question):
        with telic.context(role="inner"):
            self.first(question=question)
        return self.second(question=question)


class Troubled(telic.Module):
    """Fails on one question, ends its process on another."""

    def forward(self, question):
        if question == "q1":
            raise KeyError("q1")
        if question == "q2":
            os.kill(os.getpid(), signal.SIGKILL)
        return telic.Prediction(answer="Paris")


class AsyncSteps(telic.Module):
    """Answers on a loop."""

    async def aforward(self, question):
        return telic.Prediction(answer="Paris" if question != "q0" else "Rome")


def right(row, found, trace=None):
    return row.answer == found.answer


def where(row, found, trace=None):
    return telic.Prediction(score=1.0, feedback=str(os.getpid()))


def lm(server, **options):
    return telic.LM("openai/m", api_base=server.url, api_key="k", cache=False, **options)


def test_rows_run_in_other_processes_and_come_back_in_order(executor):
    with (
        FaultServer(REPLY) as server,
        telic.context(lm=lm(server), executor=executor),
    ):
        result = telic.Evaluate(devset=ROWS, metric=where)(TwoSteps())

    assert result.score == 100.0
    assert [row.example for row in result.rows] == ROWS
    assert os.getpid() not in {int(row.feedback) for row in result.rows}
    assert len(server.requests) == 12


def test_usage_is_counted_here_by_role_and_predictor(executor):
    program = TwoSteps()
    with (
        FaultServer(REPLY) as server,
        telic.context(lm=lm(server), executor=executor),
    ):
        with telic.track_usage() as tracker:
            result = telic.Evaluate(devset=ROWS[:2], metric=right)(program)

    assert tracker.total.calls == result.spend.calls == 4
    assert {role: usage.calls for role, usage in tracker.by_role().items()} == {"inner": 2, "task": 2}
    assert all(row.tokens == 20 for row in result.rows)


def test_a_trace_names_the_predictors_of_this_process(executor):
    program = TwoSteps()
    with FaultServer(REPLY) as server:
        with telic.context(lm=lm(server), executor=executor, trace=[]):
            score_row(RowJob(program, MetricCall(right)), 0, ROWS[0])
            trace = telic.settings.trace

    assert [step.predictor for step in trace] == [program.first, program.second.predict]
    assert trace[0].inputs == {"question": "q0"} and trace[1].prediction.answer == "Paris"


def test_a_budget_is_charged_and_stops_the_rows(executor):
    with FaultServer(REPLY) as server, telic.context(lm=lm(server), executor=executor, num_threads=1):
        budget = telic.Budget(calls=3)
        with pytest.raises(BudgetExceeded) as stopped:
            telic.Evaluate(devset=ROWS, metric=right)(telic.Predict("question -> answer"), budget=budget)

    assert len(server.requests) == 3
    assert len(stopped.value.results) == 3
    assert budget.used.total_tokens == 30


def test_failures_keep_their_causes():
    pool = Processes()
    with telic.context(executor=pool):
        row = score_row(RowJob(Troubled(), MetricCall(right)), 1, ROWS[1])
    pool.pool.shutdown()

    assert type(row.error.__cause__) is KeyError
    assert "raised on row 1: KeyError: 'q1'" in str(row.error)


def test_what_stops_all_rows_stops_them(executor):
    with telic.context(lm=None, executor=executor), pytest.raises(telic.errors.NotConfiguredError):
        telic.Evaluate(devset=ROWS, metric=right)(telic.Predict("question -> answer"))


def test_a_row_whose_process_dies_is_a_failed_row():
    pool = Processes(1)
    with (
        telic.context(executor=pool, num_threads=1),
        pytest.raises(EvaluationError, match="2 rows failed") as stopped,
    ):
        telic.Evaluate(devset=ROWS, metric=right, max_errors=2)(Troubled())
    pool.pool.shutdown()

    assert [row.score for row in stopped.value.results] == [1.0, 0.0, 0.0]
    assert isinstance(stopped.value.results[2].error.__cause__, WorkerLostError)


async def _score_async(executor):
    with telic.context(executor=executor):
        return await ascore_row(RowJob(AsyncSteps(), MetricCall(right)), 0, ROWS[0])


def test_async_programs_run_there_too(executor):
    assert asyncio.run(_score_async(executor)).score == 0.0
    with telic.context(executor=executor):
        assert telic.Evaluate(devset=ROWS, metric=right)(AsyncSteps()).score == pytest.approx(83.33)


class TellsASetting(telic.Module):
    """Answers what a setting of the user's own holds."""

    def forward(self, question):
        return telic.Prediction(answer=telic.settings.capital_of_tests)


def test_settings_of_the_users_own_hold_there_too(executor):
    telic.settings.register("capital_of_tests", "Rome")
    with telic.context(executor=executor, capital_of_tests="Paris"):
        result = telic.Evaluate(devset=ROWS[:2], metric=right)(TellsASetting())

    assert result.score == 100.0


class Unsendable(telic.Module):
    """Returns what cannot be sent back."""

    def forward(self, question):
        return telic.Prediction(answer=lambda: question)


def test_what_cannot_be_sent_back_is_a_failed_row_that_says_so(executor):
    with telic.context(executor=executor):
        row = score_row(RowJob(Unsendable(), MetricCall(where)), 0, ROWS[0])

    assert "what a program takes and returns must be picklable" in str(row.error)

import asyncio
import os
import signal
import threading

import pytest

from telic.context import configure, context
from telic.data import Example, Prediction, Score
from telic.errors import (
    BudgetExceeded,
    ConfigurationError,
    DatasetError,
    EvaluationError,
    MetricError,
    NotConfiguredError,
    ProgramError,
)
from telic.evaluate import Evaluate, EvaluationInterrupted
from telic.modules import Module, Predict
from telic.testing import FunctionLM
from telic.tracing import track_usage


def rows(n):
    return [Example(x=x, y=x * 2).with_inputs("x") for x in range(n)]


def double(x):
    return Prediction(y=x * 2)


async def adouble(x):
    await asyncio.sleep(0)
    return Prediction(y=x * 2)


def right(example, prediction, trace=None):
    return example.y == prediction.y


async def aright(example, prediction, trace=None):
    await asyncio.sleep(0)
    return example.y == prediction.y


@pytest.mark.parametrize("program", [double, adouble])
@pytest.mark.parametrize("metric", [right, aright])
@pytest.mark.parametrize("num_threads", [1, 16])
def test_sync_and_async_programs_and_metrics_mix(program, metric, num_threads):
    result = Evaluate(devset=rows(40), metric=metric, num_threads=num_threads)(program)

    assert result.score == 100.0
    assert [row.index for row in result.rows] == list(range(40))


@pytest.mark.parametrize("program", [double, adouble])
@pytest.mark.parametrize("metric", [right, aright])
def test_acall_takes_sync_and_async_programs_and_metrics(program, metric):
    evaluate = Evaluate(devset=rows(40), metric=metric, num_threads=8)

    assert asyncio.run(evaluate.acall(program)).score == 100.0


def test_a_thousand_rows_are_in_flight_at_once():
    barrier = threading.Barrier(1000, timeout=60)

    def program(x):
        barrier.wait()
        return Prediction(y=x * 2)

    assert Evaluate(devset=rows(1000), metric=right, num_threads=1000)(program).score == 100.0


def test_sync_programs_run_as_many_at_once_beside_a_loop_as_they_are_asked_to():
    barrier = threading.Barrier(40)

    def program(x):
        barrier.wait(10)
        return double(x)

    evaluate = Evaluate(devset=rows(40), metric=right, num_threads=40)

    assert asyncio.run(evaluate.acall(program)).score == 100


def test_a_cancelled_evaluation_keeps_the_finished_rows():
    both = asyncio.Barrier(3)

    async def program(x):
        if x >= 5:
            await both.wait()
            await asyncio.sleep(60)
        return double(x)

    async def main():
        task = asyncio.create_task(Evaluate(devset=rows(9), metric=right, num_threads=2).acall(program))
        await both.wait()  # rows 5 and 6 are under way
        task.cancel()
        try:
            await task
        except asyncio.CancelledError as error:
            return error.results

    assert [row.index for row in asyncio.run(main())] == [0, 1, 2, 3, 4]


def test_a_module_with_an_lm_is_evaluated_with_its_spend_by_row():
    lm = FunctionLM(lambda text: {"y": "4"})
    devset = [Example(x="2", y="4").with_inputs("x"), Example(x="3", y="6").with_inputs("x")]

    with context(lm=lm), track_usage() as outer:
        result = Evaluate(devset=devset, metric=right, num_threads=2)(Predict("x -> y"))

    assert [row.score for row in result.rows] == [1.0, 0.0]
    assert result.spend.calls == outer.total.calls == 2
    assert sum(row.tokens for row in result.rows) == result.spend.total_tokens > 0


def test_an_async_module_runs_its_aforward():
    class Doubler(Module):
        async def aforward(self, x):
            return await adouble(x)

    program = Doubler()
    evaluate = Evaluate(devset=rows(5), metric=right, num_threads=2)

    assert evaluate(program).score == 100.0
    assert asyncio.run(evaluate.acall(program)).score == 100.0


def test_a_metrics_own_calls_are_the_judges():
    lm = FunctionLM(lambda text: {"verdict": "yes"})
    judge = Predict("y -> verdict")

    with context(lm=lm), track_usage() as used:
        Evaluate(devset=rows(3), metric=lambda e, p: judge(y=str(p.y)).verdict == "yes", num_threads=2)(
            double
        )

    assert used.by_role()["judge"].calls == 3


def test_feedback_of_the_metric_is_kept():
    result = Evaluate(devset=rows(1), metric=lambda e, p: Score(0.5, "half"))(double)

    assert (result.rows[0].score, result.rows[0].feedback) == (0.5, "half")


def failing(x):
    if x % 4 == 0:
        raise ValueError("no fours")
    return Prediction(y=x * 2)


@pytest.mark.parametrize("num_threads", [1, 8])
def test_failed_rows_are_counted_and_score_what_was_said(num_threads):
    evaluate = Evaluate(
        devset=rows(20), metric=right, num_threads=num_threads, max_errors=100, failure_score=-1.0
    )

    result = evaluate(failing)

    assert [row.index for row in result.failures] == [0, 4, 8, 12, 16]
    assert result.mean == (15 - 5) / 20
    error = result.failures[0].error
    assert isinstance(error, ProgramError)
    assert isinstance(error.__cause__, ValueError)
    assert "'failing'" in str(error) and "row 0" in str(error) and "no fours" in str(error)


def test_at_max_errors_the_finished_rows_come_with_the_error():
    with pytest.raises(EvaluationError, match=r"max_errors=3.*no fours") as caught:
        Evaluate(devset=rows(20), metric=right, num_threads=1, max_errors=3)(failing)

    assert [row.index for row in caught.value.results] == list(range(9))
    assert isinstance(caught.value.__cause__, ProgramError)


def test_max_errors_comes_from_the_settings():
    with context(max_errors=2), pytest.raises(EvaluationError, match="max_errors=2"):
        Evaluate(devset=rows(20), metric=right, num_threads=1)(failing)


def test_a_program_that_returns_none_fails_its_row():
    result = Evaluate(devset=rows(2), metric=right)(lambda x: double(x) if x else None)

    assert "returned None" in str(result.failures[0].error)
    assert result.rows[1].score == 1.0


@pytest.mark.parametrize("answer", [None, float("nan"), "0.5"])
def test_a_metric_that_gives_no_score_fails_the_row(answer):
    result = Evaluate(devset=rows(2), metric=lambda e, p: answer)(double)

    assert len(result.failures) == 2
    assert isinstance(result.rows[1].error, MetricError)
    assert result.rows[1].prediction.y == 2
    assert result.rows[1].score == 0.0


def test_a_metric_that_raises_fails_the_row_and_keeps_the_prediction():
    result = Evaluate(devset=rows(1), metric=lambda e, p: p.missing)(double)

    assert isinstance(result.rows[0].error, MetricError)
    assert result.rows[0].prediction.y == 0


@pytest.mark.parametrize("program", [double, adouble])
@pytest.mark.parametrize("num_threads", [1, 4])
def test_an_interrupt_keeps_the_finished_rows(program, num_threads):
    def metric(example, prediction):
        if example.x == 10:
            raise KeyboardInterrupt
        return 1

    with pytest.raises(KeyboardInterrupt) as caught:
        Evaluate(devset=rows(30), metric=metric, num_threads=num_threads)(program)

    assert isinstance(caught.value, EvaluationInterrupted)
    assert [row.index for row in caught.value.results][:10] == list(range(10))


@pytest.mark.parametrize("num_threads", [1, 4])
def test_ctrl_c_keeps_the_finished_rows(num_threads):
    def program(x):
        if x == 10:
            os.kill(os.getpid(), signal.SIGINT)
        elif x > 10:
            threading.Event().wait(0.001)
        return double(x)

    with pytest.raises(EvaluationInterrupted, match="finished") as caught:
        Evaluate(devset=rows(20_000), metric=right, num_threads=num_threads)(program)

    assert 5 <= len(caught.value.results) < 20_000


@pytest.mark.parametrize("num_threads", [1, 4])
def test_at_a_budgets_limit_the_finished_rows_come_with_the_error(num_threads):
    def program(x):
        if x >= 6:
            raise BudgetExceeded("the budget of 6 calls is used up", limit="calls")
        return double(x)

    with pytest.raises(BudgetExceeded) as caught:
        Evaluate(devset=rows(30), metric=right, num_threads=num_threads)(program)

    assert [row.index for row in caught.value.results] == list(range(6))


def test_a_missing_lm_stops_at_once():
    calls = []

    def metric(example, prediction):
        calls.append(1)

    with pytest.raises(NotConfiguredError):
        Evaluate(devset=rows(30), metric=metric, num_threads=1)(Predict("x: int -> y: int"))

    assert calls == []


def test_unknown_options_are_named():
    with pytest.raises(ConfigurationError, match="did you mean 'num_threads'"):
        Evaluate(devset=rows(1), metric=right, num_thread=3)
    with pytest.raises(ConfigurationError, match="did you mean 'max_errors'"):
        Evaluate(devset=rows(1), metric=right)(double, max_error=3)
    with pytest.raises(ConfigurationError, match="results"):
        Evaluate(devset=rows(1), metric=right, return_outputs=True)


@pytest.mark.parametrize(
    "options", [{"num_threads": 0}, {"num_threads": 2.5}, {"max_errors": 0}, {"max_errors": True}]
)
def test_impossible_sizes_are_refused(options):
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        Evaluate(devset=rows(1), metric=right, **options)
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        Evaluate(devset=rows(1), metric=right)(double, **options)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"metric": None}, ConfigurationError, "metric"),
        ({"devset": []}, DatasetError, "empty"),
        ({"devset": [Example(x=1)]}, DatasetError, r"devset\[0\].*with_inputs"),
        ({"devset": [{"x": 1}]}, DatasetError, "Example"),
        ({"save_as_csv": "/no/such/folder/x.csv"}, ConfigurationError, "save_as_csv"),
        ({"save_as_json": "/"}, ConfigurationError, "folder"),
        ({"display_progress": "yes"}, ConfigurationError, "display_progress"),
    ],
)
def test_what_cannot_work_is_refused_before_the_first_call(options, kind, message):
    calls = []
    evaluate = Evaluate(**{"devset": rows(3), "metric": right, **options})

    with pytest.raises(kind, match=message):
        evaluate(calls.append)

    assert calls == []


def test_a_call_overrides_the_constructor():
    evaluate = Evaluate(devset=rows(3), metric=right, num_threads=1)

    result = evaluate(double, metric=lambda e, p: 0.5, devset=rows(7), num_threads=4, failure_score=1)

    assert (result.n, result.score) == (7, 50.0)
    assert evaluate(double).n == 3


def test_files_are_written_and_also_when_stopped(tmp_path):
    target, other = tmp_path / "rows.csv", tmp_path / "rows.json"

    Evaluate(devset=rows(3), metric=right)(double, save_as_csv=target, save_as_json=str(other))
    assert target.read_text().startswith("x,example_y,pred_y,right")
    assert other.read_text().count('"right": 1.0') == 3

    with pytest.raises(EvaluationError):
        Evaluate(devset=rows(20), metric=right, num_threads=1, max_errors=2, save_as_csv=target)(failing)
    assert len(target.read_text().splitlines()) == 1 + 5


def test_settings_of_the_caller_hold_in_every_row():
    seen = set()

    def program(x):
        from telic.context import get

        seen.add(get("max_retries"))
        return double(x)

    with context(max_retries=7):
        Evaluate(devset=rows(10), metric=right, num_threads=4)(program)

    assert seen == {7}


def test_num_threads_comes_from_the_settings():
    configure(num_threads=3)
    barrier = threading.Barrier(3, timeout=30)

    def program(x):
        barrier.wait()
        return double(x)

    assert Evaluate(devset=rows(9), metric=right)(program).score == 100.0


def test_tracebacks_are_logged_on_request(caplog):
    Evaluate(devset=rows(4), metric=right, provide_traceback=True)(failing)

    assert "no fours" in caplog.text and "Traceback" in caplog.text


def test_progress_goes_to_standard_error_when_forced(capsys):
    Evaluate(devset=rows(4), metric=right, num_threads=1, display_progress="force")(failing)

    assert "score 75.0 %, 1 failed" in capsys.readouterr().err


def test_progress_is_silent_where_there_is_no_terminal(capsys):
    Evaluate(devset=rows(4), metric=right, display_progress=True)(double)

    assert capsys.readouterr().err == ""


def test_a_table_is_shown_on_request(capsys):
    Evaluate(devset=rows(4), metric=right, display_table=2)(double)

    shown = capsys.readouterr().out
    assert "example_y" in shown and "2 more rows" in shown


def test_callbacks_are_told_of_an_evaluation():
    told = []

    class Watch:
        def on_evaluate_start(self, call_id, instance, inputs):
            told.append(("start", type(inputs["program"]).__name__))

        def on_evaluate_end(self, call_id, outputs, exception=None):
            told.append(("end", None if outputs is None else outputs.score, type(exception).__name__))

    with context(callbacks=[Watch()]):
        Evaluate(devset=rows(2), metric=right)(double)
        with pytest.raises(EvaluationError):
            Evaluate(devset=rows(2), metric=right, max_errors=1, num_threads=1)(failing)

    assert told == [
        ("start", "function"),
        ("end", 100.0, "NoneType"),
        ("start", "function"),
        ("end", None, "EvaluationError"),
    ]


@pytest.mark.parametrize("option", ["save_as_csv", "save_as_json"])
def test_a_place_that_only_looks_writable_is_found_before_the_first_call(option):
    calls = []
    with pytest.raises(ConfigurationError, match="cannot be written"):  # to root, too, os.access says yes
        Evaluate(devset=rows(3), metric=right)(lambda x: calls.append(x), **{option: "/proc/rows.out"})
    assert calls == []


def test_rows_that_cannot_be_written_in_the_end_come_with_the_error(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()

    def program(x):
        if x == 2:
            folder.rmdir()
        return double(x)

    with pytest.raises(EvaluationError, match="could not be written") as caught:
        Evaluate(devset=rows(3), metric=right, num_threads=1, save_as_json=folder / "rows.json")(program)
    assert [row.score for row in caught.value.results] == [1, 1, 1]

"""Assertions of programs under evaluation: counted for each row and in all, over threads and event loops."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from telic import Assert, Evaluate, Suggest, context
from telic._replay import ACTIVE
from telic.data import Example, Prediction
from telic.errors import AssertionFailed, EvaluationError, ProgramError
from telic.modules import Module, Predict
from telic.testing import FunctionLM


def lm_that(**kinds):
    """An LM whose first answer to "n" is "long n", and whose corrected one is `kinds[n]`, else "n"."""

    def reply(request):
        text = request.messages[-1]["content"]
        number = text.partition("## question ## ]]\n")[2].partition("\n")[0]
        if "feedback" not in text:
            return {"answer": f"long {number}"}
        return {"answer": kinds.get(f"q{number}", number)}

    return FunctionLM(reply)


class Program(Module):
    def __init__(self, check=Suggest):
        self.ask = Predict("question -> answer")
        self.check = check

    def forward(self, question):
        made = self.ask(question=question)
        self.check(" " not in made.answer, "One word.", name="one word")
        Suggest(bool(made.answer), "Say something.", name="not empty")
        return made


ROWS = [Example(question=str(n), answer=str(n)).with_inputs("question") for n in range(20)]


def right(example, made, trace=None):
    return example.answer == made.answer


def test_they_are_counted_for_each_row_and_in_all():
    with context(lm=lm_that(q3="still long")):
        result = Evaluate(devset=ROWS, metric=right, num_threads=8)(Program())

    assert result.score == 95.0
    assert [o.backtracks for o in result.rows[3].assertions] == [2, 0]
    assert [o.passed for o in result.rows[3].assertions] == [False, True]
    count = result.assertions["one word"]
    assert (count.kind, count.checks, count.passed_first, count.passed_later, count.failed, count.backtracks) == (
        "suggest", 20, 0, 19, 1, 21,
    )  # fmt: skip
    assert count.pass_rate == 0.95
    assert result.assertions["not empty"].passed_first == 20
    assert list(result.assertions) == ["one word", "not empty"]


def test_their_messages_are_feedback_behind_that_of_the_metric():
    def metric(example, made, trace=None):
        return Prediction(score=1.0, feedback="fine") if made.answer != "5" else 0.0

    with context(lm=lm_that(q3="still long")):
        result = Evaluate(devset=ROWS[:6], metric=metric)(Program())
        failed = Evaluate(devset=ROWS[3:4], metric=metric)(Program(Assert))
        with context(bypass_suggest=True):
            plain = Evaluate(devset=ROWS[:1], metric=metric)(Program())

    assert result.rows[0].feedback == "fine\nask: One word. (held after 1 correction)"
    assert result.rows[3].feedback == "fine\nask: One word. (did not hold in the end)"
    assert result.rows[5].feedback == "ask: One word. (held after 1 correction)"
    assert failed.rows[0].feedback == "ask: One word. (did not hold in the end)"
    assert plain.rows[0].feedback == "fine"


def test_a_failed_assert_is_a_wrong_answer_and_no_fault_that_stops_the_run():
    wrong = {f"q{n}": "still long" for n in range(15)}
    with context(lm=lm_that(**wrong)):
        result = Evaluate(devset=ROWS, metric=right, num_threads=4, max_errors=2)(Program(Assert))

    assert result.score == 25.0
    assert len(result.failures) == 15
    error = result.failures[0].error
    assert isinstance(error, ProgramError)
    assert isinstance(error.__cause__, AssertionFailed)
    assert result.assertions["one word"].failed == 15
    assert "not empty" in result.assertions  # of the rows that got so far


def test_other_faults_still_stop_it():
    class Broken(Program):
        def forward(self, question):
            made = super().forward(question)
            raise OSError(made.answer)

    with context(lm=lm_that()), pytest.raises(EvaluationError) as caught:
        Evaluate(devset=ROWS, metric=right, num_threads=1, max_errors=2)(Broken())

    assert caught.value.results[0].assertions[0].name == "one word"


def test_on_an_event_loop_too():
    class Async(Program):
        async def aforward(self, question):
            made = await self.ask.acall(question=question)
            self.check(" " not in made.answer, "One word.", name="one word")
            return made

    with context(lm=lm_that(q3="still long")):
        result = asyncio.run(Evaluate(devset=ROWS, metric=right, num_threads=8).acall(Async()))

    assert result.assertions["one word"].backtracks == 21


def test_sixty_four_threads_count_what_one_counts():
    def counted(threads):
        with context(lm=lm_that(q3="still long", q7="no way")):
            return Evaluate(devset=ROWS * 8, metric=right, num_threads=threads)(Program()).assertions

    assert counted(64) == counted(1)


def test_programs_that_return_no_prediction_or_catch_the_error_are_counted_too():
    class Text(Program):
        def forward(self, question):
            try:
                return super().forward(question).answer
            except AssertionFailed:
                return "gave up"

    with context(lm=lm_that(q3="still long")):
        result = Evaluate(devset=ROWS, metric=lambda e, p: e.answer == p)(Text(Assert))

    assert result.rows[3].prediction == "gave up"
    assert result.assertions["one word"].failed == 1
    assert result.failures == []


def test_assertions_of_the_metric_and_of_what_runs_around_are_not_the_programs():
    judge = Program()

    def metric(example, made, trace=None):
        return judge(question=example.question).answer == made.answer

    class Around(Module):
        def __init__(self):
            self.first = Predict("question -> answer")

        def forward(self, question):
            self.first(question=question)
            return Evaluate(devset=ROWS[:4], metric=metric)(Program())

    with context(lm=lm_that()):
        result = Around()(question="x")

    assert result.assertions["one word"].checks == 4
    assert ACTIVE.get() is None


def test_files_have_them(tmp_path):
    path = tmp_path / "rows.json"
    with context(lm=lm_that()):
        Evaluate(devset=ROWS[:2], metric=right, save_as_json=str(path))(Program())

    row = json.loads(path.read_text())[0]
    assert row["assertions"][0] == {
        "name": "one word", "kind": "suggest", "passed": True, "backtracks": 1, "message": "One word.",
        "target": "ask", "bypassed": False,
    }  # fmt: skip


def test_an_evaluation_that_goes_on_has_those_of_the_rows_that_were_kept(tmp_path):
    lm = lm_that(q3="still long")
    evaluate = Evaluate(devset=ROWS, metric=right)
    with context(lm=lm):
        first = evaluate(Program(), run_dir=tmp_path / "run")
        paid = len(lm.requests)
        again = evaluate(Program(), run_dir=tmp_path / "run")

    assert len(lm.requests) == paid
    assert again.assertions == first.assertions
    assert again.rows[3].prediction.get_assertions() == first.rows[3].assertions


def test_rows_do_not_wait_for_each_other():
    """All rows are in their second attempt at the same time: nothing is locked for the length of a run."""
    barrier = threading.Barrier(8, timeout=20)

    def reply(request):
        if "feedback" in request.messages[-1]["content"]:
            return {"answer": "word"}
        return {"answer": "two words"}

    class Meets(Module):
        def __init__(self):
            self.ask = Predict("question -> answer")

        def forward(self, question):
            made = self.ask(question=question)
            if " " not in made.answer:
                barrier.wait()
            Assert(" " not in made.answer, "One word.")
            return Prediction(answer=made.answer)

    with context(lm=FunctionLM(reply)):
        result = Evaluate(devset=ROWS[:8], metric=lambda e, p: p.answer == "word", num_threads=8)(Meets())

    assert result.score == 100.0

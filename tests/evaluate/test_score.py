import math

import pytest

import telic
from telic.data import Example, Prediction, Score
from telic.errors import ConfigurationError, DatasetError, MetricError
from telic.evaluate import MetricCall, checked_examples
from telic.modules import Module
from telic.testing import FunctionLM


def two(example, prediction):
    return (example, prediction)


def three(example, prediction, trace="own default"):
    return (example, prediction, trace)


def needs_trace(example, prediction, trace):
    return (example, prediction, trace)


def four(example, prediction, trace=None, frac=1.0):
    return (example, prediction, trace, frac)


def five(gold, prediction, trace, pred_name, pred_trace):
    return (gold, prediction, trace, pred_name, pred_trace)


def any_number(*arguments):
    return arguments


@pytest.mark.parametrize(
    ("metric", "evaluating", "compiling"),
    [
        (two, ("e", "p"), ("e", "p")),
        (three, ("e", "p", "own default"), ("e", "p", "t")),
        (needs_trace, ("e", "p", None), ("e", "p", "t")),
        (four, ("e", "p", None, 1.0), ("e", "p", "t", 1.0)),
        (five, ("e", "p", None, None, None), ("e", "p", "t", None, None)),
        (any_number, ("e", "p"), ("e", "p", "t")),
    ],
)
def test_a_metric_gets_as_many_arguments_as_it_takes(metric, evaluating, compiling):
    call = MetricCall(metric)

    assert call.evaluate("e", "p") == evaluating
    assert call.compile("e", "p", "t") == compiling


def test_a_program_as_metric_is_taken_by_its_forward():
    class Judge(Module):
        def forward(self, example, pred, trace=None):
            return (example, pred, trace)

    assert MetricCall(Judge()).compile("e", "p", "t") == ("e", "p", "t")


def test_an_object_with_a_call_is_a_metric():
    class Judge:
        def __call__(self, example, prediction, trace=None):
            return trace

    call = MetricCall(Judge())

    assert call.name == "Judge"
    assert call.compile("e", "p", "t") == "t"


@pytest.mark.parametrize("metric", [None, 0.5, lambda: 1, lambda one: 1, lambda a, b, c, d, e, f: 1])
def test_what_cannot_be_a_metric_is_refused(metric):
    with pytest.raises(ConfigurationError, match="metric"):
        MetricCall(metric)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (True, Score(1.0)),
        (False, Score(0.0)),
        (3, Score(3.0)),
        (Score(0.5, "why"), Score(0.5, "why")),
        (Prediction(score=0.25, feedback="so"), Score(0.25, "so")),
        (Prediction(score=True), Score(1.0)),
    ],
)
def test_what_a_metric_may_answer(answer, expected):
    assert MetricCall(two).score(answer, 0) == expected


@pytest.mark.parametrize(
    "answer", [None, "0.5", math.nan, math.inf, [1], Prediction(answer=1), Example(score="x")]
)
def test_what_is_no_score_names_the_metric_and_the_row(answer):
    with pytest.raises(MetricError, match="'two' on row 7"):
        MetricCall(two).score(answer, 7)


def test_a_metric_that_writes_on_what_it_judges_changes_no_rows_and_no_demos():
    def tidy(example, prediction, trace=None):
        example.answer = example.answer.upper()
        prediction.answer = prediction.answer.upper()
        return example.answer == prediction.answer

    rows = [telic.Example(question=str(n), answer="four").with_inputs("question") for n in range(4)]
    program = telic.Predict("question -> answer")
    with telic.context(lm=FunctionLM(lambda text: {"answer": "four"})):
        result = telic.Evaluate(devset=rows, metric=tidy, display_progress=False)(program)
        compiled = telic.BootstrapFewShot(tidy).compile(program, trainset=rows)
    assert result.score == 100.0
    assert {row.answer for row in rows} == {"four"}
    assert {demo.answer for demo in compiled.demos} == {"four"}


def test_a_note_that_a_metric_puts_on_a_prediction_is_in_the_result():
    def noting(example, prediction):
        prediction.length = len(prediction.answer)
        return 1.0

    rows = [telic.Example(question="2 + 2?").with_inputs("question")]
    with telic.context(lm=FunctionLM(lambda text: {"answer": "four"})):
        result = telic.Evaluate(devset=rows, metric=noting)(telic.Predict("question -> answer"))
    assert result.rows[0].prediction.length == 4


def test_what_has_words_beside_the_number_is_told_where_they_go():
    for answer in ((1.0, "fine"), {"score": 1.0}):
        with pytest.raises(MetricError, match=r"return telic\.Prediction\(score=…, feedback=…\)"):
            Score.of(answer)


class Frame:
    """Like a data frame: going through it gives the names of its columns."""

    columns = ("question", "answer")

    def to_dict(self, orient):
        return [{"question": "2 + 2?", "answer": "4"}]

    def __iter__(self):
        return iter(self.columns)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (telic.Example(question="a").with_inputs("question"), r"one example.*pass \[example\]"),
        ("rows.csv", "load_examples"),
        ({"train": [], "test": []}, "'train', 'test'.*pass one of its parts"),
        (Frame(), "is a Frame.*to_dict"),
        (7, "is int 7, and must be a list"),
    ],
)
def test_what_is_no_list_of_rows_is_told_what_to_do(given, told):
    with pytest.raises(DatasetError, match=told):
        checked_examples("devset", given)


def test_one_argument_too_few_is_told_in_the_singular():
    with pytest.raises(ConfigurationError, match="takes 1 positional argument; it must"):
        MetricCall(lambda example: 1.0)

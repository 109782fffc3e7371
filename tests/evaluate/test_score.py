import math

import pytest

from telic.data import Example, Prediction, Score
from telic.errors import ConfigurationError, MetricError
from telic.evaluate import MetricCall
from telic.modules import Module


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

import math

import pytest

from telic.data import Prediction, Score
from telic.errors import MetricError


@pytest.mark.parametrize(
    ("result", "score"),
    [
        (True, Score(1.0)),
        (0.5, Score(0.5)),
        (Score(2, "x"), Score(2.0, "x")),
        (Prediction(score=1, feedback="why"), Score(1.0, "why")),
        (Prediction(score=1, feedback=None), Score(1.0)),
    ],
)
def test_what_metrics_return_becomes_a_score(result, score):
    assert Score.of(result) == score
    assert float(Score.of(result)) == score.value


@pytest.mark.parametrize("result", [None, "1.0", b"", math.nan, Prediction(answer=1), object(), [1]])
def test_what_is_no_score_is_refused(result):
    with pytest.raises(MetricError, match="the metric returned"):
        Score.of(result)

import copy
import pickle

import pytest

from telic.data import Completion, Completions, Example, Prediction, Response, Usage
from telic.errors import DatasetError

ROWS = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


def test_a_prediction_is_an_example():
    prediction = Prediction(answer="4")

    assert isinstance(prediction, Example)
    assert prediction.answer == "4"
    assert isinstance(prediction.copy(b=1), Prediction)
    assert Prediction({"a": 1}, b=2) == Prediction(a=1, b=2)


def test_completions_are_columns_and_rows():
    both = Completions(ROWS)

    assert both.a == both["a"] == [1, 2]
    assert both[1] == both[-1] == Prediction(a=2, b="y")
    assert [one.b for one in both] == ["x", "y"]
    assert (len(both), "a" in both, both.keys()) == (2, True, ["a", "b"])
    assert both.items() == [("a", [1, 2]), ("b", ["x", "y"])]
    assert both.rows() == ROWS
    assert Completions({"a": [1, 2], "b": ["x", "y"]}) == both


def test_completions_refuse_what_does_not_fit_together():
    with pytest.raises(DatasetError, match="differ in length"):
        Completions({"a": [1], "b": []})
    with pytest.raises(DatasetError, match="completion 1 has the fields"):
        Completions([{"a": 1}, {"b": 1}])
    with pytest.raises(AttributeError, match="did you mean 'answer'"):
        _ = Completions([{"answer": 1}]).anwser
    with pytest.raises(IndexError, match="2 completions"):
        _ = Completions(ROWS)[2]


def test_a_prediction_of_several_completions_is_the_first():
    prediction = Prediction.from_completions(ROWS)

    assert prediction == Prediction(a=1, b="x")
    assert prediction.completions.a == [1, 2]
    assert "1 more in .completions" in repr(prediction)
    with pytest.raises(DatasetError, match="at least one completion"):
        Prediction.from_completions([])


def test_completions_are_made_when_asked_for():
    assert Prediction(a=1).completions.a == [1]
    assert Prediction.of({"a": 1}, completions=ROWS).completions[1].b == "y"


def test_the_score_is_the_number():
    half, more = Prediction(score=0.5, feedback="so so"), Prediction(score=0.75)

    assert float(half) == 0.5
    assert sum([half, more]) == 1.25
    assert sum([half, more]) / 2 == 0.625
    assert (half + 1, 1 + half, 1 - half, half - 0.5, half * 2, 1 / half, half / 2) == (
        1.5,
        1.5,
        0.5,
        0,
        1,
        2,
        0.25,
    )
    assert half < more <= 0.75
    assert more > half >= 0.5
    assert max([half, more]) is more
    with pytest.raises(TypeError):
        _ = half < "x"
    with pytest.raises(ValueError, match="'score'"):
        float(Prediction(a=1))


def test_usage_is_noted():
    prediction = Prediction(a=1)

    assert prediction.get_lm_usage() is None
    prediction.set_lm_usage({"m": 1})

    assert prediction.get_lm_usage() == {"m": 1}
    assert prediction.to_dict() == {"a": 1}


def test_copies_and_pickles_keep_all_but_foreign_objects():
    response = Response((Completion("x"),), Usage(1, 2), raw=lambda: None)
    prediction = Prediction.of({"a": [1]}, response=response, completions=ROWS)
    prediction.set_lm_usage({"m": 1})

    deep = copy.deepcopy(prediction)
    again = pickle.loads(pickle.dumps(prediction))

    assert deep == again == prediction
    assert deep._response is response
    assert again._response == response._replace(raw=None)
    assert again.get_lm_usage() == {"m": 1}
    assert again.completions == prediction.completions
    assert copy.copy(prediction).completions.a == [1, 2]
    assert pickle.loads(pickle.dumps(prediction.completions)) == prediction.completions


def test_repr_has_a_line_for_each_field():
    assert repr(Prediction(a=1, b="x")) == "Prediction(\n    a=1,\n    b='x'\n)"
    assert repr(Completions(ROWS)) == "Completions(\n    a=[1, 2],\n    b=['x', 'y']\n)"

import pytest

import telic
from telic.errors import InputError
from telic.modules._aggregate import default_normalize, majority
from telic.testing import ScriptedLM


def rows(*answers):
    return [{"reasoning": f"r{n}", "answer": answer} for n, answer in enumerate(answers)]


def test_the_most_frequent_answer_wins_and_comes_whole():
    winner = majority(rows("Paris", "Rome", "the rome."))

    assert isinstance(winner, telic.Prediction)
    assert dict(winner.items()) == {"reasoning": "r1", "answer": "Rome"}


@pytest.mark.parametrize(
    ("answers", "winner"),
    [
        (["b", "a", "a", "b"], "b"),
        ([1, 2.0, 2], 2.0),
        ([1234567, 7654321, 7654321.0], 7654321),
        ([["x"], ["y"], ["y"]], ["y"]),
        ([{"k": [1]}, {"k": [1]}, None], {"k": [1]}),
        (["...", None, "x"], "x"),
        (["...", None], "..."),
        ([True, False, False], False),
        ([float("nan"), 1.5, 1.5], 1.5),
        (["4", 4, "5"], "4"),
        (["-4", "4", "4.0"], "4"),
        (["314", "3.14", "3.140", "It is 5."], "3.14"),
        (["1,250", "$1250", "12"], "1,250"),
        (["1,2", "12", "1,2"], "1,2"),
        (["B", "A", "(a)"], "A"),
        ([10, "1", "10.", 1], 10),
    ],
)
def test_answers_of_any_type_are_counted_and_ties_go_to_the_earliest(answers, winner):
    assert majority(rows(*answers)).answer == winner


def test_the_normalisation_can_be_changed_or_left_out():
    assert (
        majority(rows("Rome", "rome.", "x", "x", "x"), normalize=lambda answer: answer[:1].lower()).answer
        == "x"
    )
    assert majority(rows("Rome", "rome", "x", "x"), normalize=None).answer == "x"
    assert (
        majority(
            rows("skip", "skip", "x"), normalize=lambda answer: None if answer == "skip" else answer
        ).answer
        == "x"
    )


def test_the_field_can_be_named():
    samples = [{"city": "Rome", "note": "a"}, {"city": "Rome", "note": "b"}, {"city": "Oslo", "note": "b"}]

    assert majority(samples, field="city").note == "a"
    assert majority(samples).note == "b"


def test_a_prediction_without_completions_is_its_own_majority():
    assert majority(telic.Prediction(answer="Rome")).answer == "Rome"


def test_the_samples_of_one_call_are_counted():
    lm = ScriptedLM([{"answer": "4"}, {"answer": "5"}, {"answer": "5"}])

    sampled = telic.Predict("question -> answer", n=3, temperature=0.7)(question="?", lm=lm)

    assert sampled.answer == "4"
    assert majority(sampled).answer == "5"
    assert majority(sampled.completions).answer == "5"
    assert majority(list(sampled.completions)).answer == "5"


def test_the_last_output_of_a_signature_stands_before_the_last_key():
    signature = telic.Signature("q -> answer")
    completions = telic.Completions(
        {"answer": ["a", "b", "b"], "extra": ["x", "x", "y"]}, signature=signature
    )

    assert majority(completions).answer == "b"


@pytest.mark.parametrize(
    ("samples", "options", "said"),
    [
        ([], {}, "at least one"),
        ("Rome", {}, "takes a prediction"),
        (["Rome"], {}, "sample 0"),
        ([{}], {}, "it has none"),
        (rows("a"), {"field": "anwser"}, "did you mean 'answer'"),
        ([{"answer": 1}, {"other": 1}], {}, "sample 1"),
    ],
)
def test_what_cannot_be_counted_is_refused(samples, options, said):
    with pytest.raises(InputError, match=said):
        majority(samples, **options)


def test_normalised_text():
    assert default_normalize("  The Answer-IS: a cat! ") == "answeris cat"
    assert default_normalize("\u00e9") == default_normalize("e\u0301")
    assert default_normalize("100") == "100"
    assert default_normalize("It is -3.50.") == "it is -3.5"
    assert default_normalize("2026-01-02") == "20260102"

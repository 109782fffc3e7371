import pytest

from telic.data import Example, Prediction
from telic.errors import ConfigurationError, MetricError
from telic.evaluate import (
    EM,
    F1,
    HotPotF1,
    answer_exact_match,
    answer_passage_match,
    em_score,
    f1_score,
    hotpot_f1_score,
    normalize_text,
    precision_score,
)
from telic.evaluate._metrics import passage_tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Eiffel-Tower, a (big) thing!  an", "eiffeltower big thing"),
        ("\u00c9iffel", "e\u0301iffel"),
        ("an", ""),
        ("it's\u00a042\t3.5", "its 42 35"),
        ("banana theater", "banana theater"),
    ],
)
def test_text_is_normalised_as_squad_does(text, expected):
    assert normalize_text(text) == expected


def test_exact_match_ignores_case_articles_and_punctuation():
    assert em_score("The Paris!", "paris")
    assert not em_score("Paris, France", "Paris")


def test_f1_counts_common_tokens_with_their_numbers():
    assert f1_score("a b b c", "b b d") == pytest.approx(2 * (2 / 3) * (2 / 3) / (4 / 3))
    assert precision_score("b c", "b x y") == 0.5
    assert f1_score("x", "y") == 0.0
    assert f1_score("", "") == 0.0


def test_hotpot_f1_matches_yes_and_no_as_a_whole():
    assert hotpot_f1_score("yes", "yes no") == 0.0
    assert hotpot_f1_score("yes", "Yes.") == 1.0
    assert hotpot_f1_score("red tower", "red") == pytest.approx(2 / 3)


def test_the_best_of_several_answers_counts():
    assert EM("Paris", ["London", "paris"]) is True
    assert F1("red tower", ["blue", "red"]) == pytest.approx(2 / 3)
    assert HotPotF1("no", ["yes", "no"]) == 1.0


@pytest.mark.parametrize("answers", ["Paris", [], None])
def test_a_list_of_answers_is_asked_for(answers):
    with pytest.raises(ConfigurationError, match="answers_list"):
        EM("Paris", answers)


def test_answer_exact_match_takes_one_label_or_several():
    assert answer_exact_match(Example(answer="Paris"), Prediction(answer="the paris"))
    assert answer_exact_match(Example(answer=["London", "Paris"]), Prediction(answer="paris"))
    assert not answer_exact_match(Example(answer="Paris"), Prediction(answer="Paris France"))


def test_answer_exact_match_with_a_fraction_is_f1_of_at_least_that():
    example, prediction = Example(answer="red tower"), Prediction(answer="red")

    assert answer_exact_match(example, prediction, frac=0.6)
    assert not answer_exact_match(example, prediction, frac=0.7)


def test_labels_that_are_no_text_are_named():
    with pytest.raises(MetricError, match="42"):
        answer_exact_match(Example(answer=42), Prediction(answer="42"))


def test_a_passage_matches_where_its_tokens_hold_the_answer_in_a_row():
    example = Example(answer=["Eiffel Tower"])

    assert answer_passage_match(example, Prediction(context=["nothing", "The Eiffel Tower is high."]))
    assert answer_passage_match(example, Prediction(context="the eiffel tower"))
    assert not answer_passage_match(example, Prediction(context=["The tower of Eiffel"]))


def test_passage_tokens_are_words_and_single_signs():
    assert passage_tokens("N\u00e4ive \u00abx\u00bb\u200bit's") == [
        "na\u0308ive",
        "\u00ab",
        "x",
        "\u00bb",
        "it",
        "'",
        "s",
    ]

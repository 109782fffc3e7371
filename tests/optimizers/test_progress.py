import pytest

import telic
from telic.errors import ConfigurationError
from telic.testing import FunctionLM


def rows(n):
    return [telic.Example(question=f"{i}?", answer=str(i % 2)).with_inputs("question") for i in range(n)]


def right(example, prediction, trace=None):
    return example.answer == prediction.answer


def test_a_search_shows_how_far_it_is_and_the_best_so_far(capsys):
    optimizer = telic.BootstrapFewShotWithRandomSearch(
        right, num_candidate_programs=2, display_progress="force"
    )

    with telic.context(lm=FunctionLM(lambda text: {"answer": "1"}), num_threads=4):
        optimizer.compile(telic.Predict("question -> answer"), trainset=rows(8), valset=rows(6))

    shown = capsys.readouterr().err
    assert "searching" in shown
    assert "of 5 candidates" in shown
    assert "best 50.0 %" in shown


def test_a_bootstrap_shows_its_demonstrations(capsys):
    optimizer = telic.BootstrapFewShot(right, max_bootstrapped_demos=2, display_progress="force")

    with telic.context(lm=FunctionLM(lambda text: {"answer": "1"})):
        optimizer.compile(telic.Predict("question -> answer"), trainset=rows(8))

    assert "2 demonstrations" in capsys.readouterr().err


def test_where_nobody_looks_nothing_is_written(capsys):
    with telic.context(lm=FunctionLM(lambda text: {"answer": "1"})):
        telic.BootstrapFewShot(right).compile(telic.Predict("question -> answer"), trainset=rows(8))

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("optimizer", [telic.BootstrapFewShot, telic.BootstrapFewShotWithRandomSearch])
def test_a_display_that_is_none_is_refused(optimizer):
    with pytest.raises(ConfigurationError, match="display_progress"):
        optimizer(right, display_progress="yes")

from telic.data import Example, Prediction, Step
from telic.modules import Predict
from telic.optimizers._demos import demos_of_trace, labelled_demos, usable

PREDICTOR = Predict("question -> answer")


def test_a_row_is_usable_with_an_input_and_an_output_of_the_predictor():
    assert usable(Example(question="q", answer="a", other=1), PREDICTOR)
    assert not usable(Example(question="q"), PREDICTOR)
    assert not usable(Example(answer="a"), PREDICTOR)
    assert not usable(Example(question="q", answer=None), PREDICTOR)


def test_labelled_demos_depend_on_seed_and_path_alone():
    rows = [Example(question=str(i), answer=str(i)) for i in range(50)]

    first = labelled_demos(rows, PREDICTOR, "a", 5)

    assert first == labelled_demos(rows, PREDICTOR, "a", 5)
    assert first != labelled_demos(rows, PREDICTOR, "b", 5)
    assert first != labelled_demos(rows, PREDICTOR, "a", 5, seed=1)
    assert labelled_demos(rows, PREDICTOR, "a", 5, sample=False) == rows[:5]
    assert len(labelled_demos(rows[:3], PREDICTOR, "a", 5)) == 3


def steps(n):
    return [Step(PREDICTOR, {"question": f"q{i}"}, Prediction(answer=f"a{i}")) for i in range(n)]


def test_a_step_becomes_a_demo_of_its_predictor():
    other = Predict("a -> b")
    trace = [*steps(1), Step(other, {"a": "1"}, Prediction(b="2"))]

    demos = demos_of_trace(trace, {id(PREDICTOR): "first"})

    assert demos == {"first": Example(augmented=True, question="q0", answer="a0")}


def test_of_several_calls_one_is_kept_and_the_same_one_again():
    paths = {id(PREDICTOR): "p"}
    kept = [demos_of_trace(steps(4), paths, seed)["p"].question for seed in range(200)]

    assert kept == [demos_of_trace(steps(4), paths, seed)["p"].question for seed in range(200)]
    assert set(kept) == {"q0", "q1", "q2", "q3"}
    assert 70 < kept.count("q3") < 130  # the last one in half of the cases

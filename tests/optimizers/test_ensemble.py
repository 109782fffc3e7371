import pytest

from telic.context import context
from telic.errors import ConfigurationError
from telic.modules import Module, Predict, majority
from telic.optimizers import Ensemble
from telic.testing import FunctionLM


def programs(*words):
    made = []
    for word in words:
        program = Predict("question -> answer")
        program.lm = FunctionLM(lambda text, word=word: {"answer": word})
        made.append(program)
    return made


def test_the_answers_of_all_programs_are_reduced():
    made = Ensemble(reduce_fn=majority).compile(programs("Rome", "Oslo", "Rome"))

    assert made(question="Where?").answer == "Rome"


def test_without_a_reduction_the_answers_are_returned_in_order():
    made = Ensemble().compile(programs("a", "b"))

    assert [one.answer for one in made(question="?")] == ["a", "b"]


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_draw_of_some_is_the_same_for_the_same_inputs(deterministic):
    made = Ensemble(size=2, deterministic=deterministic).compile(programs(*"abcdef"))
    other = Ensemble(size=2, deterministic=deterministic).compile(programs(*"abcdef"))

    answers = [[one.answer for one in made(question=str(n))] for n in range(8)]

    assert answers == [[one.answer for one in other(question=str(n))] for n in range(8)]
    assert all(len(one) == 2 for one in answers)
    assert len({tuple(one) for one in answers}) > 1


def test_the_programs_are_copied_and_stay_as_they_were():
    members = programs("a", "b")
    made = Ensemble().compile(members)
    made.programs[0].demos = [1]

    assert members[0].demos == []
    assert [path for path, _ in made.named_predictors()] == ["programs[0]", "programs[1]"]


def test_it_is_saved_and_loaded(tmp_path):
    members = programs("a", "b")
    members[0].signature = members[0].signature.with_instructions("Say a.")
    Ensemble().compile(members).save(tmp_path / "e.json")

    loaded = Ensemble().compile(programs("a", "b")).load(tmp_path / "e.json")

    assert loaded.programs[0].signature.instructions == "Say a."
    assert loaded.report.optimizer == "Ensemble"


def test_callables_may_be_members():
    class Plain(Module):
        def forward(self, question):
            return question.upper()

    with context(lm=None):
        assert Ensemble().compile([Plain(), lambda question: question])(question="q") == ["Q", "q"]


@pytest.mark.parametrize("given", [[], Predict("a -> b"), 5, [3]])
def test_what_is_no_list_of_programs_is_refused(given):
    with pytest.raises(ConfigurationError):
        Ensemble().compile(given)


@pytest.mark.parametrize("options", [{"size": 0}, {"size": True}, {"reduce_fn": "majority"}])
def test_impossible_settings_are_refused(options):
    with pytest.raises(ConfigurationError):
        Ensemble(**options)


def test_more_members_than_there_are_is_refused():
    with pytest.raises(ConfigurationError):
        Ensemble(size=3).compile(programs("a", "b"))

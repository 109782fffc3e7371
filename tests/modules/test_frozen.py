"""What is frozen: by name, copied and saved with the program, forgotten by nothing but `unfreeze`."""

import json

import pytest

from telic.data import Example
from telic.errors import ConfigurationError, StateError
from telic.evaluate import program_key
from telic.modules import ChainOfThought, Module, Predict, is_learnable
from telic.modules._frozen import PARTS

QA = "question -> answer"


class Two(Module):
    def __init__(self):
        self.first = ChainOfThought("question -> plan")
        self.second = Predict("question, plan -> answer")

    def forward(self, question):
        return self.second(question=question, plan=self.first(question=question).plan)


def parts(program):
    return {path: tuple(sorted(predictor.frozen_parts)) for path, predictor in program.named_predictors()}


def test_parts_are_frozen_by_name_in_all_predictors_of_a_module():
    program = Two()

    assert program.freeze("instructions", "demos") is program
    assert parts(program) == dict.fromkeys(("first.predict", "second"), ("demos", "instructions"))
    assert not is_learnable(program.second, "demos")
    assert is_learnable(program.second, "fields")


def test_one_predictor_or_one_module_of_a_program_is_frozen_alone():
    program = Two()
    program.first.freeze("demos")
    program.second.freeze("instructions")

    assert parts(program) == {"first.predict": ("demos",), "second": ("instructions",)}


def test_nothing_named_is_everything():
    program = Predict(QA).freeze()

    assert program.frozen_parts == frozenset(PARTS)
    assert program.unfreeze("demos").frozen_parts == frozenset(PARTS) - {"demos"}
    assert program.unfreeze().frozen_parts == frozenset()


def test_predictors_in_compiled_parts_are_frozen_too():
    program = Two()
    program.first.frozen = True
    program.freeze("demos")

    assert program.first.predict.frozen_parts == {"demos"}


@pytest.mark.parametrize("part", ["demo", "", None, 3])
def test_what_is_no_part_is_refused_and_nothing_is_changed(part):
    program = Predict(QA)

    with pytest.raises(ConfigurationError, match="no part"):
        program.freeze("instructions", part)

    assert program.frozen_parts == frozenset()


def test_copies_are_frozen_as_well_and_on_their_own():
    program = Two().freeze("instructions")
    copied = program.deepcopy()
    program.unfreeze()

    assert parts(copied) == dict.fromkeys(("first.predict", "second"), ("instructions",))


def test_frozen_demos_survive_a_reset():
    program = Two()
    for predictor in program.predictors():
        predictor.demos = [Example(question="q", plan="p", answer="a")]
    program.second.freeze("demos")

    made = program.reset_copy()

    assert [len(predictor.demos) for predictor in made.predictors()] == [0, 1]


def test_the_user_may_assign_to_what_is_frozen():
    program = Predict(QA).freeze()
    program.demos = [Example(question="q", answer="a")]
    program.signature = program.signature.with_instructions("Other.")

    assert len(program.demos) == 1


def test_it_is_saved_and_loaded(tmp_path):
    program = Two()
    program.second.freeze("tools", "instructions")
    program.save(tmp_path / "program.json")

    loaded = Two().load(tmp_path / "program.json")

    assert parts(loaded) == {"first.predict": (), "second": ("instructions", "tools")}


def test_a_file_that_says_nothing_leaves_what_the_code_froze(tmp_path):
    Two().save(tmp_path / "program.json")
    assert "frozen" not in (tmp_path / "program.json").read_text(encoding="utf-8")

    assert Two().freeze("demos").load(tmp_path / "program.json").second.frozen_parts == {"demos"}


@pytest.mark.parametrize("frozen", ["instructions and all", ["code"], {"demos": 1}, 7])
def test_a_damaged_file_is_refused_as_a_whole(tmp_path, frozen):
    program = Predict(QA)
    state = program.dump_state()
    state["predictors"]["self"]["frozen"] = frozen
    (tmp_path / "program.json").write_text(json.dumps(state), encoding="utf-8")

    with pytest.raises(StateError, match="frozen"):
        program.load(tmp_path / "program.json")

    assert program.frozen_parts == frozenset()


def test_a_run_of_a_frozen_program_is_another_run():
    free, frozen = Predict(QA), Predict(QA).freeze("demos")

    assert program_key(free) != program_key(frozen)
    assert program_key(free) == program_key(frozen.unfreeze())

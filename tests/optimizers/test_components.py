"""Descriptions of fields are learned beside instructions where that is asked for."""

import pytest
from arithmetic import answer_of, examples, metric
from proposing import text_of

from telic.context import context
from telic.errors import ConfigurationError
from telic.modules import ChainOfThought, Predict, ReAct
from telic.optimizers import GEPA
from telic.optimizers._components import KINDS, free_components, split_name, texts_of, with_texts
from telic.testing import FunctionLM

QA = "question -> answer"
TOLD = "the sum, in digits"


def worker():
    """Right where the description of a field says how; writes one where it is asked for one."""

    def reply(request):
        text = text_of(request)
        if "[[ ## new_instruction ## ]]" in text:
            about_field = "what is said of the field answer" in text
            return {"new_instruction": f"  {TOLD}\n" if about_field else "Think harder."}
        right = 0.3 + 0.7 * (f"`answer` (str): {TOLD}" in text)
        return {"answer": answer_of(request.messages[-1]["content"], right)}

    return FunctionLM(reply)


def evolved(student, lm=None, **settings):
    options = {"max_metric_calls": 120, "reflection_minibatch_size": 4, "num_threads": 2, **settings}
    with context(lm=worker() if lm is None else lm):
        return GEPA(metric=metric, **options).compile(
            student, trainset=examples(12), valset=examples(10, first=60)
        )


@pytest.mark.parametrize("learn", ["fields", ("fields",), ("instructions", "fields")])
def test_gepa_learns_what_is_said_of_a_field(learn):
    program = evolved(Predict(QA), learn=learn)

    assert program.signature.fields["answer"].desc == TOLD
    assert program.report.score == 100.0
    assert (program.signature.instructions == Predict(QA).signature.instructions) or "instructions" in learn


def test_instructions_alone_are_learned_unless_more_is_asked_for():
    lm = worker()
    program = evolved(Predict(QA), lm)

    assert all(one.program.signature.fields["answer"].desc == "" for one in program.report.candidates)
    assert not any("said of the field" in text_of(request) for request in lm.requests)


def test_what_was_learned_of_fields_is_saved_and_loaded(tmp_path):
    program = evolved(Predict(QA), learn=("fields",))
    program.save(tmp_path / "program.json")

    assert Predict(QA).load(tmp_path / "program.json").signature.fields["answer"].desc == TOLD


def test_frozen_fields_stay_and_nothing_is_asked_about_them():
    lm = worker()
    program = evolved(Predict(QA).freeze("fields"), lm, learn=KINDS)

    assert all(one.program.signature.fields["answer"].desc == "" for one in program.report.candidates)
    assert not any("said of the field" in text_of(request) for request in lm.requests)


def test_nothing_to_learn_is_refused():
    with pytest.raises(ConfigurationError, match="frozen"):
        evolved(Predict(QA).freeze("fields"), learn=("fields",))


@pytest.mark.parametrize("learn", [(), ("demos",), ("instructions", "tools"), "field"])
def test_what_it_cannot_learn_is_refused(learn):
    with pytest.raises(ConfigurationError, match="learn"):
        GEPA(metric=metric, auto="light", learn=learn)


def test_the_fields_of_an_agents_steps_are_no_components():
    agent = ReAct(QA, tools=[])

    assert [name for name in free_components(agent, KINDS) if name.startswith("react:")] == []
    assert "extract.predict:answer" in free_components(agent, KINDS)


def test_texts_go_into_a_copy_and_come_out_again():
    program = ChainOfThought(QA)
    texts = {**texts_of(program, KINDS), "predict": "Add.", "predict:answer": "a number"}

    made = with_texts(program, texts)

    assert texts_of(made, KINDS) == texts
    assert program.predict.signature.fields["answer"].desc == ""
    assert texts_of(with_texts(program.freeze(), texts), ("instructions",)) == texts_of(
        program, ("instructions",)
    )


def test_names_of_components_are_told_from_paths_with_colons():
    assert split_name("self:answer") == ("self", "answer")
    assert split_name("agents['a: b']") == ("agents['a: b']", "")
    assert split_name("agents['a:b'].step:answer") == ("agents['a:b'].step", "answer")

"""What is broken in DSPy 3.4.1, as far as modules go: here it works, and says so."""

import asyncio
import json
import textwrap

import pydantic
import pytest

import telic
from telic.data import Completions
from telic.errors import LMServerError
from telic.modules import (
    BestOfN,
    ChainOfThought,
    CodeAct,
    Module,
    MultiChainComparison,
    Predict,
    ProgramOfThought,
    Refine,
    majority,
)
from telic.testing import FunctionLM, ScriptedLM

ROW = telic.Example(question="q", answer="a").with_inputs("question")


def echo(**fields):
    return FunctionLM(lambda text: {"answer": "a", "reasoning": "r", **fields})


def test_code_act_can_be_awaited():
    """There: AttributeError, since the inherited `aforward` looks for a predictor that it does not have."""
    lm = ScriptedLM([{"generated_code": "print(1)", "finished": True}, {"reasoning": "r", "answer": "1"}])

    assert asyncio.run(CodeAct("question -> answer", tools=[]).acall(question="?", lm=lm)).answer == "1"


def test_code_act_takes_tools_whose_source_cannot_be_read():
    """There: tools must be plain functions, whose source is copied into the sandbox."""
    names = {}
    exec("def double(n: int) -> int:\n    return factor * n", names)
    names["factor"] = 2
    lm = ScriptedLM(
        [{"generated_code": "print(double(4))", "finished": True}, {"reasoning": "r", "answer": "8"}]
    )

    found = CodeAct("question -> answer", tools=[names["double"]])(question="?", lm=lm)
    assert found.trajectory["code_output_0"] == "8"


def test_program_of_thought_can_be_awaited_and_its_code_ends_in_time():
    """There: no async, and an endless loop in the sandbox hangs for ever."""
    codes = ["while True:\n    pass", "print(1)"]
    lm = ScriptedLM(
        [*({"reasoning": "r", "generated_code": code} for code in codes), {"reasoning": "r", "answer": "1"}]
    )
    program = ProgramOfThought(
        "question -> answer", interpreter=telic.sandbox.MontyInterpreter(max_seconds=0.2)
    )

    assert asyncio.run(program.acall(question="?", lm=lm)).answer == "1"


@pytest.mark.parametrize("kind", [BestOfN, Refine])
def test_searches_can_be_awaited(kind):
    """There: AttributeError, since neither has an `aforward`."""
    program = kind(
        Predict("question -> answer"), N=2, reward_fn=lambda inputs, prediction: 1.0, threshold=1.0
    )
    with telic.context(lm=echo()):
        assert asyncio.run(program.acall(question="?")).answer == "a"


@pytest.mark.parametrize("kind", [BestOfN, Refine])
def test_failures_that_are_tolerated_are_tolerated_in_every_call(kind):
    """There: the count goes down on the module itself, so that a later call tolerates less."""
    program = kind(
        Predict("question -> answer"),
        N=3,
        reward_fn=lambda inputs, prediction: 1.0,
        threshold=1.0,
        fail_count=1,
    )
    for _ in range(4):
        lm = ScriptedLM([LMServerError("down"), {"answer": "a"}])
        with telic.context(lm=lm, max_retries=0):
            assert program(question="?").answer == "a"
    assert program.fail_count == 1


@pytest.mark.parametrize("kind", [BestOfN, Refine])
def test_all_attempts_but_one_may_fail(kind):
    """There: with the default, the N-th failure is raised, though N are tolerated and an attempt is left."""
    program = kind(
        Predict("question -> answer"), N=3, reward_fn=lambda inputs, prediction: 1.0, threshold=1.0
    )
    lm = ScriptedLM([LMServerError("down"), LMServerError("down"), {"answer": "a"}])
    with telic.context(lm=lm, max_retries=0):
        assert program(question="?").answer == "a"


def test_refine_needs_no_source():
    """There: OSError for programs and rewards that were made in a session or by `exec`."""
    names = {"telic": telic}
    exec(
        textwrap.dedent("""
            class Program(telic.Module):
                def __init__(self):
                    self.predict = telic.Predict("question -> answer")
                def forward(self, question):
                    return self.predict(question=question)
            def reward(inputs, prediction):
                return float(prediction.answer == "right")
        """),
        names,
    )
    refine = Refine(names["Program"](), N=2, reward_fn=names["reward"], threshold=1.0)
    lm = ScriptedLM(
        [{"answer": "wrong"}, {"discussion": "d", "advice": {"predict": "Be right."}}, {"answer": "right"}]
    )
    with telic.context(lm=lm):
        assert refine(question="?").answer == "right"


def test_refine_gives_a_hint_to_the_predictor_to_blame_and_to_no_other_of_an_equal_signature():
    """There: advice finds its way by the signature, and two predictors of one signature are one."""

    class Twice(Module):
        def __init__(self):
            self.first, self.second = Predict("question -> answer"), Predict("question -> answer")

        def forward(self, question):
            return self.second(question=self.first(question=question).answer)

    lm = ScriptedLM([
        {"answer": "a"}, {"answer": "b"}, {"discussion": "d", "advice": {"second": "Say c."}}, {"answer": "a"}, {"answer": "c"},
    ])  # fmt: skip
    refine = Refine(Twice(), N=2, reward_fn=lambda inputs, prediction: prediction.answer == "c", threshold=1)
    with telic.context(lm=lm):
        refine(question="?")

    assert "Say c." not in lm.requests[3].messages[-1]["content"]
    assert "Say c." in lm.requests[4].messages[-1]["content"]


def test_a_prediction_without_completions_has_a_majority():
    """There: TypeError."""
    assert majority(telic.Prediction(answer="a")).answer == "a"
    assert majority(Completions([{"answer": "a"}])).answer == "a"


def test_answers_that_differ_in_their_sign_or_point_are_different_votes():
    """There: punctuation goes first, so that -4 and 4, and 3.14 and 314, are one answer; and "A" is an article."""
    rows = [{"answer": text} for text in ("-4", "4", "4")]
    assert majority(rows).answer == "4"
    assert majority([{"answer": text} for text in ("314", "3.14", "3.14")]).answer == "3.14"
    assert majority([{"answer": text} for text in ("B", "A", "A")]).answer == "A"


def test_comparisons_show_their_attempts_whole_and_typed():
    """There: the attempts stood behind prefixes that are not rendered any more, cut to their first lines."""
    compare = MultiChainComparison("question -> answer: list[int]", M=2)
    attempts = [{"reasoning": "one\ntwo", "answer": [1, 2]}, {"reasoning": "three", "answer": [3]}]
    lm = ScriptedLM([{"rationale": "r", "answer": "[1, 2]"}])

    assert compare(completions=attempts, question="?", lm=lm).answer == [1, 2]
    assert "two" in lm.requests[0].messages[-1]["content"]
    assert "[1, 2]" in lm.requests[0].messages[-1]["content"]


def test_a_state_without_metadata_loads(tmp_path):
    """There: KeyError."""
    program = Predict("question -> answer")
    program.demos = [ROW]
    state = {
        "self": {
            "demos": [{"question": "q", "answer": "a"}],
            "signature": {"instructions": "Answer.", "fields": [
                {"prefix": "Question:", "description": "${question}"}, {"prefix": "Answer:", "description": "${answer}"},
            ]},
        }
    }  # fmt: skip
    file = tmp_path / "state.json"
    file.write_text(json.dumps(state))

    assert Predict("question -> answer").load(file).signature.instructions == "Answer."


def test_predictors_in_nested_containers_are_seen_saved_and_given_lms(tmp_path):
    """There: invisible to `save`, `set_lm` and optimizers."""

    class Nested(Module):
        def __init__(self):
            self.hops = [{"a": [Predict("question -> answer")]}, (Predict("question -> answer"),)]

    program = Nested()
    program.set_lm(echo())
    program.hops[0]["a"][0].demos = [ROW]
    program.save(tmp_path / "p.json")

    assert len(program.named_predictors()) == 2
    assert all(leaf.lm is not None for leaf in program.predictors())
    assert [dict(demo) for demo in Nested().load(tmp_path / "p.json").hops[0]["a"][0].demos] == [dict(ROW)]


def test_searches_are_copied_and_saved_with_their_reward(tmp_path):
    """There: they hold lambdas, which cannot be pickled."""
    program = BestOfN(Predict("question -> answer"), N=2, reward_fn=lambda inputs, prediction: 1, threshold=1)
    program.save(tmp_path / "p.json")

    assert program.deepcopy().load(tmp_path / "p.json").reward_fn is program.reward_fn


def test_a_teacher_that_fails_keeps_its_demos():
    """There: the demos that were taken out for the run of a row are never put back when the teacher raises."""

    class Fails(Module):
        def __init__(self):
            self.predict = Predict("question -> answer")

        def forward(self, question):
            raise ValueError("no")

    teacher = Fails()
    teacher.predict.demos = [ROW, telic.Example(question="other", answer="b").with_inputs("question")]
    before = list(teacher.predict.demos)
    with telic.context(lm=echo()):
        telic.BootstrapFewShot(lambda *args: True).compile(Fails(), teacher=teacher, trainset=[ROW])

    assert teacher.predict.demos == before


def test_an_evaluation_is_written_as_json(tmp_path):
    """There: TypeError, after the run has been paid for."""
    file = tmp_path / "rows.json"
    with telic.context(lm=echo()):
        telic.Evaluate(devset=[ROW], metric=lambda example, prediction, trace=None: 1, save_as_json=file)(
            Predict("question -> answer")
        )

    assert json.loads(file.read_text())


def test_types_constraints_and_differences_of_signatures_count():
    """There: `list[Custom]` in a string is unknown, constraints are not checked, and `equals` overlooks types."""

    class City(pydantic.BaseModel):
        name: str

    class Limited(telic.Signature):
        question: str = telic.InputField()
        answer: int = telic.OutputField(ge=0)

    cities = telic.Signature("question -> cities: list[City]", custom_types={"City": City})
    assert cities.output_fields["cities"].annotation == list[City]
    assert not telic.Signature("question -> answer: int").equals(telic.Signature("question -> answer: str"))
    lm = ScriptedLM([{"answer": "-1"}, {"answer": "1"}])
    assert Predict(Limited)(question="?", lm=lm).answer == 1


def test_a_chain_of_thought_is_awaited_in_many_tasks_at_once():
    async def main():
        think = ChainOfThought("question -> answer")
        return await asyncio.gather(*(think.acall(question=str(n)) for n in range(200)))

    with telic.context(lm=echo()):
        assert len(asyncio.run(main())) == 200

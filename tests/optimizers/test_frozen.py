"""What is frozen stays as it is, whatever optimizer is asked; LMs of predictors stay where they are."""

import pytest
from arithmetic import examples, metric

from telic.context import context
from telic.data import Example
from telic.errors import ConfigurationError
from telic.modules import Module, Predict, ReAct
from telic.optimizers import (
    COPRO,
    GEPA,
    SIMBA,
    BootstrapFewShot,
    BootstrapFewShotWithOptuna,
    BootstrapFewShotWithRandomSearch,
    Improve,
    InferRules,
    KNNFewShot,
    LabeledFewShot,
    MIPROv2,
)
from telic.testing import DummyVectorizer, FunctionLM, OptimizerConformance

DEMOS = {"max_bootstrapped_demos": 2, "max_labeled_demos": 3}
MAKERS = {
    "LabeledFewShot": lambda: LabeledFewShot(3),
    "BootstrapFewShot": lambda: BootstrapFewShot(metric, **DEMOS),
    "BootstrapFewShotWithRandomSearch": lambda: BootstrapFewShotWithRandomSearch(
        metric, num_candidate_programs=2, **DEMOS
    ),
    "BootstrapFewShotWithOptuna": lambda: BootstrapFewShotWithOptuna(
        metric, num_candidate_programs=4, **DEMOS
    ),
    "KNNFewShot": lambda: KNNFewShot(3, vectorizer=DummyVectorizer(), metric=metric, **DEMOS),
    "COPRO": lambda: COPRO(metric=metric, breadth=3, depth=2),
    "MIPROv2": lambda: MIPROv2(metric, auto=None, num_candidates=3, **DEMOS),
    "SIMBA": lambda: SIMBA(metric=metric, bsize=4, num_candidates=3, max_steps=3, max_demos=2),
    "GEPA": lambda: GEPA(metric=metric, max_metric_calls=80, reflection_minibatch_size=3),
    "InferRules": lambda: InferRules(num_candidates=2, metric=metric, **DEMOS),
    "Improve": lambda: Improve(metric, num_instructions=4, max_rounds=2, confidence=0.5),
}
LEARNS = {
    **dict.fromkeys(("LabeledFewShot", "KNNFewShot"), ("demos",)),
    **{name: ("demos",) for name in MAKERS if name.startswith("Bootstrap")},
    **dict.fromkeys(("COPRO", "GEPA"), ("instructions",)),
    **dict.fromkeys(("MIPROv2", "SIMBA", "InferRules", "Improve"), ("instructions", "demos")),
}
everywhere = pytest.mark.parametrize("name", MAKERS)


class Two(Module):
    def __init__(self):
        self.plan = Predict("question -> plan")
        self.answer = Predict("question, plan -> answer")
        self.plan.demos = [Example(question="What is 1 plus 1?", plan="Add.").with_inputs("question")]
        self.answer.demos = [
            Example(question="What is 2 plus 2?", plan="Add.", answer="4").with_inputs("question", "plan")
        ]

    def forward(self, question):
        return self.answer(question=question, plan=self.plan(question=question).plan)


def lm(**settings):
    """Answers by a hash of the prompt, so that every change of a prompt changes scores."""
    return OptimizerConformance().lm(**settings)


def compiled(name, student, **settings):
    options = {"num_trials": 6} if name == "MIPROv2" else {}
    with context(lm=lm(), num_threads=4, max_errors=50, **settings):
        made = MAKERS[name]().compile(student, trainset=examples(12), **data(name), **options)
    return made.program if name == "KNNFewShot" else made


def data(name):
    return {} if name == "LabeledFewShot" else {"valset": examples(10, first=50)}


def state(program, part):
    return {
        path: [dict(demo.items()) for demo in one.demos]
        if part == "demos"
        else str(one.signature.instructions)
        for path, one in program.named_predictors()
    }


def tried(program):
    """Return what was found, and all that was tried on the way."""
    report = program.report
    return [program, *(one.program for one in ([] if report is None else report.candidates))]


@everywhere
@pytest.mark.parametrize("part", ["instructions", "demos"])
def test_a_part_that_is_frozen_in_one_predictor_stays_in_every_candidate(name, part):
    student = Two()
    student.plan.freeze(part)

    made = compiled(name, student)

    for program in tried(made):
        assert state(program, part)["plan"] == state(student, part)["plan"]
    assert made.plan.frozen_parts == {part}


@everywhere
@pytest.mark.parametrize("part", ["instructions", "demos"])
def test_a_part_that_is_frozen_everywhere_stays_or_the_optimizer_says_that_it_learns_nothing_else(name, part):
    student = Two().freeze(part)
    if LEARNS[name] == (part,) or (name == "InferRules" and part == "instructions"):
        asked = lm()
        with context(lm=asked), pytest.raises(ConfigurationError, match="frozen"):
            MAKERS[name]().compile(student, trainset=examples(12))
        assert not asked.calls
        return

    made = compiled(name, student)

    for program in tried(made):
        assert state(program, part) == state(student, part)


@everywhere
def test_what_is_free_is_learned_beside_what_is_frozen(name):
    """The other predictor changes: freezing one does not stop the search."""
    student = Two()
    student.plan.freeze()

    programs = tried(compiled(name, student))

    learned = [
        state(one, part)["answer"] != state(student, part)["answer"]
        for one in programs
        for part in LEARNS[name]
    ]
    assert any(learned) or name == "KNNFewShot"  # its rows lie beside the program
    assert all(
        state(one, part)["plan"] == state(student, part)["plan"] for one in programs for part in LEARNS[name]
    )


@everywhere
def test_nothing_free_is_refused_before_anything_is_paid_for(name):
    asked = lm()

    with context(lm=asked), pytest.raises(ConfigurationError, match="unfreeze"):
        MAKERS[name]().compile(Two().freeze(), trainset=examples(12))

    assert not asked.calls


@everywhere
def test_a_compiled_part_is_left_as_it_is(name):
    """DSPy's `_compiled`: programs around such a part do not see its predictors."""

    class Around(Module):
        def __init__(self):
            self.inner, self.predict = Two(), Predict("question -> answer")
            self.inner.frozen = True

        def forward(self, question):
            return self.predict(question=self.inner(question=question) and question)

    student = Around()
    made = compiled(name, student)

    for program in tried(made):
        assert program.inner.frozen
        for part in ("demos", "instructions"):
            assert state(program.inner, part) == state(student.inner, part)


@everywhere
def test_only_programs_with_bootstrapped_demos_come_marked_as_compiled(name):
    """As DSPy's: a part that an instruction optimizer made can still get demonstrations in what is around it."""
    made = compiled(name, Two())

    bootstrapped = any(demo.get("augmented") for one in made.predictors() for demo in one.demos)
    if name != "KNNFewShot":
        assert made._compiled == (bootstrapped and name not in ("MIPROv2", "SIMBA"))


def test_a_part_with_new_instructions_gets_demos_in_a_program_around_it():
    class Around(Module):
        def __init__(self, part):
            self.part = part

        def forward(self, question):
            return self.part(question=question)

    part = compiled("COPRO", Two())
    texts = state(part, "instructions")

    made = compiled("BootstrapFewShot", Around(part))

    assert state(made.part, "instructions") == texts
    assert state(made.part, "demos") != state(part, "demos")


@everywhere
def test_predictors_keep_their_lms(name):
    student = Two()
    student.plan.lm, student.answer.lm = lm(name="first"), lm(name="second")

    made = compiled(name, student)

    assert [made.plan.lm.model, made.answer.lm.model] == ["first", "second"]
    assert student.plan.lm.calls or name == "LabeledFewShot"


@pytest.mark.parametrize("frozen", [True, False])
def test_prefixes_of_fields_are_proposed_by_copro_unless_fields_are_frozen(frozen):
    student = Predict("question -> answer")
    if frozen:
        student.freeze("fields")
    asked = lm()

    with context(lm=asked, max_errors=50):
        made = COPRO(metric=metric, breadth=3, depth=1, prefix=True).compile(
            student, trainset=examples(6), valset=examples(6, first=50)
        )

    prefixes = [one.signature.fields["answer"].prefix for one in tried(made)]
    assert (set(prefixes) == {"Answer:"}) is frozen


def agent():
    def population(city: str) -> str:
        """How many people live there."""
        return "7"

    return ReAct("question -> answer", tools=[population])


class Rewriting:
    """Proposes instructions that tell of the tool otherwise, for whatever it is asked and more."""

    def __call__(self, *, candidate, reflective_dataset, components_to_update):
        new = "Look it up.\n\nTools:\n- `population`: Anything at all. Arguments: {}"
        return dict.fromkeys(candidate, new)


@pytest.mark.parametrize("frozen", [True, False])
def test_descriptions_of_tools_are_learned_by_gepa_unless_they_are_frozen(frozen):
    student = agent()
    if frozen:
        student.freeze("tools")
    told = "How many people live there."

    def reply(request):
        text = request.messages[0]["content"]
        return {"next_thought": "t", "next_tool_name": "finish", "next_tool_args": {}, "reasoning": text[:40],
                "answer": "Look it up" if "Look it up" in text else "no"}  # fmt: skip

    def right(example, prediction, trace=None, pred_name=None, pred_trace=None):
        return float("Look" in prediction.reasoning or "Look" in prediction.answer)

    optimizer = GEPA(
        metric=right, max_metric_calls=40, reflection_minibatch_size=2, instruction_proposer=Rewriting()
    )
    with context(lm=FunctionLM(reply)):
        made = optimizer.compile(student, trainset=examples(4), valset=examples(4, first=9))

    texts = [str(one.program.react.signature.instructions) for one in made.report.candidates]
    changed = [text for text in texts if "Look it up." in text]
    assert changed
    assert all((told in text) is frozen for text in changed)
    assert all(("Anything at all" in text) is not frozen for text in changed)
    assert all("- `finish`" in text for text in texts)


def test_a_proposer_that_rewrites_what_is_frozen_changes_nothing_there():
    student = Two()
    student.plan.freeze("instructions")
    optimizer = GEPA(
        metric=metric, max_metric_calls=40, reflection_minibatch_size=2, instruction_proposer=Rewriting()
    )

    with context(lm=lm(), max_errors=50):
        made = optimizer.compile(student, trainset=examples(6), valset=examples(6, first=50))

    assert all(
        state(one, "instructions")["plan"] == state(student, "instructions")["plan"] for one in tried(made)
    )

import pytest
from arithmetic import answer_of, arithmetic_lm, examples, metric
from proposing import text_of

from telic.budget import Budget
from telic.context import context
from telic.data import Example
from telic.errors import ConfigurationError, LMInvalidRequestError, NotConfiguredError
from telic.modules import Module, Predict
from telic.optimizers import InferRules
from telic.testing import FunctionLM

QA = "question -> answer"
RULE = "Carry the one."


def is_question(request):
    return "write the rules of the task" in request.messages[0]["content"]


def worker(base=0.5, lift=0.45, rules=(RULE, "Guess.")):
    def reply(request):
        if is_question(request):
            return {"rules": rules[request.sample % len(rules)]}
        chance = base + lift * (RULE in request.messages[0]["content"])
        return {"answer": answer_of(request.messages[-1]["content"], chance)}

    return FunctionLM(reply)


def compiled(lm=None, student=None, options=None, **arguments):
    settings = {
        "metric": metric,
        "num_candidates": 4,
        "max_labeled_demos": 6,
        "num_threads": 8,
        **(options or {}),
    }
    with context(lm=worker() if lm is None else lm):
        return InferRules(**settings).compile(
            Predict(QA) if student is None else student,
            **{"trainset": examples(24), "valset": examples(20, first=100), **arguments},
        )


def test_the_best_rules_are_added_to_the_instructions():
    program = compiled()

    assert (
        program.signature.instructions
        == f"{Predict(QA).signature.instructions}\n\nFollow these rules:\n{RULE}"
    )
    assert program.report.score > program.report.baseline
    assert len([demo for demo in program.demos if demo.get("augmented")]) == 4
    assert {c.label for c in program.report.candidates} >= {"as given", "without rules"}
    assert program.report.check is not None


def test_each_question_shows_another_draw_of_examples_and_no_more_than_asked_for():
    lm = worker()
    compiled(lm=lm, options={"num_examples": 5, "num_rules": 3})

    asked = [text_of(r) for r in lm.requests if is_question(r)]
    shown = [text.rpartition("[[ ## examples ## ]]")[2].count("What is") for text in asked]
    assert len(asked) == 4
    assert shown == [5] * 4
    assert len(set(asked)) == 4
    assert "3 at most" in asked[0]
    assert all(r.options["temperature"] == 1.0 for r in lm.requests if is_question(r))


class Two(Module):
    def __init__(self):
        self.first = Predict("question -> plan")
        self.second = Predict("question, plan -> answer")

    def forward(self, question):
        return self.second(question=question, plan=self.first(question=question).plan)


def test_a_step_that_no_row_is_labelled_for_is_explained_by_its_demos():
    def reply(request):
        if is_question(request):
            return {"rules": RULE}
        text = request.messages[-1]["content"]
        if "with the field `[[ ## plan" in text:
            return {"plan": "the plan"}
        return {"answer": answer_of(text, 0.3 + 0.6 * (RULE in request.messages[0]["content"]))}

    lm = FunctionLM(reply)
    program = compiled(lm=lm, student=Two())

    asked = [text_of(r) for r in lm.requests if is_question(r)]
    firsts = [text for text in asked if "for the step first" in text]
    assert len(asked) == 8
    assert all("plan: the plan" in text for text in firsts)
    assert RULE in program.first.signature.instructions
    assert RULE in program.second.signature.instructions


def test_threads_decide_nothing():
    alone, many = (compiled(options={"num_threads": n}) for n in (1, 32))

    assert [c.to_dict() for c in alone.report.candidates] == [c.to_dict() for c in many.report.candidates]


def test_nothing_better_leaves_the_program_as_it_was_given():
    student = Predict(QA)
    student.demos = examples(1)
    program = compiled(lm=worker(lift=0.0), student=student)

    assert program.signature.instructions == Predict(QA).signature.instructions
    assert program.report.score == program.report.baseline


def test_questions_that_fail_are_counted_and_the_others_go_on():
    calls = []

    def reply(request):
        if is_question(request):
            calls.append(1)
            if len(calls) < 3:
                raise LMInvalidRequestError("refused", model="worker")
            return {"rules": RULE}
        return {"answer": answer_of(request.messages[-1]["content"], 0.3 + 0.6 * (RULE in text_of(request)))}

    program = compiled(lm=FunctionLM(reply), options={"num_threads": 1})

    assert RULE in program.signature.instructions
    assert sum("rules" in text for text in program.report.failures) == 2


def test_rules_alone_without_demos_are_possible():
    program = compiled(options={"max_bootstrapped_demos": 0, "max_labeled_demos": 0})

    assert program.demos == []
    assert RULE in program.signature.instructions


def test_without_a_valset_half_of_the_rows_choose():
    program = compiled(trainset=examples(40), valset=None)

    assert len(program.report.candidates[0].subscores) == 20


def test_another_lm_writes_where_one_is_given():
    writer = FunctionLM(lambda text: {"rules": RULE})
    lm = worker()

    program = compiled(lm=lm, options={"prompt_model": writer})

    assert len(writer.requests) == 4
    assert not any(is_question(r) for r in lm.requests)
    assert program.report.spend["proposer"].calls == 4


def test_a_budget_that_ends_returns_the_best_so_far():
    program = compiled(options={"num_threads": 1}, budget=Budget(calls=50))

    assert program.report.stopped.startswith("budget")
    assert program.report.total_spend.calls <= 50


def test_a_teacher_makes_the_demos():
    teacher_lm = arithmetic_lm(right=1.0)

    program = compiled(options={"teacher_settings": {"lm": teacher_lm}})

    assert teacher_lm.requests
    assert program.report.spend["teacher"].calls == len(teacher_lm.requests)


@pytest.mark.parametrize(
    "options",
    [
        {"num_candidates": 0},
        {"num_rules": 0},
        {"num_examples": 0},
        {"metric": None},
        {"max_errors": 0},
        {"teacher_settings": {"lmm": 1}},
    ],
)
def test_impossible_settings_are_refused(options):
    lm = worker()
    with pytest.raises(ConfigurationError):
        compiled(lm=lm, options=options)
    assert not lm.requests


def test_rows_without_labels_and_no_bootstrap_are_refused():
    rows = [Example(question=f"q{n}").with_inputs("question") for n in range(4)]
    with pytest.raises(ConfigurationError, match="no examples to find rules in"):
        compiled(trainset=rows, options={"max_bootstrapped_demos": 0})


def test_without_an_lm_to_write_nothing_begins():
    student = Predict(QA)
    student.lm = worker()
    with pytest.raises(NotConfiguredError, match="prompt_model"):
        InferRules(metric=metric).compile(student, trainset=examples(4))
    assert not student.lm.requests

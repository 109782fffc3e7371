import pytest
from arithmetic import answer_of, demos_of, examples, metric
from proposing import text_of

from telic.context import context
from telic.data import Example
from telic.errors import ConfigurationError
from telic.modules import Module, Predict
from telic.optimizers import BootstrapFewShotWithOptuna, CompileStopped
from telic.testing import FunctionLM

QA = "question -> answer"


def best_demo_lm(base=0.3):
    """How often it is right depends on which demonstration it is shown."""

    def reply(request):
        shown = request.messages[1]["content"] if len(request.messages) > 2 else ""
        lift = (len(shown) * 7 + sum(map(ord, shown))) % 10 / 15 if shown else 0.0
        return {"plan": "add", "answer": answer_of(request.messages[-1]["content"], base + lift)}

    return FunctionLM(reply)


class Two(Module):
    def __init__(self):
        self.plan = Predict("question -> plan")
        self.answer = Predict("question, plan -> answer")

    def forward(self, question):
        return self.answer(question=question, plan=self.plan(question=question).plan)


def compiled(lm=None, student=None, options=None, **arguments):
    settings = {"num_candidate_programs": 10, "num_threads": 8, "max_labeled_demos": 6}
    with context(lm=best_demo_lm() if lm is None else lm):
        return BootstrapFewShotWithOptuna(**{"metric": metric, **settings, **(options or {})}).compile(
            Predict(QA) if student is None else student,
            **{"max_demos": 4, "trainset": examples(20), "valset": examples(20, first=100), **arguments},
        )


def test_every_predictor_gets_the_one_demonstration_that_serves_it_best():
    program = compiled(student=Two())

    assert [len(demos) for demos in demos_of(program).values()] in ([1, 1], [0, 1], [1, 0])
    assert program.report.score == max(item["score"] for item in program.candidate_programs)
    assert program.report.score > program.report.baseline
    assert any(c.label == "as given" for c in program.report.candidates)


def test_a_trial_that_comes_again_costs_nothing():
    program = compiled(options={"num_candidate_programs": 40}, max_demos=1, student=Predict(QA))

    tried = len(program.candidate_programs)
    assert tried <= 1 + 6
    assert program.report.spend["task"].calls <= tried * 20 + 2 * 20


@pytest.mark.parametrize("threads", [4, 32])
def test_threads_decide_nothing(threads):
    first, second = (compiled(options={"num_threads": n}, student=Two()) for n in (1, threads))

    assert [c.to_dict() for c in first.report.candidates] == [c.to_dict() for c in second.report.candidates]
    assert demos_of(first) == demos_of(second)


def test_demonstrations_that_the_program_came_with_are_a_choice():
    student = Predict(QA)
    student.demos = examples(3, first=500)

    program = compiled(student=student)

    given = next(c for c in program.report.candidates if c.label == "as given")
    assert demos_of(given.program) == demos_of(student)
    assert len(student.demos) == 3


def test_the_teacher_makes_the_demonstrations():
    teacher_lm = best_demo_lm(1.0)

    program = compiled(options={"teacher_settings": {"lm": teacher_lm}}, lm=best_demo_lm(0.0))

    assert program.report.spend["teacher"].calls == len(teacher_lm.requests)


def test_max_demos_is_optional_and_bounds_the_bootstrap():
    def teachers(**arguments):
        return compiled(
            lm=best_demo_lm(1.0), options={"max_bootstrapped_demos": 3}, **arguments
        ).report.spend["teacher"]

    assert teachers(max_demos=None).calls == 3
    assert teachers(max_demos=1).calls == 1


def test_nothing_to_choose_from_is_the_given_program():
    def reply(text):
        return {"answer": "wrong"}

    program = compiled(lm=FunctionLM(reply), options={"max_labeled_demos": 0})

    assert program.demos == []
    assert len(program.candidate_programs) == 1


def test_too_many_failures_stop_it_with_the_best_so_far():
    def reply(request):
        if len(request.messages) > 2:
            raise ValueError("broken")
        return {"answer": answer_of(text_of(request), 0.5)}

    with pytest.raises(CompileStopped, match="max_errors=3"):
        compiled(lm=FunctionLM(reply), options={"max_errors": 3})


@pytest.mark.parametrize(
    "options",
    [{"max_bootstrapped_demos": 0}, {"num_candidate_programs": 0}, {"num_threads": 0}, {"metric": None}],
)
def test_impossible_settings_are_refused(options):
    with pytest.raises(ConfigurationError):
        compiled(options=options)


@pytest.mark.parametrize("arguments", [{"max_demos": 0}, {"teacher": Two()}])
def test_arguments_that_cannot_work_are_refused(arguments):
    lm = best_demo_lm()
    with pytest.raises(ConfigurationError):
        compiled(lm=lm, **arguments)
    assert not lm.requests


def test_without_a_valset_half_of_the_rows_choose():
    program = compiled(trainset=examples(30), valset=None)

    assert len(program.report.candidates[0].subscores) == 15


def test_the_plan_says_how_many_runs():
    plan = BootstrapFewShotWithOptuna(metric).plan(
        Predict(QA), trainset=examples(10), valset=[Example(question="q").with_inputs("question")]
    )

    assert {part.label: part.runs for part in plan.parts} == {
        "the program as given": (1, 1),
        "bootstrapping": (1, 10),
        "trials": (0, 16),
        "checking the winner": (0, 2),
    }

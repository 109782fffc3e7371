import logging

import pytest
from arithmetic import answer_of, arithmetic_lm, demos_of, examples, metric

from telic.context import context
from telic.data import Example
from telic.errors import BudgetExceeded, ConfigurationError, DatasetError
from telic.modules import Module, Predict
from telic.optimizers import (
    BootstrapFewShotWithRandomSearch,
    BootstrapRS,
    CompileInterrupted,
    CompileStopped,
    Optimizer,
    Teleprompter,
)
from telic.testing import FunctionLM

QA = "question -> answer"


def demo_lm(base=0.3, step=0.1):
    """The more demos, the more often right."""

    def reply(request):
        demos = (len(request.messages) - 2) // 2
        return {"answer": answer_of(request.messages[-1]["content"], base + step * demos)}

    return FunctionLM(reply)


def search(**options):
    return BootstrapFewShotWithRandomSearch(
        **{"metric": metric, "max_labeled_demos": 4, "num_candidate_programs": 4, "num_threads": 8, **options}
    )


def compiled(lm=None, student=None, valset=None, trainset=None, options=None, **arguments):
    with context(lm=demo_lm() if lm is None else lm):
        return search(**(options or {})).compile(
            Predict(QA) if student is None else student,
            trainset=examples(30) if trainset is None else trainset,
            valset=examples(25, first=200) if valset is None else valset,
            **arguments,
        )


def test_the_best_candidate_is_returned_with_all_others():
    program = compiled()

    scores = [item["score"] for item in program.candidate_programs]
    assert program.report.score == scores[0] == max(scores)
    assert {item["seed"] for item in program.candidate_programs} == {-3, -2, -1, 0, 1, 2, 3}
    assert sorted(scores, reverse=True) == scores
    assert all(len(item["subscores"]) == 25 for item in program.candidate_programs)
    assert demos_of(program) == demos_of(program.candidate_programs[0]["program"])
    assert program._compiled == any(demo.get("augmented") for demo in program.demos)
    assert program.report.baseline == next(i["score"] for i in program.candidate_programs if i["seed"] == -3)
    assert program.report.comparison.n == 25


def test_the_result_is_the_same_at_1_and_32_threads():
    first, second = (compiled(options={"num_threads": n}) for n in (1, 32))

    assert demos_of(first) == demos_of(second)
    assert repr(first.candidate_programs) == repr(second.candidate_programs)
    assert [item["subscores"] for item in first.candidate_programs] == [
        item["subscores"] for item in second.candidate_programs
    ]


def test_nothing_that_was_given_is_changed():
    student, rows = Predict(QA), examples(30)
    optimizer = search()
    params = optimizer.get_params()

    with context(lm=demo_lm()):
        first = optimizer.compile(student, trainset=rows, valset=rows[:5])
        second = optimizer.compile(student, trainset=rows, valset=rows[:5])

    assert student.demos == [] and not student._compiled and student.report is None
    assert rows == examples(30)
    assert optimizer.get_params() == params
    assert demos_of(first) == demos_of(second)


def test_seeds_give_other_candidates_and_sizes():
    program = compiled(options={"num_candidate_programs": 8})

    made = {item["seed"]: demos_of(item["program"])["self"] for item in program.candidate_programs}
    assert made[-3] == []
    assert all(not demo.get("augmented") for demo in made[-2])
    sizes = {sum(1 for demo in demos if demo.get("augmented")) for seed, demos in made.items() if seed >= 0}
    assert len(sizes) > 1 and max(sizes) <= 4
    assert len({repr(demos) for demos in made.values()}) == len(made)


def test_equal_candidates_are_evaluated_once():
    lm = arithmetic_lm(0.0)

    program = compiled(lm=lm, options={"max_labeled_demos": 0}, trainset=examples(6))

    # Nothing is ever right, so that all seven candidates have no demos: one evaluation, and five bootstraps of 6 rows.
    assert program.report.spend["task"].calls == 25
    assert program.report.spend["teacher"].calls == 5 * 6
    assert len(program.candidate_programs) == 7


def test_the_first_of_equal_scores_wins():
    assert compiled(lm=arithmetic_lm(1.0)).report.candidates[0].seed == -3


def test_only_the_wanted_candidates_are_made():
    program = compiled(restrict=[-2, 1])

    assert {item["seed"] for item in program.candidate_programs} == {-2, 1}
    assert program.report.baseline is None


@pytest.mark.parametrize("restrict", [[], [7], [-5]])
def test_unknown_candidates_are_refused(restrict):
    with pytest.raises(ConfigurationError, match="restrict"):
        compiled(restrict=restrict)


@pytest.mark.parametrize("num_threads", [1, 16])
def test_a_good_enough_score_ends_the_search_in_the_order_of_the_candidates(num_threads):
    lm = arithmetic_lm(1.0)

    program = compiled(lm=lm, options={"stop_at_score": 99, "num_threads": num_threads})

    assert [item["seed"] for item in program.candidate_programs] == [-3]
    assert "candidate -3 scored 100.00" in program.report.stopped


def test_a_stop_at_score_of_0_counts():
    assert len(compiled(options={"stop_at_score": 0}).candidate_programs) == 1


def test_a_student_with_demos_is_a_candidate_itself():
    student = Predict(QA)
    student.demos = [Example(question="What is 1 plus 1?", answer="2")] * 9

    program = compiled(student=student, lm=demo_lm(0.0, 0.11))

    assert program.report.candidates[0].label == "as given"
    assert program.demos == student.demos
    assert program.report.baseline == program.report.score


def test_without_a_valset_a_large_trainset_is_split_and_that_is_said(caplog):
    rows = examples(40)

    with caplog.at_level(logging.WARNING), context(lm=demo_lm()):
        program = search().compile(Predict(QA), trainset=rows)

    assert "20 rows to make demonstrations and 20 to score on" in program.report.notes[0]
    assert "split" in caplog.text
    assert program.report.comparison.n == 20


def test_without_a_valset_a_small_trainset_is_shared_and_that_is_said(caplog):
    with caplog.at_level(logging.WARNING), context(lm=demo_lm()):
        program = search().compile(Predict(QA), trainset=examples(10))

    assert "same rows" in program.report.notes[0]
    assert "same rows" in caplog.text
    assert program.report.comparison.n == 10


def test_the_report_warns_that_the_winner_was_chosen_on_these_rows():
    assert any("points too high" in note for note in compiled().report.notes)


def test_spend_is_told_by_role():
    lm = demo_lm()

    program = compiled(lm=lm)

    spend = program.report.spend
    assert set(spend) == {"teacher", "task"}
    assert spend["teacher"].calls + spend["task"].calls == len(lm.requests)


def test_failed_rows_are_counted():
    rows = examples(25, first=200)

    def fragile(example, prediction, trace=None):
        if example == rows[3]:
            raise KeyError("fault")
        return metric(example, prediction)

    program = compiled(valset=rows, options={"metric": fragile})

    assert all(candidate.failures == 1 for candidate in program.report.candidates)
    assert len(program.report.failures) == 7


def test_too_many_failed_rows_of_a_candidate_stop_the_search():
    with pytest.raises(CompileStopped, match=r"candidate -3.*max_errors=2") as caught:
        compiled(
            options={
                "metric": lambda example, prediction, trace=None: None if trace is None else True,
                "max_errors": 2,
                "num_threads": 1,
            }
        )

    assert len(caught.value.results) == 2
    assert caught.value.program is None


def test_replies_that_cannot_be_read_stop_no_search():
    def reply(request):
        taught = len(request.messages) > 4  # more than two turns and their question again
        return {"answer": answer_of(request.messages[-1]["content"], 1.0)} if taught else "[[ ## other ## ]]"

    program = compiled(FunctionLM(reply), options={"max_errors": 1})

    assert program.report.score == 100.0
    assert any(candidate.failures for candidate in program.report.candidates)


def test_an_interrupt_returns_the_best_finished_candidate():
    count = []

    def interrupting(example, prediction, trace=None):
        if trace is None:
            count.append(1)
            if len(count) == 60:
                raise KeyboardInterrupt
        return metric(example, prediction)

    with pytest.raises(CompileInterrupted) as caught:
        compiled(options={"metric": interrupting, "num_threads": 1})

    program = caught.value.program
    assert program.report.stopped == "interrupted"
    assert [item["seed"] for item in program.candidate_programs] in ([-3, -2], [-2, -3])


def test_an_early_interrupt_has_no_program():
    def interrupting(example, prediction, trace=None):
        raise KeyboardInterrupt

    with pytest.raises(CompileInterrupted) as caught:
        compiled(options={"metric": interrupting})

    assert caught.value.program is None


@pytest.mark.parametrize(("limit", "evaluated"), [(10, 0), (100, 1)])
def test_at_a_budgets_limit_the_best_so_far_is_returned(limit, evaluated):
    calls = []

    def reply(text):
        calls.append(1)
        if len(calls) > limit:
            raise BudgetExceeded(f"the budget of {limit} calls is used up", limit="calls")
        return {"answer": answer_of(text, 0.5)}

    program = compiled(lm=FunctionLM(reply), options={"num_threads": 1})

    assert program.report.stopped.startswith("budget")
    assert (len(program.report.candidates) >= 1) == bool(evaluated)


def test_candidates_are_no_parts_of_the_program(tmp_path):
    program = compiled()

    assert [path for path, _ in program.named_predictors()] == ["self"]
    copied = program.deepcopy()
    assert copied.candidate_programs is program.candidate_programs
    assert copied.report is program.report
    program.save(tmp_path / "program.json")
    loaded = Predict(QA).load(tmp_path / "program.json")
    assert loaded.demos == program.demos
    assert loaded.report.score == program.report.score


def test_predictors_keep_their_own_lms():
    class Two(Module):
        def __init__(self):
            self.first = Predict("question -> plan")
            self.second = Predict("question, plan -> answer")

        def forward(self, question):
            return self.second(question=question, plan=self.first(question=question).plan)

    student, planner = Two(), FunctionLM(lambda text: {"plan": "add"})
    student.first.lm = planner

    program = compiled(student=student, lm=demo_lm())

    assert program.first.lm is planner
    assert program.second.lm is None


@pytest.mark.parametrize(
    "options",
    [{"max_bootstrapped_demos": 0}, {"num_candidate_programs": -1}, {"num_threads": 0}, {"max_errors": 0}],
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ConfigurationError):
        search(**options)


@pytest.mark.parametrize(
    ("arguments", "message"), [({"trainset": []}, "trainset"), ({"valset": []}, "valset")]
)
def test_empty_lists_are_refused(arguments, message):
    with pytest.raises(DatasetError, match=message):
        compiled(**arguments)


def test_old_names_stand_for_the_same():
    assert BootstrapRS is BootstrapFewShotWithRandomSearch
    assert Teleprompter is Optimizer
    assert isinstance(search(), Teleprompter)

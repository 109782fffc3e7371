import random
import time

import pytest
from arithmetic import answer_of, examples, metric, share
from proposing import text_of

from telic.budget import Budget
from telic.context import context
from telic.data import Example
from telic.errors import ConfigurationError, LMInvalidRequestError, NotConfiguredError
from telic.modules import Assert, Module, Predict
from telic.optimizers import SIMBA
from telic.optimizers._simba_climb import drawn
from telic.optimizers._simba_edits import bounds_of, bucket_of, can_show, can_teach, drop_demos
from telic.optimizers._simba_runs import Trajectory
from telic.testing import FunctionLM

QA = "question -> answer"
MAGIC = "Carry the one."


def is_question(request):
    text = request.messages[0]["content"]
    return "`rules`" in text or "module_advice" in text


def worker(base=0.3, lift=0.6, per_demo=0.0, rules=MAGIC, unrest=None):
    """Right now and then, more often with the rules and with demos; writes the rules itself."""

    def reply(request):
        if unrest is not None:
            time.sleep(0.004 * share(unrest + text_of(request)))
        if is_question(request):
            return {"rules": rules, "discussion": "d", "module_advice": f'{{"self": "{rules}"}}'}
        demos = (len(request.messages) - 2) // 2
        chance = base + lift * (MAGIC in request.messages[0]["content"]) + per_demo * demos
        return {"answer": answer_of(request.messages[-1]["content"], chance, salt=str(request.sample))}

    return FunctionLM(reply)


def compiled(lm=None, student=None, options=None, **arguments):
    settings = {
        "metric": metric,
        "bsize": 8,
        "num_candidates": 3,
        "max_steps": 2,
        "num_threads": 8,
        **(options or {}),
    }
    with context(lm=worker() if lm is None else lm):
        return SIMBA(**settings).compile(
            Predict(QA) if student is None else student,
            **{"trainset": examples(16), "valset": examples(20, first=100), **arguments},
        )


def run(score, steps=(("self", {"question": "q"}, {"answer": "a"}),), is_sound=True):
    return Trajectory(steps, score, "", None, False, is_sound)


def test_rules_that_tell_good_runs_from_bad_ones_are_found_and_win():
    program = compiled(options={"max_demos": 0})

    assert program.signature.instructions.endswith(f"\n\n{MAGIC}")
    assert program.report.score > program.report.baseline
    assert program.simba_idx == program.report.candidates[0].seed > 0
    assert list(program.trial_logs) == [0, 1]
    assert program.trial_logs[0]["best_score"] == max(program.trial_logs[0]["batch_scores"])
    assert program.demos == []


def test_good_runs_become_demos():
    program = compiled(lm=worker(per_demo=0.2, lift=0), options={"max_steps": 4})

    assert program.demos
    assert all(demo.augmented for demo in program.demos)
    assert len(program.demos) <= 5
    assert program.report.score > program.report.baseline


def test_every_step_runs_each_row_of_its_minibatch_so_many_times_by_different_draws():
    lm = worker()
    compiled(lm=lm, options={"max_steps": 1, "recheck": False})

    drawn_runs = [r for r in lm.requests if r.options.get("temperature") == 1.0 and not is_question(r)]
    assert len(drawn_runs) == 8 * 3
    assert len({r.sample for r in drawn_runs}) == 3


def test_the_question_shows_the_worse_and_the_better_run_with_what_was_said_to_them():
    lm = worker()
    compiled(lm=lm, options={"max_demos": 0, "max_steps": 1})

    asked = [text_of(r) for r in lm.requests if is_question(r)]
    shown = asked[0].rpartition("[[ ## examples_with_feedback ## ]]")[2]
    assert shown.index("Score 0.") < shown.index("Score 1.")
    assert "Expected answer: " in shown
    assert "The program takes question and gives answer." in asked[0]


class Two(Module):
    def __init__(self):
        self.first = Predict("question -> plan")
        self.second = Predict("question, plan -> answer")

    def forward(self, question):
        return self.second(question=question, plan=self.first(question=question).plan)


def test_rules_go_to_the_steps_that_they_name_and_names_that_are_none_are_passed_over():
    def reply(request):
        if is_question(request):
            return {
                "discussion": "d",
                "module_advice": f'{{"second": "{MAGIC}", "third": "no", "first": ""}}',
            }
        text = request.messages[-1]["content"]
        if "`plan`" in request.messages[0]["content"].partition("Output fields:")[2][:60]:
            return {"plan": "p"}
        chance = 0.3 + 0.6 * (MAGIC in request.messages[0]["content"])
        return {"answer": answer_of(text, chance, salt=str(request.sample))}

    lm = FunctionLM(reply)
    program = compiled(lm=lm, student=Two(), options={"max_demos": 0})

    assert program.second.signature.instructions.endswith(MAGIC)
    assert program.first.signature.instructions == Two().first.signature.instructions
    asked = next(text_of(r) for r in lm.requests if is_question(r))
    assert "[first]" in asked
    assert "class Two" in asked


@pytest.mark.parametrize("unrest", "abc")
def test_threads_and_the_order_in_which_calls_end_decide_nothing(unrest):
    alone = compiled(options={"num_threads": 1})
    many = compiled(worker(unrest=unrest), options={"num_threads": 32})

    assert [c.to_dict() for c in alone.report.candidates] == [c.to_dict() for c in many.report.candidates]
    assert alone.trial_logs == many.trial_logs


def test_the_teacher_runs_each_row_once_with_its_own_lm():
    teacher = FunctionLM(lambda text: {"answer": answer_of(text, 1.0)})

    program = compiled(lm=worker(base=0.0, lift=0), options={"teacher_settings": {"lm": teacher}})

    assert len(teacher.requests) == 2 * 8
    assert program.report.spend["teacher"].calls == 2 * 8


def test_a_run_does_not_see_its_own_row_among_the_demos():
    student = Predict(QA)
    student.demos = examples(16)
    lm = worker()

    compiled(lm=lm, student=student, options={"max_steps": 1, "max_demos": 16})

    for request in lm.requests:
        if request.options.get("temperature") == 1.0 and not is_question(request):
            question = request.messages[-1]["content"].partition("Respond")[0]
            row = next(row for row in examples(16) if row.question in question)
            assert not any(row.question in m["content"] for m in request.messages[1:-1])


def test_runs_whose_assertions_did_not_hold_are_no_demos():
    class Picky(Module):
        def __init__(self):
            self.step = Predict(QA)

        def forward(self, question):
            made = self.step(question=question)
            Assert(False, "never good")
            return made

    program = compiled(
        lm=worker(per_demo=0.2),
        student=Picky(),
        options={"metric": lambda row, found, trace=None: 1.0, "max_errors": 10_000},
    )

    assert program.step.demos == []


def test_long_texts_of_demos_are_cut():
    rows = [
        Example(question=f"{row.question} {'x' * 500}", answer=row.answer).with_inputs("question")
        for row in examples(16)
    ]
    program = compiled(
        lm=worker(per_demo=0.2, lift=0),
        trainset=rows,
        options={"demo_input_field_maxlen": 40, "max_steps": 4},
    )

    assert program.demos
    assert all(len(demo.question) < 80 for demo in program.demos)


def test_without_a_valset_half_of_the_rows_choose():
    program = compiled(trainset=examples(40), valset=None, options={"bsize": 32})

    assert len(program.report.candidates[0].subscores) == 20
    assert "trainset was split, 20 rows for minibatches" in "".join(program.report.notes)


def test_rows_of_no_minibatch_check_the_winner():
    program = compiled(trainset=examples(60), options={"bsize": 6, "max_demos": 0})

    assert program.report.check is not None
    assert program.report.check.n == 20


def test_a_budget_that_ends_among_the_steps_returns_the_best_of_a_minibatch_and_says_so(tmp_path):
    program = compiled(options={"max_demos": 0, "num_threads": 1}, budget=Budget(calls=90))

    assert program.report.stopped.startswith("budget")
    assert program.signature.instructions.endswith(MAGIC)
    assert "minibatch" in "".join(program.report.notes)
    program.save(tmp_path / "p.json")
    assert Predict(QA).load(tmp_path / "p.json").signature.instructions.endswith(MAGIC)


def test_nothing_to_tell_apart_leaves_the_program_as_it_was():
    program = compiled(options={"metric": lambda row, found, trace=None: 1.0})

    assert program.signature.instructions == Predict(QA).signature.instructions
    assert program.report.score == program.report.baseline == 100


def test_failed_runs_and_questions_are_counted():
    def reply(request):
        if is_question(request):
            raise LMInvalidRequestError("refused", model="worker")
        return {"answer": answer_of(request.messages[-1]["content"], 0.5, salt=str(request.sample))}

    program = compiled(lm=FunctionLM(reply), options={"max_demos": 0})

    assert any(text.startswith("rules for step 1") for text in program.report.failures)
    assert program.report.score == program.report.baseline


def test_the_seed_of_compile_stands_before_that_of_the_optimizer():
    first, second = compiled(options={"seed": 3}), compiled(seed=3)

    assert first.trial_logs == second.trial_logs


@pytest.mark.parametrize(
    "options",
    [
        {"bsize": 0},
        {"bsize": 17},
        {"num_candidates": 1},
        {"max_steps": 0},
        {"max_demos": -1},
        {"demo_input_field_maxlen": 0},
        {"temperature_for_sampling": -0.1},
        {"temperature_for_candidates": "hot"},
        {"teacher_settings": {"lmm": 1}},
        {"metric": None},
        {"num_threads": 0},
    ],
)
def test_impossible_settings_are_refused_before_anything_is_paid_for(options):
    lm = worker()
    with pytest.raises((ConfigurationError, TypeError)):
        compiled(lm=lm, options=options)
    assert not lm.requests


def test_a_teacher_program_is_refused_with_a_hint():
    with pytest.raises(ConfigurationError, match="teacher_settings"):
        compiled(teacher=Predict(QA))


def test_without_an_lm_to_write_rules_nothing_begins():
    student = Predict(QA)
    student.lm = worker()
    with pytest.raises(NotConfiguredError, match="prompt_model"):
        SIMBA(metric=metric, bsize=4).compile(student, trainset=examples(4))
    assert not student.lm.requests


def test_demos_are_dropped_in_the_same_places_of_all_predictors_and_at_least_one_when_full():
    program = Two()
    program.first.demos = program.second.demos = examples(4)
    drop_demos(program, 4, random.Random(1))

    assert len(program.first.demos) < 4
    assert program.first.demos == program.second.demos


def test_a_demo_needs_a_run_above_the_lowest_tenth_and_rules_a_worse_one_below_the_highest():
    bounds = bounds_of([0.0] * 5 + [1.0] * 5)
    row = examples(1)[0]

    assert can_show(bucket_of(0, row, [run(0.0), run(1.0)]), bounds)
    assert not can_show(bucket_of(0, row, [run(0.0), run(0.0)]), bounds)
    assert not can_show(bucket_of(0, row, [run(1.0, is_sound=False)]), bounds)
    assert can_teach(bucket_of(0, row, [run(0.0), run(1.0)]), bounds)
    assert not can_teach(bucket_of(0, row, [run(1.0), run(1.0)]), bounds)


def test_the_draw_of_a_program_follows_the_softmax_of_the_means():
    rng = random.Random(0)
    means = [(0, 0.2), (5, 0.6)]
    taken = [drawn(means, 0.4, rng) for _ in range(2000)]

    assert 0.69 < taken.count(5) / 2000 < 0.77  # 1 / (1 + e^-1) = 0.731

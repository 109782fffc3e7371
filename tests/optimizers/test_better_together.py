"""BetterTogether: steps by name, each scored, the best kept. Steps of prompts alone need no torch."""

from __future__ import annotations

import pytest

from telic import LM
from telic.budget import Budget
from telic.context import context
from telic.data import Example
from telic.datasets.tiny import load
from telic.errors import ConfigurationError, TrainingError
from telic.modules import Predict
from telic.optimizers import GRPO, BetterTogether, BootstrapFinetune, LabeledFewShot, Optimizer
from telic.testing import DummyLM

pytestmark = pytest.mark.filterwarnings("default")

ROWS = [Example(question=f"q{n}", answer=str(n % 2)).with_inputs("question") for n in range(12)]


def right(example, prediction, trace=None):
    return prediction.answer == example.answer


class Says(Optimizer):
    """Gives the program an instruction; what its LM makes of that is `answers`."""

    def __init__(self, words, seen=None, error=None):
        self.words = words
        self._seen = seen
        self._error = error

    def _work(self, program, trainset, valset):
        return []

    def compile(
        self, student, *, trainset, teacher=None, valset=None, run_dir=None, budget=None, loudly=False
    ):
        if self._seen is not None:
            self._seen.append((student, [row.question for row in trainset], valset, teacher, loudly))
        if self._error is not None:
            raise self._error
        made = student.deepcopy()
        made.signature = made.signature.with_instructions(f"{made.signature.instructions} {self.words}")
        made._compiled = True
        return made


def answers(messages, **options):
    """Wrong as given, right with "good", wrong with "bad"."""
    text = str(messages)
    number = text.rpartition("q")[2]
    digits = "".join(c for c in number[:3] if c.isdigit())
    is_right = "good" in text and "bad" not in text
    value = int(digits) % 2 if is_right else "nothing"
    return f"[[ ## answer ## ]]\n{value}\n\n[[ ## completed ## ]]"


STUDENT = Predict("question -> answer")


def compiled_by(optimizer, **given):
    with context(lm=answers):
        return optimizer.compile(STUDENT, **{"trainset": ROWS, "valset": ROWS[:6], **given})


def test_the_best_program_on_the_way_is_returned_with_all_of_them_in_the_report(tmp_path):
    optimizer = BetterTogether(right, Says("good"), Says("bad"))

    made = compiled_by(optimizer, strategy="p -> w -> p", run_dir=tmp_path)

    assert made.report.score == 100
    assert made.report.baseline == 0
    assert [(one.label, one.score) for one in made.report.candidates] == [
        ("p", 100), ("as given", 0), ("p -> w", 0), ("p -> w -> p", 0),
    ]  # fmt: skip
    assert made.signature.instructions.endswith("good")
    assert made.candidate_programs[0]["score"] == 100
    assert made.flag_compilation_error_occurred is False
    assert "good" not in STUDENT.signature.instructions


def test_where_nothing_helps_the_program_is_as_it_was(tmp_path):
    made = compiled_by(BetterTogether(right, Says("bad")), strategy="p", run_dir=tmp_path)

    assert made.signature.instructions == STUDENT.signature.instructions
    assert made.report.score == made.report.baseline == 0


def test_any_names_in_any_order_each_begins_with_what_the_one_before_made(tmp_path):
    seen = []
    optimizer = BetterTogether(right, one=Says("first", seen), two=Says("good", seen))

    made = compiled_by(optimizer, strategy=" two->one -> two ", run_dir=tmp_path)

    told = [student.signature.instructions for student, *_ in seen]
    assert [text.count("good") for text in told] == [0, 1, 1]
    assert [text.count("first") for text in told] == [0, 0, 1]
    assert all(student._compiled is False for student, *_ in seen)
    assert made.report.score == 100


def test_rows_come_in_another_order_each_time_but_the_same_on_another_day(tmp_path):
    orders = []
    for day in range(2):
        seen = []
        compiled_by(
            BetterTogether(right, Says("x", seen)), strategy="p -> p", seed=3, run_dir=tmp_path / str(day)
        )
        orders.append([order for _, order, *_ in seen])

    assert orders[0] == orders[1]
    assert orders[0][0] != orders[0][1]
    assert sorted(orders[0][0]) == sorted(row.question for row in ROWS)
    seen = []
    compiled_by(
        BetterTogether(right, Says("x", seen)),
        strategy="p",
        shuffle_trainset_between_steps=False,
        run_dir=tmp_path / "same",
    )
    assert seen[0][1] == [row.question for row in ROWS]


def test_without_a_valset_a_share_of_the_trainset_scores(tmp_path):
    seen = []
    rows = [Example(question=f"q{n}", answer=str(n % 2)).with_inputs("question") for n in range(40)]

    made = compiled_by(
        BetterTogether(right, Says("good", seen)), strategy="p", trainset=rows, valset=None, run_dir=tmp_path
    )

    assert (len(seen[0][1]), len(seen[0][2])) == (36, 4)
    assert not {row.question for row in seen[0][2]} & set(seen[0][1])
    assert any("trainset was split" in note for note in made.report.notes)


def test_with_a_ratio_of_nothing_the_last_program_is_returned_unscored(tmp_path):
    made = compiled_by(
        BetterTogether(right, Says("good"), Says("bad")), strategy="p -> w", valset=None, valset_ratio=0,
        run_dir=tmp_path,
    )  # fmt: skip

    assert made.signature.instructions.endswith("bad")
    assert made.report.score is None
    assert any("nothing was scored" in note for note in made.report.notes)


def test_more_arguments_go_to_the_steps_of_that_name(tmp_path):
    seen = []
    teacher = Predict("question -> answer")

    compiled_by(
        BetterTogether(right, Says("good", seen)), strategy="p", teacher=teacher, run_dir=tmp_path,
        optimizer_compile_args={"p": {"loudly": True}},
    )  # fmt: skip

    assert seen[0][3] is teacher
    assert seen[0][4] is True


def test_a_later_step_that_cannot_train_ends_it_with_the_best_so_far(tmp_path):
    broken = Says("", error=TrainingError("nothing to learn from"))

    made = compiled_by(BetterTogether(right, Says("good"), broken), strategy="p -> w -> p", run_dir=tmp_path)

    assert made.report.stopped == "step 2 (w): nothing to learn from"
    assert made.report.score == 100
    assert made.flag_compilation_error_occurred is True


def test_a_first_step_that_cannot_train_raises(tmp_path):
    broken = Says("", error=TrainingError("nothing to learn from"))

    with pytest.raises(TrainingError, match="nothing to learn from"):
        compiled_by(BetterTogether(right, w=broken), strategy="w", run_dir=tmp_path)


def test_one_budget_holds_for_all_steps(tmp_path):
    made = compiled_by(
        BetterTogether(right, Says("good")), strategy="p -> p -> p", run_dir=tmp_path, budget=Budget(calls=14)
    )

    assert "budget" in made.report.stopped
    assert made.report.score == 100
    assert made.report.total_spend.calls <= 14


def test_a_run_given_again_costs_nothing(tmp_path):
    optimizer = BetterTogether(right, Says("good"), Says("bad"))
    first = compiled_by(optimizer, run_dir=tmp_path)
    asked = []

    def counting(messages, **options):
        asked.append(messages)
        return answers(messages)

    with context(lm=counting):
        again = optimizer.compile(STUDENT, trainset=ROWS, valset=ROWS[:6], run_dir=tmp_path)

    assert asked == []
    assert again.report.score == first.report.score
    assert again.report.total_spend.calls == first.report.total_spend.calls


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"strategy": "p -> x"}, "'x' is no optimizer; there are `p` and `w`"),
        ({"strategy": "p ->"}, "'' is no optimizer"),
        ({"strategy": ""}, "names of optimizers with '->' between"),
        ({"strategy": None}, "names of optimizers"),
        ({"valset_ratio": 1.0}, "valset_ratio=1.0"),
        ({"num_threads": 0}, "num_threads"),
        ({"optimizer_compile_args": {"q": {}}}, "has 'q', which is no optimizer"),
        ({"optimizer_compile_args": {"p": {"loudl": 1}}}, "did you mean 'loudly'"),
        ({"optimizer_compile_args": {"p": {"run_dir": "x"}}}, "'run_dir' is BetterTogether's own"),
        ({"trainset": []}, "trainset"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_paid_for(given, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        compiled_by(BetterTogether(right, Says("good")), **{"run_dir": tmp_path / "run", **given})
    assert not (tmp_path / "run").exists()


def test_what_is_no_optimizer_is_refused():
    with pytest.raises(ConfigurationError, match="is no optimizer"):
        BetterTogether(right, gepa="GEPA")
    with pytest.raises(ConfigurationError, match="given twice"):
        BetterTogether(right, Says("x"), p=Says("y"))


def test_the_plan_adds_up_what_the_steps_will_do():
    optimizer = BetterTogether(right, LabeledFewShot(2), BootstrapFinetune(right))
    with context(lm=DummyLM([])):
        plan = optimizer.plan(Predict("question -> answer"), trainset=ROWS, valset=ROWS[:6])

    assert plan.least_calls == 6
    assert plan.calls == (6 + len(ROWS), 2 * (4 * 6 + len(ROWS) + 2 * 6)), "equal programs are scored once"


def test_prompts_weights_and_rewards_in_one_run(tmp_path):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    task = load("qa_style")
    small = {"rank": 4, "learning_rate": 1e-4}
    optimizer = BetterTogether(
        task.metric,
        LabeledFewShot(k=3),
        BootstrapFinetune(task.metric, train_kwargs={"steps": 2, "batch_size": 4, "rank": 4}),
        rl=GRPO(
            task.metric, num_train_steps=1, num_dspy_examples_per_grpo_step=2, num_rollouts_per_grpo_step=3,
            train_kwargs=small,
        ),
    )  # fmt: skip

    def compiled():
        with context(lm=LM("telic/tiny", cache=False, max_tokens=40)):
            return optimizer.compile(
                Predict(task.signature), trainset=task.trainset[:8], valset=task.valset[:4],
                strategy="p -> w -> rl -> rl", run_dir=tmp_path,
            )  # fmt: skip

    made = compiled()

    assert {one.label for one in made.report.candidates} == {
        "as given", "p", "p -> w", "p -> w -> rl", "p -> w -> rl -> rl",
    }  # fmt: skip
    assert made.report.stopped is None
    assert {path.name for path in (tmp_path / "weights").iterdir()} >= {"GRPO-1", "GRPO-2"}
    again = compiled()
    assert again.report.score == made.report.score
    assert again.report.total_spend.calls == made.report.total_spend.calls

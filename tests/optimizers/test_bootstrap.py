import threading

import pytest
from arithmetic import answer_of, arithmetic_lm, demos_of, examples, metric

from telic.context import context
from telic.data import Example, Prediction
from telic.errors import BudgetExceeded, ConfigurationError, DatasetError, NotConfiguredError
from telic.modules import ChainOfThought, Module, Predict
from telic.optimizers import BootstrapFewShot, CompileInterrupted, CompileStopped
from telic.testing import FunctionLM
from telic.tracing import track_usage

QA = "question -> answer"


class Chain(Module):
    """Two steps; only the second one's output has a label."""

    def __init__(self):
        self.plan = Predict("question -> plan")
        self.answer = Predict("question, plan -> answer")

    def forward(self, question):
        return self.answer(question=question, plan=self.plan(question=question).plan)


def chain_lm(right=0.55):
    def reply(request):
        text = request.messages[-1]["content"]
        if "[[ ## plan ## ]]`" in text:
            return {"plan": f"add up {answer_of(text, 1.0)}"}
        return {"answer": answer_of(text, right)}

    return FunctionLM(reply)


def test_every_step_gets_demos_of_the_runs_that_were_right():
    with context(lm=chain_lm()):
        compiled = BootstrapFewShot(metric=metric, max_bootstrapped_demos=3, max_labeled_demos=5).compile(
            Chain(), trainset=examples(40)
        )

    plan, answer = demos_of(compiled).values()
    assert [demo["augmented"] for demo in plan] == [True] * 3  # no row has a plan: no labelled ones
    assert len([demo for demo in answer if demo.get("augmented")]) == 3
    assert len(answer) == 5
    assert all("plan" in demo for demo in answer[:3])
    assert [demo["question"] for demo in plan] == [demo["question"] for demo in answer[:3]]


@pytest.mark.parametrize("max_demos", [1, 4, 16])
def test_the_result_is_the_same_at_1_and_32_threads(max_demos):
    def compile(num_threads):
        with context(lm=chain_lm()):
            optimizer = BootstrapFewShot(
                metric=metric, max_bootstrapped_demos=max_demos, num_threads=num_threads
            )
            return optimizer.compile(Chain(), trainset=examples(60))

    alone, together = compile(1), compile(32)

    assert demos_of(alone) == demos_of(together)
    assert alone.report.extra_runs == 0
    assert alone.report.notes == together.report.notes


def test_nothing_that_was_given_is_changed():
    student, teacher, rows = Chain(), Chain(), examples(20)
    teacher.plan.demos = [Example(question="What is 1 plus 1?", plan="add")]
    before = [dict(row.items()) for row in rows]
    optimizer = BootstrapFewShot(metric=metric)
    params = optimizer.get_params()

    with context(lm=chain_lm()):
        compiled = optimizer.compile(student, teacher=teacher, trainset=rows)

    assert demos_of(student) == {"plan": [], "answer": []}
    assert not student._compiled and not teacher._compiled and student.report is None
    assert teacher.plan.demos == [Example(question="What is 1 plus 1?", plan="add")]
    assert teacher.answer.demos == []
    assert [dict(row.items()) for row in rows] == before
    assert optimizer.get_params() == params
    assert compiled is not student and compiled._compiled


def test_one_optimizer_serves_two_threads():
    optimizer = BootstrapFewShot(metric=metric, num_threads=4)
    results = {}

    def compile(name):
        with context(lm=chain_lm()):
            results[name] = demos_of(optimizer.compile(Chain(), trainset=examples(40)))

    threads = [threading.Thread(target=compile, args=(name,)) for name in "ab"]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]

    assert results["a"] == results["b"] != {}


def test_an_example_is_never_among_the_demos_while_it_is_bootstrapped():
    rows, lm = examples(20), arithmetic_lm(1.0)

    with context(lm=lm):
        BootstrapFewShot(metric=metric, max_bootstrapped_demos=20, max_labeled_demos=20).compile(
            Predict(QA), trainset=rows
        )

    assert len(lm.requests) == 20
    for request in lm.requests:
        *shown, asked = [message["content"] for message in request.messages if message["role"] == "user"]
        question = next(row.question for row in rows if row.question in asked)
        assert len(shown) == 19
        assert not any(question in turn for turn in shown)


def test_a_compiled_teacher_keeps_its_own_demos():
    teacher, lm = Predict(QA), arithmetic_lm(1.0)
    teacher.demos = [Example(question="What is 1 plus 1?", answer="2")]
    teacher._compiled = True

    with context(lm=lm):
        BootstrapFewShot(metric=metric, max_bootstrapped_demos=2).compile(
            Predict(QA), teacher=teacher, trainset=examples(5)
        )

    assert {len(request.messages) for request in lm.requests} == {4}


def test_the_teachers_lm_is_a_setting_of_its_runs_alone():
    strong, weak = arithmetic_lm(1.0), arithmetic_lm(0.0)
    optimizer = BootstrapFewShot(metric=metric, teacher_settings={"lm": strong}, max_bootstrapped_demos=3)

    with context(lm=weak), track_usage() as used:
        compiled = optimizer.compile(Predict(QA), trainset=examples(10))

    assert len(weak.requests) == 0
    assert used.by_role()["teacher"].calls == len(strong.requests) == 3
    assert compiled.report.spend["teacher"].calls == 3
    assert compiled.lm is None


def test_predictors_keep_their_own_lms():
    mine = chain_lm(1.0)
    student = Chain()
    student.answer.lm = mine

    with context(lm=chain_lm()):
        compiled = BootstrapFewShot(metric=metric).compile(student, trainset=examples(10))

    assert compiled.answer.lm is mine
    assert compiled.plan.lm is None


def test_later_rounds_are_fresh_samples_at_temperature_1():
    seen = []

    def reply(request):
        seen.append((request.sample, request.options.get("temperature")))
        return {"answer": answer_of(request.messages[-1]["content"], 1.0 if request.sample == 2 else 0.0)}

    with context(lm=FunctionLM(reply)):
        compiled = BootstrapFewShot(metric=metric, max_rounds=3, max_bootstrapped_demos=1).compile(
            Predict(QA), trainset=examples(3)
        )

    assert [sample for sample, _ in seen] == [0, 1, 2]
    assert [temperature for _, temperature in seen][1:] == [1.0, 1.0]
    assert len([demo for demo in compiled.demos if demo.get("augmented")]) == 1


def test_a_predictor_called_in_a_loop_gets_one_demo_a_run():
    class Loop(Module):
        def __init__(self):
            self.step = Predict("question, hint -> answer")

        def forward(self, question):
            hint = "0"
            for number in range(3):
                hint = f"{number}:{self.step(question=question, hint=hint).answer}"
            return Prediction(answer=hint.partition(":")[2])

    with context(lm=arithmetic_lm(1.0)):
        compiled = BootstrapFewShot(metric=metric, max_bootstrapped_demos=4, max_labeled_demos=4).compile(
            Loop(), trainset=examples(8)
        )

    assert len(compiled.step.demos) == 4
    assert len({demo.question for demo in compiled.step.demos}) == 4


def test_rows_without_labels_will_do_where_the_metric_needs_none():
    rows = [Example(question=f"What is {i} plus 1?").with_inputs("question") for i in range(10)]

    with context(lm=arithmetic_lm(0.5)):
        compiled = BootstrapFewShot(
            metric=lambda example, prediction, trace: prediction.answer.isdigit(), max_bootstrapped_demos=3
        ).compile(Predict(QA), trainset=rows)

    assert len(compiled.demos) == 3


def test_partly_labelled_rows_are_labelled_demos_where_they_have_the_fields():
    rows = examples(6)
    rows[1] = Example(question=rows[1].question).with_inputs("question")

    with context(lm=arithmetic_lm(0.0)):
        compiled = BootstrapFewShot(
            metric=lambda example, prediction: "answer" in example and metric(example, prediction)
        ).compile(Predict(QA), trainset=rows)

    assert len(compiled.demos) == 5
    assert all("answer" in demo for demo in compiled.demos)
    assert "accepted 0 of 6 examples" in compiled.report.notes[0]


@pytest.mark.parametrize(("threshold", "expected"), [(None, 2), (0, 4), (0.5, 2), (1.0, 1)])
def test_a_threshold_of_0_counts(threshold, expected):
    scores = {0: 0.0, 1: 0.5, 2: 1.0, 3: 0.0}
    rows = examples(4)

    def graded(example, prediction, trace=None):
        return scores[rows.index(example)]

    with context(lm=arithmetic_lm(1.0)):
        compiled = BootstrapFewShot(metric=graded, metric_threshold=threshold, max_labeled_demos=0).compile(
            Predict(QA), trainset=rows
        )

    assert len(compiled.demos) == expected


def test_the_metric_sees_the_trace():
    seen = []

    def traced(example, prediction, trace=None):
        seen.append([list(step.inputs) for step in trace])
        return True

    with context(lm=chain_lm()):
        BootstrapFewShot(metric=traced, max_bootstrapped_demos=1).compile(Chain(), trainset=examples(2))

    assert seen == [[["question"], ["question", "plan"]]]


def test_failures_are_counted_and_told():
    rows = examples(12)

    def metric_with_a_fault(example, prediction, trace=None):
        if example == rows[0]:
            raise KeyError("fault")
        return metric(example, prediction)

    def reply(text):
        if rows[1].question in text.rpartition("[[ ## question ## ]]")[2]:
            raise RuntimeError("the LM is ill")
        return {"answer": answer_of(text, 1.0)}

    with context(lm=FunctionLM(reply)):
        compiled = BootstrapFewShot(metric=metric_with_a_fault, max_bootstrapped_demos=2).compile(
            Predict(QA), trainset=rows
        )

    first, second = compiled.report.failures
    assert "'metric_with_a_fault' raised on row 0" in first and "fault" in first
    assert "row 1" in second and "the LM is ill" in second
    assert len([demo for demo in compiled.demos if demo.get("augmented")]) == 2


@pytest.mark.parametrize("num_threads", [1, 8])
def test_too_many_failures_stop_the_compile_and_leave_the_teacher_alone(num_threads):
    teacher = Predict(QA)
    teacher.demos = examples(3)

    def ill(text):
        raise RuntimeError("the LM is ill")

    with (
        context(lm=FunctionLM(ill)),
        pytest.raises(CompileStopped, match=r"3 failures \(max_errors=3\).*ill") as caught,
    ):
        BootstrapFewShot(metric=metric, max_errors=3, num_threads=num_threads).compile(
            Predict(QA), teacher=teacher, trainset=examples(30)
        )

    assert teacher.demos == examples(3)
    assert len(caught.value.program.demos) == 16  # labelled ones
    assert "max_errors" in caught.value.program.report.stopped


def test_a_program_that_returns_none_is_a_failure():
    class Silent(Module):
        def __init__(self):
            self.step = Predict(QA)

        def forward(self, question):
            self.step(question=question)

    with context(lm=arithmetic_lm(1.0)):
        compiled = BootstrapFewShot(metric=metric).compile(Silent(), trainset=examples(2))

    assert "returned None" in compiled.report.failures[0]


@pytest.mark.parametrize("num_threads", [1, 4])
def test_an_interrupt_keeps_the_demonstrations_made_so_far(num_threads):
    rows = examples(30)

    def interrupting(example, prediction, trace=None):
        if example == rows[8]:
            raise KeyboardInterrupt
        return True

    with context(lm=arithmetic_lm(1.0)), pytest.raises(CompileInterrupted) as caught:
        BootstrapFewShot(metric=interrupting, max_bootstrapped_demos=16, num_threads=num_threads).compile(
            Predict(QA), trainset=rows
        )

    program = caught.value.program
    assert program.report.stopped == "interrupted"
    made = [demo.question for demo in program.demos if demo.get("augmented")]
    assert made == [row.question for row in rows[: len(made)]]
    assert num_threads > 1 or len(made) == 8


@pytest.mark.parametrize("num_threads", [1, 4])
def test_at_a_budgets_limit_the_program_so_far_is_returned(num_threads):
    rows = examples(30)

    def limited(text):
        if any(row.question in text.rpartition("[[ ## question ## ]]")[2] for row in rows[6:]):
            raise BudgetExceeded("the budget of 6 calls is used up", limit="calls")
        return {"answer": answer_of(text, 1.0)}

    with context(lm=FunctionLM(limited)):
        compiled = BootstrapFewShot(
            metric=metric, max_bootstrapped_demos=16, num_threads=num_threads
        ).compile(Predict(QA), trainset=rows)

    assert compiled.report.stopped.startswith("budget")
    assert len([demo for demo in compiled.demos if demo.get("augmented")]) <= 6
    assert num_threads > 1 or len([demo for demo in compiled.demos if demo.get("augmented")]) == 6


def test_a_missing_lm_stops_at_once():
    with pytest.raises(NotConfiguredError):
        BootstrapFewShot(metric=metric).compile(Predict(QA), trainset=examples(3))


def test_a_valset_compares_the_given_and_the_compiled_program():
    def reply(request):
        demos = len(request.messages) > 2
        return {"answer": answer_of(request.messages[-1]["content"], 1.0 if demos else 0.3)}

    with context(lm=FunctionLM(reply)):
        compiled = BootstrapFewShot(metric=metric).compile(
            Predict(QA), trainset=examples(20), valset=examples(40, first=100)
        )

    report = compiled.report
    assert report.score == 100.0 > report.baseline
    assert report.comparison.better
    assert [candidate.label for candidate in report.candidates] == ["compiled", "as given"]
    assert report.spend["task"].calls == 80


def test_a_program_whose_scoring_is_stopped_is_returned_unscored():
    def fragile(example, prediction, trace=None):
        return None if trace is None else metric(example, prediction)

    with context(lm=arithmetic_lm(1.0), max_errors=2):
        compiled = BootstrapFewShot(metric=fragile, max_bootstrapped_demos=2).compile(
            Predict(QA), trainset=examples(5), valset=examples(5, first=50)
        )

    assert compiled.report.stopped.startswith("not scored: stopped: ")
    assert compiled.report.score is None
    assert len(compiled.demos) == 5


def test_a_program_with_its_report_is_saved_and_loaded(tmp_path):
    with context(lm=chain_lm()):
        compiled = BootstrapFewShot(metric=metric).compile(
            Chain(), trainset=examples(20), valset=examples(5, 50)
        )
    compiled.save(tmp_path / "program.json")

    loaded = Chain().load(tmp_path / "program.json")

    assert demos_of(loaded) == demos_of(compiled)
    assert loaded.report.optimizer == "BootstrapFewShot"
    assert loaded.report.score == compiled.report.score


def test_a_compiled_part_is_left_alone_by_the_next_compile():
    class Outer(Module):
        def __init__(self, inner):
            self.inner = inner
            self.last = Predict(QA)

        def forward(self, question):
            self.inner(question=question)
            return self.last(question=question)

    with context(lm=arithmetic_lm(1.0)):
        inner = BootstrapFewShot(metric=metric, max_bootstrapped_demos=1, max_labeled_demos=1).compile(
            Predict(QA), trainset=examples(3)
        )
        outer = BootstrapFewShot(metric=metric, max_bootstrapped_demos=2, max_labeled_demos=2).compile(
            Outer(inner), trainset=examples(5)
        )

    assert len(outer.inner.demos) == 1
    assert len(outer.last.demos) == 2


def test_reasoning_is_bootstrapped():
    with context(lm=arithmetic_lm(1.0, reasoning="count on")):
        compiled = BootstrapFewShot(metric=metric, max_bootstrapped_demos=2, max_labeled_demos=2).compile(
            ChainOfThought(QA), trainset=examples(5)
        )

    assert [demo.reasoning for demo in compiled.predict.demos] == ["count on", "count on"]


def test_an_async_program_is_bootstrapped():
    class Async(Module):
        def __init__(self):
            self.step = Predict(QA)

        async def aforward(self, question):
            return await self.step.acall(question=question)

    async def ametric(example, prediction, trace=None):
        return metric(example, prediction)

    with context(lm=arithmetic_lm(1.0)):
        compiled = BootstrapFewShot(metric=ametric, max_bootstrapped_demos=3, max_labeled_demos=3).compile(
            Async(), trainset=examples(5)
        )

    assert len(compiled.step.demos) == 3


@pytest.mark.parametrize(
    "options",
    [
        {"max_bootstrapped_demos": -1},
        {"max_labeled_demos": 1.5},
        {"max_rounds": 0},
        {"max_errors": 0},
        {"num_threads": 0},
        {"teacher_settings": {"ml": None}},
        {"teacher_settings": "lm"},
    ],
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ConfigurationError):
        BootstrapFewShot(metric=metric, **options)


def test_unknown_options_are_refused():
    with pytest.raises(TypeError, match="max_demos"):
        BootstrapFewShot(metric=metric, max_demos=3)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"trainset": []}, DatasetError, "empty"),
        ({"trainset": [Example(question="q")]}, DatasetError, "with_inputs"),
        ({"valset": []}, DatasetError, "valset is empty"),
        ({"student": Module()}, ConfigurationError, "no predictor"),
        ({"teacher": Predict("question -> reply")}, ConfigurationError, "fields"),
        ({"teacher": Chain()}, ConfigurationError, "predictors"),
        ({"teacher": arithmetic_lm()}, ConfigurationError, "teacher must be a Module"),
    ],
)
def test_what_cannot_work_is_refused_before_the_first_call(arguments, kind, message):
    lm = arithmetic_lm()
    given = {"student": Predict(QA), "trainset": examples(3), **arguments}

    with context(lm=lm), pytest.raises(kind, match=message):
        BootstrapFewShot(metric=metric).compile(given.pop("student"), **given)

    assert lm.requests == []


def test_without_a_metric_every_run_that_does_not_fail_is_shown():
    rows = [example.inputs().with_inputs("question") for example in examples(5)]  # no labels either

    with context(lm=arithmetic_lm(0.0)):
        compiled = BootstrapFewShot(max_bootstrapped_demos=2).compile(Predict(QA), trainset=rows)

    assert [demo["question"] for demo in compiled.demos[:2]] == [row.question for row in rows[:2]]
    assert all(demo["augmented"] for demo in compiled.demos[:2])


def test_a_valset_without_a_metric_is_refused_before_the_first_call():
    lm = arithmetic_lm()

    with context(lm=lm), pytest.raises(ConfigurationError, match="metric"):
        BootstrapFewShot().compile(Predict(QA), trainset=examples(3), valset=examples(3))

    assert lm.requests == []


def test_a_teachers_instructions_may_differ():
    teacher = Predict(QA)
    teacher.signature = teacher.signature.with_instructions("Add with care.")

    with context(lm=arithmetic_lm(1.0)):
        compiled = BootstrapFewShot(metric=metric).compile(Predict(QA), teacher=teacher, trainset=examples(5))

    assert compiled.signature.instructions == Predict(QA).signature.instructions

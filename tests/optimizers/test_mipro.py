import logging
import threading

import pytest
from arithmetic import demos_of, examples, metric
from proposing import MAGIC, is_proposal, text_of, worker_lm

from telic.budget import Budget
from telic.context import context
from telic.data import Example
from telic.errors import ConfigurationError, DatasetError, LMInvalidRequestError, NotConfiguredError
from telic.modules import Module, Predict
from telic.optimizers import CompileStopped, MIPROv2
from telic.testing import FunctionLM

QA = "question -> answer"


class Planned(Module):
    """Plans the sum, then does it."""

    def __init__(self):
        self.plan = Predict("question -> plan")
        self.answer = Predict("question, plan -> answer")

    def forward(self, question):
        return self.answer(question=question, plan=self.plan(question=question).plan)


class GroundedWriter:
    """A prompt model for all questions of MIPROv2; instructions by the sample index."""

    def __init__(self, texts=(MAGIC, "Be quick.", "Guess.")):
        self.texts = texts
        self.lm = FunctionLM(self.reply, model="writer")

    def reply(self, request):
        text = text_of(request)
        if "## observations ##" in text and "## examples ##" in text:
            return {"observations": "They ask for sums."}
        if "## summary ##" in text:
            return {"summary": "A data set of sums."}
        if "## program_code ##" in text:
            return {"program_description": "It plans before it adds."}
        return {"proposed_instruction": self.texts[request.sample % len(self.texts)]}

    @property
    def proposals(self):
        return [text_of(request) for request in self.lm.requests if is_proposal(request)]


def optimizer(writer=None, **options):
    settings = {
        "auto": None,
        "num_candidates": 4,
        "num_threads": 8,
        "max_labeled_demos": 2,
        "max_bootstrapped_demos": 2,
    }
    writer = GroundedWriter() if writer is None else writer
    return MIPROv2(**{"metric": metric, "prompt_model": writer.lm, **settings, **options})


def compiled(writer=None, student=None, lm=None, options=None, **arguments):
    with context(lm=worker_lm(per_demo=0.05) if lm is None else lm):
        return optimizer(writer, **(options or {})).compile(
            Predict(QA) if student is None else student,
            **{
                "trainset": examples(20),
                "valset": examples(30, first=100),
                "num_trials": 10,
                "minibatch_size": 10,
                "minibatch_full_eval_steps": 4,
                **arguments,
            },
        )


def test_instructions_and_demonstrations_are_found_together():
    program = compiled()

    assert program.signature.instructions == MAGIC
    assert program.report.score == program.score > program.report.baseline
    assert program.report.comparison.n == 30
    assert program.report.check is not None
    assert not program._compiled  # as a part of another program it may learn more


def test_the_report_has_the_full_evaluations_and_the_logs_all_trials():
    program = compiled()

    scores = [item["score"] for item in program.candidate_programs]
    assert scores == sorted(scores, reverse=True)
    assert all(len(item["subscores"]) == 30 for item in program.candidate_programs)
    assert all(len(item["subscores"]) < 30 for item in program.mb_candidate_programs)
    kinds = [log["kind"] for log in program.trial_logs.values()]
    assert kinds[0] == "given" and kinds.count("trial") == 10 and "full" in kinds
    assert all(0 <= log["score"] <= 100 for log in program.trial_logs.values())
    assert {log["rows"] for log in program.trial_logs.values() if "mb_score" in log} == {10}
    assert {log["rows"] for log in program.trial_logs.values() if "full_eval_score" in log} == {30}
    assert program.total_calls > program.prompt_model_total_calls > 0
    assert {c.label for c in program.report.candidates} >= {"as given"}


def test_statistics_can_be_left_out_and_instructions_told():
    program = compiled(options={"track_stats": False, "verbose": True})

    assert not hasattr(program, "trial_logs")
    assert any(MAGIC in note for note in program.report.notes)


@pytest.mark.parametrize("threads", [2, 32])
def test_threads_decide_nothing(threads):
    first, second = (compiled(options={"num_threads": n}) for n in (1, threads))

    assert first.trial_logs == second.trial_logs
    assert [c.to_dict() for c in first.report.candidates] == [c.to_dict() for c in second.report.candidates]
    assert demos_of(first) == demos_of(second)
    assert first.report.spend["task"].calls == second.report.spend["task"].calls


def test_proposals_are_told_of_data_program_demonstrations_tips_and_scores():
    writer = GroundedWriter()

    compiled(
        writer,
        student=Planned(),
        lm=two_step_lm(),
        options={"num_threads": 1, "num_candidates": 8},
        num_trials=24,
    )

    first, late = writer.proposals[0], writer.proposals[-1]
    for words in (
        "A data set of sums.",
        "It plans before it adds.",
        "A program of 2 steps that takes question:",
    ):
        assert words in first and words in late
    assert "The instruction is for the step plan. plan takes question and gives plan." in first
    shown = first.rpartition("[[ ## task_demos ## ]]")[2]
    assert "question: What is" in shown and "plan: " in shown
    assert "attempted_instructions" not in first
    assert "(score " in late.rpartition("[[ ## attempted_instructions ## ]]")[2]
    assert any("[[ ## tip ## ]]" in text for text in writer.proposals)
    assert len(writer.proposals) == 2 * (8 - 1)


def two_step_lm():
    worker = worker_lm(base=0.5)

    def reply(request):
        if "Output fields:\n1. `plan`" in text_of(request):
            return {"plan": "add"}
        return worker.reply(request)

    return FunctionLM(reply)


def test_what_proposals_are_told_of_can_be_left_out():
    writer = GroundedWriter()

    compiled(
        writer,
        student=Planned(),
        lm=two_step_lm(),
        program_aware_proposer=False,
        data_aware_proposer=False,
        tip_aware_proposer=False,
        fewshot_aware_proposer=False,
        history_aware_proposer=False,
    )

    assert len(writer.lm.requests) == len(writer.proposals) == 2 * 3
    for words in (
        "dataset_description",
        "program_description",
        "task_demos",
        "tip",
        "attempted_instructions",
    ):
        assert not any(words in text for text in writer.proposals), words


def test_the_data_are_looked_at_in_batches_and_summed_up_once():
    writer = GroundedWriter()

    compiled(writer, trainset=examples(25), view_data_batch_size=10)

    texts = [text_of(request) for request in writer.lm.requests]
    assert sum("## observations ##" in text and "## examples ##" in text for text in texts) == 3
    assert sum("## summary ##" in text for text in texts) == 1
    assert not any("## program_code ##" in text for text in texts)  # a plain Predict has no code of its own


def test_without_demonstrations_only_instructions_are_searched_and_some_are_made_for_the_prompt_model():
    writer = GroundedWriter()

    program = compiled(writer, max_bootstrapped_demos=0, max_labeled_demos=0)

    assert program.demos == []
    assert program.report.spend["teacher"].calls
    assert all("demo set" not in c.label for c in program.report.candidates)
    assert any("task_demos" in text for text in writer.proposals)


def test_demonstrations_that_the_program_came_with_are_a_choice():
    student = Predict(QA)
    student.demos = [Example(question="What is 1 plus 1?", answer="2")]

    program = compiled(student=student, lm=worker_lm(base=0.4, lift=0.0, per_demo=0.0))

    given = next(c for c in program.report.candidates if c.label == "as given")
    assert demos_of(given.program) == demos_of(student)
    assert [dict(demo.items()) for demo in student.demos] == [
        {"question": "What is 1 plus 1?", "answer": "2"}
    ]


def test_every_predictor_gets_a_choice_of_its_own():
    program = compiled(GroundedWriter([MAGIC]), student=Planned(), lm=two_step_lm(), num_trials=20)

    labels = [c.label for c in program.report.candidates if c.label != "as given"]
    assert labels and all("plan: instruction" in label and "answer: instruction" in label for label in labels)
    assert program.answer.signature.instructions == MAGIC


def test_equal_sets_of_demonstrations_are_one_choice():
    lm = worker_lm(base=0.0, lift=0.0)

    program = compiled(GroundedWriter(["Same."]), lm=lm, max_labeled_demos=0)

    # Nothing is ever right, so that no set has demonstrations; one instruction beside the given one.
    assert len(program.candidate_programs) <= 2
    assert program.report.spend["task"].calls == 2 * 30


def test_task_and_prompt_models_are_asked_for_their_parts_alone():
    task, writer, other = worker_lm(), GroundedWriter(), worker_lm()

    compiled(writer, lm=other, options={"task_model": task})

    assert not other.requests
    assert not any(is_proposal(request) for request in task.requests)
    assert writer.lm.requests


def test_without_a_prompt_model_the_configured_lm_writes_and_not_the_task_model():
    task, writer = worker_lm(), GroundedWriter()
    with context(lm=writer.lm):
        MIPROv2(metric, task_model=task, auto=None, num_candidates=3).compile(
            Predict(QA), trainset=examples(8), valset=examples(8, first=50), num_trials=3
        )

    assert writer.proposals
    assert not any(is_proposal(request) for request in task.requests)


def test_predictors_keep_their_own_lms_when_a_task_model_is_given():
    student, own, task = Planned(), FunctionLM(lambda text: {"plan": "add"}), worker_lm()
    student.plan.lm = own

    program = compiled(student=student, options={"task_model": task})

    assert program.plan.lm is own and program.answer.lm is None
    assert own.requests and task.requests


def test_the_teacher_and_its_settings_make_the_demonstrations():
    teacher_lm = worker_lm(base=1.0)

    program = compiled(
        options={"teacher_settings": {"lm": teacher_lm}}, lm=worker_lm(base=0.1, lift=0, per_demo=0.3)
    )

    assert len(teacher_lm.requests) == program.report.spend["teacher"].calls
    assert program.demos


def test_a_metric_threshold_of_zero_counts():
    program = compiled(options={"metric_threshold": 0.0}, lm=worker_lm(base=0.0, lift=0.0))

    sets = {len(c.program.demos) for c in program.report.candidates}
    assert program.report.spend["teacher"].calls
    assert max(sets | {len(item["program"].demos) for item in program.mb_candidate_programs}) > 0


def test_seeds_count_zero_too_and_that_of_compile_comes_first():
    a, b, c = (compiled(seed=0), compiled(options={"seed": 0}), compiled(seed=1))

    assert a.trial_logs == b.trial_logs != c.trial_logs


@pytest.mark.parametrize(
    ("auto", "rows", "trials", "instructions", "batch"),
    [("light", 100, 10, 3, 35), ("medium", 300, 18, 6, 35), ("heavy", 1000, 27, 9, 35)],
)
def test_run_modes_set_candidates_trials_and_rows(auto, rows, trials, instructions, batch):
    mode = MIPROv2(metric, auto=auto)

    plan = {
        part.label: part.runs
        for part in mode.plan(Predict(QA), trainset=examples(20), valset=examples(1200)).parts
    }

    assert plan["the program as given"] == (rows, rows)
    assert plan["trials"] == (0, trials * batch)
    assert plan["proposing"] == (instructions - 1, instructions - 1)


def test_small_valsets_are_evaluated_whole_where_the_mode_decides():
    plan = {
        part.label: part.runs
        for part in MIPROv2(metric).plan(Predict(QA), trainset=examples(20), valset=examples(50)).parts
    }

    assert plan["trials"] == (0, 10 * 50)
    assert plan["full evaluations"] == (0, 0)


def test_the_plan_takes_the_arguments_of_compile():
    mode = optimizer()

    plan = mode.plan(Predict(QA), trainset=examples(20), valset=examples(30), num_trials=7, minibatch_size=5)

    assert {part.label: part.runs for part in plan.parts}["trials"] == (0, 35)
    with pytest.raises(ConfigurationError, match="did you mean 'num_trials'"):
        mode.plan(Predict(QA), trainset=examples(20), num_trails=7)


def test_large_valsets_are_drawn_from_and_it_is_said():
    with context(lm=worker_lm()):
        program = MIPROv2(metric, GroundedWriter().lm, num_threads=16).compile(
            Predict(QA), trainset=examples(10), valset=examples(130, first=100)
        )

    assert len(program.report.candidates[0].subscores) == 100
    assert any("100 of 130 rows" in note for note in program.report.notes)


def test_without_a_valset_four_fifths_of_the_rows_choose(caplog):
    with caplog.at_level(logging.WARNING, "telic.optimizers"):
        program = compiled(trainset=examples(40), valset=None)

    assert len(program.report.candidates[0].subscores) == 32
    assert "8 rows to make demonstrations and 32 to score on" in caplog.text


def test_proposals_that_fail_are_counted_and_the_search_goes_on():
    class Failing(GroundedWriter):
        def reply(self, request):
            raise LMInvalidRequestError("refused", model="writer")

    program = compiled(Failing())

    assert program.signature.instructions == Predict(QA).signature.instructions
    assert len([text for text in program.report.failures if "refused" in text]) >= 3
    assert any("no new instruction was proposed for self" in note for note in program.report.notes)


def test_a_description_that_fails_leaves_the_fields_of_the_program():
    class Silent(GroundedWriter):
        def reply(self, request):
            if "## program_code ##" in text_of(request) or "## observations ##" in text_of(request):
                raise LMInvalidRequestError("refused", model="writer")
            return super().reply(request)

    writer = Silent()
    compiled(writer, student=Planned(), lm=two_step_lm())

    assert all("A program of 2 steps" in text for text in writer.proposals)
    assert not any("dataset_description" in text for text in writer.proposals)


def test_a_spent_budget_returns_the_best_full_evaluation(tmp_path):
    for calls in (35, 60, 90):
        program = compiled(budget=Budget(calls=calls), run_dir=tmp_path / str(calls))
        assert program.report.stopped.startswith("budget")
        assert program.report.total_spend.calls <= calls


def test_too_many_failures_stop_it_with_the_best_so_far():
    def reply(request):
        if "Break" in text_of(request):
            raise LMInvalidRequestError("refused", model="worker")
        return worker.reply(request)

    worker = worker_lm()
    with pytest.raises(CompileStopped) as stopped:
        compiled(GroundedWriter(["Break."]), lm=FunctionLM(reply), options={"max_errors": 3}, num_trials=20)

    assert stopped.value.program.report.candidates


def test_the_folder_of_the_constructor_holds_the_run(tmp_path):
    first = compiled(options={"log_dir": tmp_path / "run"})
    again = compiled(options={"log_dir": tmp_path / "run"})

    assert first.report.run_dir == str(tmp_path / "run")
    assert again.trial_logs == first.trial_logs
    assert any("resumed" in note for note in again.report.notes)


def test_one_optimizer_serves_two_threads_at_once():
    made, found = optimizer(), {}

    def work(name):
        with context(lm=worker_lm(per_demo=0.05)):
            found[name] = made.compile(
                Predict(QA), trainset=examples(20), valset=examples(12, first=100), num_trials=6
            )

    threads = [threading.Thread(target=work, args=(k,)) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found[0].trial_logs == found[1].trial_logs


def test_what_is_returned_is_saved_and_loaded(tmp_path):
    program = compiled(student=Planned(), lm=two_step_lm())
    program.save(tmp_path / "program.json")

    loaded = Planned().load(tmp_path / "program.json")

    assert loaded.answer.signature.instructions == program.answer.signature.instructions
    assert demos_of(loaded) == demos_of(program)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"auto": "huge"}, "auto"),
        ({"auto": "light", "num_candidates": 5}, "num_candidates"),
        ({"num_candidates": 1}, "num_candidates"),
        ({"init_temperature": -1}, "init_temperature"),
        ({"max_bootstrapped_demos": -1}, "max_bootstrapped_demos"),
        ({"teacher_settings": {"lmm": 1}}, "lmm"),
        ({"metric": None}, "metric"),
        ({"num_threads": 0}, "num_threads"),
    ],
)
def test_impossible_settings_are_refused(options, words):
    lm = worker_lm()
    with pytest.raises(ConfigurationError, match=words):
        compiled(lm=lm, options=options)
    assert not lm.requests


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"num_trials": 0}, "num_trials"),
        ({"minibatch_size": 31}, "more than the 30 rows"),
        ({"minibatch_size": 0}, "minibatch_size"),
        ({"minibatch": False}, "no meaning"),
        ({"minibatch_full_eval_steps": 0}, "minibatch_full_eval_steps"),
        ({"view_data_batch_size": 0}, "view_data_batch_size"),
        ({"max_labeled_demos": -1}, "max_labeled_demos"),
        ({"requires_permission_to_run": True}, "never asks"),
        ({"minibach": True}, "did you mean 'minibatch'"),
        ({"teacher": Planned()}, "teacher"),
    ],
)
def test_arguments_that_cannot_work_are_refused(arguments, words):
    lm = worker_lm()
    with pytest.raises(ConfigurationError, match=words):
        compiled(lm=lm, **arguments)
    assert not lm.requests


def test_run_modes_take_no_number_of_trials_and_none_needs_candidates():
    with pytest.raises(ConfigurationError, match="auto='light' sets num_trials"):
        compiled(options={"auto": "light", "num_candidates": None})
    with pytest.raises(ConfigurationError, match="num_candidates= is needed"):
        compiled(options={"num_candidates": None})


@pytest.mark.parametrize("name", ["trainset", "valset"])
def test_empty_lists_are_refused(name):
    with pytest.raises(DatasetError, match=name):
        compiled(**{name: []})


def test_without_an_lm_to_write_nothing_begins():
    student = Predict(QA)
    student.lm = worker_lm()

    with pytest.raises(NotConfiguredError, match="prompt_model"):
        MIPROv2(metric).compile(student, trainset=examples(4))
    assert not student.lm.requests

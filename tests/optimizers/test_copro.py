import logging

import pytest
from arithmetic import demos_of, examples, metric
from proposing import MAGIC, WritingLM, text_of, worker_lm

from telic.budget import Budget
from telic.context import context
from telic.data import Example
from telic.errors import ConfigurationError, LMInvalidRequestError, NotConfiguredError
from telic.modules import Module, Predict
from telic.optimizers import COPRO, CompileStopped
from telic.testing import FunctionLM

QA = "question -> answer"


class Two(Module):
    def __init__(self):
        self.first = Predict("question -> plan")
        self.second = Predict("question, plan -> answer")

    def forward(self, question):
        return self.second(question=question, plan=self.first(question=question).plan)


def compiled(writer=None, student=None, lm=None, options=None, **arguments):
    writer = WritingLM(["Think hard.", "Be quick.", MAGIC, "Guess.", "Relax."]) if writer is None else writer
    settings = {
        "metric": metric,
        "breadth": 4,
        "depth": 2,
        "num_threads": 8,
        "prompt_model": writer.lm,
        **(options or {}),
    }
    with context(lm=worker_lm() if lm is None else lm):
        return COPRO(**settings).compile(
            Predict(QA) if student is None else student,
            **{"trainset": examples(20), "valset": examples(20, first=100), **arguments},
        )


def test_the_instruction_that_scores_best_is_found_and_compared_with_the_given_one():
    program = compiled()

    assert program.signature.instructions == MAGIC
    assert program.report.score > program.report.baseline
    assert program.report.score == max(item["score"] for item in program.candidate_programs)
    assert {c.label for c in program.report.candidates} >= {"as given", "self: instruction 1, round 1"}
    assert program.report.check is not None  # trainset did not choose it
    assert not program._compiled  # as a part of another program it may learn demos
    assert program.total_calls == len(program.candidate_programs) * 20


def test_the_first_round_asks_from_the_present_instructions_and_later_ones_from_attempts_worst_first():
    writer = WritingLM(["Think hard.", "Be quick.", MAGIC, "Guess."])

    compiled(writer=writer, options={"num_threads": 1})

    assert len(writer.prompts) == 3 + 4
    first, later = writer.prompts[0], writer.prompts[-1]
    assert "do not be afraid to be creative" in first
    assert "The program takes question and gives answer." in first
    assert "Given the fields `question`" in first.rpartition("basic_instruction")[2]
    shown = later.rpartition("[[ ## attempted_instructions ## ]]")[2]
    assert shown.count("(score ") == 4
    scores = [int(part.partition(")")[0]) for part in shown.split("(score ")[1:]]
    assert scores == sorted(scores)
    assert shown.index(MAGIC) > shown.index("Be quick.")


def test_breadth_and_depth_bound_what_is_tried_and_equal_programs_are_scored_once():
    writer = WritingLM(["Always the same."])
    lm = worker_lm()

    program = compiled(writer=writer, lm=lm, options={"recheck": False})

    assert len(program.candidate_programs) == 2
    assert program.report.spend["task"].calls == 2 * 20
    assert program.report.spend["proposer"].calls == 3 + 4


def test_every_predictor_climbs_with_the_others_at_their_best():
    def reply(request):
        system = request.messages[0]["content"]
        if "Output fields:\n1. `plan`" in system:
            return {"plan": "good" if MAGIC in system else "bad"}
        text = request.messages[-1]["content"]
        return {"answer": str(("good" in text.partition("Respond")[0]) + ("Use the plan" in system))}

    writer = WritingLM([MAGIC, "Use the plan.", "Nothing."])
    rows = [Example(question=f"q{i}", answer="1").with_inputs("question") for i in range(6)]

    program = compiled(
        writer=writer,
        student=Two(),
        lm=FunctionLM(reply),
        trainset=rows,
        valset=rows,
        options={
            "breadth": 4,
            "depth": 3,
            "num_threads": 1,
            "metric": lambda example, prediction, trace=None: int(prediction.answer) / 2,
        },
    )

    assert program.first.signature.instructions == MAGIC
    assert program.second.signature.instructions == "Use the plan."
    assert program.report.score == 100
    assert "The instruction is for the step second." in "".join(writer.prompts)


def test_threads_decide_nothing():
    first, second = (compiled(options={"num_threads": n}, writer=_by_sample()) for n in (1, 32))

    assert [c.to_dict() for c in first.report.candidates] == [c.to_dict() for c in second.report.candidates]
    assert first.signature.instructions == second.signature.instructions


def _by_sample():
    class BySample:
        lm = FunctionLM(
            lambda request: {
                "proposed_instruction": f"Number {request.sample % 7}. {MAGIC[: request.sample % 20]}"
            }
        )

    return BySample


def test_demos_of_the_student_stay():
    student = Predict(QA)
    student.demos = [Example(question="1?", answer="1")]

    program = compiled(student=student)

    assert demos_of(program) == demos_of(student)
    assert student.signature.instructions != program.signature.instructions


def test_a_proposal_that_fails_is_counted_and_the_others_go_on():
    calls = []

    def reply(request):
        calls.append(1)
        if len(calls) == 1:
            raise LMInvalidRequestError("refused", model="writer")
        return {"proposed_instruction": f" '{MAGIC}' "}

    class Writer:
        lm = FunctionLM(reply)

    program = compiled(writer=Writer, options={"num_threads": 1})

    assert program.signature.instructions == MAGIC
    assert ["proposal 1 for self, round 1" in text for text in program.report.failures] == [True]


def test_where_no_instruction_can_be_proposed_it_stops_and_says_why():
    class Writer:
        lm = FunctionLM(_refuse)

    program = compiled(writer=Writer)

    assert program.report.stopped.startswith("no instruction could be proposed; proposal 1 for self, round 1")
    assert "temperature" in program.report.stopped
    assert program.report.spend["proposer"].calls == 3
    assert [c.label for c in program.report.candidates] == ["as given"]


def _refuse(request):
    raise LMInvalidRequestError("temperature must be 1", model="writer")


def test_nothing_better_means_the_given_instructions():
    program = compiled(writer=WritingLM(["Guess."]), lm=worker_lm(lift=0.0))

    assert program.signature.instructions == Predict(QA).signature.instructions
    assert program.report.check is None


def test_statistics_by_round_are_there_on_request():
    program = compiled(options={"track_stats": True})

    latest, best = program.results_latest["self"], program.results_best["self"]
    assert best["depth"] == [0, 1]
    assert best["max"][-1] == program.report.score
    assert len(latest["std"]) == len(latest["depth"]) <= 2


def test_instructions_are_told_on_request():
    told, silent = compiled(options={"verbose": True}), compiled()

    assert any("% (as given), instruction of self: " in note for note in told.report.notes)
    assert sum(MAGIC in note for note in told.report.notes) == 1
    assert not any("instruction of self" in note for note in silent.report.notes)


def test_a_prefix_is_asked_for_on_request_and_kept_in_the_signature():
    writer = WritingLM([MAGIC], proposed_prefix_for_output_field="The sum:")

    program = compiled(writer=writer, options={"prefix": True})

    assert program.signature.output_fields["answer"].prefix == "The sum:"
    assert not any("proposed_prefix" in prompt for prompt in _prompts_of_a_default_compile())


def _prompts_of_a_default_compile():
    writer = WritingLM([MAGIC])
    compiled(writer=writer)
    return writer.prompts


def test_rows_that_chose_the_winner_do_not_check_it():
    rows = examples(20)

    assert compiled(trainset=rows, valset=rows).report.check is None
    assert compiled(trainset=rows, valset=rows[:10]).report.check.n == 10


def test_without_a_valset_half_of_the_rows_choose_and_the_others_check(caplog):
    with caplog.at_level(logging.WARNING, "telic.optimizers"):
        program = compiled(trainset=examples(30), valset=None)

    assert len(program.report.candidates[0].subscores) == 15
    assert program.report.check.n == 15
    assert "15 rows to check the winner and 15 to score on" in caplog.text


def test_a_budget_that_ends_while_proposing_returns_the_best_so_far(tmp_path):
    program = compiled(budget=Budget(calls=22), run_dir=tmp_path / "run")

    assert program.report.stopped.startswith("budget")
    assert [c.label for c in program.report.candidates] in ([], ["as given"])


def test_too_many_failures_of_a_candidate_stop_it_with_the_best_so_far():
    def reply(request):
        if "Break" in text_of(request):
            raise LMInvalidRequestError("refused", model="worker")
        return {"answer": "0"}

    with pytest.raises(CompileStopped) as stopped:
        compiled(writer=WritingLM(["Break."]), lm=FunctionLM(reply), options={"max_errors": 3})

    assert stopped.value.program.report.candidates[0].label == "as given"


def test_options_of_dspy_work_by_name():
    optimizer = COPRO(
        prompt_model=WritingLM([MAGIC]).lm,
        metric=metric,
        breadth=2,
        depth=1,
        init_temperature=0,
        track_stats=True,
    )

    with context(lm=worker_lm()):
        program = optimizer.compile(
            Predict(QA),
            trainset=examples(8),
            eval_kwargs={"num_threads": 2, "display_progress": False, "display_table": 0},
        )

    assert program.signature.instructions == MAGIC
    assert optimizer.num_threads is None


@pytest.mark.parametrize(
    "options",
    [
        {"breadth": 1},
        {"depth": 0},
        {"init_temperature": -1},
        {"num_threads": 0},
        {"max_errors": 0},
        {"metric": None},
    ],
)
def test_impossible_settings_are_refused(options):
    with pytest.raises(ConfigurationError):
        compiled(options=options)


@pytest.mark.parametrize(
    "arguments",
    [{"teacher": Predict(QA)}, {"eval_kwargs": {"treads": 1}}, {"eval_kwargs": {"display_table": 5}}],
)
def test_arguments_without_a_use_are_refused(arguments):
    lm = worker_lm()
    with pytest.raises(ConfigurationError):
        compiled(lm=lm, **arguments)
    assert not lm.requests


def test_without_an_lm_to_write_nothing_begins():
    student = Predict(QA)
    student.lm = worker_lm()

    with pytest.raises(NotConfiguredError, match="prompt_model"):
        COPRO(metric=metric).compile(student, trainset=examples(4))
    assert not student.lm.requests

import threading

import pytest
from arithmetic import answer_of, examples
from arithmetic import metric as plain
from proposing import text_of

from telic.budget import Budget
from telic.context import context
from telic.data import Example, Prediction
from telic.errors import ConfigurationError, LMInvalidRequestError, NotConfiguredError
from telic.modules import Assert, Module, Predict
from telic.optimizers import GEPA
from telic.optimizers._gepa_settings import auto_limit
from telic.testing import FunctionLM

QA = "question -> answer"
GOOD = "Add the two numbers."
TRAP = "Guess what was asked before."


def is_reflection(request):
    return "new_instruction" in request.messages[0]["content"]


def spoken(example, prediction, trace=None, pred_name=None, pred_trace=None):
    right = example.answer == prediction.answer
    return Prediction(score=float(right), feedback="" if right else "The sum is wrong.")


def worker(texts=(GOOD,), base=0.3, lift=0.65):
    """Right more often where the instructions hold a good text; writes the texts in turn."""
    numbers, lock = {}, threading.Lock()

    def reply(request):
        if is_reflection(request):
            with lock:
                number = numbers.setdefault(request.sample, len(numbers))
            return {"new_instruction": texts[number % len(texts)]}
        shown = request.messages[0]["content"]
        chance = base + lift * (GOOD in shown)
        question = request.messages[-1]["content"]
        return {"answer": answer_of(question, chance)}

    return FunctionLM(reply)


def compiled(lm=None, student=None, options=None, **arguments):
    settings = {
        "metric": spoken,
        "max_metric_calls": 150,
        "num_threads": 8,
        "recheck": False,
        **(options or {}),
    }
    with context(lm=worker() if lm is None else lm):
        return GEPA(**settings).compile(
            Predict(QA) if student is None else student,
            **{"trainset": examples(12), "valset": examples(20, first=100), **arguments},
        )


def notes(program):
    return "\n".join(program.report.notes)


# The loop


def test_instructions_that_do_better_on_a_minibatch_and_on_the_rows_that_choose_win():
    program = compiled(options={"track_stats": True})

    assert program.signature.instructions == GOOD
    assert program.report.score > program.report.baseline
    assert program.report.comparison is not None
    result = program.detailed_results
    assert result.parents[:2] == [[], [0]]
    assert result.best_candidate.signature.instructions == GOOD
    assert result.val_aggregate_scores[result.best_idx] == program.report.score / 100


def test_the_reflection_reads_inputs_answers_and_the_words_of_the_metric():
    lm = worker()
    compiled(lm)

    asked = next(text_of(r) for r in lm.requests if is_reflection(r))
    shown = asked.rpartition("[[ ## examples_with_feedback ## ]]")[2]
    assert shown.count("question: What is") == 3
    assert "answer: " in shown
    assert "feedback: The sum is wrong." in shown
    assert Predict(QA).signature.instructions in asked


def test_what_does_no_better_on_the_minibatch_is_not_scored_on_the_rows_that_choose():
    lm = worker(texts=["Guess."])
    program = compiled(lm, options={"track_stats": True})

    assert program.signature.instructions == Predict(QA).signature.instructions
    assert [c.label for c in program.report.candidates] == ["as given"]
    assert all(
        "no better" in why or "nothing" in why or "no new" in why for why in program.detailed_results.rounds
    )


def test_minibatches_go_through_all_rows_before_any_comes_again():
    seen = []

    def watched(candidate, reflective_dataset, components_to_update):
        seen.append([case["Inputs"]["question"] for case in reflective_dataset["self"]])
        return {"self": f"Guess {len(seen)}."}

    options = {"instruction_proposer": watched, "num_threads": 1, "skip_perfect_score": False,
               "proposals_at_once": 1, "max_metric_calls": 20 + 4 * 6 + 20}  # fmt: skip
    compiled(options=options)

    epoch = [question for batch in seen[:4] for question in batch]
    assert sorted(epoch) == sorted(row.question for row in examples(12))


def test_perfect_minibatches_are_skipped_unless_asked_for():
    lm = worker(base=0.95)
    some = len(reflections(lm, skip_perfect_score=True))
    lm = worker(base=0.95)
    assert len(reflections(lm, skip_perfect_score=False)) > some


def reflections(lm, **options):
    compiled(lm, options=options)
    return [r for r in lm.requests if is_reflection(r)]


def test_nothing_is_looked_for_beyond_a_perfect_candidate():
    lm = worker(base=1.0)
    program = compiled(lm, options={"max_metric_calls": 5_000})

    assert program.report.score == 100
    assert len(lm.requests) == 20


def test_several_rounds_are_under_way_at_once():
    both, asked = threading.Barrier(2), []

    def proposer(candidate, reflective_dataset, components_to_update):
        asked.append(1)
        if len(asked) <= 2:
            both.wait(20)  # broken unless a second reflection comes while this one is out
        return {"self": GOOD}

    program = compiled(options={"proposals_at_once": 2, "instruction_proposer": proposer})

    assert not both.broken
    assert program.signature.instructions == GOOD


def test_one_round_at_a_time_is_the_loop_of_the_paper():
    known = []

    def proposer(candidate, reflective_dataset, components_to_update):
        known.append(len(candidate["self"]))
        return {"self": f"{candidate['self']} {GOOD}"}

    options = {"proposals_at_once": 1, "instruction_proposer": proposer, "skip_perfect_score": False,
               "candidate_selection_strategy": "current_best"}  # fmt: skip
    program = compiled(worker(base=0.1, lift=0.5), options=options)

    assert known[1] > known[0]  # the second one knows what the first one found
    assert program.report.stopped is None


# Merge


class Two(Module):
    """A plan, then an answer."""

    def __init__(self):
        self.first = Predict("question -> plan")
        self.second = Predict("question, plan -> answer")

    def forward(self, question):
        return self.second(question=question, plan=self.first(question=question).plan)


def halves(request):
    """Even rows need ALPHA in the first step, odd ones BETA in the second; each is proposed for its own step."""
    text = text_of(request)
    if is_reflection(request):
        return {"new_instruction": "ALPHA" if "for the step first" in text else "BETA"}
    shown, question = request.messages[0]["content"], request.messages[-1]["content"]
    if "`plan`" not in shown.partition("Output fields")[0]:
        return {"plan": "alpha" if "ALPHA" in shown else "none"}
    even = "even" in question
    right = "alpha" in question if even else "BETA" in shown
    return {"answer": "yes" if right else "no"}


def parity(n):
    return [
        Example(question=f"{i} {'even' if i % 2 == 0 else 'odd'}", answer="yes").with_inputs("question")
        for i in range(n)
    ]


def merged(**options):
    with context(lm=FunctionLM(halves)):
        settings = {"max_metric_calls": 200, "reflection_minibatch_size": 4, "num_threads": 4, "recheck": False,
                    "track_stats": True, **options}  # fmt: skip
        return GEPA(spoken, **settings).compile(Two(), trainset=parity(8), valset=parity(12))


def one_step_alone(candidate, reflective_dataset, components_to_update):
    """Find what one step needs, and nothing for the other one in the same lineage."""
    untouched = {path: p.signature.instructions for path, p in Two().named_predictors()} == dict(candidate)
    found = {"first": "ALPHA", "second": "BETA"}
    return {path: found[path] if untouched else "Guess." for path in components_to_update}


def test_two_lineages_that_changed_different_steps_are_merged():
    program = merged(instruction_proposer=one_step_alone)

    assert program.report.score == 100
    assert [p.signature.instructions for p in program.predictors()] == ["ALPHA", "BETA"]
    result = program.detailed_results
    assert program.report.candidates[0].label.startswith("merge")
    assert result.parents[result.best_idx] == [1, 2]


def test_without_merges_there_are_none():
    for options in ({"use_merge": False}, {"max_merge_invocations": 0}):
        program = merged(instruction_proposer=one_step_alone, **options)
        assert program.report.score == 50
        assert not [c for c in program.report.candidates if "merge" in c.label]


# Which steps


@pytest.mark.parametrize(("selector", "steps"), [("round_robin", {1}), ("all", {2})])
def test_a_round_changes_the_next_step_or_all(selector, steps):
    asked = []

    def proposer(candidate, reflective_dataset, components_to_update):
        asked.append(list(components_to_update))
        return {path: f"{candidate[path]} More." for path in components_to_update}

    merged(component_selector=selector, instruction_proposer=proposer, proposals_at_once=1)

    assert {len(one) for one in asked} == steps
    if selector == "round_robin":
        assert {name for one in asked for name in one} == {"first", "second"}


def test_a_function_may_say_which_steps():
    def second(pool, rollouts, scores, index, candidate):
        assert list(candidate) == ["first", "second"]
        assert len(rollouts) == len(scores) == 4
        return ["second"]

    program = merged(component_selector=second, use_merge=False)
    assert program.first.signature.instructions == Two().first.signature.instructions
    assert program.second.signature.instructions == "BETA"


def test_a_function_that_names_no_step_is_refused_with_the_names():
    with pytest.raises(ConfigurationError, match="predictors of first, second; it returned \\['third'\\]"):
        merged(component_selector=lambda *_: ["third"])


# Feedback


def test_a_metric_of_five_arguments_is_asked_for_words_on_each_step():
    asked, lock = set(), threading.Lock()

    def of_steps(example, prediction, trace=None, pred_name=None, pred_trace=None):
        if pred_name is not None:
            with lock:
                asked.add((pred_name, len(trace), len(pred_trace)))
            return Prediction(score=0.0, feedback=f"Words on {pred_name}.")
        return float(example.answer == prediction.answer)

    lm = FunctionLM(halves)
    with context(lm=lm):
        GEPA(of_steps, max_metric_calls=100, num_threads=4).compile(
            Two(), trainset=parity(8), valset=parity(12)
        )

    assert asked == {("first", 2, 1), ("second", 2, 1)}
    for request in lm.requests:
        if is_reflection(request):
            text = text_of(request)
            assert ("Words on first." in text) == ("for the step first" in text)


def test_a_metric_without_words_is_told_and_the_answer_of_the_row_stands_for_them():
    lm = worker()
    program = compiled(lm, options={"metric": plain})

    assert "the metric says nothing beside a number" in notes(program)
    asked = next(text_of(r) for r in lm.requests if is_reflection(r))
    assert "feedback: The right answer is " in asked
    assert program.signature.instructions == GOOD


def test_what_assertions_said_is_feedback():
    class Checked(Module):
        def __init__(self):
            self.ask = Predict(QA)

        def forward(self, question):
            made = self.ask(question=question)
            Assert(made.answer.isdigit(), "Digits alone, please.")
            return made

    def reply(request):
        if is_reflection(request):
            return {"new_instruction": GOOD}
        good = GOOD in request.messages[0]["content"]
        return {"answer": answer_of(request.messages[-1]["content"], 1.0) if good else "many"}

    lm = FunctionLM(reply)
    program = compiled(lm, student=Checked(), options={"metric": plain})

    asked = next(text_of(r) for r in lm.requests if is_reflection(r))
    assert "Digits alone, please." in asked
    assert program.report.score == 100


@pytest.mark.parametrize("told", [True, False])
def test_replies_that_could_not_be_read_are_shown_with_the_reason(told):
    def reply(request):
        if is_reflection(request):
            return {"new_instruction": GOOD}
        if GOOD in request.messages[0]["content"]:
            return {"count": "3"}
        return "[[ ## count ## ]]\nsome\n\n[[ ## completed ## ]]"

    lm = FunctionLM(reply)
    rows = [Example(question=f"{i}?", count=3).with_inputs("question") for i in range(8)]
    program = compiled(
        lm,
        student=Predict("question -> count: int"),
        options={"metric": lambda e, p, t=None: e.count == p.count, "add_format_failure_as_feedback": told},
        trainset=rows,
        valset=rows,
    )

    asked = [text_of(r) for r in lm.requests if is_reflection(r)]
    assert bool(asked) == told
    if told:
        assert "The reply could not be read" in asked[0]
        assert "some" in asked[0]
        assert program.report.score == 100


def test_what_a_failed_program_raised_is_feedback():
    class Broken(Module):
        def __init__(self):
            self.ask = Predict(QA)

        def forward(self, question):
            made = self.ask(question=question)
            if "Guess" in str(made.answer):
                raise ValueError("no guesses here")
            return made

    def reply(request):
        if is_reflection(request):
            return {"new_instruction": GOOD}
        good = GOOD in request.messages[0]["content"]
        return {"answer": answer_of(request.messages[-1]["content"], 1.0) if good else "Guess"}

    lm = FunctionLM(reply)
    program = compiled(lm, student=Broken(), options={"max_errors": 100})

    assert any("The program failed: no guesses here" in text_of(r) for r in lm.requests if is_reflection(r))
    assert any("no guesses here" in told for told in program.report.failures)
    assert program.report.score == 100


# Objectives and length


def with_objectives(example, prediction, trace=None):
    right = float(example.answer == prediction.answer)
    even = float(int(prediction.answer) % 2 == 0)
    return Prediction(score=right, feedback="Wrong.", objective_scores={"right": right, "even": even})


@pytest.mark.parametrize("frontier", ["objective", "hybrid", "cartesian"])
def test_fronts_may_be_over_what_the_metric_names(frontier):
    given = compiled(options={"metric": with_objectives, "frontier": frontier, "track_stats": True})
    as_dspy = compiled(
        options={"metric": with_objectives, "gepa_kwargs": {"frontier_type": frontier}, "track_stats": True}
    )

    result = given.detailed_results
    assert set(result.objective_pareto_front) == {"right", "even"}
    assert result.val_aggregate_subscores[result.best_idx]["right"] == given.report.score / 100
    assert given.signature.instructions == as_dspy.signature.instructions == GOOD


def test_a_front_over_objectives_needs_a_metric_that_names_some():
    with pytest.raises(ConfigurationError, match="names none; return Prediction"):
        compiled(options={"frontier": "objective"})


def test_an_objective_that_is_no_number_is_refused():
    def odd(example, prediction, trace=None):
        return Prediction(score=1.0, objective_scores={"cost": float("nan")})

    with pytest.raises(ConfigurationError, match="objective 'cost' is nan, no number"):
        compiled(options={"metric": odd, "frontier": "objective"})


def test_length_costs_score_where_it_is_given_a_weight():
    long = GOOD + " " + "Take great care. " * 30
    texts = [long, GOOD]

    free = compiled(worker(texts), options={"proposals_at_once": 1, "max_metric_calls": 300})
    lm = worker(texts)
    short = compiled(lm, options={"length_weight": 1.0, "proposals_at_once": 1, "max_metric_calls": 300})

    assert free.signature.instructions == long.strip()
    assert short.signature.instructions == GOOD
    assert free.report.score == short.report.score
    assert any("Keep it short." in text_of(r) for r in lm.requests if is_reflection(r))


# Validation


def trapped(validation):
    """A text that is right on training rows and wrong on those that choose."""

    def reply(request):
        if is_reflection(request):
            return {"new_instruction": TRAP}
        question = request.messages[-1]["content"]
        is_training = any(row.question in question for row in examples(12))
        chance = (1.0 if is_training else 0.0) if TRAP in request.messages[0]["content"] else 0.5
        return {"answer": answer_of(question, chance)}

    options = {"validation": validation, "track_stats": True, "max_metric_calls": 200, "proposals_at_once": 1}
    return compiled(FunctionLM(reply), options=options, valset=examples(60, first=100))


def test_a_candidate_that_is_shown_to_be_behind_is_given_up():
    program = trapped("race")

    assert program.signature.instructions == Predict(QA).signature.instructions
    assert len(program.detailed_results.val_subscores[1]) == 15
    assert program.detailed_results.num_full_val_evals == 1
    assert "1 of 2 candidates were given up before all validation rows were scored" in notes(program)


def test_full_validation_scores_all_rows():
    program = trapped("full")

    assert len(program.detailed_results.val_subscores[1]) == 60
    assert "given up" not in notes(program)


# Budgets


@pytest.mark.parametrize("limit", [46, 60, 100, 199])
@pytest.mark.parametrize("width", [1, 5])
def test_no_more_metric_calls_are_made_than_were_allowed(limit, width):
    calls, lock = [0], threading.Lock()

    def counted(example, prediction, trace=None):
        with lock:
            calls[0] += 1
        return spoken(example, prediction)

    texts = [GOOD, "Guess.", f"{GOOD} Twice.", "Count."]
    program = compiled(
        worker(texts),
        options={
            "metric": counted,
            "max_metric_calls": limit,
            "proposals_at_once": width,
            "track_stats": True,
        },
    )
    assert calls[0] <= program.detailed_results.total_metric_calls <= limit
    assert program.report.candidates


@pytest.mark.parametrize(
    ("candidates", "predictors", "rows", "calls"),
    [
        (6, 1, 10, 420),
        (6, 2, 200, 1930),
        (12, 1, 50, 940),
        (12, 3, 10, 1665),
        (18, 1, 10, 1105),
        (18, 3, 200, 4240),
    ],
)
def test_run_modes_allow_as_many_metric_calls_as_in_dspy(candidates, predictors, rows, calls):
    assert auto_limit(candidates, predictors, rows) == calls


def test_full_evals_count_all_rows():
    program = compiled(options={"max_metric_calls": None, "max_full_evals": 3, "track_stats": True})
    assert program.detailed_results.total_metric_calls <= 3 * (12 + 20)


def test_too_few_metric_calls_for_one_round_are_refused():
    lm = worker()
    with pytest.raises(ConfigurationError, match="45 metric calls are too few for a single round.* make 46"):
        compiled(lm, options={"max_metric_calls": 45})
    assert not lm.requests


def test_a_budget_that_ends_in_between_returns_the_best_scored_candidate(tmp_path):
    program = compiled(budget=Budget(calls=60), run_dir=tmp_path / "run")

    assert "budget" in program.report.stopped
    assert program.report.total_spend.calls <= 60
    assert program.report.candidates


def test_without_a_valset_half_of_the_rows_choose_and_small_sets_are_shared():
    split = compiled(trainset=examples(24), valset=None)
    assert "trainset was split, 12 rows to reflect on and 12 to score on" in notes(split)
    shared = compiled(trainset=examples(8), valset=None)
    assert "trainset has only 8 rows" in notes(shared)


def test_the_winner_is_checked_on_training_rows_that_no_reflection_has_seen():
    program = compiled(options={"recheck": True, "max_metric_calls": 80}, trainset=examples(40))

    assert program.report.check is not None


# Who writes


def test_a_proposer_of_ones_own_writes_sync_or_async():
    def sync(candidate, reflective_dataset, components_to_update):
        assert set(reflective_dataset["self"][0]) == {"Inputs", "Generated Outputs", "Feedback"}
        return {"self": GOOD}

    async def awaited(candidate, reflective_dataset, components_to_update):
        return {"self": GOOD}

    for proposer in (sync, awaited):
        lm = worker(texts=["Guess."])
        program = compiled(lm, options={"instruction_proposer": proposer})
        assert program.signature.instructions == GOOD
        assert not [r for r in lm.requests if is_reflection(r)]


@pytest.mark.parametrize("answer", [None, {}, "text", {"other": "text"}, {"self": 3}])
def test_what_a_proposer_of_ones_own_returns_is_checked(answer):
    program = compiled(options={"instruction_proposer": lambda **_: answer, "max_metric_calls": 60})

    assert any(
        "must return new instructions by the predictor's name" in told for told in program.report.failures
    )


def test_another_lm_writes_where_one_is_given():
    task, writer = worker(), worker()
    compiled(task, options={"reflection_lm": writer})

    assert not [r for r in task.requests if is_reflection(r)]
    assert all(is_reflection(r) for r in writer.requests)


def test_reflections_that_fail_are_counted_and_the_others_go_on():
    failed, lock = [], threading.Lock()
    inner = worker()

    def reply(request):
        if is_reflection(request):
            with lock:
                first = not failed
                failed.append(1)
            if first:
                raise LMInvalidRequestError("too long", model="writer")
            return {"new_instruction": GOOD}
        return {
            "answer": answer_of(request.messages[-1]["content"], 0.3 + 0.65 * (GOOD in str(request.messages)))
        }

    assert inner is not None
    program = compiled(FunctionLM(reply))
    assert ["reflection on self, round" in told for told in program.report.failures].count(True) == 1
    assert program.signature.instructions == GOOD


def test_best_outputs_are_kept_on_request():
    program = compiled(options={"track_stats": True, "track_best_outputs": True})

    result = program.detailed_results
    assert set(result.best_outputs_valset) == set(range(20))
    index, prediction = result.best_outputs_valset[0][0]
    assert prediction.answer
    assert index in result.per_val_instance_best_candidates[0]
    assert len(result.highest_score_achieved_per_val_task) == 20
    assert set(result.to_dict()) >= {"candidates", "parents", "val_aggregate_scores", "discovery_eval_counts"}


# Refused at the door


@pytest.mark.parametrize(
    "options",
    [
        {"max_metric_calls": None},
        {"auto": "light"},
        {"auto": "heavier", "max_metric_calls": None},
        {"max_metric_calls": 0},
        {"reflection_minibatch_size": 0},
        {"proposals_at_once": 0},
        {"max_merge_invocations": -1},
        {"candidate_selection_strategy": "best"},
        {"component_selector": "some"},
        {"validation": "half"},
        {"frontier": "instances"},
        {"gepa_kwargs": {"frontier_type": "none"}},
        {"gepa_kwargs": {"max_reflection_cost": 3}},
        {"gepa_kwargs": {"stop_callbacks": []}},
        {"instruction_proposer": "me"},
        {"failure_score": 1.0},
        {"perfect_score": float("nan")},
        {"length_weight": -0.1},
        {"track_best_outputs": True},
        {"num_threads": 0},
        {"seed": -1},
        {"use_wandb": True},
        {"code_proposer": max},
        {"metric": None},
    ],
)
def test_impossible_settings_are_refused(options):
    with pytest.raises(ConfigurationError):
        GEPA(**{"metric": spoken, "max_metric_calls": 100, **options})


def test_a_teacher_has_no_use():
    with pytest.raises(ConfigurationError, match="no use for teacher="):
        compiled(teacher=Predict(QA))


def test_without_an_lm_to_write_nothing_begins():
    student = Predict(QA)
    student.lm = worker()
    with pytest.raises(NotConfiguredError):
        GEPA(spoken, max_metric_calls=100).compile(student, trainset=examples(8))
    assert not student.lm.requests


def test_scores_of_zero_count_as_scores():
    def upside_down(example, prediction, trace=None):
        return 0.0 if example.answer == prediction.answer else -1.0

    program = compiled(options={"metric": upside_down, "failure_score": -1.0, "perfect_score": 0.0})
    assert program.signature.instructions == GOOD
    assert program.report.score > program.report.baseline

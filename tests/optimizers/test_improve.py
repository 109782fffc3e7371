"""`improve`: what helps is found and what does not is not believed; cheap things first, the hopeless given up early."""

import asyncio
import logging
import random
import threading

import pytest
from arithmetic import SUM, answer_of, examples, metric, share
from proposing import MAGIC, text_of

from telic.budget import Budget
from telic.context import context
from telic.data import Example, Prediction
from telic.errors import ConfigurationError, LMInvalidRequestError, NotConfiguredError
from telic.journal import Run
from telic.modules import Assert, Module, NearestDemos, Predict, ReAct
from telic.optimizers import CompileInterrupted, CompileStopped, Improve, improve
from telic.optimizers._improve_race import is_behind, rungs_of
from telic.optimizers._improve_rows import partition, sizes_of
from telic.optimizers._improve_verdict import chance_of_best, combined
from telic.testing import DummyVectorizer, FunctionLM

QA = "question -> answer"
ASKED = ("proposed_instruction", "new_instruction", "observations", "summary", "program_description")


def writes(text):
    return {**dict.fromkeys(ASKED, "short"), "proposed_instruction": text, "new_instruction": text}


def is_asked(request):
    return any(f"[[ ## {name} ## ]]" in request.messages[0]["content"] for name in ASKED)


def worker(right=0.3, magic=0.0, per_demo=0.0, texts=(MAGIC,)):
    """Right for a share of the questions, more of them with demos or with the magic words; writes instructions."""
    numbers, lock = {}, threading.Lock()

    def reply(request):
        if is_asked(request):
            with lock:
                number = numbers.setdefault(request.sample, len(numbers))
            return writes(texts[number % len(texts)])
        demos = (len(request.messages) - 2) // 2
        chance = right + magic * (MAGIC in request.messages[0]["content"]) + per_demo * min(demos, 4)
        return {"answer": answer_of(request.messages[-1]["content"], chance)}

    return FunctionLM(reply)


def improved(lm, rows=None, student=None, **settings):
    with context(lm=lm, num_threads=settings.pop("num_threads", 4)):
        program = Predict(QA) if student is None else student
        return improve(
            program, examples(80) if rows is None else rows, settings.pop("by", metric), **settings
        )


def labels(program):
    return [one.label for one in program.report.candidates]


def test_demonstrations_come_first_and_are_enough_where_they_help():
    lm = worker(per_demo=0.2)

    program = improved(lm)

    assert program.report.improved is True
    assert program.demos
    assert program.report.baseline < 60 < 95 < program.report.score
    assert program.report.check.better
    assert not any(is_asked(request) for request in lm.requests) or program.report.score < 100


def test_instructions_are_proposed_where_demonstrations_do_not_help():
    program = improved(worker(magic=0.7))

    assert MAGIC in program.signature.instructions
    assert program.report.improved is True
    assert program.report.score == 100.0
    assert program.demos == []  # of equals the cheaper one


def test_where_nothing_helps_the_program_comes_back_as_it_was_given():
    student = Predict(QA)
    student.demos = examples(1)

    program = improved(worker(), student=student)

    assert program.report.improved is False
    assert program.dump_state()["predictors"] == student.dump_state()["predictors"]
    assert program.report.score == program.report.baseline
    assert program.report.verdict.startswith("no improvement found")
    assert "no improvement found" in str(program.report)


def noisy(salted):
    """An LM that is right by chance alone, and otherwise for every prompt."""

    def reply(request):
        if is_asked(request):
            text = f"Do it {share(text_of(request) + str(request.sample)):.6f}"
            return writes(text)
        return {"answer": answer_of(request.messages[-1]["content"], 0.5, salted + text_of(request)[:2000])}

    return FunctionLM(reply)


def test_luck_is_not_taken_for_improvement():
    """Every candidate is as good as the program, and some look better on the rows that choose."""
    found = [improved(noisy(str(n)), rows=examples(60, first=100 * n)).report for n in range(8)]

    assert sum(report.improved is True for report in found) <= 2
    assert any(report.candidates[0].score > report.baseline + 5 for report in found)  # luck there was


def test_a_winner_that_does_worse_on_the_other_rows_is_not_believed():
    rows = examples(80)

    def by(example, prediction, trace=None):
        """Demos help on the rows that choose, and harm on those that check: no program is that odd, data may be."""
        return prediction.answer == example.answer

    first = improved(worker(per_demo=0.2), rows=rows)
    chose = {row.question for row in parts(rows).choose}

    def reply(request):
        question = request.messages[-1]["content"]
        demos = (len(request.messages) - 2) // 2
        known = any(f"What is {' plus '.join(SUM.findall(q)[0])}?" in question for q in chose)
        return {"answer": answer_of(question, 0.5 + (0.4 if known else -0.4) * bool(demos))}

    program = improved(FunctionLM(reply), rows=rows, by=by, max_rounds=0)

    assert first.report.improved is True
    assert program.report.improved is False
    assert program.demos == []
    assert program.report.candidates[0].score > program.report.baseline + 20
    assert any("on 20 rows that did not choose it" in note for note in program.report.notes)


def parts(rows, valset=None):
    return partition(rows, valset, 0, 200)


def test_the_rows_that_learn_choose_and_check_are_different_ones():
    rows = examples(80)
    learn, choose, check = ([row.question for row in part] for part in parts(rows))

    assert (len(learn), len(choose), len(check)) == sizes_of(80, None, 200) == (24, 36, 20)
    assert sorted([*learn, *choose, *check]) == sorted(row.question for row in rows)

    program = improved(worker(per_demo=0.2), rows=rows)
    shown = {demo["question"] for demo in program.demos}
    assert shown <= set(learn)
    assert program.report.check.n == 20


def test_equal_rows_stay_in_one_part():
    rows = [row for row in examples(30) for _ in range(2)]
    learn, choose, check = ({row.question for row in part} for part in parts(rows))

    assert learn and choose and check
    assert not learn & choose and not choose & check and not learn & check


def test_rows_that_choose_never_check():
    rows = examples(60)
    learn, choose, check = ({row.question for row in part} for part in parts(rows, rows[:40]))

    assert len(choose) == 40
    assert len(check) == 20
    assert not check & choose and not check & learn
    assert parts(rows, rows).check == []

    program = improved(worker(magic=0.7), rows=rows, valset=rows)
    assert any("nothing was left to check" in note for note in program.report.notes)
    assert program.report.check is None


def test_one_row_many_times_is_no_trouble():
    program = improved(worker(), rows=examples(1) * 30)

    assert program.report.stopped is None


@pytest.mark.parametrize(
    ("trainset", "valset", "most", "sizes"),
    [
        (5, None, 200, (5, 5, 0)),
        (19, None, 10, (19, 10, 0)),
        (19, 7, 200, (19, 7, 0)),
        (20, None, 200, (6, 9, 5)),
        (2000, None, 100, (1800, 100, 100)),
        (2000, 900, 100, (1900, 100, 100)),
        (50, 30, 200, (30, 30, 20)),
    ],
)
def test_how_many_rows_do_what(trainset, valset, most, sizes):
    assert sizes_of(trainset, valset, most) == sizes


def test_hopeless_candidates_are_given_up_after_a_part_of_the_rows():
    harmful = ["Answer backwards.", "Answer in French.", "Answer nothing."]

    def reply(request):
        if is_asked(request):
            return writes(harmful[request.sample % 3])
        bad = any(text in request.messages[0]["content"] for text in harmful)
        return {"answer": answer_of(request.messages[-1]["content"], 0.0 if bad else 0.9)}

    lm = FunctionLM(reply)
    rows = examples(160)
    program = improved(lm, rows=rows, max_rounds=1)

    bad = [r for r in lm.requests if not is_asked(r) and any(text in text_of(r) for text in harmful)]
    assert program.report.improved is False
    assert 0 < len(bad) <= 3 * sizes_of(160, None, 200).choose // 4
    assert not any("instruction" in label for label in labels(program))


def test_candidates_are_told_with_what_they_were_made_from_and_how_many_were_given_up(tmp_path):
    program = improved(worker(per_demo=0.1, magic=0.3), rows=examples(160), run_dir=tmp_path / "run")

    records = {one.record["seed"]: one.record for one in Run(tmp_path / "run").candidates}
    assert "parents" not in records[0]
    assert all(records[number]["parents"][0] in records for number in records if number)
    assert any(records[number]["parents"] != [0] for number in records if number)
    assert any("were given up before" in note for note in program.report.notes)


def test_rungs_and_the_bar():
    assert rungs_of(200) == [50, 100, 200]
    assert rungs_of(16) == [8, 16]
    assert rungs_of(3) == [3]
    assert not is_behind([1.0] * 8, [1.0] * 8)
    assert not is_behind([0.0], [1.0])
    assert is_behind([0.0] * 8, [1.0] * 8)


def test_it_ends_where_trying_no_longer_helps_and_says_so():
    lm = worker(texts=("One.", "Two.", "Three.", "Four.", "Five.", "Six."))

    program = improved(lm, max_rounds=9, num_instructions=2)

    rounds = {label.split(".")[0] for label in labels(program) if label.startswith("instruction")}
    assert rounds <= {"instruction 1", "instruction 2"}
    assert any("no longer helped" in note for note in program.report.notes)
    assert program.report.stopped is None


def test_a_program_that_is_always_right_costs_nothing_more():
    lm = worker(right=1.0)

    program = improved(lm, teacher_settings={"lm": worker(right=1.0)})

    assert program.report.improved is False
    assert len(lm.requests) == sizes_of(80, None, 200).choose
    assert any("nothing was left to gain" in note for note in program.report.notes)


def test_ratings_above_1_are_not_taken_for_perfect():
    def rating(example, prediction, trace=None):
        return 2.0 + 3.0 * (prediction.answer == example.answer)

    program = improved(worker(magic=0.7), by=rating)

    assert MAGIC in program.signature.instructions
    assert improved(worker(), by=rating, perfect_score=2.0).report.total_spend.calls < 60


def test_later_rounds_show_what_was_tried_with_its_score():
    lm = worker(texts=tuple(f"Text {n}." for n in range(6)))

    improved(lm, num_threads=1)

    asked = [
        text_of(r) for r in lm.requests if "[[ ## proposed_instruction ## ]]" in r.messages[0]["content"]
    ]
    assert not any("(score" in text for text in asked[:3])
    assert len(asked) > 3
    assert all("Text " in text.rpartition("(score")[0] for text in asked[3:])


def test_what_went_wrong_is_reflected_on_with_the_words_of_the_metric():
    lm = worker(magic=0.7)

    def by(example, prediction, trace=None):
        right = example.answer == prediction.answer
        return Prediction(score=float(right), feedback="" if right else f"Carry the one, {example.answer}!")

    rows = examples(80)
    improved(lm, rows=rows, by=by)

    asked = [text_of(r) for r in lm.requests if "[[ ## new_instruction ## ]]" in r.messages[0]["content"]]
    learn = {row.question for row in parts(rows).learn}
    assert len(asked) == 3
    assert len(set(asked)) > 1  # each draw shows other rows
    for text in asked:
        assert "Carry the one" in text
        shown = [
            line.partition("question: ")[2] for line in text.splitlines() if line.startswith("question: ")
        ]
        assert 0 < len(shown) <= 4
        assert set(shown) <= learn


def test_an_agent_is_told_of_its_task_anew_and_not_of_its_steps():
    def look(city: str) -> str:
        """Look a city up."""
        return "7"

    def reply(request):
        if is_asked(request):
            assert "Work in steps" not in text_of(request)
            return writes(MAGIC)
        right = MAGIC in text_of(request)
        done = {"next_thought": "t", "next_tool_name": "finish", "next_tool_args": {}, "reasoning": "r"}
        return {**done, "answer": answer_of(request.messages[-1]["content"], 1.0 if right else 0.2)}

    student = ReAct(QA, tools=[look])
    program = improved(FunctionLM(reply), student=student.freeze("demos"), rows=examples(60), max_rounds=1)

    for path, predictor in program.named_predictors():
        before = str(dict(student.named_predictors())[path].signature.instructions)
        text = str(predictor.signature.instructions)
        assert text == before or (MAGIC in text and ("Work in steps" in text) == ("Work in steps" in before))
    assert program.report.improved is True


def test_another_lm_writes_and_another_shows():
    writer, teacher, lm = worker(magic=0.7), worker(right=1.0), worker(magic=0.7)

    program = improved(lm, prompt_model=writer, teacher_settings={"lm": teacher})

    assert not any(is_asked(request) for request in lm.requests)
    assert all(is_asked(request) for request in writer.requests)
    assert program.report.spend["teacher"].calls == len(teacher.requests) > 0
    assert program.report.spend["proposer"].calls == len(writer.requests)


class Two(Module):
    def __init__(self):
        self.plan = Predict("question -> plan")
        self.say = Predict("question, plan -> answer")

    def forward(self, question):
        return self.say(question=question, plan=self.plan(question=question).plan)


def two_steps(needed):
    """Right where the instructions of these steps have the magic words."""

    def reply(request):
        system = request.messages[0]["content"]
        if is_asked(request):
            return writes(MAGIC)
        if "`[[ ## plan ## ]]`" in request.messages[-1]["content"].rpartition("Respond")[2]:
            return {"plan": f"plan {MAGIC in system}"}
        chance = 0.2
        if "say" in needed:
            chance += 0.35 * (MAGIC in system)
        if "plan" in needed:
            chance += 0.35 * ("plan True" in request.messages[-1]["content"])
        return {
            "answer": answer_of(request.messages[-1]["content"].replace("plan True", "plan False"), chance)
        }

    return FunctionLM(reply)


@pytest.mark.parametrize("needed", [("say",), ("plan",), ("plan", "say")])
def test_programs_of_several_steps_learn_in_the_step_that_needs_it(needed):
    program = improved(two_steps(needed), rows=examples(120), student=Two())

    assert program.report.improved is True
    for path, predictor in program.named_predictors():
        assert path not in needed or MAGIC in predictor.signature.instructions


def test_the_nearest_rows_are_tried_where_there_is_a_vectorizer(tmp_path):
    rng = random.Random(4)
    kinds = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=9)) for _ in range(24)]

    def reply(request):
        if is_asked(request):
            return writes("Try.")
        question = request.messages[-1]["content"]
        before = str([message["content"] for message in request.messages[:-1]])
        near = any(kind in question and kind in before for kind in kinds)
        return {"answer": answer_of(question, 0.1 + 0.9 * near)}

    rows = [
        Example(question=f"{kinds[i % 24]} {kinds[i % 24]}: {row.question}", answer=row.answer).with_inputs(
            "question"
        )
        for i, row in enumerate(examples(240))
    ]

    program = improved(
        FunctionLM(reply), rows=rows, vectorizer=DummyVectorizer(), num_instructions=1, max_rounds=1
    )

    assert isinstance(program, NearestDemos)
    assert program.report.candidates[0].label == "the nearest rows as demos"
    assert program.report.improved is True
    program.save(tmp_path / "program.json")
    home = NearestDemos(Predict(QA), 4, DummyVectorizer()).load(tmp_path / "program.json")
    with context(lm=FunctionLM(reply)):
        assert home(question=rows[0].question).answer == rows[0].answer


def test_an_asynchronous_program_with_assertions_is_improved():
    class Careful(Module):
        def __init__(self):
            self.say = Predict(QA)

        async def aforward(self, question):
            found = await self.say.acall(question=question)
            await asyncio.sleep(0)
            Assert(found.answer.isdigit(), "digits alone")
            return found

    program = improved(worker(magic=0.7), student=Careful())

    assert MAGIC in program.say.signature.instructions
    assert program.report.assertions


def test_a_candidate_that_fails_is_given_up_and_the_others_go_on():
    answering = worker(magic=0.7, texts=("Fail.", MAGIC))

    def reply(request):
        if "Fail." in request.messages[0]["content"]:
            raise LMInvalidRequestError("refused", model="worker")
        return answering.complete(request).completions[0].text

    program = improved(FunctionLM(reply), max_errors=3)

    assert MAGIC in program.signature.instructions
    assert any("refused" in text for text in program.report.failures)


def test_a_program_that_fails_stops_it_with_what_was_found():
    def reply(request):
        raise LMInvalidRequestError("refused", model="worker")

    with pytest.raises(CompileStopped, match="refused"):
        improved(FunctionLM(reply), max_errors=3)


# Budgets


@pytest.mark.parametrize("calls", [40, 60, 90, 140])
def test_a_budget_keeps_what_the_check_of_the_winner_needs(calls):
    lm = worker(per_demo=0.15)

    program = improved(lm, budget=Budget(calls=calls), num_threads=1)

    assert len(lm.requests) <= calls
    if program.report.candidates[0].label != "as given":
        assert program.report.check is not None or program.report.improved is False
    assert program.report.stopped is None or program.report.stopped.startswith("budget")


@pytest.mark.parametrize("budget", [{"calls": 0}, {"calls": 1}, {"calls": 35}, {"usd": 0}, {"seconds": 0}])
def test_a_budget_below_the_first_program_is_refused(budget):
    lm = worker()

    with pytest.raises(ConfigurationError, match="Budget"):
        improved(lm, budget=Budget(**budget))

    assert not lm.requests


def test_the_plan_is_told_beforehand():
    lm = worker(magic=0.7)
    with context(lm=lm):
        plan = Improve(metric).plan(Predict(QA), trainset=examples(80))
    assert not lm.requests

    used = improved(lm).report.total_spend.calls

    assert plan.calls[0] <= used <= plan.calls[1]
    assert "checking the winner" in str(plan)
    assert plan.least_calls == 36


# Ctrl-C


def test_ctrl_c_returns_the_best_so_far_and_the_run_goes_on(tmp_path):
    expected = improved(worker(magic=0.7))
    lm = worker(magic=0.7)
    count = []

    def by(example, prediction, trace=None):
        count.append(1)
        if len(count) == 70:
            raise KeyboardInterrupt
        return metric(example, prediction)

    with pytest.raises(CompileInterrupted) as stopped:
        improved(lm, by=by, run_dir=tmp_path / "run", num_threads=1)

    best = stopped.value.program
    assert best.report.stopped == "interrupted"
    assert best.report.improved is None
    assert best.report.baseline == expected.report.baseline
    again = improved(lm, by=by, run_dir=tmp_path / "run", num_threads=1)
    assert again.signature.instructions == expected.signature.instructions
    assert again.report.score == expected.report.score


# Refused at the door


@pytest.mark.parametrize(
    "settings",
    [
        {"max_rows": 0},
        {"num_instructions": 0},
        {"max_rounds": -1},
        {"confidence": 1.0},
        {"confidence": 0.2},
        {"confidence": True},
        {"perfect_score": "high"},
        {"perfect_score": float("nan")},
        {"vectorizer": 3},
        {"num_threads": 0},
        {"max_errors": 0},
        {"teacher_settings": {"lmm": 1}},
        {"display_progress": "yes"},
    ],
)
def test_impossible_settings_are_refused(settings):
    lm = worker()
    with context(lm=lm), pytest.raises(ConfigurationError):
        improve(Predict(QA), examples(8), metric, **settings)
    assert not lm.requests


def test_unknown_settings_and_a_teacher_are_refused():
    with pytest.raises(TypeError):
        improve(Predict(QA), examples(8), metric, rounds=3)
    with pytest.raises(ConfigurationError, match="teacher_settings"):
        Improve(metric).compile(Predict(QA), trainset=examples(8), teacher=Predict(QA))


def test_without_an_lm_to_write_nothing_begins_and_without_rounds_none_is_needed():
    with pytest.raises(NotConfiguredError, match="prompt_model"):
        improve(Predict(QA), examples(8), metric)
    student = Predict(QA)
    student.lm = worker(per_demo=0.2)
    assert improve(student, examples(40), metric, num_threads=2).report.improved is True


def test_few_rows_serve_for_all_and_that_is_said(caplog):
    with caplog.at_level(logging.WARNING):
        program = improved(worker(magic=0.7), rows=examples(12))

    assert any("nothing was left to check" in note for note in program.report.notes)
    assert "nothing was left to check" in caplog.text
    assert program.report.improved is True  # 3 of 10 to 10 of 10 is no luck
    assert program.report.check is None


def test_three_rows_show_nothing():
    program = improved(worker(magic=0.7), rows=examples(3))

    assert program.report.improved is False


def test_a_metric_may_be_asynchronous_and_say_why():
    async def by(example, prediction, trace=None):
        await asyncio.sleep(0)
        return Prediction(score=float(example.answer == prediction.answer), feedback="because")

    assert improved(worker(magic=0.7), by=by).report.improved is True


# Evidence


def test_the_best_of_many_by_luck_is_told_from_a_better_one():
    rng = random.Random(3)
    luck, better = [], []
    for _ in range(60):
        base = [rng.random() < 0.5 for _ in range(24)]
        others = [[(rng.random() < 0.5) - b for b in base] for _ in range(6)]
        luck.append(chance_of_best(others, 0))
        others[2] = [(rng.random() < 0.95) - b for b in base]
        better.append(chance_of_best(others, 0))

    assert sum(p < 0.05 for p in luck) <= 8  # 5 % expected
    assert sum(p < 0.2 for p in luck) <= 21
    assert sum(p < 0.05 for p in better) >= 45


def test_candidates_that_resemble_each_other_count_less_than_their_number():
    one = [1, 1, 1, 1, 1, 0, -1, 0, 1, 0, 0, 1]
    others = [[-value for value in one[::-1]], [0, 1, -1] * 4, [1, -1, -1, 1] * 3]

    assert chance_of_best([one] * 8, 0) == pytest.approx(chance_of_best([one], 0), abs=0.03)
    assert chance_of_best([one, *others], 0) > chance_of_best([one], 0)


def test_evidence_of_two_kinds_is_more_than_either():
    assert combined(0.1, 0.1) < 0.1
    assert combined(0.04, 1.0) > 0.05
    assert combined(0.0, 0.5) == 0.0


def test_how_far_it_is_can_be_seen(capsys):
    improved(worker(magic=0.7), display_progress="force")

    told = capsys.readouterr().err
    for step in ("scoring the given program", "racing demonstrations", "racing instructions"):
        assert step in told
    assert "best " in told


def test_what_was_improved_is_improved_again():
    first = improved(worker(per_demo=0.1))
    again = improved(worker(per_demo=0.1, magic=0.5), student=first)

    assert first.report.improved is True
    assert again.report.improved is True
    assert again.report.baseline == pytest.approx(first.report.score, abs=25)
    assert MAGIC in again.signature.instructions
    assert again.demos


def test_of_candidates_that_are_alike_half_go_on_at_each_rung():
    lm = worker(right=0.5, texts=tuple(f"Text {n}." for n in range(40)))
    rows = examples(160)

    improved(lm, rows=rows, max_rounds=1, num_instructions=6, student=Predict(QA).freeze("demos"))

    choose = [row.question for row in parts(rows).choose]
    tried = {}
    for request in lm.requests:
        system = request.messages[0]["content"]
        if not is_asked(request) and "Text " in system:
            question = next(q for q in choose + [r.question for r in rows] if q in text_of(request))
            tried.setdefault(system, set()).add(question)
    scored = sorted((len(questions & set(choose)) for questions in tried.values()), reverse=True)
    assert len(choose) == 72
    assert len(scored) >= 3
    assert sum(count == 72 for count in scored) <= 2
    assert sum(count >= 36 for count in scored) <= 3

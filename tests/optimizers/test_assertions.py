"""Assertions while compiling: which runs make demos, what is in them, and what they cost in a search."""

from __future__ import annotations

import pytest

from telic import Assert, BootstrapFewShot, BootstrapFewShotWithRandomSearch, Suggest, context
from telic.data import Example
from telic.modules import ChainOfThought, Module, Predict
from telic.testing import FunctionLM, ScriptedLM


class Program(Module):
    """Two steps, and a condition on the answer of the second."""

    def __init__(self, check=Suggest):
        self.plan = Predict("question -> query")
        self.ask = Predict("query -> answer")
        self.check = check

    def forward(self, question):
        query = self.plan(question=question).query
        made = self.ask(query=query)
        self.check(" " not in made.answer, "One word.", name="one word")
        return made


def lm_that(stubborn=()):
    """First answers are two words; corrected ones one word, but for the numbers that are stubborn."""

    def reply(request):
        text = request.messages[-1]["content"]
        number = next(part for part in text.split() if part.isdigit())
        if "`[[ ## query ## ]]`" in text:
            return {"query": f"{number} ?"}
        good = "feedback" in text and int(number) not in stubborn
        return {"answer": number if good else f"long {number}"}

    return FunctionLM(reply)


ROWS = [Example(question=f"{n} ?", answer=str(n)).with_inputs("question") for n in range(6)]


def compiled(program, optimizer=None, *, lm=None, **options):
    optimizer = BootstrapFewShot(lambda e, p, trace=None: True, max_labeled_demos=0, num_threads=2, **options)
    with context(lm=lm_that() if lm is None else lm):
        return optimizer.compile(program, trainset=ROWS)


def test_a_corrected_run_makes_demos_of_the_question_and_the_accepted_answer():
    made = compiled(Program(), max_bootstrapped_demos=2)

    assert [dict(demo.items()) for demo in made.ask.demos] == [
        {"augmented": True, "query": "0 ?", "answer": "0"},
        {"augmented": True, "query": "1 ?", "answer": "1"},
    ]
    assert [demo.query for demo in made.plan.demos] == ["0 ?", "1 ?"]


@pytest.mark.parametrize("check", [Suggest, Assert])
def test_a_run_in_which_one_did_not_hold_makes_none_and_is_no_fault(check):
    made = compiled(Program(check), lm=lm_that(stubborn=(0, 1, 2, 3)), max_bootstrapped_demos=4, max_errors=1)

    assert [demo.query for demo in made.ask.demos] == ["4 ?", "5 ?"]
    assert made.report.stopped is None
    count = made.report.assertions["one word"]
    assert (count.checks, count.passed_later, count.failed, count.backtracks) == (6, 2, 4, 2 + 4 * 2)
    assert "one word: held 2 times of 6, 10 asked again" in str(made.report)


def test_counter_examples_hold_what_was_refused_and_why():
    made = compiled(Program(), max_bootstrapped_demos=1, counter_examples=True)

    (demo,) = made.ask.demos
    assert (demo.past_answer, demo.feedback, demo.answer) == ("long 0", "One word.", "0")
    assert made.plan.demos[0].keys() == ["augmented", "question", "query"]


def test_counter_examples_are_shown_in_retries_and_unseen_in_plain_calls(tmp_path):
    made = compiled(Program(), max_bootstrapped_demos=1, counter_examples=True)
    made.save(tmp_path / "program.json")
    loaded = Program()
    loaded.load(tmp_path / "program.json")
    lm = lm_that()
    loaded.set_lm(lm)

    loaded(question="7 ?")

    _, plain, retry = (
        "\n".join(message["content"] for message in request.messages) for request in lm.requests
    )
    assert "long 0" not in plain
    assert "[[ ## answer ## ]]\n0" in plain
    assert "[[ ## past_answer ## ]]\nlong 0\n\n[[ ## feedback ## ]]\nOne word." in retry
    assert "not supplied" not in retry.lower()


def test_of_a_chain_of_thought_the_refused_reasoning_is_kept_too():
    class Thinks(Module):
        def __init__(self):
            self.ask = ChainOfThought("question -> answer")

        def forward(self, question):
            made = self.ask(question=question)
            Assert(made.answer == "b", "no")
            return made

    lm = ScriptedLM([{"reasoning": "r1", "answer": "a"}, {"reasoning": "r2", "answer": "b"}])
    optimizer = BootstrapFewShot(
        max_bootstrapped_demos=1, max_labeled_demos=0, num_threads=1, counter_examples=True
    )
    with context(lm=lm):
        made = optimizer.compile(Thinks(), trainset=ROWS[:1])

    (demo,) = made.ask.predict.demos
    assert dict(demo.items()) == {
        "augmented": True, "question": "0 ?", "reasoning": "r2", "answer": "b",
        "past_reasoning": "r1", "past_answer": "a", "feedback": "no",
    }  # fmt: skip


# The four ways: compile with or without them, answer with or without them


def test_compiled_without_them_the_answers_stand_as_they_were():
    with context(bypass_suggest=True, bypass_assert=True):
        made = compiled(Program(), max_bootstrapped_demos=1)

    assert made.ask.demos[0].answer == "long 0"


def test_a_program_compiled_with_them_can_answer_without_and_one_compiled_without_can_answer_with():
    lm = lm_that()
    with_demos = compiled(Program(), max_bootstrapped_demos=1)
    plain = Program()

    with context(lm=lm, bypass_suggest=True):
        assert with_demos(question="9 ?").answer == "long 9"
    with context(lm=lm):
        assert plain(question="9 ?").answer == "9"
    assert len(lm.requests) == 2 + 3


def test_max_backtracks_zero_keeps_only_runs_that_hold_at_once():
    with context(max_backtracks=0):
        made = compiled(Program(), max_bootstrapped_demos=4)

    assert made.ask.demos == []


# A search


def test_failed_suggestions_cost_score_in_a_search_and_the_report_says_so():
    optimizer = BootstrapFewShotWithRandomSearch(
        lambda e, p, trace=None: True, max_labeled_demos=0, num_candidate_programs=0, num_threads=4
    )
    with context(lm=lm_that(stubborn=(1, 2))):
        made = optimizer.compile(Program(), trainset=ROWS[3:], valset=ROWS[:4])

    assert made.report.score == pytest.approx(100 * (1 - 2 * 0.2 / 4))
    assert any("each failed Suggest of a row took 0.2 off its score: 2" in note for note in made.report.notes)
    assert made.report.assertions["one word"].failed == 2
    assert made.report.candidates[-1].assertions["one word"].checks == 4
    assert made.report.to_dict()["assertions"]["one word"]["failed"] == 2


def test_the_result_is_the_same_at_one_and_at_sixteen_threads():
    def made_with(threads):
        optimizer = BootstrapFewShotWithRandomSearch(
            lambda e, p, trace=None: e.answer == p.answer,
            max_labeled_demos=0,
            num_candidate_programs=3,
            num_threads=threads,
            counter_examples=True,
        )
        with context(lm=lm_that(stubborn=(1, 4))):
            made = optimizer.compile(Program(Assert), trainset=ROWS, valset=ROWS)
        return made.ask.demos, made.report.score, made.report.assertions

    assert made_with(1) == made_with(16)


def test_a_resumed_compile_has_the_demos_and_counts_of_the_first(tmp_path):
    lm = lm_that(stubborn=(0,))
    optimizer = BootstrapFewShot(
        lambda e, p, trace=None: True, max_labeled_demos=0, num_threads=1, counter_examples=True
    )
    with context(lm=lm):
        first = optimizer.compile(Program(), trainset=ROWS, run_dir=tmp_path / "run")
        paid = len(lm.requests)
        again = optimizer.compile(Program(), trainset=ROWS, run_dir=tmp_path / "run")

    assert len(lm.requests) == paid
    assert again.ask.demos == first.ask.demos
    assert again.report.assertions == first.report.assertions

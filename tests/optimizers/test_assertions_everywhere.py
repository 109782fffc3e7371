"""Programs with assertions under every optimizer that runs them: what makes demonstrations, what costs, what is kept."""

import re

import pytest

from telic import (
    COPRO,
    GEPA,
    SIMBA,
    Assert,
    BootstrapFewShot,
    BootstrapFewShotWithOptuna,
    BootstrapFewShotWithRandomSearch,
    InferRules,
    KNNFewShot,
    MIPROv2,
    Suggest,
    context,
)
from telic.data import Example
from telic.modules import Module, Predict
from telic.testing import DummyVectorizer, FunctionLM

ROWS = [Example(question=f"{n} ?", answer=str(n)).with_inputs("question") for n in range(12)]
STUBBORN = frozenset({1, 4, 7, 10})
REFUSED = re.compile(r"\b(1|4|7|10) \?|long|feedback")
RULE = "Answer in one word."


def right(example, prediction, trace=None):
    """Content with all answers, so that what assertions say is all that tells them apart."""
    return example.answer in prediction.answer


def spoken(example, prediction, trace=None, pred_name=None, pred_trace=None):
    return float(right(example, prediction))


class Program(Module):
    """Two steps, and a condition on the answer of the second."""

    def __init__(self, check):
        self.plan = Predict("question -> query")
        self.ask = Predict("query -> answer")
        self.check = check

    def forward(self, question):
        made = self.ask(query=self.plan(question=question).query)
        self.check(" " not in made.answer, "One word.", name="one word")
        return made


def answers(taught):
    """Return an LM whose first answers are of two words, corrected ones of one; those of the stubborn are always of two.

    Args:
        taught: Whether a rule, or demonstrations, have it answer in one word at once, the stubborn too.
    """

    def reply(request):
        text = request.messages[-1]["content"]
        asked = text.rpartition("Respond with")[2]
        if "`[[ ## query ## ]]`" not in asked and "`[[ ## answer ## ]]`" not in asked:
            return WORDS  # an optimizer asks for words of its own
        number = next(part for part in text.split() if part.isdigit())
        if "`[[ ## query ## ]]`" in asked:
            return {"query": f"{number} ?"}
        if taught and (RULE in request.messages[0]["content"] or len(request.messages) > 2):
            return {"answer": number}
        corrected = "[[ ## feedback ## ]]" in text and int(number) not in STUBBORN
        return {"answer": number if corrected else f"long {number}"}

    return FunctionLM(reply)


WORDS = {
    "observations": "Numbers.", "summary": "Numbers.", "program_description": "It answers.",
    "module_description": "It answers.", "proposed_instruction": RULE, "proposed_prefix_for_output_field": "Answer:",
    "new_instruction": RULE, "rules": RULE, "discussion": "Short.", "module_advice": {"plan": "Plan.", "ask": RULE},
}  # fmt: skip
OPTIMIZERS = {
    "BootstrapFewShot": lambda: BootstrapFewShot(right, num_threads=4, max_errors=1),
    "BootstrapFewShotWithRandomSearch": lambda: BootstrapFewShotWithRandomSearch(
        right, num_candidate_programs=2, num_threads=4, max_errors=1
    ),
    "BootstrapFewShotWithOptuna": lambda: BootstrapFewShotWithOptuna(
        right, num_candidate_programs=4, num_threads=4, max_errors=1
    ),
    "COPRO": lambda: COPRO(metric=right, breadth=2, depth=2, num_threads=4),
    "MIPROv2": lambda: MIPROv2(right, auto=None, num_candidates=3, num_threads=4, max_errors=1),
    "GEPA": lambda: GEPA(metric=spoken, max_metric_calls=90, num_threads=4),
    "SIMBA": lambda: SIMBA(metric=right, bsize=6, num_candidates=2, max_steps=2, num_threads=4),
    "KNNFewShot": lambda: KNNFewShot(
        3, trainset=ROWS, vectorizer=DummyVectorizer(), metric=right, num_threads=4, max_errors=1
    ),
    "InferRules": lambda: InferRules(metric=right, num_candidates=2, num_threads=4),
}
UNSCORED = ("BootstrapFewShot", "KNNFewShot")  # they make demonstrations, and measure nothing
every_optimizer = pytest.mark.parametrize("name", OPTIMIZERS)


def compiled(name, check, lm):
    rows = {} if name in UNSCORED else {"valset": ROWS}
    options = {"eval_kwargs": {}} if name == "COPRO" else {}
    if name == "MIPROv2":
        options = {"num_trials": 4, "minibatch": False}
    with context(lm=lm):
        return OPTIMIZERS[name]().compile(Program(check), trainset=ROWS, **rows, **options)


def demonstrated(program, lm):
    """Return the turns of all demonstrations that are shown, those by nearness too."""
    lm.requests.clear()
    with context(lm=lm, bypass_assert=True, bypass_suggest=True):
        for row in ROWS:
            program(**row.inputs())
    return {message["content"] for request in lm.requests for message in request.messages[1:-1]}


@every_optimizer
@pytest.mark.parametrize("check", [Assert, Suggest])
def test_what_does_not_hold_in_the_end_costs_score_and_is_neither_a_fault_nor_a_demonstration(name, check):
    lm = answers(taught=False)
    program = compiled(name, check, lm)
    count = program.report.assertions["one word"]

    assert program.report.stopped is None
    assert count.failed > 0
    assert count.passed_later > 0
    assert count.backtracks == count.passed_later + 2 * count.failed
    turns = demonstrated(program, lm)
    assert [turn for turn in turns if REFUSED.search(turn)] == []
    if name in UNSCORED:
        assert any("## answer ##" in turn for turn in turns)
    else:
        assert count.checks == 12
        assert program.report.score == (66.67 if check is Assert else 93.33)


@every_optimizer
@pytest.mark.parametrize("check", [Assert, Suggest])
def test_what_makes_answers_hold_at_once_is_learned(name, check):
    lm = answers(taught=True)
    program = compiled(name, check, lm)

    if name not in UNSCORED:
        assert program.report.baseline < program.report.score == 100
        assert program.report.assertions["one word"].failed == 0
    lm.requests.clear()
    with context(lm=lm):
        assert [program(**row.inputs()).answer for row in ROWS] == [row.answer for row in ROWS]
    assert len(lm.requests) == 2 * len(ROWS)

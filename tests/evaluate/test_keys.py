"""Keys are equal for equal content, in every process, and different where anything that counts is."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

import numpy as np
import pytest

import telic
from telic.data import Example
from telic.evaluate import callable_key, example_key, lm_identity, program_key, settings_key, stable
from telic.retrieve import BM25
from telic.testing import FunctionLM

CODE = """
import sys
sys.path.insert(0, {folder!r})
import keyed
print(keyed.keys())
"""
MODULE = """
import telic
from telic.evaluate import callable_key, example_key, lm_identity, program_key
from telic.testing import FunctionLM

class Program(telic.Module):
    def __init__(self):
        self.step = telic.Predict("question -> answer")
        self.step.demos = [telic.Example(question="a", answer={"x", "y", "z"})]

    def forward(self, question):
        return self.step(question=question) if question in {"a", "b", "c"} else None

def threshold(limit, kind=frozenset({"p", "q", "r"})):
    return lambda example, prediction, trace=None: prediction.score > limit and prediction.kind in kind

def keys():
    row = telic.Example(a={"q", "w", "e"}, b=object).with_inputs("a")
    lm = FunctionLM(lambda text: "x" if text in {"u", "v"} else "y")
    return [program_key(Program(), code=True), callable_key(threshold(0.5)), example_key(row), lm_identity(lm)]
"""


def test_they_are_the_same_in_every_process(tmp_path):
    (tmp_path / "keyed.py").write_text(MODULE, encoding="utf-8")
    code = CODE.format(folder=str(tmp_path))
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1


def metric_with(limit):
    def metric(example, prediction, trace=None):
        return prediction.score > limit

    return metric


def test_metrics_differ_by_code_defaults_and_what_they_close_over():
    def other(example, prediction, trace=None):
        return prediction.score >= 1

    assert callable_key(metric_with(1)) == callable_key(metric_with(1))
    assert len({callable_key(m) for m in (metric_with(1), metric_with(2), other, telic.evaluate.EM)}) == 4


def test_metrics_differ_by_what_they_bind_or_hold():
    class Slotted:
        __slots__ = ("least",)

        def __init__(self, least):
            self.least = least

        def __call__(self, example, prediction):
            return True

    def score(example, prediction, least):
        return True

    for made in (lambda least: partial(score, least=least), lambda least: partial(score, least), Slotted):
        assert callable_key(made(1)) == callable_key(made(1))
        assert callable_key(made(1)) != callable_key(made(2))
    assert callable_key(partial(score, least=1)) != callable_key(partial(Slotted, least=1))


def test_comments_and_places_do_not_count():
    one, two = {}, {}
    exec("def f(a, b):\n    return a == b\n", one)
    exec("\n\n# why\ndef f(a, b):  # because\n    return a == b\n", two)
    assert callable_key(one["f"]) == callable_key(two["f"])


def test_programs_differ_by_all_that_is_learned_and_by_their_code():
    program = telic.Predict("question -> answer")
    keys = {program_key(program)}
    other = program.deepcopy()
    other.demos = [Example(question="a", answer="b")]
    keys.add(program_key(other))
    other.demos = []
    assert program_key(other) in keys
    other.signature = other.signature.with_instructions("Be brief.")
    keys.add(program_key(other))
    other.lm = FunctionLM(lambda text: "x")
    keys.add(program_key(other))
    other.lm = FunctionLM(lambda text: "y")
    keys.add(program_key(other))
    other.config = {"temperature": 0.5}
    keys.add(program_key(other))
    assert len(keys) == 6


def test_rows_differ_by_fields_types_inputs_and_contents_of_arrays():
    large = np.zeros(10_000)
    changed = large.copy()
    changed[5_000] = 1
    rows = [
        Example(a=1), Example(a="1"), Example(a=1.5), Example(a=1).with_inputs("a"), Example(b=1), Example(a=large),
        Example(a=changed), Example(a=b"x"), Example(a=b"y"), Example(a=None), Example(a={"k": 1}), Example(a=[1]),
    ]  # fmt: skip
    assert len({example_key(row) for row in rows}) == len(rows)
    assert example_key(Example(a=large)) == example_key(Example(a=large.copy()))


def test_settings_that_change_answers_are_in_the_key():
    plain = settings_key()
    with telic.context(sample=1):
        assert settings_key() != plain
    with telic.context(lm_options={"temperature": 1.0}):
        assert settings_key() != plain
    with telic.context(adapter=telic.JSONAdapter()):
        assert settings_key() != plain
    with telic.context(num_threads=3):
        assert settings_key() == plain


def test_keys_of_lms_hold_no_secrets_and_no_places():
    lm = telic.LM("openai/some-model", api_key="sk-secret", base_url="http://127.0.0.1:1/v1")
    other = telic.LM("openai/some-model", api_key="sk-other", base_url="http://127.0.0.1:2/v1")
    assert "sk-" not in repr(lm_identity(lm))
    assert lm_identity(lm) == lm_identity(other)
    assert lm_identity(None) is None


def test_endless_values_end():
    loop = []
    loop.append(loop)
    assert stable(loop)


@pytest.mark.parametrize(
    "value", [{1, 2}, frozenset({"a"}), (1, 2), {"a": {1}}, print, len, Example, 1j, range(3)]
)
def test_anything_has_a_key(value):
    assert callable_key(value) == callable_key(value)


class Hops(telic.Module):
    """A program with settings of its own: one learned part, and what stands beside it."""

    kind = "plain"

    def __init__(self, hops=2, words=("a",), rm=None, tools=()):
        self.hops = hops
        self.words = list(words)
        self.retrieve = telic.Retrieve(k=3, rm=rm)
        self.agent = telic.ReAct("question -> answer", tools=[*tools, self.look], max_iters=hops)
        self.itself = self
        self._notes = []

    def look(self, question: str) -> str:
        """Look it up."""
        return question * self.hops

    @staticmethod
    def shout(text):
        return text.upper()

    def forward(self, question):
        self.last = question
        self._notes.append(question)
        return telic.Prediction(answer=self.shout(question))


def test_programs_differ_by_what_their_modules_hold():
    def other(question: str) -> str:
        """Look elsewhere."""
        return question

    class Kinder(Hops):
        kind = "kind"

    class Softer(Hops):
        @staticmethod
        def shout(text):
            return text.lower()

    made = [
        Hops(), Hops(3), Hops(words=("b",)), Hops(rm=BM25(["Ada wrote"])), Hops(rm=BM25(["Grace wrote"])), Hops(rm=len),
        Hops(tools=[other]), Kinder(), Softer(),
    ]  # fmt: skip
    assert len({program_key(program, code=True) for program in made}) == len(made)
    assert program_key(Hops(rm=BM25(["Ada wrote"]))) == program_key(Hops(rm=BM25(["Ada wrote"])))


def test_settings_of_our_own_modules_count():
    def reward(inputs, prediction):
        return 1.0

    one = telic.Predict("question -> answer")
    rows = [Example(question="a").with_inputs("question"), Example(question="b").with_inputs("question")]
    made = [
        telic.BestOfN(one, N=2, reward_fn=reward, threshold=1.0),
        telic.BestOfN(one, N=3, reward_fn=reward, threshold=1.0),
        telic.BestOfN(one, N=2, reward_fn=reward, threshold=0.5),
        telic.BestOfN(one, N=2, reward_fn=lambda inputs, prediction: 0.0, threshold=1.0),
        telic.SelfConsistency(one, N=2),
        telic.SelfConsistency(one, N=3),
        telic.KNN(1, rows, len),
        telic.KNN(1, rows[:1], len),
    ]
    assert len({program_key(program) for program in made}) == len(made)


def test_what_a_call_leaves_behind_does_not_count():
    program = Hops()
    before = program_key(program, code=True)
    with telic.context(lm=FunctionLM(lambda text: "x")):
        program(question="a")
    assert program.last == "a"
    assert program_key(program, code=True) == before


def test_retrievers_and_adapters_differ_by_their_settings():
    keys = set()
    for rm in (
        None,
        BM25(["Ada wrote"]),
        BM25(["Ada wrote"], k=7),
        BM25(["Grace wrote"]),
        lambda query, k: ["a"],
    ):
        with telic.context(rm=rm):
            keys.add(repr(settings_key()))
    for adapter in (
        telic.ChatAdapter(use_native_function_calling=True),
        telic.ChatAdapter(use_native_function_calling=False),
        telic.TwoStepAdapter(FunctionLM(lambda text: "a")),
        telic.TwoStepAdapter(FunctionLM(lambda text: "b")),
    ):
        with telic.context(adapter=adapter):
            keys.add(repr(settings_key()))
    with telic.context(max_retries=0):
        keys.add(repr(settings_key()))
    assert len(keys) == 10


def test_an_embedder_that_was_used_is_the_same():
    embedder = telic.Embedder(lambda texts: [[1.0, 2.0] for _ in texts])
    before = stable(embedder)
    embedder(["a", "b"])
    assert stable(embedder) == before


USING = """
import telic
LIMIT = {limit}
SEEN = []
ROWS = 0
judge = telic.Predict("answer -> good")
judge.demos = {demos!r}

def tidy(text):
    return text.{tidied}()

def twice(text):
    return tidy(text) if len(text) > 1 else twice(text * 2)

def metric(example, prediction, trace=None):
    global ROWS
    ROWS += 1
    SEEN.append(example)
    return len(twice(prediction.answer)) > LIMIT and judge(answer=prediction.answer).good

class Program(telic.Module):
    def __init__(self):
        self.step = telic.Predict("question -> answer")

    def forward(self, question):
        return self.step(question=tidy(question))
"""


def used(limit=1, demos=(), tidied="strip"):
    names = {"__name__": "using"}
    exec(USING.format(limit=limit, demos=list(demos), tidied=tidied), names)
    return names


def test_what_a_metric_uses_of_its_own_file_counts():
    keys = [
        callable_key(used(**other)["metric"])
        for other in ({}, {"limit": 2}, {"demos": [{"answer": "a", "good": "no"}]}, {"tidied": "lower"})
    ]
    assert len(set(keys)) == 4
    assert callable_key(used()["metric"]) == keys[0]


def test_what_a_forward_uses_of_its_own_file_counts():
    programs = [used()["Program"](), used(tidied="lower")["Program"](), used(limit=2)["Program"]()]
    first, other, alike = [program_key(program, code=True) for program in programs]
    assert first != other
    assert first == alike


def test_what_a_metric_counts_does_not_count():
    names = used()
    before = callable_key(names["metric"])
    names["ROWS"], names["SEEN"] = 7, ["a"]
    assert callable_key(names["metric"]) == before


def test_a_program_that_has_changed_by_its_calls_is_told_where_they_belong(tmp_path):
    class Noting(telic.Module):
        def __init__(self):
            self.step = telic.Predict("question -> answer")
            self.seen = []

        def forward(self, question):
            self.seen.append(question)
            return self.step(question=question)

    program, rows = Noting(), [Example(question="a").with_inputs("question")]
    evaluate = telic.Evaluate(devset=rows, metric=lambda example, prediction: 1.0)
    with telic.context(lm=FunctionLM(lambda text: {"answer": "x"})):
        evaluate(program, run_dir=tmp_path / "run")
        with pytest.raises(telic.RunMismatchError, match="attributes whose names begin with _"):
            evaluate(program, run_dir=tmp_path / "run")

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

"""A task and LMs for the tests: sums, right by a hash of the question, so that who is right never depends on order."""

import hashlib
import re

from telic.data import Example
from telic.testing import FunctionLM

SUM = re.compile(r"What is (\d+) plus (\d+)\?")


def examples(n, first=0):
    made = []
    for i in range(first, first + n):
        a, b = (i * 37) % 1000, (i * 91 + 5) % 1000
        made.append(Example(question=f"What is {a} plus {b}?", answer=str(a + b)).with_inputs("question"))
    return made


def share(text):
    return int(hashlib.blake2b(text.encode(), digest_size=4).hexdigest(), 16) / 2**32


def answer_of(question, right=0.55, salt=""):
    a, b = map(int, SUM.findall(question)[-1])
    return str(a + b if share(question + salt) < right else a + b + 1)


def arithmetic_lm(right=0.55, salt="", **fields):
    """Right for a share of the questions; `fields` are further outputs."""
    return FunctionLM(lambda text: {**fields, "answer": answer_of(text, right, salt)})


def metric(example, prediction, trace=None):
    return example.answer == prediction.answer


def demos_of(program):
    return {
        path: [dict(demo.items()) for demo in predictor.demos]
        for path, predictor in program.named_predictors()
    }

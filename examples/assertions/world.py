"""What the four programs share: rows of the embedded LM's world, a stand-in LM, a run with and without assertions."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import telic
from telic.data import Example, Request
from telic.datasets import tiny
from telic.testing import FunctionLM

OFF = {"bypass_assert": True, "bypass_suggest": True}


class Task(NamedTuple):
    """A program with its rows and its metric; the metric knows the right answer, the assertions do not."""

    make: Callable[[], telic.Module]
    rows: Callable[[int, int], tuple[list[Example], list[Example]]]
    metric: Callable[..., float]
    stand_in: Callable[[Request], dict[str, Any]]


def facts_of(context: str) -> list[str]:
    return [fact if fact.endswith(".") else f"{fact}." for fact in re.split(r"(?<=\.)\s+", context.strip())]


def subject_of(question: str) -> str:
    """Return whom a question is about: its last name."""
    names = re.findall(r"[A-Z]\w+(?: [A-Z]\w+)*", question[1:])
    return names[-1] if names else ""


def fact_for(context: str, question: str) -> str:
    """Return the fact that answers: of those about the subject, the one with most words of the question."""
    asked = set(re.findall(r"\w+", question.lower()))
    return max(
        facts_of(context),
        key=lambda fact: (subject_of(question) in fact, len(asked & set(re.findall(r"\w+", fact.lower())))),
    )


def questions(seed: int, rows: int) -> tuple[list[Example], list[Example]]:
    """Return rows to learn from and rows to measure by: a context of a few facts, a question, its short answer."""
    data = tiny.load("qa", n_train=24, n_val=0, n_test=rows, seed=seed)
    return data.trainset, data.testset


def short_first(request: Request) -> dict[str, str]:
    """Answer as many LMs do: with a word; with the fact itself, once told that it is not enough."""
    text = str(request.messages[-1]["content"]).partition("\n\nRespond with")[0]
    fields = dict(re.findall(r"\[\[ ## (\w+) ## \]\]\n(.*?)(?=\n\n\[\[|\Z)", text, re.DOTALL))
    fact = fact_for(fields["context"], fields["question"])
    return {"answer": fact if "feedback" in fields else fact.rstrip(".").split()[-1]}


def held(result: Any) -> float:
    """Return the share of rows in which every condition held in the end."""
    return sum(all(one.passed for one in row.assertions) for row in result.rows) / result.n


def main(task: Task, lm: Any = None, rows: int = 12) -> tuple[float, float]:
    """Print and return the share of rows that meet all conditions, without and with assertions."""
    telic.configure(lm=FunctionLM(task.stand_in) if lm is None else lm)
    program, (_, devset) = task.make(), task.rows(0, rows)
    evaluate = telic.Evaluate(devset=devset, metric=task.metric, num_threads=4, display_progress=False)
    with telic.context(**OFF):
        without = evaluate(program)
    corrected = evaluate(program)
    for title, result in (("without", without), ("with", corrected)):
        print(f"{title} assertions: conditions held in {held(result):.0%} of rows, metric {result}")
    for name, count in corrected.assertions.items():
        print(f"  {name}: held {count.passed} of {count.checks}, asked again {count.backtracks} times")
    return held(without), held(corrected)


def from_command_line(task: Task) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lm", help="an LM's name; none: a stand-in, offline")
    parser.add_argument("--rows", type=int, default=12)
    given = parser.parse_args()
    main(task, None if given.lm is None else telic.LM(given.lm), given.rows)

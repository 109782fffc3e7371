"""Comparing several attempts: some have a slip that can be seen, and often the majority is wrong."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cells import Cell
from skills.problems import fact_problem, sum_problem

from telic.datasets.tiny import _arithmetic, _qa
from telic.datasets.tiny import _words as words
from telic.datasets.tiny._classify import held
from telic.datasets.tiny._task import Field, Row, Task, distinct, fields, task_of
from telic.modules import MultiChainComparison

if TYPE_CHECKING:
    from random import Random

HEADS = (
    "Compare the attempts.", "Find the right answer.", "Some attempts are wrong.", "Look at the attempts and answer.", "Which attempt is right?",
    "Answer the question.", "Check the attempts.", "The attempts may be wrong.", "Decide what is right.", "Give the right answer.",
    "Read all attempts and answer.", "Correct the attempts.", "Say which attempt is right.", "Use the attempts with care.", "Choose the best answer.",
)  # fmt: skip


def comparison(
    rng: Random, held_out: bool, *, sums: bool | None = None, attempts: int | None = None, wrong: int | None = None,
    steps: int | None = None,
) -> Task:  # fmt: skip
    """Return a task that compares attempts at one problem.

    Args:
        rng: Where chance comes from.
        held_out: Draw names and phrasings that training never uses.
        sums: Whether the problems are sums, else questions about facts; None: either.
        attempts: How many there are, None: 2 to 5.
        wrong: How many are wrong; None: any number but all.
        steps: Steps of a sum or hops of a question; None: 1 or 2.
    """
    sums = rng.random() < 0.5 if sums is None else sums
    count = rng.choice((2, 3, 3, 3, 4, 5)) if attempts is None else attempts
    steps = rng.choice((1, 2)) if steps is None else steps
    full = rng.random() < 0.2
    bare = rng.random() < 0.5 and not full
    reasoned = rng.random() < 0.85
    layout, size = rng.randrange(3), rng.choice((2, 3, 4))
    context = rng.choice(words.CONTEXT_FIELDS)
    question = rng.choice(words.QUESTION_FIELDS)
    answer = distinct(rng, words.ANSWER_FIELDS, (context, question))
    names = (question,) if sums else (context, question)
    annotation = int if sums and not full and rng.random() < 0.3 else str
    head = rng.choice((*held(HEADS, held_out), *held(_arithmetic.HEADS if sums else _qa.HEADS, held_out)))
    signature = task_of(
        "", fields(rng, names, [("what is asked",)] * len(names)), (Field(answer, "", annotation),),
        rng.choice((head, head, None)), lambda rng: Row({}, {}),
    ).signature  # fmt: skip
    module = MultiChainComparison(signature, M=count)

    def draw(rng: Random) -> Row:
        bad = rng.randrange(count) if wrong is None else wrong
        if sums:
            made = sum_problem(rng, held_out, steps, bare, max(1, bad))
        else:
            made = fact_problem(rng, held_out, steps, max(size, bad), layout, max(1, bad))
        right = made[0].right
        if rng.random() < 0.5:  # the wrong ones agree, and may be the majority
            made = made[:1] * len(made)
        shown = [p.wrong for p in made[:bad]] + [right] * (count - bad)
        rng.shuffle(shown)
        rows = [
            ({"reasoning": a.reasoning} if reasoned else {}) | {answer: a.sentence if full else a.short}
            for a in shown
        ]
        names = module._names()
        given = {n: module._shown(row, i) for i, (n, row) in enumerate(zip(names, rows, strict=True))}
        inputs = (
            {question: made[0].question} if sums else {context: made[0].context, question: made[0].question}
        )
        good = [str(i) for i, a in enumerate(shown, 1) if a is right]
        which = (
            f"Attempt {good[0]} is right." if len(good) == 1 else f"Attempts {' and '.join(good)} are right."
        )
        value = right.sentence if full else right.short
        return Row(
            {**inputs, **given},
            {"rationale": f"{right.reasoning} {which}", answer: int(value) if annotation is int else value},
        )

    return Task(f"compare/{'sums' if sums else 'facts'}", module.predict.signature, draw)


CELLS = {
    "compare 3 attempts, 2 wrong, sums": Cell(
        partial(comparison, sums=True, attempts=3, wrong=2), demos=(0, 1, 2)
    ),
    "compare 3 attempts, 2 wrong, facts": Cell(
        partial(comparison, sums=False, attempts=3, wrong=2), demos=(0, 1, 2)
    ),
    "compare 5 attempts, 3 wrong": Cell(partial(comparison, attempts=5, wrong=3), demos=(0, 1)),
}

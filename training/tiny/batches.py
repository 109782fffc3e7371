"""Rows of tokens with their loss weights, drawn from the micro-world without end.

A row is one context: a system message, then as many examples as fit, so that one row trains every number of demos at
once. Weights: 1 on what assistants answer (3 in the first turn, which alone is a zero-shot prompt), 0.3 on the field
headers around it, 0.1 on a random part of all other tokens, and none on a label that only demos could tell while no
demo of its class was shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from telic.datasets.tiny import _mix, _render
from telic.lm.tiny._tokenizer import ASSISTANT, END, PAD, SYSTEM, USER, Tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from telic.datasets.tiny._task import Row, Task

FIRST, VALUE, FORMAT, OTHER, NEVER = 3.0, 1.0, 0.3, 0.1, -1.0
POSITIONS = 0.45  # share of a batch's tokens that get a loss; the head is computed for these only


class Span(NamedTuple):
    """The last output's value inside a row, for evaluation: tokens [start, stop) must be predicted."""

    start: int
    stop: int
    examples_before: int
    known: bool


@dataclass
class Context:
    task: Task
    tokens: list[int]
    weights: list[float]
    spans: list[Span]


def context(rng: Random, tokenizer: Tokenizer, task: Task, length: int) -> Context:
    """Return one row of at most `length` tokens."""
    encode = tokenizer.encode
    tokens = [SYSTEM, *encode(_render.system_text(task.inputs, task.outputs, task.instructions))]
    weights = [0.0] * len(tokens)
    spans: list[Span] = []
    seen: set[str] = set()
    # Labelled rows as demos of a program that reasons have no reasoning; adapters put them first.
    missing = rng.choice((1, 2, 4, 8)) if task.outputs[0].name == "reasoning" and rng.random() < 0.3 else 0
    while True:
        row = task.draw(rng)
        known = row.hidden is None or row.hidden in seen
        turn, marks, start, stop = _turn(
            rng, encode, task, row, known=known, first=not spans, complete=not missing
        )
        if len(tokens) + len(turn) > length:
            return Context(task, tokens, weights, spans)
        if not missing:
            spans.append(Span(len(tokens) + start, len(tokens) + stop, len(spans), known))
        missing = max(0, missing - 1)
        tokens += turn
        weights += marks
        if row.hidden is not None:
            seen.add(row.hidden)


def _turn(
    rng: Random,
    encode: Callable[[str], list[int]],
    task: Task,
    row: Row,
    *,
    known: bool,
    first: bool,
    complete: bool,
) -> tuple[list[int], list[float], int, int]:
    """Return an example's tokens and weights, and where its last value starts and stops."""
    user = _render.user_text(task.inputs, row.inputs)
    if not complete:
        user = _render.INCOMPLETE + user
    # Prompts have the request in their last turn alone; any turn of a row may be the last one of a prompt.
    elif rng.random() < (0.8 if first else 0.35):
        user += _render.request_text(task.outputs)
    tokens = [USER, *encode(user), ASSISTANT]
    marks = [0.0] * len(tokens)
    start = 0
    for i, field in enumerate(task.outputs):
        final = i == len(task.outputs) - 1
        head = encode(("" if i == 0 else "\n\n") + f"[[ ## {field.name} ## ]]\n")
        value = encode(row.outputs[field.name] if complete or final else _render.MISSING)
        start = len(tokens) + len(head)
        tokens += head + value
        weight = FIRST if first else VALUE
        marks += [FORMAT] * len(head) + [weight if known or not final else NEVER] * len(value)
    close = [*encode("\n\n[[ ## completed ## ]]"), END]
    stop = len(tokens) + 1  # what follows belongs to it: where the value stops must be right too
    tokens += close
    # Where a value stops is part of the answer: "15" and "15 apples" must be weighed alike.
    marks += [marks[-1] if complete else FORMAT, *[FORMAT] * (len(close) - 1)]
    return tokens, marks if complete else [NEVER] * len(tokens), start, stop


class Batch(NamedTuple):
    tokens: Tensor  # (rows, time)
    positions: Tensor  # (points,) flat indices into rows x time; the token after each is the target
    targets: Tensor  # (points,)
    weights: Tensor  # (points,) sum 1


def batch(rng: Random, tokenizer: Tokenizer, size: int, length: int, *, easy: bool) -> Batch:
    """Return `size` tokens in rows of `length`."""
    rows = size // length
    flat: list[int] = []
    wanted: list[tuple[int, float]] = []
    others: list[int] = []
    for r in range(rows):
        while True:
            made = context(rng, tokenizer, _mix.draw_task(rng, easy=easy), length)
            if made.spans:
                break
        base = r * length
        for i, weight in enumerate(made.weights[1:]):
            if weight > 0:
                wanted.append((base + i, weight))
            elif weight == 0:
                others.append(base + i)
        flat += made.tokens + [PAD] * (length - len(made.tokens))
    points = int(POSITIONS * size)
    wanted.sort(key=lambda w: -w[1])
    del wanted[points:]
    wanted += [(p, OTHER) for p in rng.sample(others, min(len(others), points - len(wanted)))]
    wanted += [(0, 0.0)] * (points - len(wanted))
    tokens = torch.tensor(flat).view(rows, length)
    positions = torch.tensor([p for p, _ in wanted])
    weights = torch.tensor([w for _, w in wanted])
    targets = tokens.flatten()[(positions + 1).clamp(max=size - 1)]
    return Batch(tokens, positions, targets, weights / weights.sum())

"""Rows of tokens with their loss weights, drawn from the micro-world without end.

A row is one context: a system message, then as many examples as fit, so that one row trains every number of demos at
once. The text is made by telic's own adapters. Weights: 1 on what assistants answer (3 in the first turn, which alone
is a zero-shot prompt), 0.3 on the layout around it, 0.1 on a random part of all other tokens, and none on a label that
only demos could tell while no demo of its class was shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from mixture import draw_task
from skills import native
from torch import Tensor

from telic.adapters import ChatAdapter, JSONAdapter, XMLAdapter
from telic.lm.tiny._tokenizer import ASSISTANT, END, PAD, SYSTEM, USER, Tokenizer
from telic.protocols import Capabilities

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from telic.datasets.tiny._task import Row, Task

FIRST, VALUE, FORMAT, OTHER, NEVER = 3.0, 1.0, 0.3, 0.1, -1.0
POSITIONS = 0.45  # share of a batch's tokens that get a loss; the head is computed for these only
INCOMPLETE = "This is an example of the task, though some input or output fields are not supplied.\n\n"
NATIVE = 0.04  # share of rows without any adapter: tools called natively
ADAPTERS = (ChatAdapter(), JSONAdapter(), XMLAdapter())
SHARES = (0.7, 0.18, 0.12)


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


def context(
    rng: Random, tokenizer: Tokenizer, task: Task, length: int, adapter: Any = None, most: int = 1000
) -> Context:
    """Return one row of at most `length` tokens and `most` examples."""
    writer = Writer(rng, tokenizer, task, adapter or rng.choices(ADAPTERS, SHARES)[0])
    tokens = [SYSTEM, *tokenizer.encode(writer.system)]
    weights = [0.0] * len(tokens)
    spans: list[Span] = []
    seen: set[str] = set()
    # Labelled rows as demos of a program that reasons have no reasoning; adapters put them first.
    missing = rng.choice((1, 2, 4, 8)) if writer.names[0] == "reasoning" and rng.random() < 0.25 else 0
    while len(spans) < most:
        row = task.draw(rng)
        known = row.hidden is None or row.hidden in seen
        turn, marks, start, stop = writer.turn(row, known=known, first=not spans, complete=not missing)
        if len(tokens) + len(turn) > length:
            break
        if not missing:
            spans.append(Span(len(tokens) + start, len(tokens) + stop, len(spans), known))
        missing = max(0, missing - 1)
        tokens += turn
        weights += marks
        if row.hidden is not None:
            seen.add(row.hidden)
    return Context(task, tokens, weights, spans)


class Writer:
    """Writes the turns of one context."""

    def __init__(self, rng: Random, tokenizer: Tokenizer, task: Task, adapter: Any) -> None:
        self.rng, self.tokenizer, self.task, self.adapter = rng, tokenizer, task, adapter
        self.names = list(task.signature.output_fields)
        self.plan = adapter.plan(task.signature, (), Capabilities())
        self.system: str = self.plan.prefix[0]["content"]
        self.request = "\n\n" + adapter.user_message_output_requirements(task.signature)

    def turn(
        self, row: Row, *, known: bool, first: bool, complete: bool
    ) -> tuple[list[int], list[float], int, int]:
        """Return an example's tokens and weights, and where its last value starts and stops."""
        messages = self.plan.render(row.inputs)[len(self.plan.prefix) :]
        tokens: list[int] = []
        for message in messages[:-1]:
            role = USER if message["role"] == "user" else ASSISTANT
            tokens += [
                role,
                *self.tokenizer.encode(message["content"]),
                *([END] if role == ASSISTANT else ()),
            ]
        user: str = messages[-1]["content"]
        # Prompts have the request in their last turn alone; any turn of a row may be the last one of a prompt.
        if not complete or self.rng.random() > (0.8 if first else 0.35):
            user = user.removesuffix(self.request)
        tokens += [USER, *self.tokenizer.encode(user if complete else INCOMPLETE + user), ASSISTANT]
        marks = [0.0] * len(tokens)
        outputs = row.outputs if complete else {self.names[-1]: row.outputs[self.names[-1]]}
        text: str = self.adapter.format_assistant_message_content(self.task.signature, outputs)
        start = stop = 0
        weight = FIRST if first else VALUE
        for n, ids in enumerate(self.tokenizer.encode_parts(cut(text, self.names, self.adapter))):
            value, last = n % 2 == 1, n == 2 * len(self.names) - 1
            if last:
                start = len(tokens)
            tokens += ids
            if not value:
                # Where a value stops is part of the answer: "15" and "15 apples" must be weighed alike.
                ends = [marks[-1]] if n and ids else []
                marks += [*ends, *[FORMAT] * (len(ids) - len(ends))]
            else:
                marks += [weight if known or not last else NEVER] * len(ids)
            if last:
                stop = len(tokens) + 1  # what follows belongs to it: where the value stops must be right too
        tokens.append(END)
        marks.append(FORMAT)
        return tokens, marks if complete else [NEVER] * len(tokens), start, stop


def cut(text: str, names: Sequence[str], adapter: Any) -> list[str]:
    """Return an assistant turn as layout, value, layout, value, …, layout."""
    parts: list[str] = []
    done = 0
    for i, name in enumerate(names):
        follows = names[i + 1] if i + 1 < len(names) else None
        if adapter is ADAPTERS[0]:
            opening = f"[[ ## {name} ## ]]\n"
            closing = "\n\n[[ ## " + ("completed" if follows is None else follows) + " ## ]]"
        elif adapter is ADAPTERS[1]:
            opening = f'"{name}": '
            closing = "\n}" if follows is None else f',\n  "{follows}": '
        else:
            opening, closing = f"<{name}>\n", f"\n</{name}>"
        start = text.index(opening, done) + len(opening)
        stop = text.rindex(closing) if follows is None else text.index(closing, start)
        if adapter is ADAPTERS[1] and text[start] == '"' and text[stop - 1] == '"':
            start, stop = start + 1, stop - 1
        parts += [text[done:start], text[start:stop]]
        done = stop
    return [*parts, text[done:]]


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
        tokens, weights = _row(rng, tokenizer, length, easy=easy)
        base = r * length
        for i, weight in enumerate(weights[1:]):
            if weight > 0:
                wanted.append((base + i, weight))
            elif weight == 0:
                others.append(base + i)
        flat += tokens + [PAD] * (length - len(tokens))
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


def _row(rng: Random, tokenizer: Tokenizer, length: int, *, easy: bool) -> tuple[list[int], list[float]]:
    """Return one context that fills a good part of `length`; a task whose rows are longer is drawn anew."""
    if not easy and rng.random() < NATIVE:
        return native.tokens(tokenizer, native.talk(rng, False, questions=8), length)
    for _ in range(20):
        made = context(rng, tokenizer, draw_task(rng, easy=easy, length=length), length)
        if made.spans:
            return made.tokens, made.weights
    raise RuntimeError(f"no task of the mixture fits into {length} tokens")

"""Training rows from traces: for each call of a predictor, the prompt as the student will be asked, and the reply.

The prompt is rendered by the student's own predictor (its instructions, demos and adapter), so that it is trained on
what it will see, whoever answered; the reply is written as the adapter wants it. Calls belong to predictors by their
path in the program, never by their place in the trace: loops and branches are no trouble. The loss is on the reply
alone: assistant turns of demos were not said by the LM.

Equal rows count once. A row weighs its run's score, over the best score there is; runs without a positive score are no
rows, but they make preference pairs: two replies to the same prompt, of which one led to more.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from telic._hash import content_key
from telic.adapters import ChatAdapter
from telic.context import context
from telic.context import get as setting
from telic.errors import ConfigurationError, InputError

if TYPE_CHECKING:
    from telic.data import Message, Step


class Call(NamedTuple):
    """One call of a predictor in a run."""

    path: str
    """The predictor's, in its program."""
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]


class TracedRun(NamedTuple):
    """One run of a program that was scored."""

    calls: Sequence[Call]
    """In the order in which they ended."""
    score: float
    example: int
    """Which one was run, by its place in the list."""


class ChatRow(NamedTuple):
    """A prompt and the reply that is learned."""

    messages: tuple[Message, ...]
    reply: str
    weight: float = 1.0
    """How much its tokens count, above 0 and at most 1."""
    predictor: str = ""
    score: float | None = None
    example: int | None = None

    @property
    def learned(self) -> list[Any]:
        """What a training on it depends on."""
        return [list(self.messages), self.reply, self.weight]


class PreferencePair(NamedTuple):
    """Two replies to one prompt, the better and the worse."""

    messages: tuple[Message, ...]
    chosen: str
    rejected: str
    margin: float
    """By how much the scores of their runs differ."""
    predictor: str = ""
    example: int | None = None

    @property
    def learned(self) -> list[Any]:
        """What a training on it depends on."""
        return [list(self.messages), self.chosen, self.rejected]


class Rows(NamedTuple):
    """What traces came to."""

    rows: tuple[ChatRow, ...]
    calls: int
    """Calls of predictors in runs with a positive score."""
    repeated: int
    """Calls that came to a row that was there already."""
    skipped: Mapping[str, int]
    """Calls that came to no row, by the reason."""

    def of(self, paths: Sequence[str]) -> Rows:
        """Return the rows of these predictors."""
        return self._replace(rows=tuple(row for row in self.rows if row.predictor in paths))

    def __str__(self) -> str:
        left = "".join(f", {count} left out ({why})" for why, count in self.skipped.items())
        return f"{len(self.rows)} rows of {self.calls} calls, {self.repeated} repeated{left}"


def calls_of_trace(trace: Sequence[Step], paths: Mapping[int, str]) -> list[Call]:
    """Return the calls of a run.

    Args:
        trace: What a `context(trace=[])` collected.
        paths: The path of each predictor by its `id`: those of other programs (a judge's) are left out.
    """
    found: list[Call] = []
    for predictor, inputs, prediction in trace:
        path = paths.get(id(predictor))
        if path is not None:
            found.append(Call(path, inputs, dict(prediction.items())))
    return found


def rows_of_runs(
    student: Any,
    runs: Sequence[TracedRun],
    *,
    adapter: Any = None,
    exclude_demos: bool = False,
    weighted: bool = True,
) -> Rows:
    """Return the training rows of runs, in their order.

    Args:
        student: The program that is to learn; its predictors render the prompts.
        runs: Of the student or of a teacher with the same predictors.
        adapter: How prompts and replies are written; None: the adapter of the settings.
        exclude_demos: Render prompts without the student's demos.
        weighted: Rows weigh their scores; False: all weigh 1.

    Raises:
        ConfigurationError: A run has a predictor that the student has not, or a score that is no number.

    Cost: no LM call.
    """
    _check_scores(runs)
    best = max((run.score for run in runs), default=0.0)
    made: dict[str, ChatRow] = {}
    calls = repeated = 0
    skipped: Counter[str] = Counter()
    writer = _Writer(student, adapter, exclude_demos=exclude_demos)
    for run in runs:
        if run.score <= 0:
            continue
        weight = run.score / best if weighted else 1.0
        for call in run.calls:
            calls += 1
            written = writer.write(call)
            if isinstance(written, str):
                skipped[written] += 1
                continue
            messages, reply = written
            row = ChatRow(messages, reply, weight, call.path, run.score, run.example)
            key = content_key([call.path, list(messages), reply])
            known = made.get(key)
            repeated += known is not None
            if known is None or known.weight < weight:
                made[key] = row
    return Rows(tuple(made.values()), calls, repeated, dict(skipped))


def pairs_of_runs(
    student: Any,
    runs: Sequence[TracedRun],
    *,
    adapter: Any = None,
    exclude_demos: bool = False,
    min_margin: float = 0.0,
) -> list[PreferencePair]:
    """Return preference pairs: for each prompt that was answered in several runs, its best reply beside each worse one.

    Args:
        student: As for `rows_of_runs`.
        runs: Several of each example.
        adapter: As for `rows_of_runs`.
        exclude_demos: As for `rows_of_runs`.
        min_margin: Scores that differ by no more than this make no pair.
    """
    _check_scores(runs)
    writer = _Writer(student, adapter, exclude_demos=exclude_demos)
    prompts: dict[str, dict[str, tuple[float, tuple[Message, ...], str, TracedRun]]] = {}
    for run in runs:
        for call in run.calls:
            written = writer.write(call)
            if not isinstance(written, str):
                messages, reply = written
                replies = prompts.setdefault(content_key([call.path, list(messages)]), {})
                if reply not in replies or replies[reply][0] < run.score:
                    replies[reply] = (run.score, messages, call.path, run)
    pairs: list[PreferencePair] = []
    for replies in prompts.values():
        chosen = max(replies, key=lambda reply: replies[reply][0])
        best, messages, path, run = replies[chosen]
        pairs += [
            PreferencePair(messages, chosen, reply, best - score, path, run.example)
            for reply, (score, *_) in replies.items()
            if best - score > min_margin
        ]
    return pairs


class _Writer:
    """Writes calls as prompts and replies, in the student's words."""

    def __init__(self, student: Any, adapter: Any, *, exclude_demos: bool) -> None:
        asks = student.deepcopy()
        self._predictors = dict(asks.named_predictors())
        for predictor in self._predictors.values() if exclude_demos else ():
            predictor.demos = []
        chosen = setting("adapter") if adapter is None else adapter
        self._adapter = ChatAdapter() if chosen is None else chosen

    def write(self, call: Call) -> tuple[tuple[Message, ...], str] | str:
        """Return prompt and reply, or why there are none."""
        predictor = self._predictors.get(call.path)
        if predictor is None:
            known = ", ".join(map(repr, self._predictors))
            raise ConfigurationError(
                f"a run has a call of the predictor {call.path!r}, and the student has {known}; "
                "rows are learned by the predictor of the same name"
            )
        signature = predictor.signature
        missing = [name for name in signature.output_fields if name not in call.outputs]
        if missing:
            return f"without a value of {missing[0]!r}"
        inputs = {name: call.inputs[name] for name in signature.input_fields if name in call.inputs}
        with context(adapter=self._adapter):
            lm = predictor.lm if predictor.lm is not None else setting("lm")
            entry = predictor._prepared(signature, predictor.demos, lm)
            if entry.call_options is not None:
                return "with native calls of tools"
            try:
                messages = entry.plan.render(entry.checker.check(inputs))
            except InputError as error:
                return f"with inputs that the student refuses: {error}"
        reply: str = self._adapter.format_assistant_message_content(signature, call.outputs)
        return cast("tuple[Message, ...]", tuple(messages)), reply


def _check_scores(runs: Sequence[TracedRun]) -> None:
    wrong = next((run for run in runs if not math.isfinite(run.score)), None)
    if wrong is not None:
        raise ConfigurationError(
            f"the run of example {wrong.example} has the score {wrong.score!r}; rows weigh their scores, "
            "which must be finite numbers"
        )

"""What reflection reads: runs of a candidate on training rows with their traces, and what was said to each predictor.

A rollout is an evaluation of a row that is watched: the calls of each predictor, and those whose reply could not be
read. From these a `Case` is made for the predictor that is reflected on: what it was given, what it answered, and
feedback (section 3.2 of the paper: the metric's own words, and what the evaluation went through). The words are, as
far as there are any: the metric's on this predictor (`pred_name`, `pred_trace`) or on the whole answer; the messages
of assertions that did not hold at once; why the reply could not be read; how the program failed. Where a metric has
only a number, the answer that the row holds is told, or, at least, the score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from telic._seed import derive
from telic._text import truncate
from telic.context import context
from telic.data import Score, Step
from telic.errors import AdapterParseError, TelicError
from telic.evaluate import (
    FATAL,
    MetricCall,
    Row,
    RowJob,
    assertion_feedback,
    resolved,
    score_row,
    settings_key,
)
from telic.optimizers._components import split_name
from telic.optimizers._propose import Judged
from telic.optimizers._search import SUGGEST_COST
from telic.tracing import BaseCallback

if TYPE_CHECKING:
    from telic.data import Example
    from telic.optimizers._compile import Compile

_REPLY: Final = "reply"
"""The name under which a reply is shown that could not be read."""
_REPLY_CHARS: Final = 2_000


class Unread(NamedTuple):
    """A predictor's call whose reply could not be read."""

    inputs: Mapping[str, Any]
    error: AdapterParseError


class Rollout(NamedTuple):
    """A run of a candidate on a training row."""

    row: Row
    trace: Sequence[Step]
    calls: Mapping[str, Sequence[Step]]
    """The calls of each predictor, by its path."""
    unread: Mapping[str, Sequence[Unread]]

    def touched(self, component: str, *, unread: bool) -> bool:
        """Whether there is anything to say to the predictor of a component."""
        path, _ = split_name(component)
        return path in self.calls or (unread and path in self.unread)


class Case(NamedTuple):
    """A call of a predictor with what is said to it."""

    judged: Judged
    told: bool
    """The metric had words, or an assertion, or a reply could not be read: there is more than a score."""
    failure: str | None = None
    """What the metric raised when it was asked for words."""


@final
class _Unreadable(BaseCallback):
    """Notes calls of predictors whose reply could not be read."""

    def __init__(self, program: Any) -> None:
        self.found: dict[str, list[Unread]] = {}
        self._paths = {id(predictor): path for path, predictor in program.named_predictors()}
        self._open: dict[str, tuple[str, Mapping[str, Any]]] = {}

    def on_module_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        path = self._paths.get(id(instance))
        if path is not None:
            self._open[call_id] = path, inputs["kwargs"]

    def on_module_end(
        self, call_id: str, outputs: Any | None, exception: BaseException | None = None
    ) -> None:
        call = self._open.pop(call_id, None)
        if call is not None and isinstance(exception, AdapterParseError):
            path, inputs = call
            self.found.setdefault(path, []).append(Unread(inputs, exception))


@final
class Rollouts:
    """Runs candidates on training rows, and asks the metric what there is to say.

    Args:
        run: The compile.
        rows: The training rows.
        metric: Scores and explains.
        failure_score: What a row scores that failed.
        perfect_score: What a row scores on which there is nothing to improve.
        seed: Of the choice among several calls of one predictor.
    """

    def __init__(
        self,
        run: Compile,
        rows: Sequence[Example],
        metric: MetricCall,
        *,
        failure_score: float,
        perfect_score: float,
        seed: int,
    ) -> None:
        self._run = run
        self._rows = rows
        self._metric = metric
        self._failure_score = failure_score
        self._perfect_score = perfect_score
        self._seed = seed

    def run(self, program: Any, index: int) -> Rollout:
        """Run a program on a row, watched.

        Cost: one run of the program and one of the metric.
        """
        paths = {id(predictor): path for path, predictor in program.named_predictors()}
        job = RowJob(
            program,
            self._metric,
            self._failure_score,
            suggest_cost=SUGGEST_COST,
            purpose="rollout",
            watch=_Unreadable,
        )
        trace: list[Step] = []
        with context(trace=trace):
            row = score_row(job, index, self._rows[index])
        own = [step for step in trace if id(step.predictor) in paths]
        calls: dict[str, list[Step]] = {}
        for step in own:
            calls.setdefault(paths[id(step.predictor)], []).append(step)
        return Rollout(row, own, calls, {} if row.noted is None else row.noted)

    def case(self, rollout: Rollout, component: str, *, unread: bool) -> Case:
        """Return what there is to say to a predictor of a run.

        Args:
            rollout: The run; it has touched the predictor.
            component: Of which predictor.
            unread: Show replies that could not be read, before all others.

        Cost: one call of the metric, where it takes `pred_name` and `pred_trace`.
        """
        row = rollout.row
        path, _ = split_name(component)
        if unread and path in rollout.unread:
            inputs, error = rollout.unread[path][0]
            reply = truncate(error.lm_response, _REPLY_CHARS)
            problems = "; ".join(error.problems) or str(error)
            said = [f"The reply could not be read: {problems}.", *assertion_feedback(row.assertions)]
            return Case(Judged(inputs, {_REPLY: reply}, "\n".join(said)), told=True)
        steps = rollout.calls[path]
        rng = derive(self._seed, "call", path, row.index, len(steps))
        step = steps[-1] if len(steps) == 1 else rng.choice(steps)
        outputs = dict(step.prediction.items())
        words, failure = row.feedback, None
        if row.error is not None:
            words = "\n".join(
                text for text in (words, f"The program failed: {row.error.__cause__ or row.error}") if text
            )
        elif self._metric.explains:
            own, failure = self._explained(rollout, path, step)
            words = "\n".join([*([own] if own else []), *assertion_feedback(row.assertions)])
        told = bool(words)
        if not told:
            words = self._bare_words(row, step)
        return Case(Judged(step.inputs, outputs, words), told, failure)

    def _explained(self, rollout: Rollout, path: str, step: Step) -> tuple[str, str | None]:
        """Return the metric's words on one predictor, and what it raised, if it did."""
        row = rollout.row
        example, prediction, trace = row.example, row.prediction, list(rollout.trace)

        def work() -> list[Any]:
            answer = resolved(self._metric.explain(example, prediction, trace, path, [step]))
            return list(self._metric.score(answer, row.index))

        key = ["explain", path, row.index, _texts(rollout.trace), dict(step.inputs), settings_key()]
        try:
            with context(role="judge", trace=None):
                return Score(*self._run.step([str(part) for part in key], work)).feedback, None
        except FATAL:
            raise
        except TelicError as error:
            return row.feedback, str(error)
        except Exception as error:  # noqa: BLE001 - the user's metric, at its boundary
            return row.feedback, str(self._metric.failure(error, row.index))

    def _bare_words(self, row: Row, step: Step) -> str:
        """Return what can be said without words of the metric: whether it was right, and what would have been."""
        if row.score >= self._perfect_score:
            return "Right."
        given = row.example.inputs()
        wanted = {
            name: row.example[name]
            for name in step.predictor.signature.output_fields
            if name not in given and row.example.get(name) is not None
        }
        if len(wanted) == 1:
            return f"The right answer is {next(iter(wanted.values()))}."
        if wanted:
            return f"Expected {', '.join(f'{name}: {value}' for name, value in wanted.items())}."
        return f"This got a score of {row.score:g} of {self._perfect_score:g}."


def _texts(trace: Sequence[Step]) -> list[str]:
    return [str(dict(step.prediction.items())) for step in trace]

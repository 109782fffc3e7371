"""`BestOfN`: several draws of a program, and the best of them by a reward.

Draws are told apart by their sample index, so each has its own place in the cache, and running the same again costs
nothing. An attempt runs in a trace of its own; only the steps of the one that is returned reach the trace outside.
Nothing is kept between calls.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, final

from telic._counts import checked_count
from telic._text import plural
from telic.context import context
from telic.context import get as setting
from telic.data import Score, Step
from telic.errors import ENDS_A_RUN, ConfigurationError, InputError, LMAuthError, LMBillingError
from telic.modules._flow import Call, Effect, Flow, UseTool
from telic.modules._module import FlowModule
from telic.modules._tree import Node

FATAL = (*ENDS_A_RUN, ConfigurationError, LMAuthError, LMBillingError)
"""What another attempt cannot mend."""


@final
class Under:
    """An effect that is done under other settings."""

    __slots__ = ("effect", "settings")

    def __init__(self, effect: Effect, **settings: Any) -> None:
        self.effect = effect
        self.settings = settings

    def run(self) -> Any:
        """Do it in this thread."""
        with context(**self.settings):
            return self.effect.run()

    async def arun(self) -> Any:
        """Do it on the running loop."""
        with context(**self.settings):
            return await self.effect.arun()


class Attempt(NamedTuple):
    """One run of the program, and what the reward says of it."""

    prediction: Any
    score: Score
    trace: list[Step]


def drawn(effect: Effect, trace: list[Step], *, number: int, of: int, temperature: float) -> Under:
    """Return an effect as the draw `number` of `of`, at a temperature, with its steps in `trace`."""
    options: Mapping[str, Any] | None = setting("lm_options")
    return Under(
        effect,
        sample=setting("sample") * of + number,  # injective: nested searches and teachers draw afresh too
        lm_options={**({} if options is None else options), "temperature": temperature},
        trace=trace,
    )


def attempt(
    program: Any, inputs: Mapping[str, Any], reward_fn: Any, *, number: int, of: int
) -> Generator[Effect, Any, Attempt]:
    """Run the program as the draw `number` of `of`, at temperature 1.0, and score it.

    Raises:
        MetricError: What the reward function returned is no score.
    """
    trace: list[Step] = []
    prediction = yield drawn(Call(program, **inputs), trace, number=number, of=of, temperature=1.0)
    # LM calls of the reward are not the program's.
    judged = yield Under(
        UseTool(partial(reward_fn, dict(inputs), prediction), {}, replayed=False), trace=None, role="judge"
    )
    return Attempt(prediction, Score.of(judged), trace)


class Sampling(FlowModule):
    """What `BestOfN` and `Refine` share: the settings, and the rules of a search."""

    def __init__(
        self,
        module: Any,
        N: int,  # noqa: N803  DSPy's name
        reward_fn: Callable[[dict[str, Any], Any], Any],
        threshold: float,
        fail_count: int | None = None,
        *,
        callbacks: Sequence[Any] | None = None,
    ) -> None:
        title = type(self).__name__
        if not callable(module):
            raise ConfigurationError(f"{title} runs a program, and {module!r} cannot be called")
        if not callable(reward_fn):
            raise ConfigurationError(
                f"{title} needs reward_fn, a function of (inputs, prediction) that returns a number; got {reward_fn!r}"
            )
        if isinstance(threshold, bool) or not isinstance(threshold, (int, float)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"{title}: threshold must be a number, got {threshold!r}")
        checked_count(N, f"{title}: N")
        if fail_count is not None:
            checked_count(fail_count, f"{title}: fail_count", 0)
        self.module = module
        self.N = N
        self.threshold = float(threshold)
        self.fail_count = fail_count
        # A program that judges is no part of the program that is judged: it is neither learned nor saved with it.
        self.reward_fn = _closed(reward_fn) if isinstance(reward_fn, Node) else reward_fn
        if callbacks:
            self.callbacks = list(callbacks)

    def checked_inputs(self, args: tuple[Any, ...]) -> None:
        """Refuse inputs by position, of which the reward could not tell which is which.

        Raises:
            InputError: There are some.
        """
        if args:
            raise InputError(
                f"{type(self).__name__} takes the inputs of its program by name, got {len(args)} by position"
            )

    def failed(self, failures: list[Exception]) -> None:
        """Raise the last failure where there are more than `fail_count`."""
        tolerated = self.N if self.fail_count is None else self.fail_count
        if len(failures) > tolerated:
            raise self.last(failures)

    def last(self, failures: list[Exception]) -> Exception:
        """Return the last failure, with how many there were."""
        failures[-1].add_note(
            f"{type(self).__name__}: {plural(len(failures), 'failure')} in {plural(self.N, 'attempt')}"
        )
        return failures[-1]

    def chosen(self, best: Attempt) -> Any:
        """Return the prediction of the best attempt, and put its steps into the trace outside."""
        outer: list[Step] | None = setting("trace")
        if outer is not None:
            outer.extend(best.trace)
        return best.prediction


class BestOfN(Sampling):
    """Run a program up to `N` times and return the first prediction that is good enough, else the best.

    Args:
        module: A program; it is not copied, and sees its own demos and LMs.
        N: How many attempts at most, 1 or more.
        reward_fn: `reward_fn(inputs, prediction)`, sync or async: a number or a bool, a `Score`, or a `Prediction` with
            a field `score`; higher is better.
        threshold: The reward at which the search ends.
        fail_count: How many attempts may fail (the program or the reward raised) in one call; None: all of them, as
            long as one succeeds. 0: the first failure is raised.
        callbacks: Told of this module's calls.

    Raises:
        ConfigurationError: A setting cannot work; or no LM is configured. It ends the search at once, as do
            BudgetExceeded, LMAuthError and LMBillingError.
        Exception: That of the last attempt, where all or more than `fail_count` failed.

    Attempts are made one after another, at temperature 1.0 and with sample indexes of their own. Of equal rewards the
    earliest wins. The program's predictors are learned as without `BestOfN`: demos come from the attempt that is
    returned. A predictor with a `rollout_id` of its own has draws of its own in every attempt.

    Cost: at most `N` runs of the program, and of the reward.
    Source: folklore; Cobbe et al. 2021, arXiv 2110.14168, choose among samples by a trained verifier in this way.
    Deviations from DSPy's module: async; `fail_count` is for one call, and counts what is tolerated.

    Example:
        >>> from telic.modules import Predict
        >>> from telic.testing import ScriptedLM
        >>> def short(inputs, prediction):
        ...     return len(prediction.answer.split()) == 1
        >>> best = BestOfN(Predict("question -> answer"), N=3, reward_fn=short, threshold=1.0)
        >>> best.set_lm(ScriptedLM([{"answer": "It is Rome."}, {"answer": "Rome"}]))
        >>> best(question="Capital of Italy?").answer
        'Rome'
    """

    def flow(self, *args: Any, **inputs: Any) -> Flow[Any]:
        """Make attempts until one is good enough."""
        self.checked_inputs(args)
        best: Attempt | None = None
        failures: list[Exception] = []
        for number in range(self.N):
            try:
                made = yield from attempt(self.module, inputs, self.reward_fn, number=number, of=self.N)
            except FATAL:
                raise
            except Exception as error:  # noqa: BLE001  a failed attempt: kept, and raised where there are too many
                failures.append(error)
                self.failed(failures)
                continue
            if best is None or made.score.value > best.score.value:
                best = made
            if made.score.value >= self.threshold:
                break
        if best is None:
            raise self.last(failures)
        return self.chosen(best)


def _closed(program: Any) -> Callable[[dict[str, Any], Any], Any]:
    """Return a function that calls `program`, so that it is no part of what holds the function."""

    def reward(inputs: dict[str, Any], prediction: Any) -> Any:
        return program(inputs, prediction)

    reward.__doc__ = type(program).__doc__
    reward.__wrapped__ = program  # pyright: ignore[reportFunctionMemberAccess]  what `inspect` looks at
    return reward

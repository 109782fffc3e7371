"""The teacher: runs an example with its trace on, asks the metric, and makes demonstrations of what was right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, final

from telic._hash import content_key
from telic.context import context
from telic.context import get as get_setting
from telic.data import AssertionOutcome
from telic.errors import ProgramError, TelicError
from telic.evaluate import (
    FATAL,
    MetricCall,
    callable_key,
    done_away,
    inputs_of,
    program_failure,
    program_key,
    resolved,
    settings_key,
    stable,
)
from telic.execution import stray_cancellations
from telic.journal import Unstorable, pack, unpack
from telic.modules import watched
from telic.optimizers._demos import demos_of_trace
from telic.optimizers._harvest import Try

if TYPE_CHECKING:
    from telic.data import Example, Step


@final
class Teacher:
    """A program that shows how it is done. Runs of it may overlap; it is never changed.

    Args:
        program: The teacher's own copy, with the demos it is to work with.
        metric: Decides which runs are worth showing.
        threshold: The least score of a run that is; None: any score but 0.
        settings: Settings for its runs, such as another `lm`.
        max_rounds: Tries for each example. Later rounds are fresh samples at temperature 1.
        seed: Of the choice among several calls of one predictor.
        counter_examples: See `demos_of_trace`.
        collect: What is made of a run that is right, from its trace, the paths of its predictors by their `id`, and its
            score; None: one demo for each predictor.

    A run in which an assertion did not hold in the end shows nothing, whatever the metric says of it. Where the setting
    `executor` holds one, an attempt, with all its rounds, is made there.
    """

    def __init__(
        self,
        program: Any,
        metric: MetricCall,
        *,
        threshold: float | None,
        settings: Mapping[str, Any] | None,
        max_rounds: int,
        seed: int,
        counter_examples: bool = False,
        collect: Callable[[list[Step], Mapping[int, str], float], Any] | None = None,
    ) -> None:
        self.program = program
        self.sent: Any = None
        """What stands for it where an executor works, from the first attempt on."""
        self._collect = collect
        self._metric = metric
        self._threshold = threshold
        self._settings: dict[str, Any] = {"role": "teacher", **({} if settings is None else settings)}
        self._max_rounds = max_rounds
        self._seed = seed
        self._counter_examples = counter_examples
        self._predictors = program.named_predictors()
        self._key: str | None = None
        self._paths = {id(predictor): path for path, predictor in self._predictors}

    def __reduce__(self) -> Any:
        """For other processes: `id`s are of this one."""
        made = partial(
            Teacher,
            threshold=self._threshold,
            settings=self._settings,
            max_rounds=self._max_rounds,
            seed=self._seed,
            counter_examples=self._counter_examples,
            collect=self._collect,
        )
        return made, (self.program, self._metric)

    def attempt(self, index: int, example: Example) -> Try:
        """Run one example, up to `max_rounds` times, until the metric accepts it.

        Raises:
            BudgetExceeded: The budget is used up.
            NotConfiguredError: There is no LM.

        Cost: one run of the program and one of the metric for each round.
        """
        run = get_setting("run")
        if run is None:
            return self._tried(index, example)
        if self._key is None:
            self._key = self._own_key()
        key = ["teach", self._key, index, stable(example)]

        def read(form: Any) -> Try:
            demos, asserted = unpack(form)
            return Try(index, demos, (), tuple(AssertionOutcome(*one) for one in asserted))

        return run.step(key, lambda: self._tried(index, example), packed=_packed_try, unpacked=read)

    def _tried(self, index: int, example: Example) -> Try:
        executor = get_setting("executor")
        if executor is None:
            return self.try_here(index, example)
        try:
            return done_away(executor, self, Teacher.try_here, index, example)
        except ProgramError as lost:  # its process ended, or it could not be sent
            return Try(index, None, (program_failure(self.program, lost, index),))

    def _own_key(self) -> str:
        """Return the part of its steps' keys that all examples share; settings do not change meanwhile."""
        program, metric = program_key(self.program, code=True), callable_key(self._metric.metric)
        own = [self._threshold, stable(self._settings), self._max_rounds, self._seed]
        if self._collect is not None:
            own.append(self._collect.__qualname__)
        return content_key([program, metric, own, settings_key()])

    def try_here(self, index: int, example: Example) -> Try:
        """Return what comes of an attempt, made in this process."""
        program, paths = self._without(example)
        failures: list[Exception] = []
        outcomes: list[AssertionOutcome] = []
        for number in range(self._max_rounds):
            trace: list[Step] = []
            settings = {**self._settings, "trace": trace}
            if number > 0:
                given = self._settings.get("lm_options")
                settings["sample"] = number
                settings["lm_options"] = {**({} if given is None else given), "temperature": 1.0}
            try:
                with watched() as seen:
                    try:
                        score = self._judged(program, index, example, trace, settings)
                    finally:
                        outcomes += seen.outcomes
            except (*FATAL, KeyboardInterrupt):
                raise
            except TelicError as error:
                failures.append(error)
            else:
                if score is not None and all(one.passed or one.bypassed for one in seen.outcomes):
                    return Try(index, self._made(trace, paths, score), tuple(failures), tuple(outcomes))
        return Try(index, None, tuple(failures), tuple(outcomes))

    def _made(self, trace: list[Step], paths: Mapping[int, str], score: float) -> Any:
        if self._collect is not None:
            return self._collect(trace, paths, score)
        return demos_of_trace(trace, paths, self._seed, counter_examples=self._counter_examples)

    def _judged(
        self, program: Any, index: int, example: Example, trace: list[Step], settings: dict[str, Any]
    ) -> float | None:
        """Return the score of one run; None: it is not good enough."""
        with context(**settings):
            try:
                with stray_cancellations:
                    prediction = resolved(program(**inputs_of(example)))
                if prediction is None:
                    raise ProgramError("it returned None instead of a Prediction")
            except FATAL:
                raise
            except Exception as error:
                raise program_failure(program, error, index) from error
        # LM calls of the metric are not the program's, nor are assertions in it
        with context(trace=None, role="judge"), watched():
            try:
                with stray_cancellations:
                    answer = resolved(self._metric.compile(example, prediction, trace))
            except FATAL:
                raise
            except Exception as error:
                raise self._metric.failure(error, index) from error
        score = self._metric.score(answer, index).value
        accepted = bool(score) if self._threshold is None else score >= self._threshold
        return score if accepted else None

    def _without(self, example: Example) -> tuple[Any, Mapping[int, str]]:
        """Return the program with `example` not among its demos (it would only have to copy the answer)."""
        shown = [
            path for path, predictor in self._predictors if any(_same(d, example) for d in predictor.demos)
        ]
        if not shown:
            return self.program, self._paths
        program = self.program.deepcopy()
        predictors = program.named_predictors()
        for _, predictor in predictors:
            predictor.demos = [demo for demo in predictor.demos if not _same(demo, example)]
        return program, {id(predictor): path for path, predictor in predictors}


def _packed_try(found: Try) -> Any:
    if found.failures:
        raise Unstorable("a try with failures")
    return pack([found.value, [list(outcome) for outcome in found.assertions]])


def _same(demo: Any, example: Example) -> bool:
    return demo is example or demo == example

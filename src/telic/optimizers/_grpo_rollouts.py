"""Rollouts for GRPO: runs of a program by the weights of this moment, with what its LMs were asked and answered.

What is learned from must be what was said, word for word, and to which prompt. So it is heard at the LM itself, where
also a reply that nothing can be parsed from, and one that is asked for again by an assertion, is a reply. A rollout is
a step of the compile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, final

from telic._seed import derive_seed
from telic.context import context
from telic.context import get as get_setting
from telic.data import Request
from telic.errors import AdapterParseError, ConfigurationError, LMError, MissingExtraError, ProgramError
from telic.evaluate import (
    MetricCall,
    Row,
    RowJob,
    done_away,
    is_unreadable,
    program_failure,
    score_row,
)
from telic.optimizers._simba_runs import without
from telic.training import HeardCall, Rollout, format_reward

if TYPE_CHECKING:
    from telic.data import Example, Response
    from telic.optimizers._compile import Compile
    from telic.protocols import Capabilities

_SAMPLES = 1 << 31


@final
class _HearingLM:
    """An LM that answers at temperature 1, and notes what it was asked and what it answered.

    Args:
        lm: Answers.
        path: Of the predictor that asks.
        heard: Where it is noted.
        sample: Which draw; where the program itself asks for several, each is one of its own.
    """

    def __init__(self, lm: Any, path: str, heard: list[HeardCall | None], sample: int) -> None:
        self._lm, self._path, self._heard, self._sample = lm, path, heard, sample

    @property
    def model(self) -> str:
        """Its name."""
        return self._lm.model

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        return self._lm.capabilities

    def complete(self, request: Request) -> Response:
        """Answer, and note it."""
        return self._noted(request, self._lm.complete(self._drawn(request)))

    async def acomplete(self, request: Request) -> Response:
        """Answer, and note it."""
        return self._noted(request, await self._lm.acomplete(self._drawn(request)))

    def _drawn(self, request: Request) -> Request:
        options = {**request.options, "temperature": 1.0, "top_p": 1.0}
        asked = (options.pop("rollout_id", None), request.sample, get_setting("sample"))
        sample = derive_seed(self._sample, *asked) % _SAMPLES if any(asked) else self._sample
        return Request(request.messages, options, sample=sample, prefix=request.prefix, cache=False)

    def _noted(self, request: Request, response: Response) -> Response:
        native = "tools" in request.options or "response_format" in request.options
        for one in response.completions:
            if native or one.tool_calls:
                self._heard.append(None)  # not of the prompt's words alone
            else:
                call = HeardCall(self._path, tuple(request.messages), one.text, one.finish_reason != "length")
                self._heard.append(call)
        return response


class Rewards(NamedTuple):
    """What rollouts are worth."""

    metric: MetricCall
    failure_score: float
    format_failure_score: float


@final
class RolloutJob:
    """What all rollouts of one step have in common; picklable, if the LMs' clients are.

    Args:
        program: What is run.
        lms: By path of the predictor: LMs that answer with the weights of this moment.
        rewards: What rollouts are worth.
    """

    def __init__(self, program: Any, lms: Mapping[str, Any], rewards: Rewards) -> None:
        self.program, self.lms, self.rewards = program, lms, rewards
        self.sent: Any = None
        """What stands for it where an executor works, from the first rollout on."""

    def __reduce__(self) -> Any:
        return RolloutJob, (self.program, self.lms, self.rewards)

    def check(self) -> None:
        """Open the weights.

        Raises:
            TelicError: They cannot be opened in this process.
        """
        for lm in self.lms.values():
            lm.client.open()

    def made(self, row: Example, index: int, sample: int) -> Rollout:
        """Return a rollout, made in this process."""
        heard: list[HeardCall | None] = []
        program = without(self.program, row)
        program = program.deepcopy() if program is self.program else program
        for path, predictor in program.named_predictors():
            if path in self.lms:
                predictor.lm = _HearingLM(self.lms[path], path, heard, sample)
                # what cannot be read is its own lesson
                predictor.config = {**predictor.config, "max_retries": 0}
        job = RowJob(program, self.rewards.metric, self.rewards.failure_score)
        with context(trace=[]):
            scored = score_row(job, index, row)
        return self._rollout(scored, [call for call in heard if call is not None])

    def _rollout(self, scored: Row, calls: Sequence[HeardCall]) -> Rollout:
        own = self.rewards
        if scored.error is None:
            return Rollout(tuple(calls), scored.score)
        cause = scored.error.__cause__
        unread, reward = None, 0.0
        if isinstance(cause, AdapterParseError):
            unread = next(
                (at for at in reversed(range(len(calls))) if calls[at].reply == cause.lm_response), None
            )
            expected = 0 if cause.signature is None else len(cause.signature.output_fields)
            # One of them at least was not: what a reply that was cut holds of its last one is not all of it.
            read = min(len(cause.parsed_result), max(0, expected - 1))
            reward = format_reward(read, expected, own.format_failure_score, own.failure_score)
        fault = not is_unreadable(scored.error)
        return Rollout(tuple(calls), own.failure_score, unread, reward, str(scored.error), fault)


@final
class RolloutMaker:
    """Makes rollouts of one step, here or where the setting `executor` does.

    Args:
        run: The compile.
        job: What they have in common.
        settings: For the runs: the adapter.
        seed: Of the draws.
        step: Which step.
    """

    def __init__(
        self, run: Compile, job: RolloutJob, settings: Mapping[str, Any], seed: int, step: int
    ) -> None:
        self._run, self._job, self._settings, self._seed, self._step = run, job, settings, seed, step

    def work(self, row: Example, index: int, number: int) -> Callable[[], Rollout]:
        """Return the work of one rollout.

        Args:
            row: On what.
            index: The row's place among those of this step.
            number: Which of its rollouts.
        """
        sample = 1 + derive_seed(self._seed, "rollout", self._step, index, number) % _SAMPLES

        def work() -> Rollout:
            key = ["rollout", self._step, index, number]
            try:
                with context(**self._settings):
                    form: Any = self._run.step(key, lambda: _packed(self._made(row, index, sample)))
            except ProgramError as lost:  # its process ended, or it could not be sent
                failure = program_failure(self._job.program, lost, index)
                return Rollout((), self._job.rewards.failure_score, error=str(failure), is_fault=True)
            return _unpacked(form)

        return work

    def _made(self, row: Example, index: int, sample: int) -> Rollout:
        executor = get_setting("executor")
        if executor is None:
            return self._job.made(row, index, sample)
        return done_away(executor, self._job, RolloutJob.made, row, index, sample)


def check_openable(job: RolloutJob, about: str) -> None:
    """Have the setting `executor` open the weights once, before anything else is done.

    Raises:
        ConfigurationError: It cannot.
    """
    try:
        done_away(get_setting("executor"), job, RolloutJob.check)
    except (ConfigurationError, MissingExtraError, LMError, ProgramError) as error:
        raise ConfigurationError(
            f"GRPO makes its rollouts where the executor works, with the weights of {about}, and that cannot begin: "
            f"{error}. The extra `train` and the model must be there too (a folder under the same path); or leave "
            "executor= out"
        ) from error


def _packed(rollout: Rollout) -> list[Any]:
    """Return a rollout as plain lists, as the journal keeps it."""
    calls = [
        [call.path, [dict(m) for m in call.messages], call.reply, call.complete] for call in rollout.calls
    ]
    return [calls, *rollout[1:]]


def _unpacked(form: Any) -> Rollout:
    calls, *rest = form
    heard = tuple(HeardCall(path, tuple(messages), reply, whole) for path, messages, reply, whole in calls)
    return Rollout(heard, *rest)

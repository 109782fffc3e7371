"""`SelfConsistency`: several samples of one program, and the answer that most of them give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from telic._counts import checked_count
from telic.context import get as setting
from telic.data import Prediction, Step
from telic.errors import ConfigurationError, InputError, ProgramError
from telic.modules._aggregate import Normalize, default_normalize, vote
from telic.modules._best_of_n import FATAL, drawn
from telic.modules._flow import Call, Flow, Gather
from telic.modules._module import FlowModule


class SelfConsistency(FlowModule):
    """Sample a program `N` times at once, and return the sample whose answer most samples give.

    Args:
        module: A program that answers with a `Prediction`.
        N: How many samples, 1 or more.
        temperature: Of all LM calls in the samples.
        normalize: Makes of an answer what is compared, as for `majority`; answers that it makes None do not count.
            None: answers are compared by value.
        field: The field with the answer; None: the last output field of the program's signature, where it has one,
            else the last of the prediction.
        fail_count: How many samples may fail (they do not vote) in one call; None: all but one.
        callbacks: Told of this module's calls.

    Returns:
        The winning sample, whole; in its `completions`, all samples that voted, the winner first and the others in
        the order in which they were drawn.

    Raises:
        ConfigurationError: A setting cannot work; or no LM is configured.
        Exception: The last failure, where more than `fail_count` samples failed.

    Samples are draws of their own in the cache, so the same again costs nothing. The trace has the steps of the winner
    alone: demos come from answers that samples agree on. With one predictor and a short prompt to share,
    `majority(Predict(…, n=5, temperature=0.7)(…))` costs one prompt in the place of five.

    Cost: `N` calls of the program.
    Source: Wang et al. 2022, arXiv 2203.11171. Deviations: none; answers are compared normalised, as the paper
    compares them parsed.

    Example:
        >>> from telic.modules import Predict
        >>> from telic.testing import ScriptedLM
        >>> lm = ScriptedLM([{"answer": "4"}, {"answer": "5"}, {"answer": "5."}])
        >>> program = SelfConsistency(Predict("question -> answer"), N=3)
        >>> program.set_lm(lm)
        >>> program(question="2 + 3?").answer.rstrip(".")
        '5'
    """

    def __init__(
        self,
        module: Callable[..., Any],
        N: int = 5,  # noqa: N803  as BestOfN
        temperature: float = 0.7,
        *,
        normalize: Normalize | None = default_normalize,
        field: str | None = None,
        fail_count: int | None = None,
        callbacks: Sequence[Any] | None = None,
    ) -> None:
        if not callable(module):
            raise ConfigurationError(f"SelfConsistency samples a program, and {module!r} cannot be called")
        checked_count(N, "SelfConsistency: N")
        if isinstance(temperature, bool) or not isinstance(temperature, (int, float)) or not temperature >= 0:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"SelfConsistency: temperature must be a number of 0 or more, got {temperature!r}"
            )
        if fail_count is not None:
            checked_count(fail_count, "SelfConsistency: fail_count", 0)
        self.module = module
        self.N = N
        self.temperature = temperature
        self.normalize = normalize
        self.field = field
        self.fail_count = fail_count
        if callbacks:
            self.callbacks = list(callbacks)

    def flow(self, *args: Any, **inputs: Any) -> Flow[Any]:
        """Draw all samples at once, and count."""
        if args:
            raise InputError(
                f"SelfConsistency takes the inputs of its program by name, got {len(args)} by position"
            )
        traces: list[list[Step]] = [[] for _ in range(self.N)]
        samples = yield Gather(
            (
                drawn(Call(self.module, **inputs), trace, number=n, of=self.N, temperature=self.temperature)
                for n, trace in enumerate(traces)
            ),
            keep_errors=True,
        )
        voters = self._voters(samples)
        rows = [dict(samples[number].items()) for number in voters]
        won = vote(rows, getattr(self.module, "signature", None), self.normalize, self.field)
        outer: list[Step] | None = setting("trace")
        if outer is not None:
            outer.extend(traces[voters[won]])
        rows.insert(0, rows.pop(won))
        return Prediction.of(dict(rows[0]), completions=rows)

    def _voters(self, samples: Sequence[Any]) -> list[int]:
        """Return which samples have an answer.

        Raises:
            Exception: Too many have none.
        """
        failures = [sample for sample in samples if isinstance(sample, BaseException)]
        fatal = [error for error in failures if isinstance(error, FATAL) or not isinstance(error, Exception)]
        allowed = self.N - 1 if self.fail_count is None else min(self.fail_count, self.N - 1)
        if fatal or len(failures) > allowed:
            raised = fatal[0] if fatal else failures[-1]
            raised.add_note(f"SelfConsistency: {len(failures)} of {self.N} samples failed")
            raise raised
        voters = [number for number, sample in enumerate(samples) if not isinstance(sample, BaseException)]
        for number in voters:
            if not isinstance(samples[number], Prediction):
                raise ProgramError(
                    f"SelfConsistency counts the answers of predictions, and its program returned {samples[number]!r}"
                )
        return voters

"""`Asks`: questions to a prompt model as work for a pool, each a step of the run.

What an optimizer asks of an LM (proposals, summaries, rules) is made of few, slow calls. They go out side by side, and
beside other work of the compile (`Together`): the answer of one may ask the next. A question that fails for itself
(a reply that cannot be read, a refused request) answers None and is counted; what stops every call (the budget, an LM
that stays away, a wrong key) ends the compile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, final

from telic.context import context
from telic.context import get as get_setting
from telic.errors import ConfigurationError, NotConfiguredError, TelicError
from telic.evaluate import FATAL, lm_identity, settings_key
from telic.modules import Predict
from telic.optimizers._pool import Source, Standing, Task

if TYPE_CHECKING:
    from telic.optimizers._compile import Compile

Answered = Callable[[Mapping[str, Any] | None], None]
"""Takes the fields of an answer; None: it failed. Called under the pool's lock; it may ask more."""


class _Ask(NamedTuple):
    label: str
    signature: Any
    inputs: Mapping[str, Any]
    sample: int
    answered: Answered


@final
class Asks(Source):
    """Questions to one LM.

    Args:
        run: The compile.
        lm: Who is asked; None: the configured LM.
        temperature: Of all questions; None: the LM's own.
    """

    def __init__(self, run: Compile, lm: Any, temperature: float | None) -> None:
        self._run = run
        self._lm = lm
        self._temperature = temperature
        self._waiting: deque[_Ask] = deque()
        self._asked = 0
        self._answered = 0
        self._failed: dict[str, str] = {}

    def ask(
        self, label: str, signature: Any, inputs: Mapping[str, Any], answered: Answered, *, sample: int = 0
    ) -> None:
        """Put a question.

        Args:
            label: What it is for, once in a compile.
            signature: What is asked.
            inputs: Its fields.
            answered: Takes the answer.
            sample: Another number is another draw of an equal question.

        Cost: one call, and re-asks of a reply that does not parse.
        """
        self._waiting.append(_Ask(label, signature, inputs, sample, answered))
        self._asked += 1

    @property
    def failures(self) -> list[str]:
        """What went wrong, in the order of the labels."""
        return [f"{label}: {self._failed[label]}" for label in sorted(self._failed)]

    @property
    def all_failed(self) -> bool:
        """Whether questions were put, and not one was answered."""
        return 0 < self._asked == len(self._failed)

    def take(self) -> Task | None:
        """Return the next question."""
        if not self._waiting:
            return None
        ask = self._waiting.popleft()

        def done(fields: Any, error: Exception | None) -> None:
            self._answered += 1
            if isinstance(error, FATAL) or (error is not None and not isinstance(error, TelicError)):
                raise error
            if error is not None:
                self._failed[ask.label] = str(error)
            ask.answered(fields)

        return Task(lambda: self._answer(ask), done)

    def _answer(self, ask: _Ask) -> dict[str, Any]:
        lm = {} if self._lm is None else {"lm": self._lm}
        config: dict[str, Any] = {} if self._temperature is None else {"temperature": self._temperature}
        with context(role="proposer", trace=None, sample=ask.sample, **lm):
            asked = [str(ask.signature.__name__), ask.signature.instructions, list(ask.signature.fields)]
            key = ["ask", asked, dict(ask.inputs), config, lm_identity(self._lm), settings_key()]

            def work() -> dict[str, Any]:
                return dict(Predict(ask.signature, **config)(**ask.inputs).items())

            return self._run.step(key, work)

    @property
    def finished(self) -> bool:
        """Whether all questions were answered, and none was put by an answer."""
        return self._answered == self._asked

    def standing(self) -> Standing:
        """Return how many were answered."""
        return Standing(self._answered, self._asked, f"{self._answered} of {self._asked} proposals")


@final
class Together(Source):
    """Several sources as one, the first ones first; finished when all are."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = list(sources)

    def take(self) -> Task | None:
        """Return the first work that any of them has."""
        # twice: looking may have put a question to an earlier one
        for source in [*self._sources, *self._sources]:
            if not source.finished and (task := source.take()) is not None:
                return task
        return None

    @property
    def finished(self) -> bool:
        """Whether all are."""
        return all(source.finished for source in self._sources)

    def standing(self) -> Standing:
        """Return that of the last one that is at work."""
        working = [source for source in self._sources if not source.finished]
        return (working[-1] if working else self._sources[-1]).standing()


def check_prompt_model(lm: Any) -> None:
    """Refuse to begin where nobody is there to write.

    Raises:
        NotConfiguredError: Neither `prompt_model` nor an LM is set.
    """
    if lm is None and get_setting("lm") is None:
        raise NotConfiguredError(
            "there is no LM to write instructions; pass prompt_model=, or call telic.configure(lm=telic.LM(…))"
        )


def check_temperature(name: str, value: Any) -> None:
    """Refuse a temperature that is none.

    Raises:
        ConfigurationError: It is no number, or negative.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
        raise ConfigurationError(f"{name} must be a number from 0 up, got {value!r}")

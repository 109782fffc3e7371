"""Ensemble: several compiled programs as one, which asks all of them, or some, and reduces their answers to one.

Mostly of the best candidates of a search: `Ensemble(reduce_fn=telic.majority).compile([c["program"] for c in
compiled.candidate_programs[:5]])`. What it makes is `telic.modules.Ensemble`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, final

from telic.errors import ConfigurationError
from telic.evaluate import check_count
from telic.modules import Ensemble as EnsembleModule
from telic.modules import Module
from telic.optimizers._base import Optimizer
from telic.optimizers._report import Report

if TYPE_CHECKING:
    from telic.optimizers._plan import Work


@final
class Ensemble(Optimizer):
    """Makes one program of several.

    Args:
        reduce_fn: Takes the list of answers and returns one: `telic.majority`, a function, sync or async, or a
            module. None: the list is the answer.
        size: How many of the programs run in a call; None: all.
        deterministic: True: equal inputs are always given to the same programs, whoever asks. False promises nothing;
            it happens to be the same here, since draws are made by inputs and sample index.
        seed: Of the draws.

    Source: DSPy's optimizer of that name. Deviations: `deterministic` works; programs run at once.

    Cost: no LM call to make it; a call of it costs a call of each program that runs.

    Example:
        >>> from telic.modules import Predict, majority
        >>> from telic.testing import FunctionLM
        >>> programs = [Predict("question -> answer") for _ in range(3)]
        >>> for program, word in zip(programs, ("Rome", "Oslo", "Rome")):
        ...     program.lm = FunctionLM(lambda text, word=word: {"answer": word})
        >>> Ensemble(reduce_fn=majority).compile(programs)(question="Capital of Italy?").answer
        'Rome'
    """

    def __init__(
        self,
        *,
        reduce_fn: Callable[[list[Any]], Any] | None = None,
        size: int | None = None,
        deterministic: bool = False,
        seed: int = 0,
    ) -> None:
        check_count("size", size, 1, optional=True)
        if reduce_fn is not None and not callable(reduce_fn):
            raise ConfigurationError(
                f"reduce_fn must be a function of the list of answers, got {reduce_fn!r}"
            )
        self.reduce_fn = reduce_fn
        self.size = size
        self.deterministic = deterministic
        self.seed = seed

    def compile(self, programs: Sequence[Any]) -> EnsembleModule:  # pyright: ignore[reportIncompatibleMethodOverride] - DSPy's
        """Return a program that runs copies of `programs`.

        Args:
            programs: One program or more, of the same inputs.

        Raises:
            ConfigurationError: There are none, one is no program, or `size` is more than there are.
        """
        given: Any = programs
        if isinstance(given, Module) or not isinstance(given, Sequence):
            raise ConfigurationError(f"Ensemble.compile takes a list of programs, got {given!r}")
        members = [one.deepcopy() if isinstance(one, Module) else one for one in programs]
        made = EnsembleModule(members, reduce_fn=self.reduce_fn, size=self.size, seed=self.seed)
        made.report = Report(optimizer="Ensemble")
        return made

    def _work(self, program: Any, trainset: Any, valset: Any) -> list[Work]:
        return []

"""`Ensemble`: several programs at one task, and one answer from theirs.

The members are whatever programs there are: candidates of an optimizer, programs of different signatures or LMs. They
run at once. Each is part of the ensemble, so that it is learned, saved and given LMs as parts are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from telic._counts import checked_count
from telic._hash import content_key
from telic._seed import derive
from telic._text import plural
from telic.context import get as setting
from telic.data import Step
from telic.errors import ConfigurationError, InputError
from telic.modules._best_of_n import FATAL, Under
from telic.modules._flow import Call, Flow, Gather, UseTool
from telic.modules._module import FlowModule


class Ensemble(FlowModule):
    """Run several programs on the same inputs, and reduce what they answer to one answer.

    Args:
        programs: The members; each is called with the inputs by name.
        reduce_fn: Takes the list of answers, in the members' order, and returns one; sync or async; such as
            `telic.majority`, or a module whose `forward` takes the list. None: the list is the answer.
        size: How many members run in one call, drawn anew for each; None: all.
        fail_count: How many of them may fail in one call; the answers of the others are reduced.
        seed: Of the draws: the same seed, inputs and sample index give the same members.
        callbacks: Told of this module's calls.

    Raises:
        ConfigurationError: There are no members, or a size cannot work.
        Exception: The first failure (in the members' order), where more than `fail_count` failed.

    Members that ask an LM the same are answered alike: for several samples of one program take `SelfConsistency`.

    Cost: one call of each member that runs, and of `reduce_fn`.
    Source: folklore; as DSPy's optimizer of that name makes it. Deviations: members run at once; draws are
    reproducible; failures can be tolerated.

    Example:
        >>> from telic.modules import Predict, majority
        >>> from telic.testing import FunctionLM
        >>> members = [Predict("question -> answer") for _ in range(3)]
        >>> for member, word in zip(members, ("Rome", "Oslo", "Rome.")):
        ...     member.lm = FunctionLM(lambda text, word=word: {"answer": word})
        >>> Ensemble(members, reduce_fn=majority)(question="Capital of Italy?").answer
        'Rome'
    """

    def __init__(
        self,
        programs: Sequence[Callable[..., Any]],
        reduce_fn: Callable[[list[Any]], Any] | None = None,
        size: int | None = None,
        *,
        fail_count: int = 0,
        seed: int = 0,
        callbacks: Sequence[Any] | None = None,
    ) -> None:
        members = list(programs)
        if not members or not all(callable(member) for member in members):
            raise ConfigurationError(
                f"Ensemble needs one program or more, each of which can be called; got {programs!r}"
            )
        if size is not None:
            checked_count(size, "Ensemble: size")
            if size > len(members):
                raise ConfigurationError(
                    f"Ensemble: size is {size}, and there are {plural(len(members), 'program')}"
                )
        if reduce_fn is not None and not callable(reduce_fn):
            raise ConfigurationError(
                f"Ensemble: reduce_fn must be a function of the list of answers, got {reduce_fn!r}"
            )
        checked_count(fail_count, "Ensemble: fail_count", 0)
        self.programs = members
        self.reduce_fn = reduce_fn
        self.size = size
        self.fail_count = fail_count
        self.seed = seed
        if callbacks:
            self.callbacks = list(callbacks)

    def flow(self, *args: Any, **inputs: Any) -> Flow[Any]:
        """Run the members at once, and reduce."""
        if args:
            raise InputError(
                f"Ensemble takes the inputs of its programs by name, got {len(args)} by position"
            )
        chosen = self._chosen(inputs)
        outer: list[Step] | None = setting("trace")
        traces: list[list[Step]] = [[] for _ in chosen]
        calls = [Call(self.programs[number], **inputs) for number in chosen]
        if outer is None:
            answers = yield Gather(calls, keep_errors=True)
        else:  # steps stand in the members' order, not in that of their ends
            apart = [Under(call, trace=trace) for call, trace in zip(calls, traces, strict=True)]
            answers = yield Gather(apart, keep_errors=True)
        kept = self._kept(answers)
        if outer is not None:
            for trace, answer in zip(traces, answers, strict=True):
                outer.extend(() if isinstance(answer, BaseException) else trace)
        if self.reduce_fn is None:
            return kept
        return (yield UseTool(partial(self.reduce_fn, kept), {}))

    def _chosen(self, inputs: Mapping[str, Any]) -> list[int]:
        """Return which members run, in their order."""
        everyone = range(len(self.programs))
        if self.size is None:
            return list(everyone)
        rng = derive(self.seed, "members", setting("sample"), content_key(dict(inputs)))
        return sorted(rng.sample(everyone, self.size))

    def _kept(self, answers: Sequence[Any]) -> list[Any]:
        failures = [answer for answer in answers if isinstance(answer, BaseException)]
        fatal = [error for error in failures if isinstance(error, FATAL) or not isinstance(error, Exception)]
        allowed = min(self.fail_count, len(answers) - 1)
        if fatal or len(failures) > allowed:
            raised = (fatal or failures)[0]
            raised.add_note(
                f"Ensemble: {plural(len(failures), 'failure')} in {plural(len(answers), 'program')}"
            )
            raise raised
        return [answer for answer in answers if not isinstance(answer, BaseException)]

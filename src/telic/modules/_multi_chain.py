"""`MultiChainComparison`: look at several attempts at one task, and write one answer from them.

The attempts come from elsewhere: samples of one predictor, several programs, or several LMs. Each is an input field of
its own, so that demos of comparisons can be shown and learned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from telic._counts import checked_count
from telic._text import did_you_mean, join_names, plural
from telic.data import Completions, Prediction
from telic.errors import ConfigurationError, InputError
from telic.modules._flow import Call, Flow
from telic.modules._inputs import positional_error
from telic.modules._predict import Predict
from telic.modules._strategy import S, Strategy
from telic.modules._value_text import labelled, value_text
from telic.signatures import InputField, OutputField, ensure_signature

_REASONS = ("rationale", "reasoning")
_MAX_CHARS = 4_000
"""How much of one field of an attempt is shown: M long attempts must fit into one prompt."""


class MultiChainComparison(Strategy[S]):
    """Compare `M` attempts at a task and answer it, with a `rationale` before the outputs.

    Args:
        signature: As for `Predict`; what the attempts answered.
        M: How many attempts each call is given, 1 or more.
        temperature: Of the one LM call.
        callbacks: Told of this module's calls.
        config: Further generation options, as for `Predict`.

    Calling it takes `completions` (a list of `M` predictions or dicts; or `Completions`, or a prediction with them) and
    the inputs of the signature by name. Outputs may be of any type. Of an attempt its reasoning (`rationale` or
    `reasoning`), where it has any, and the output fields are shown.

    Raises:
        ConfigurationError: `M` is too small, or a field of the signature has a name that is needed.
        InputError: There are not `M` attempts, or one has none of the outputs; nothing was sent.

    Cost: one LM call; the attempts are the caller's.
    Source: Yoran et al. 2023 (arXiv 2304.13007), meta-reasoning over multiple chains of thought. Deviations: the
    attempts are given, for any signature; they are not decomposed into sub-questions.

    Example:
        >>> from telic.testing import ScriptedLM
        >>> compare = MultiChainComparison("question -> answer: int", M=2)
        >>> attempts = [{"reasoning": "2 + 2 = 4", "answer": 4}, {"reasoning": "A guess.", "answer": 5}]
        >>> lm = ScriptedLM([{"rationale": "The first one adds.", "answer": 4}])
        >>> compare(completions=attempts, question="2 + 2?", lm=lm).answer
        4
    """

    predict: Predict[Any]

    def __init__(
        self,
        signature: str | type[S],
        M: int = 3,  # noqa: N803  DSPy's name
        temperature: float | None = 0.7,
        *,
        callbacks: Sequence[Any] | None = None,
        **config: Any,
    ) -> None:
        self.M = checked_count(M, "MultiChainComparison: M")
        self.signature = ensure_signature(signature)
        if "completions" in self.signature.input_fields:
            raise ConfigurationError(
                "MultiChainComparison is called with the attempts as 'completions'; rename that field of the signature"
            )
        asked = self.signature
        for name in self._names():
            field = InputField(desc="an attempt at this task; it may be wrong")
            asked = asked.append(name, field, str)
        if "rationale" not in asked.output_fields:
            field = OutputField(desc="which attempts are right in what, and what follows")
            asked = asked.prepend("rationale", field, str)
        if temperature is not None:
            config = {"temperature": temperature, **config}
        self.predict = Predict(asked, **config)
        if callbacks:
            self.callbacks = list(callbacks)

    if TYPE_CHECKING:

        def __call__(self, completions: Any, *args: Any, **inputs: Any) -> S: ...
        async def acall(self, completions: Any, *args: Any, **inputs: Any) -> S: ...

    def flow(self, completions: Any = None, *args: Any, **inputs: Any) -> Flow[Any]:
        """Show the attempts and ask once."""
        if args:
            raise positional_error(self.signature, len(args))
        attempts = _rows(completions)
        if len(attempts) != self.M:
            raise InputError(
                f"this MultiChainComparison compares {plural(self.M, 'attempt')}, and completions has "
                f"{len(attempts)}; pass as many, or make it with M={len(attempts) or '…'}"
            )
        shown = {
            name: self._shown(row, number)
            for number, (name, row) in enumerate(zip(self._names(), attempts, strict=True))
        }
        return (yield Call(self.predict, **inputs, **shown))

    def _names(self) -> list[str]:
        return [f"reasoning_attempt_{number + 1}" for number in range(self.M)]

    def _shown(self, row: Mapping[str, Any], number: int) -> str:
        outputs = [name for name in self.signature.output_fields if name not in _REASONS]
        held = [name for name in outputs if name in row]
        if outputs and not held:
            near = did_you_mean(outputs[-1], row)
            raise InputError(
                f"attempt {number} of completions has none of the outputs {join_names(outputs)}{near}; it has "
                f"{join_names(row)}"
            )
        reasons = [name for name in _REASONS if row.get(name)][:1]
        return "\n".join(labelled(name, value_text(row[name], _MAX_CHARS)) for name in (*reasons, *held))


def _rows(completions: Any) -> list[Mapping[str, Any]]:
    """Return the attempts as dicts.

    Raises:
        InputError: They are none.
    """
    if isinstance(completions, Prediction):
        completions = completions.completions
    if isinstance(completions, Completions):
        return list(completions.rows())
    if not isinstance(completions, (list, tuple)):
        raise InputError(
            f"completions is a list of attempts (predictions or dicts with the outputs), got {completions!r}"
        )
    rows: list[Mapping[str, Any]] = []
    for number, attempt in enumerate(cast("Sequence[Any]", completions)):
        if not hasattr(attempt, "items"):
            raise InputError(
                f"attempt {number} of completions is {attempt!r}, and must be a prediction or a dict"
            )
        rows.append(dict(attempt.items()))
    return rows

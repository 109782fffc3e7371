"""`ReActV2`, by DSPy's name: an agent whose conversations go on.

`ReAct` calls tools natively by itself, and takes a history like any other input; what is left is what DSPy adds to the
outputs. Deviations: the run ends with the tool `finish` and an answer by a second predictor, not with `submit`; the
history has one turn for each question (inputs and outputs) instead of one for each step; a run that does not
finish gives the best answer that there is, and says why it ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

from telic.data import Prediction
from telic.errors import ConfigurationError
from telic.modules import ReAct
from telic.modules._flow import Flow
from telic.signatures import InputField, ensure_signature
from telic.types import History

_REASONS = {"finish": "submit"}


@final
class ReActV2(ReAct[Any]):
    """Answer with the help of tools, step by step, and go on from earlier answers.

    Args:
        signature: As for `ReAct`; no output may be called `history` or `termination_reason`.
        tools: As for `ReAct`.
        max_iters: How many steps at most.
        options: The other arguments of `ReAct`.

    Returns:
        What `ReAct` returns, and `history`, to be given to the next call, and `termination_reason`: "submit",
        "max_iters" or "parse_error".

    Cost: as `ReAct`.
    """

    def __init__(
        self, signature: Any, tools: Sequence[Callable[..., Any]], max_iters: int = 20, **options: Any
    ) -> None:
        given = ensure_signature(signature)
        for name in ("history", "termination_reason"):
            if name in given.output_fields:
                raise ConfigurationError(
                    f"ReActV2 returns a field called {name!r} itself; rename that field of the signature"
                )
        if "history" not in given.input_fields:
            given = given.append("history", InputField(default=None), History | None)
        super().__init__(given, tools, max_iters, **options)

    def flow(self, *args: Any, **inputs: Any) -> Flow[Any]:
        """Take steps, write the outputs, and note the turn."""
        past = inputs.get("history")
        asked = {name: value for name, value in inputs.items() if name in self.signature.input_fields}
        asked.pop("history", None)
        ended = yield from self._run(args, inputs)
        found = dict(ended.prediction.items())
        answers = {name: found[name] for name in self.signature.output_fields}
        history = (History() if past is None else past).with_turn(answers, **asked)
        return Prediction.of(
            {**found, "history": history, "termination_reason": _REASONS.get(ended.reason, ended.reason)}
        )

"""The steps of an agent as text in a prompt: all of them, or without the oldest where they do not fit."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Final, final

from telic.errors import ContextWindowExceededError
from telic.modules._flow import Call, Effect
from telic.modules._value_text import labelled, value_text

_MAX_DROPS: Final = 3


@final
class Log:
    """The steps of one call.

    Args:
        field: The input field that shows them.
        owner: The module, for messages.
        limit: How many characters of one text are shown, and the option that sets it, for messages.
    """

    __slots__ = ("_field", "_first", "_limit", "_option", "_owner", "_steps")

    def __init__(self, field: str, owner: str, limit: int, option: str) -> None:
        self._field = field
        self._owner = owner
        self._limit = limit
        self._option = option
        self._steps: list[str] = []
        self._first = 0

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, texts: Mapping[str, Any]) -> None:
        """Note a step: texts by label; the number of the step is put behind each label."""
        number = len(self._steps)
        lines = [
            labelled(f"{label}_{number}", value_text(text, self._limit)) for label, text in texts.items()
        ]
        self._steps.append("\n".join(lines))

    def text(self) -> str:
        """Return the steps that are shown."""
        return "\n".join(self._steps[self._first :])

    def ask(self, predictor: Any, inputs: Mapping[str, Any]) -> Generator[Effect, Any, Any]:
        """Call a predictor with the steps; leave out the oldest where the prompt is too long, at most 3 a call.

        Raises:
            ContextWindowExceededError: It does not fit without them either.
        """
        dropped = 0
        while True:
            try:
                return (yield Call(predictor, **inputs, **{self._field: self.text()}))
            except ContextWindowExceededError as error:
                left = len(self._steps) - self._first
                if left and dropped < _MAX_DROPS:
                    self._first += 1
                    dropped += 1
                    continue
                raise ContextWindowExceededError(
                    f"the prompt of {self._owner} does not fit into the context of {error.model or 'the LM'}, with "
                    f"the {self._first} oldest of its steps left out and {left} kept; set a lower {self._option} "
                    f"(now {self._limit})",
                    model=error.model,
                    provider=error.provider,
                    status=error.status,
                    code=error.code,
                    request_id=error.request_id,
                ) from error

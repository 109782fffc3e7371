"""The turns of a `History` input as messages.

Each turn is a dict of field values: its inputs become a user message, its outputs an assistant message. A dict in the
shape of a message (`{"role": …, "content": …}`, where no field has those names) is passed on, its text guarded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from telic.errors import InputError

if TYPE_CHECKING:
    from telic.adapters._guard import Guard
    from telic.adapters._turns import UserTurn
    from telic.data import Message


def history_turns(
    value: Any,
    turn: UserTurn,
    assistant: Callable[[Mapping[str, Any]], str],
    fields: tuple[frozenset[str], frozenset[str]],
    guard: Guard,
) -> list[Message]:
    """Return the messages of a history, oldest first.

    Args:
        value: A `History`, anything with `.messages`, a list of turns, or None for no history.
        turn: Renders the inputs.
        assistant: Renders the outputs of a turn that has some.
        fields: Names of the inputs and of the outputs.
        guard: Hides markers in passed-on messages.

    Raises:
        InputError: `value`, or a turn in it, is of another shape.
    """
    inputs, outputs = fields
    messages: list[Message] = []
    for past in _turns(value):
        names = past.keys()
        if "role" in names and "content" in names and "role" not in inputs | outputs:
            content = past["content"]
            text = guard.hide(content) if isinstance(content, str) else content
            messages.append(cast("Message", {**past, "content": text}))
            continue
        if not inputs.isdisjoint(names):
            messages.append({"role": "user", "content": turn.partial(past, absent="")})
        if not outputs.isdisjoint(names):
            messages.append({"role": "assistant", "content": assistant(past)})
    return messages


def _turns(value: Any) -> Iterable[Mapping[str, Any]]:
    if value is None:
        return ()
    turns: Any = getattr(value, "messages", value)
    if isinstance(turns, Mapping) and set(cast("Mapping[str, Any]", turns)) == {"messages"}:
        turns = cast("Mapping[str, Any]", turns)["messages"]
    if not isinstance(turns, (list, tuple)) or not all(
        isinstance(t, Mapping) for t in cast("list[Any]", turns)
    ):
        raise InputError(
            f"a history must be a `History(messages=[…])` of dicts with field values, not {value!r}"
        )
    return cast("list[Mapping[str, Any]]", turns)

"""`History`: the earlier turns of a conversation, as a value that a program is called with.

Each turn is a dict with the signature's fields, inputs and outputs alike; an adapter renders it as a user and an
assistant message before the present inputs. A history never changes: `with_turn` returns a longer one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, final

from telic._optional import load


@final
class History:
    """Turns of a conversation, oldest first.

    Args:
        messages: One mapping of field values for each turn.

    Example:
        >>> past = History(messages=[{"question": "Who are you?", "answer": "An LM."}])
        >>> answered = {"answer": "Today."}  # what a program returned
        >>> past.with_turn(answered, question="Since when?").messages[1]
        {'question': 'Since when?', 'answer': 'Today.'}
    """

    __slots__ = ("messages",)

    def __init__(self, messages: Iterable[Mapping[str, Any]] = ()) -> None:
        turns: list[dict[str, Any]] = []
        for number, turn in enumerate(messages):
            if not isinstance(turn, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"turn {number} of a History is {turn!r}; it must be a dict of field values")
            turns.append(dict(turn))
        self.messages: Final = turns

    def with_turn(self, *answers: Any, **fields: Any) -> History:
        """Return a history with one more turn at its end.

        Args:
            *answers: What answered: predictions, examples or dicts, whose fields come last.
            **fields: What was asked.

        Raises:
            TypeError: An answer has no fields.
        """
        turn = dict(fields)
        for answer in answers:
            items = getattr(answer, "items", None)
            if items is None:
                raise TypeError(f"an answer of a turn is a prediction or a dict of fields, not {answer!r}")
            turn.update(dict(items()))
        return History([*self.messages, turn])

    def to_dict(self) -> dict[str, Any]:
        """Return the turns as plain data."""
        return {"messages": [dict(turn) for turn in self.messages]}

    def __len__(self) -> int:
        return len(self.messages)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.messages)

    def __eq__(self, other: object) -> bool:
        return self.messages == other.messages if isinstance(other, History) else NotImplemented

    def __hash__(self) -> int:
        return hash(len(self.messages))

    def __repr__(self) -> str:
        return f"History(messages={self.messages!r})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Let pydantic take a History, or a dict or list that makes one."""
        core = load("pydantic_core.core_schema")

        def read(value: Any) -> Any:
            plain: Any = value
            if isinstance(value, dict) and list(plain) == ["messages"]:
                plain = plain["messages"]
            return cls(plain) if isinstance(plain, list) else plain  # pyright: ignore[reportUnknownArgumentType]

        return core.no_info_before_validator_function(read, core.is_instance_schema(cls))

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
        turn = {"type": "object", "additionalProperties": True}
        return {"type": "object", "properties": {"messages": {"type": "array", "items": turn}}}

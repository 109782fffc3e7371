"""User turns: the blocks of the input fields, with everything but the values rendered beforehand; and past turns.

For text inputs a turn is one join of constant strings and values. Values with `to_parts` become parts of the message's
content, in place, between parts of text; they never travel as marks inside a string. What stands for a field type's
value (an address for an `Image`, a dict in a loaded demo) is made one first.

Each turn of a `History` is a dict of field values: its inputs become a user message, its outputs an assistant message.
A dict in the shape of a message (`{"role": …, "content": …}`, where no field has those names) is passed on, its text
guarded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast, final, get_args

from telic._text import did_you_mean, join_names
from telic.adapters._annotations import bare_annotation
from telic.adapters._parts import (
    Content,
    Piece,
    as_text,
    guarded_content,
    join_pieces,
    parts_piece,
    plain_output,
)
from telic.adapters._values import value_text
from telic.data import Role
from telic.errors import InputError
from telic.signatures import type_adapter
from telic.types import FieldType, mentions

if TYPE_CHECKING:
    from telic.adapters._guard import Guard
    from telic.data import Message

_ROLES = get_args(Role)


class Block(NamedTuple):
    """How one field stands in a turn: what comes before its value, and what after."""

    field: Any
    opening: str
    closing: str

    def around(self, text: str) -> str:
        """Return the block with a value's text."""
        return f"{self.opening}{text}{self.closing}"


@final
class UserTurn:
    """Renders input values for one signature and one layout. Immutable; shared by threads."""

    __slots__ = ("_blocks", "_constants", "_documents", "_guard", "_last", "_typed")

    def __init__(self, blocks: Sequence[Block], guard: Guard, *, documents: bool = False) -> None:
        """Join what is constant.

        Args:
            blocks: Of the fields, in order.
            guard: Hides markers.
            documents: The LM takes documents as they are; else they are shown as text.
        """
        self._blocks = tuple(blocks)
        self._guard = guard
        self._documents = documents
        self._typed = frozenset(b.field.name for b in blocks if mentions(b.field.annotation, FieldType))
        constants: list[tuple[str, str]] = []
        before = ""
        for block in blocks:
            constants.append((block.field.name, before + block.opening))
            before = block.closing + "\n\n"
        self._constants = tuple(constants)
        self._last = blocks[-1].closing if blocks else ""

    def with_documents(self) -> UserTurn:
        """Return the turn for an LM that takes documents as they are."""
        return UserTurn(self._blocks, self._guard, documents=True)

    def content(self, inputs: Mapping[str, Any], ending: str = "") -> Content:
        """Return the content of a turn that has all inputs.

        Args:
            inputs: Values by field name; what is no field is not looked at.
            ending: What follows the last block, with the blank line before it.

        Raises:
            InputError: A field without a default has no value.
        """
        if self._typed:
            return self.partial(inputs, ending=ending)
        trigger = self._guard.trigger
        pieces: list[str] = []
        for name, opening in self._constants:
            try:
                value = inputs[name]
            except KeyError:
                return self.partial(inputs, ending=ending)
            if type(value) is not str:
                return self.partial(inputs, ending=ending)
            pieces.append(opening)
            pieces.append(self._guard.hide(value) if trigger in value else value)
        pieces.append(self._last)
        pieces.append(ending)
        return "".join(pieces) if self._constants else ending.lstrip("\n")

    def partial(
        self, inputs: Mapping[str, Any], *, before: str = "", ending: str = "", absent: str | None = None
    ) -> Content:
        """Return the content of any turn.

        Args:
            inputs: Values by field name; None stands for "not given" in a field that does not allow it.
            before: What comes before the first block.
            ending: What follows the last block.
            absent: What stands for a missing value; "" leaves its block out; None takes the default or refuses.
        """
        pieces: list[Piece] = [before] if before else []
        separator = ""
        for block in self._blocks:
            name = block.field.name
            if name in inputs:
                piece = self._piece(inputs[name], block.field)
            elif absent is None:
                piece = self._piece(default_value(block.field), block.field)
            elif absent:
                piece = absent
            else:
                continue
            pieces += [separator + block.opening, piece, block.closing]
            separator = "\n\n"
        pieces.append(ending if separator or before else ending.lstrip("\n"))
        return join_pieces(pieces if self._documents else as_text(pieces, self._guard))

    def _piece(self, value: Any, field: Any) -> Piece:
        if field.name in self._typed:
            value = typed(value, field.annotation)
        return value_piece(value, field, self._guard)


def typed(value: Any, annotation: Any) -> Any:
    """Return what a plain value stands for in a field that names field types, or the value where it stands for none."""
    if isinstance(annotation, type) and isinstance(value, annotation):
        return value
    try:
        return type_adapter(annotation).validate_python(value)
    except ValueError:
        return value


def default_value(field: Any) -> Any:
    """Return the value of an input that was not given.

    Raises:
        InputError: It must be given.
    """
    if field.required:
        raise InputError(
            f"the prompt needs a value for the input {field.name!r}; give it, or declare a default"
        )
    return field.get_default() if field.has_default else None


def value_piece(value: Any, field: Any, guard: Guard) -> Piece:
    """Return a value as text in which nothing passes for a marker, or as parts of a message."""
    if type(value) is str:
        return guard.hide(value)
    piece = parts_piece(value, guard)
    if piece is not None:
        return piece
    text, is_json = value_text(value, as_str=bare_annotation(field.annotation) is str)
    return guard.hide_json(text) if is_json else guard.hide(text)


def output_text(value: Any, field: Any, guard: Guard) -> str:
    """Return an output's value as an LM is to write it, with no marker in it."""
    if type(value) is str:
        return guard.hide(value)
    as_json = getattr(value, "shown_as_json", False)
    text, is_json = value_text(plain_output(value), as_str=bare_annotation(field.annotation) is str)
    return guard.hide_json(text) if is_json or as_json else guard.hide(text)


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
    for past in past_turns(value):
        names = past.keys()
        if "role" in names and "content" in names and "role" not in inputs | outputs:
            if past["role"] not in _ROLES:
                near = did_you_mean(str(past["role"]), _ROLES)
                raise InputError(
                    f"a message of a history has the role {past['role']!r}{near}; the roles are {join_names(_ROLES)}"
                )
            messages.append(cast("Message", {**past, "content": guarded_content(past["content"], guard)}))
            continue
        if not inputs.isdisjoint(names):
            messages.append({"role": "user", "content": turn.partial(past, absent="")})
        if not outputs.isdisjoint(names):
            messages.append({"role": "assistant", "content": assistant(past)})
    return messages


def past_turns(value: Any) -> Iterable[Mapping[str, Any]]:
    """Return the turns of a `History`, of anything with `.messages`, of a list of turns, or of None.

    Raises:
        InputError: It is none of these.
    """
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

"""What a streamed program tells, one class for each kind of event.

All are named tuples, so that `match` takes them apart. `path` says where in the program: the path of a module or
predictor as `named_predictors()` gives it ("self" is the program), or the class or signature's name of one that the
program does not hold. `call_id` tells the calls of one module apart; `parent_id` is the call that it was made in.

What deltas say holds until a `Retracted` of the same `call_id` and field takes it back. The joined texts of a field,
without what was taken back, and its last `FieldDone` agree with the prediction.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, final

from telic._optional import load
from telic.adapters._tags import read_elements
from telic.data import Usage

_BEGUN_TAG = re.compile(r"<[^<>]{0,200}\Z")
_OPEN_ELEMENT = re.compile(r"<([A-Za-z_][\w.-]{0,80})(?:\s[^<>]{0,200})?>[^<]*\Z")


class ModuleStart(NamedTuple):
    """A module's call begins."""

    path: str
    module: Any
    inputs: Mapping[str, Any]
    """By name; those given by position under "args"."""
    call_id: str
    parent_id: str | None


class ModuleEnd(NamedTuple):
    """A module's call has ended."""

    path: str
    module: Any
    outputs: Any
    """What it returned; None after an error."""
    error: BaseException | None
    call_id: str


@final
class FieldText:
    """All text of one field so far, as several deltas share it. Grows; each delta sees its own part of it."""

    __slots__ = ("parts", "plain")

    def __init__(self, *, plain: bool) -> None:
        self.parts: list[str] = []
        self.plain = plain

    def upto(self, count: int | None = None) -> str:
        """Return the first `count` parts joined; None: all."""
        return "".join(self.parts if count is None else self.parts[:count])


class FieldDelta(NamedTuple):
    """An output field has got more text.

    For fields of plain text, `text` is the next part of the value. For others it is the next part of what the LM wrote
    for it (JSON, a number in words), and `value` has what can be read of it so far.
    """

    path: str
    predictor: str
    """The name of the predictor's signature."""
    field: str
    text: str
    call_id: str
    so_far: FieldText
    parts: int
    """How many parts of `so_far` there were with this one."""

    @property
    def value(self) -> Any:
        """The field's value so far: the text; or, of JSON, the lists, dicts and texts as far as they have come.

        None where nothing can be read yet, as of a number that may get more digits. Read when it is asked for, in the
        time that the text so far takes.
        """
        text = self.so_far.upto(self.parts)
        return text if self.so_far.plain else partial_value(text)


class FieldDone(NamedTuple):
    """An output field is complete."""

    path: str
    predictor: str
    field: str
    value: Any
    """Of the field's type. Where the prediction has another one after all (a validator changed it), that follows in
    a second event."""
    call_id: str


class Retracted(NamedTuple):
    """What came of these fields of this call does not hold.

    Anything that comes of them later begins anew.
    """

    path: str
    predictor: str
    fields: tuple[str, ...]
    reason: str
    """ "reask": the reply could not be used, and is asked for again. "backtrack": an assertion did not hold.
    "connection": the reply broke off, and is asked for again. "repair": the parser reads the whole reply otherwise."""
    message: str
    """What was wrong, in words."""
    call_id: str


class ReasoningDelta(NamedTuple):
    """The LM has thought on, in the channel of its own that some have for it."""

    path: str
    predictor: str
    text: str
    call_id: str


class LMDelta(NamedTuple):
    """A piece of an LM's reply as it came; only in streams that are asked for them."""

    path: str
    text: str
    reasoning: str
    call_id: str


class ToolStart(NamedTuple):
    """A tool's call begins."""

    tool: Any
    arguments: Mapping[str, Any]
    call_id: str
    parent_id: str | None


class ToolEnd(NamedTuple):
    """A tool's call has ended."""

    tool: Any
    output: Any
    error: BaseException | None
    call_id: str


class AssertionChecked(NamedTuple):
    """An assertion was decided."""

    passed: bool
    name: str
    message: str
    outcome: Any
    """The `AssertionOutcome`."""
    call_id: str | None
    """The module call that asserts."""


class Spent(NamedTuple):
    """A call of an LM was answered."""

    lm: str
    usage: Usage
    cached: bool
    """True: the answer came from the cache, and nothing was paid."""
    path: str
    """Of the module that asked; "" where it was none."""


class Custom(NamedTuple):
    """What the program itself put into the stream, with `telic.streaming.emit`."""

    value: Any


class Finished(NamedTuple):
    """The program has returned. The last event."""

    prediction: Any
    usage: Usage
    """Of all its LM calls; what the cache answered is not in it."""


class Failed(NamedTuple):
    """The program has raised. The last event; the error is raised where the next one is asked for."""

    error: BaseException
    usage: Usage


Event = (
    ModuleStart
    | ModuleEnd
    | FieldDelta
    | FieldDone
    | Retracted
    | ReasoningDelta
    | LMDelta
    | ToolStart
    | ToolEnd
    | AssertionChecked
    | Spent
    | Custom
    | Finished
    | Failed
)


def partial_value(text: str) -> Any:
    """Return what can be read of the beginning of JSON, or of nested elements, as plain data; or None.

    Example:
        >>> partial_value('{"title": "Rain", "tags": ["a", "b')
        {'title': 'Rain', 'tags': ['a', 'b']}
        >>> partial_value("<item>a</item><item>b</it")
        ['a', 'b']
    """
    text = text.lstrip()
    if text.startswith("```"):
        text = text.partition("\n")[2].lstrip()
    if text[:1] not in ("{", "[", "<"):
        return _whole_scalar(text)
    try:
        if text[0] == "<":
            text = _BEGUN_TAG.sub("", text)
            opened = _OPEN_ELEMENT.search(text)  # what it holds so far counts
            return read_elements(text if opened is None else f"{text}</{opened.group(1)}>")
        return load("pydantic_core").from_json(text, allow_partial="trailing-strings")
    except ValueError:
        return None


def _whole_scalar(text: str) -> Any:
    """Return a quoted string; of anything else no one knows where it ends."""
    if text[:1] == text[-1:] == '"' and len(text) > 1:
        try:
            return json.loads(text)
        except ValueError:
            return None
    return None

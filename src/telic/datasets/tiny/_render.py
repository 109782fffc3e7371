"""The prompt text of the micro-world: the Chat adapter's layout, written down a second time on purpose.

The embedded LM learns this text byte for byte, and datasets may not import adapters (they are neighbours on one
floor), so `tests/datasets/test_tiny.py` compares the two: an adapter whose text changes fails that test, and tells that
the LM must be trained again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


INCOMPLETE: Final = "This is an example of the task, though some input or output fields are not supplied.\n\n"
MISSING: Final = "Not supplied for this particular example."


class Field(NamedTuple):
    """One field of a task.

    Attributes:
        name: Its name.
        desc: Its description; "" for none.
        type: "str", "int", or "Literal" with `choices`.
        choices: What a Literal may be.
    """

    name: str
    desc: str = ""
    type: str = "str"
    choices: tuple[str, ...] = ()

    @property
    def shown_type(self) -> str:
        """The type as prompts show it."""
        return f"Literal[{', '.join(map(repr, self.choices))}]" if self.choices else self.type

    @property
    def note(self) -> str:
        """What the form says about the value of an output."""
        if self.choices:
            return f"        # must exactly match one of: {'; '.join(self.choices)}"
        return "" if self.type == "str" else f"        # must be a single {self.type} value"


def system_text(inputs: Sequence[Field], outputs: Sequence[Field], instructions: str) -> str:
    """Return the system message."""
    form = "".join(f"[[ ## {f.name} ## ]]\n{{{f.name}}}{f.note}\n\n" for f in (*inputs, *outputs))
    objective = "\n".join("        " + line for line in instructions.split("\n"))
    return (
        f"Input fields:\n{_listing(inputs)}\n\nOutput fields:\n{_listing(outputs)}\n\n"
        f"Every message follows this form:\n\n{form}[[ ## completed ## ]]\n\nYour objective:\n{objective}"
    )


def _listing(fields: Sequence[Field]) -> str:
    return "\n".join(
        f"{i}. `{f.name}` ({f.shown_type})" + (f": {f.desc}" if f.desc else "")
        for i, f in enumerate(fields, 1)
    )


def user_text(inputs: Sequence[Field], values: Mapping[str, str]) -> str:
    """Return a user turn as complete demos have it; the last turn of a prompt also has `request_text`."""
    return "\n\n".join(f"[[ ## {f.name} ## ]]\n{values[f.name]}" for f in inputs)


def request_text(outputs: Sequence[Field]) -> str:
    """Return the paragraph that ends the last user turn, with the blank line before it."""
    names = ", then ".join(
        f"`[[ ## {f.name} ## ]]`"
        + ("" if f.type == "str" else f" (must be formatted as a valid Python {f.shown_type})")
        for f in outputs
    )
    return (
        f"\n\nRespond with the output fields, starting with the field {names}, "
        "and then ending with the marker for `[[ ## completed ## ]]`."
    )


def assistant_text(outputs: Sequence[Field], values: Mapping[str, str]) -> str:
    """Return a whole assistant turn; a value that is not there reads `MISSING`."""
    blocks = "".join(f"[[ ## {f.name} ## ]]\n{values.get(f.name, MISSING)}\n\n" for f in outputs)
    return blocks + "[[ ## completed ## ]]"


def default_instructions(inputs: Sequence[Field], outputs: Sequence[Field]) -> str:
    """Return what a signature without instructions says; `reasoning` is put before its outputs later."""
    given = "`, `".join(f.name for f in inputs)
    wanted = "`, `".join(f.name for f in outputs if f.name != "reasoning")
    return f"Given the fields `{given}`, produce the fields `{wanted}`."

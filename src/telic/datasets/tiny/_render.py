"""The prompt text of the micro-world: the Chat adapter's layout, written down a second time on purpose.

The embedded LM learns this text byte for byte, and datasets may not import adapters (they are neighbours on one
floor), so `tests/datasets/test_tiny.py` compares the two: an adapter whose text changes fails that test, and tells that
the LM must be trained again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Field(NamedTuple):
    """One field of a task: all are `str`."""

    name: str
    desc: str = ""


def system_text(inputs: Sequence[Field], outputs: Sequence[Field], instructions: str) -> str:
    """Return the system message."""
    form = "".join(f"[[ ## {f.name} ## ]]\n{{{f.name}}}\n\n" for f in (*inputs, *outputs))
    objective = "\n".join("        " + line for line in instructions.split("\n"))
    return (
        f"Input fields:\n{_listing(inputs)}\n\nOutput fields:\n{_listing(outputs)}\n\n"
        f"Every message follows this form:\n\n{form}[[ ## completed ## ]]\n\nYour objective:\n{objective}"
    )


def _listing(fields: Sequence[Field]) -> str:
    return "\n".join(
        f"{i}. `{f.name}` (str)" + (f": {f.desc}" if f.desc else "") for i, f in enumerate(fields, 1)
    )


def user_text(inputs: Sequence[Field], values: Mapping[str, str]) -> str:
    """Return a user turn as demos have it; the last turn of a prompt also has `request_text`."""
    return "\n\n".join(f"[[ ## {f.name} ## ]]\n{values[f.name]}" for f in inputs)


def request_text(outputs: Sequence[Field]) -> str:
    """Return the paragraph that ends the last user turn, with the blank line before it."""
    names = ", then ".join(f"`[[ ## {f.name} ## ]]`" for f in outputs)
    return (
        f"\n\nRespond with the output fields, starting with the field {names}, "
        "and then ending with the marker for `[[ ## completed ## ]]`."
    )


def assistant_text(outputs: Sequence[Field], values: Mapping[str, str]) -> str:
    """Return a whole assistant turn."""
    blocks = "".join(f"[[ ## {f.name} ## ]]\n{values[f.name]}\n\n" for f in outputs)
    return blocks + "[[ ## completed ## ]]"


def default_instructions(inputs: Sequence[Field], outputs: Sequence[Field]) -> str:
    """Return what a signature without instructions says."""
    given = ", ".join(f"`{f.name}`" for f in inputs)
    wanted = ", ".join(f"`{f.name}`" for f in outputs)
    return f"Given the fields `{given[1:-1]}`, produce the fields `{wanted[1:-1]}`."

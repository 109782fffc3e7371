"""What a task of the micro-world is: fields, instructions, and rows without end."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from telic.datasets.tiny._render import Field

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random


class Row(NamedTuple):
    """One example.

    Attributes:
        inputs: Values of the input fields, by name.
        outputs: Values of the output fields, by name.
        hidden: Where only demos tell the last output: the class it stands for. Training has no loss on it until the
            context has shown an example of the class.
    """

    inputs: dict[str, str]
    outputs: dict[str, str]
    hidden: str | None = None


class Task(NamedTuple):
    """A task, drawn at random from a family: everything about it is fixed but the rows."""

    family: str
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    instructions: str
    draw: Callable[[Random], Row]


def fields(rng: Random, names: Sequence[str], descs: Sequence[Sequence[str]]) -> tuple[Field, ...]:
    """Return fields of these names; each gets one of its descriptions in one task of five."""
    return tuple(
        Field(name, rng.choice(desc) if desc and rng.random() < 0.2 else "")
        for name, desc in zip(names, descs, strict=True)
    )


def distinct(rng: Random, pool: Sequence[str], taken: Sequence[str] = ()) -> str:
    """Return a word of `pool` that is not among `taken`."""
    while True:
        word = rng.choice(pool)
        if word not in taken:
            return word

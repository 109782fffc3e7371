"""What a task of the micro-world is: a signature, and rows without end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from telic.signatures import InputField, OutputField, make_signature

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from telic.signatures import Signature


class Field(NamedTuple):
    """One field of a task.

    Attributes:
        name: Its name.
        desc: Its description; "" for none.
        annotation: Its type.
    """

    name: str
    desc: str = ""
    annotation: Any = str


class Row(NamedTuple):
    """One example.

    Attributes:
        inputs: Values of the input fields, by name.
        outputs: Values of the output fields, by name.
        hidden: Where only demos tell the last output: the class it stands for. Training has no loss on it until the
            context has shown an example of the class.
        history: Earlier turns of the same conversation, oldest first.
        gold: The passages that the answer rests on, where they have to be found.
    """

    inputs: dict[str, Any]
    outputs: dict[str, Any]
    hidden: str | None = None
    history: tuple[Row, ...] = ()
    gold: tuple[str, ...] = ()


class Task(NamedTuple):
    """A task, drawn at random from a family: everything about it is fixed but the rows."""

    family: str
    signature: type[Signature]
    draw: Callable[[Random], Row]


def task_of(
    family: str,
    inputs: Sequence[Field],
    outputs: Sequence[Field],
    instructions: str | None,
    draw: Callable[[Random], Row],
) -> Task:
    """Return a task whose signature has these fields; None: the instructions of a signature without any."""
    made: dict[str, Any] = {f.name: (f.annotation, InputField(desc=f.desc)) for f in inputs}
    made |= {f.name: (f.annotation, OutputField(desc=f.desc)) for f in outputs}
    if instructions is None and outputs[0].name == "reasoning" and len(outputs) > 1:
        # ChainOfThought puts its reasoning before the outputs of a signature that was written without it.
        plain = {name: field for name, field in made.items() if name != "reasoning"}
        instructions = make_signature(plain).instructions
    return Task(family, make_signature(made, instructions), draw)


def fields(
    rng: Random, names: Sequence[str], descs: Sequence[Sequence[str]], annotation: Any = str
) -> tuple[Field, ...]:
    """Return fields of these names; each gets one of its descriptions in one task of five."""
    return tuple(
        Field(name, rng.choice(desc) if desc and rng.random() < 0.2 else "", annotation)
        for name, desc in zip(names, descs, strict=True)
    )


def distinct(rng: Random, pool: Sequence[str], taken: Sequence[str] = ()) -> str:
    """Return a word of `pool` that is not among `taken`."""
    while True:
        word = rng.choice(pool)
        if word not in taken:
            return word

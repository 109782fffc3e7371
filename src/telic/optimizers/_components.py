"""Components: the texts of a program that reflection may rewrite, each by a name.

`path` is the instructions of the predictor at that path, `path:field` the description of one of its fields. The fields
of an agent's steps are how its module works, and are no components; neither is what is frozen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from telic.optimizers._frozen import learners
from telic.optimizers._propose import instructions_of, with_instructions, wordings_of

KINDS: Final = ("instructions", "fields")
"""The parts of a predictor that are components, as `freeze` names them."""


def split_name(component: str) -> tuple[str, str]:
    """Return the path of a component's predictor, and the field that it describes; "": it is the instructions.

    Example:
        >>> split_name("steps[0]:answer"), split_name("agents['a:b']")
        (('steps[0]', 'answer'), ("agents['a:b']", ''))
    """
    path, _, field = component.rpartition(":")
    return (path, field) if path and field.isidentifier() else (component, "")


def free_components(program: Any, learn: Sequence[str]) -> list[str]:
    """Return the names of what may be rewritten: all instructions first, then fields in their order.

    Args:
        program: The program.
        learn: Any of `KINDS`.

    Example:
        >>> from telic.modules import Predict
        >>> free_components(Predict("question -> answer").freeze("instructions"), KINDS)
        ['self:question', 'self:answer']
    """
    found = list(learners(program, "instructions")) if "instructions" in learn else []
    if "fields" in learn:
        wordings = wordings_of(program)
        own = {path: one for path, one in learners(program, "fields").items() if not wordings[path].protocol}
        found += [f"{path}:{name}" for path, one in own.items() for name in one.signature.fields]
    return found


def texts_of(program: Any, learn: Sequence[str]) -> dict[str, str]:
    """Return the instructions of all predictors, and the descriptions that may be rewritten, by component."""
    texts = instructions_of(program)
    predictors = dict(program.named_predictors())
    for component in free_components(program, learn):
        path, field = split_name(component)
        if field:
            texts[component] = str(predictors[path].signature.fields[field].desc)
    return texts


def with_texts(program: Any, texts: Mapping[str, str]) -> Any:
    """Return a copy of `program` with these texts; frozen ones stay."""
    made = with_instructions(program, texts)
    free = learners(made, "fields")
    for component, text in texts.items():
        path, field = split_name(component)
        if field and path in free and free[path].signature.fields[field].desc != text:
            free[path].signature = free[path].signature.with_updated_fields(field, desc=text)
    return made

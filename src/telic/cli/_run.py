"""`telic run`: call a program once, and show what it answers.

Inputs are `name=value`, or one text for a program with one input; a value that is to be no text is JSON.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from rich.console import Console

from telic._text import did_you_mean, join_names, truncate
from telic.cli import _target
from telic.context import context
from telic.errors import ConfigurationError
from telic.modules import Module
from telic.retrieve import Passage


def run(
    program_name: str, words: Sequence[str], lm_name: str | None, state: Path | None, as_json: bool
) -> None:
    """Call the program and print.

    Raises:
        TelicError: Inputs are missing or unknown, told before the first LM call; or the call failed.
    """
    project = _target.project_of(program_name)
    program = _target.load_program(program_name) if project is None else project.program()
    if state is not None:
        if not isinstance(program, Module):
            raise ConfigurationError(
                f"--load needs a telic.Module; {program_name!r} is a {type(program).__name__}"
            )
        program.load(state)
    inputs = read_inputs(words, program)
    lm = _target.load_lm(lm_name if lm_name is not None or project is None else project.lm)
    with context(**({} if lm is None else {"lm": lm})):
        found = program(**inputs)
    fields = dict(found.items()) if hasattr(found, "items") else {"result": found}
    console = Console()
    if as_json:
        told = json.dumps(fields, ensure_ascii=False, default=_plain, indent=2)
        console.print(told, soft_wrap=True, highlight=False, markup=False)
        return
    for name, value in fields.items():
        console.print(f"{name}: {_shown(value)}", soft_wrap=True, highlight=False, markup=False)


def read_inputs(words: Sequence[str], program: Any) -> dict[str, Any]:
    """Return the inputs that words of the command line say.

    Raises:
        ConfigurationError: One is unknown or missing, or a text stands where several inputs are taken.
    """
    taken = _target.input_names(program)
    types = _types(program)
    inputs: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if equals and name in taken:
            inputs[name] = _read(value, types.get(name, str))
        elif len(taken) == 1 and not inputs and not (equals and name.isidentifier()):
            inputs[next(iter(taken))] = word
        elif len(taken) == 1 and not inputs and len(words) == 1 and " " in word:
            inputs[next(iter(taken))] = word  # a text that happens to have "=" in it
        else:
            raise ConfigurationError(
                f"{truncate(word, 60)!r}: write inputs as name=value{did_you_mean(name, taken)}; the program takes "
                f"{join_names(taken) or 'nothing that can be told'}"
            )
    missing = [name for name, required in taken.items() if required and name not in inputs]
    if missing:
        raise ConfigurationError(
            f"the program takes {join_names(taken)}; {missing[0]!r} is missing: {missing[0]}=…"
        )
    return inputs


def _types(program: Any) -> dict[str, Any]:
    """Return the types of inputs that are fields of a signature."""
    predictors = program.predictors() if isinstance(program, Module) else []
    return {
        name: field.annotation
        for predictor in predictors
        for name, field in predictor.signature.input_fields.items()
    }


def _read(value: str, annotation: Any) -> Any:
    if annotation is str:
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


def _shown(value: Any) -> str:
    if (
        isinstance(value, list)
        and value
        and all(isinstance(one, Passage) for one in cast("list[Any]", value))
    ):
        return "".join(f"\n  {_passage(one)}" for one in cast("list[Passage]", value))
    return str(cast("object", value))


def _passage(passage: Passage) -> str:
    page = f", page {passage.page}" if passage.page is not None else ""
    where = f"{passage.source}{page}: " if passage.source else ""
    return f"{where}{truncate(' '.join(passage.text.split()), 120)}"


def _plain(value: Any) -> Any:
    for name in ("model_dump", "to_dict", "toDict"):
        method = getattr(value, name, None)
        if callable(method):
            return method()
    held: Any = getattr(value, "__dataclass_fields__", None)
    return {name: getattr(value, name) for name in held} if held else str(value)

"""The texts of an exported package."""

from __future__ import annotations

import inspect
import re
import textwrap
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from telic._text import join_names
from telic.modules import ChainOfThought, Module, Predict
from telic.recipes._steps import Steps
from telic.signatures import type_name

_KNOWN: Final = frozenset(
    ["str", "int", "float", "bool", "list", "dict", "tuple", "set", "None", "Literal", "Any"]
)
_ENTRY: Final = '''"""{title}

    import telic
    from {name} import run

    telic.configure(lm=telic.LM("provider/model"))
    run({example})
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import telic

{imports}
__all__ = ["Output", "program", "run"]

HERE = Path(__file__).resolve().parent

if TYPE_CHECKING:

    class Output(telic.Prediction):
        """What a call answers."""
{fields}
else:
    Output = telic.Prediction


@cache
def program() -> Any:
    """Return the compiled program; it is made at the first call, and asks the LM that telic is configured with."""
    made = {make}
    return made.load(HERE / "state.json")


def run({parameters}) -> Output:
    """{task}"""
    return program()({arguments})
'''
_PROJECT: Final = """[build-system]
requires = ["hatchling>=1.27,<2"]
build-backend = "hatchling.build"

[project]
name = "{dashed}"
version = "0.1.0"
description = "A program of language-model calls, compiled with telic {version}"
requires-python = ">=3.11"
dependencies = [
{needs}
]

[tool.hatch.build.targets.wheel]
packages = ["{name}"]
"""
_PAGE: Final = """# {name}

A program of language-model calls, compiled with [telic](https://pypi.org/project/telic/).

```python
import telic
from {name} import run

telic.configure(lm=telic.LM("provider/model"))
print(run({example}))
```

Install it with `pip install .`, or put this folder on the path and `pip install -r requirements.txt` ({needs}).

`{name}/_program.py` is its source, `{name}/state.json` what was learned (instructions and demonstrations, as JSON).
It holds no LM, no key and no address.
{report}"""


class Parameter(NamedTuple):
    """A parameter of `run`."""

    name: str
    type: str
    default: str | None


def entry_text(name: str, program: Module, make: str) -> str:
    """Return `__init__.py`."""
    parameters = parameters_of(program)
    outputs = outputs_of(program)
    written = ", ".join(
        f"{p.name}: {p.type}{'' if p.default is None else f' = {p.default}'}" for p in parameters
    )
    return _ENTRY.format(
        title=_title(program),
        name=name,
        example=_example(parameters),
        imports=f"from {name} import _program\n" if "_program" in make else "",
        fields="".join(f"\n        {field}: {kind}" for field, kind in outputs.items()),
        make=make,
        parameters=f"*, {written}" if written else "**inputs: Any",
        arguments=", ".join(f"{p.name}={p.name}" for p in parameters) if written else "**inputs",
        task=_task(program, outputs),
    )


def project_text(name: str, needs: Sequence[str], version: str) -> str:
    """Return `pyproject.toml`."""
    lines = "\n".join(f'  "{need}",' for need in needs)
    return _PROJECT.format(name=name, dashed=name.replace("_", "-"), version=version, needs=lines)


def page_text(name: str, program: Module, needs: Sequence[str]) -> str:
    """Return `README.md`."""
    report = program.__dict__.get("report")
    told = "" if report is None else f"\n```\n{report}\n```\n"
    return _PAGE.format(
        name=name, example=_example(parameters_of(program)), needs=join_names(needs), report=told
    )


def parameters_of(program: Module) -> list[Parameter]:
    """Return what a program takes, with types that can be written down; those that cannot are `Any`."""
    if isinstance(program, Steps):
        types = {n: f for p in program.predictors() for n, f in p.signature.input_fields.items()}
        return [
            Parameter(n, _type(types[n].annotation) if n in types else "str", None)
            for n in program.input_names
        ]
    function = program.aforward if type(program).forward is Module.forward else program.forward
    try:
        hints: Mapping[str, Any] = typing.get_type_hints(function)
    except (NameError, TypeError):  # names that only a type checker sees
        hints = {}
    named = [
        p
        for p in inspect.signature(function).parameters.values()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    if not named:
        fields: dict[str, Any] = (
            dict(program.predictors()[0].signature.input_fields) if len(program.predictors()) == 1 else {}
        )
        return [Parameter(name, _type(field.annotation), None) for name, field in fields.items()]
    kept = [p for p in named if p.default is p.empty or isinstance(p.default, (str, int, float, type(None)))]
    made = [
        Parameter(p.name, _type(hints.get(p.name, Any)), None if p.default is p.empty else repr(p.default))
        for p in kept
    ]
    return sorted(made, key=lambda p: p.default is not None)


def outputs_of(program: Module) -> dict[str, str]:
    """Return the outputs of a program with their types, where they can be told without running it."""
    if isinstance(program, Steps):
        found = {n: f.annotation for p in program.predictors() for n, f in p.signature.output_fields.items()}
    elif isinstance(program, (Predict, ChainOfThought)):
        found = {n: f.annotation for n, f in program.predictors()[0].signature.output_fields.items()}
    else:
        found = {}
    return {name: _type(annotation) for name, annotation in found.items()}


def _type(annotation: Any) -> str:
    text = type_name(annotation)
    words = re.findall(r"[^\W\d]\w*", re.sub(r"'[^']*'|\"[^\"]*\"", "", text))
    return text if set(words) <= _KNOWN else "Any"


def _example(parameters: Sequence[Parameter]) -> str:
    return ", ".join(
        f'{p.name}="…"' if p.type == "str" else f"{p.name}=…" for p in parameters if p.default is None
    )


def _title(program: Module) -> str:
    return f"{type(program).__name__}: a program of language-model calls, compiled with telic."


def _task(program: Module, outputs: Mapping[str, str]) -> str:
    """Return the docstring of `run`: the instructions of the last step, safe inside quotes."""
    last = program.predictors()[-1].signature.instructions if program.predictors() else "Run the program."
    text = textwrap.dedent(last).strip().replace("\\", "\\\\").replace('"""', "'''")
    returns = f"\n\nReturns: {', '.join(outputs)}." if outputs else ""
    body = textwrap.indent(f"{text}{returns}", "    ").lstrip()
    return f"{body}\n    " if "\n" in body or body.endswith('"') else body

"""Content keys of what results depend on: programs, examples, metrics, LMs, settings.

Equal keys mean equal content, in this process and in any other: no addresses, no order of threads. They tell whether a
run may be resumed, and which step of a run a piece of work is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from hashlib import sha256
from types import CodeType, FunctionType, MethodType
from typing import Any, Final, cast

from telic._hash import content_key
from telic.context import get as get_setting
from telic.data import Example
from telic.modules import Module

_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")
_PLAIN: Final = (str, int, float, bool, type(None))
_DEPTH: Final = 6


def program_key(program: Any, *, code: bool = False) -> str:
    """Return the key of a program: instructions, fields, demos, options and LM of its predictors.

    Args:
        program: A module, or any callable, which is known by its code.
        code: The code of its modules counts as well.
    """
    if not isinstance(program, Module):
        return content_key(stable(program))
    asserting = [
        getattr(program, name, None) for name in ("max_backtracks", "bypass_assert", "bypass_suggest")
    ]
    parts: list[Any] = [type(program).__qualname__, asserting]
    for path, predictor in program.named_parameters():
        if not predictor.is_predictor:
            parts.append([path, stable(predictor.dump_leaf_state())])
            continue
        signature = predictor.signature
        fields = [[name, str(field)] for name, field in signature.fields.items()]
        demos = [stable(demo) for demo in predictor.demos]
        config = stable(getattr(predictor, "config", None))
        frozen = sorted(
            getattr(predictor, "frozen_parts", ())
        )  # only where there is any: keys of older runs hold
        told = [path, signature.instructions, fields, demos, config, lm_identity(predictor.lm)]
        parts.append([*told, frozen] if frozen else told)
    if code:
        parts += [
            [type(part).__qualname__, _class_code(type(part))] for _, part in program.named_sub_modules()
        ]
    return content_key(parts)


def example_key(example: Any) -> str:
    """Return the key of an example: its fields, and which of them are inputs."""
    return content_key(stable(example))


def callable_key(function: Any) -> str:
    """Return the key of a metric or another function: its code, defaults and what it closes over."""
    return content_key(stable(function))


def lm_identity(lm: Any) -> Any:
    """Return which LM it is, as plain data: name and options, never keys or addresses; None stays None."""
    if lm is None:
        return None
    dump = getattr(lm, "dump_state", None)
    state: Any = dump() if callable(dump) else {"model": str(getattr(lm, "model", type(lm).__qualname__))}
    # An LM in this process is what its class and the functions it holds do, whatever it is called.
    kind: type = cast("Any", type(lm))
    held: dict[str, Any] = getattr(lm, "__dict__", {})
    functions: dict[str, Any] = {
        name: one for name, one in held.items() if isinstance(one, (FunctionType, MethodType))
    }
    return [kind.__qualname__, stable(state), _class_code(kind), stable(functions)]


def settings_key() -> list[Any]:
    """Return what the settings in force here add to any call: LM, adapter, sample and options laid over."""
    adapter = get_setting("adapter")
    return [
        lm_identity(get_setting("lm")),
        None if adapter is None else type(adapter).__qualname__,
        get_setting("sample"),
        stable(get_setting("lm_options")),
        [get_setting(name) for name in ("max_backtracks", "bypass_assert", "bypass_suggest")],
    ]


def stable(value: Any, depth: int = 0) -> Any:
    """Return JSON-able data that stands for `value`, equal for equal values in any process."""
    if isinstance(value, _PLAIN):
        return value
    if depth > _DEPTH:
        return type(value).__qualname__
    if isinstance(value, Example):
        row: Any = cast("Any", value)  # with its hidden fields
        fields = {str(name): stable(item, depth + 1) for name, item in row._store.items()}
        return ["example", fields, None if row._input_keys is None else sorted(row._input_keys)]
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {str(name): stable(item, depth + 1) for name, item in items}
    if isinstance(value, (list, tuple)):
        return [stable(item, depth + 1) for item in cast("list[Any]", value)]
    if isinstance(value, (set, frozenset)):
        return sorted((stable(item, depth + 1) for item in cast("set[Any]", value)), key=content_key)
    return _stable_object(value, depth)


def _stable_object(value: Any, depth: int) -> Any:
    if isinstance(value, MethodType):
        return ["method", _function(value.__func__, depth), stable(value.__self__, depth + 1)]
    if isinstance(value, FunctionType):
        return _function(value, depth)
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, Module):
        return [program_key(value), _class_code(type(value))]
    if callable(getattr(value, "dump_state", None)) and hasattr(value, "complete"):
        return lm_identity(value)
    if isinstance(value, bytes):
        return ["bytes", sha256(value).hexdigest()]
    for name in ("tobytes", "to_dict", "model_dump"):  # arrays and pictures show only a part of themselves
        method = getattr(value, name, None)
        if callable(method):
            return [type(value).__qualname__, stable(method(), depth + 1)]
    if callable(value) and type(value).__module__ != "builtins":
        return [type(value).__qualname__, _class_code(type(value)), stable(_held(value), depth + 1)]
    return _ADDRESS.sub("", repr(value))


def _held(value: Any) -> dict[str, Any]:
    """Return what a callable object holds: its attributes, also those in slots; of a `partial` all that it binds."""
    slots: list[Any] = [getattr(cls, "__slots__", ()) for cls in type(value).__mro__]
    names = [name for one in slots for name in ((one,) if isinstance(one, str) else one)]
    own: dict[str, Any] = getattr(value, "__dict__", {})
    held = own | {name: getattr(value, name) for name in names if name[:2] != "__" and hasattr(value, name)}
    if not isinstance(value, partial):
        return held
    bound = cast("partial[Any]", value)
    return held | {"func": bound.func, "args": bound.args, "keywords": bound.keywords}


def _function(function: Any, depth: int) -> Any:
    if depth > _DEPTH:
        return function.__qualname__
    closure = [_cell(cell) for cell in function.__closure__ or ()]
    by_name: dict[str, Any] = function.__kwdefaults__ or {}
    defaults: list[Any] = [*(function.__defaults__ or ()), *sorted(by_name.items())]
    return [
        "function",
        function.__qualname__,
        _code(function.__code__),
        [stable(item, depth + 1) for item in closure],
        [stable(item, depth + 1) for item in defaults],
    ]


def _cell(cell: Any) -> Any:
    """Return what a closure holds, where that is a plain value or a function; of others the class."""
    try:
        value: Any = cell.cell_contents
    except ValueError:  # not assigned yet
        return None
    plain = isinstance(value, (*_PLAIN, tuple, frozenset, FunctionType))
    return cast("Any", value) if plain else type(value).__qualname__


def _class_code(cls: type) -> Any:
    """Return the code of the methods that a class and its bases outside of telic define."""
    found: list[Any] = []
    for base in cls.__mro__:
        if base.__module__.partition(".")[0] in ("telic", "builtins", "abc", "typing"):
            continue
        functions = {name: item for name, item in vars(base).items() if isinstance(item, FunctionType)}
        found.append([base.__qualname__, {name: _code(f.__code__) for name, f in sorted(functions.items())}])
    return found


def _code(code: CodeType) -> Any:
    constants = [_code(c) if isinstance(c, CodeType) else _constant(c) for c in code.co_consts]
    return [code.co_code.hex(), list(code.co_names), list(code.co_varnames), constants]


def _constant(value: Any) -> Any:
    return sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]

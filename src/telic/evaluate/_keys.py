"""Content keys of what results depend on: programs, examples, metrics, LMs, settings.

Equal keys mean equal content, in this process and in any other: no addresses, no order of threads. They tell whether a
run may be resumed, and which step of a run a piece of work is.

Of a program count its predictors, its code, and what its modules hold in attributes: `self.hops = 2` is a setting.
Names that begin with "_", and what `forward` assigns, are a program's notes and not its settings. An object may say
itself what counts of it by a method `identity()` that returns plain data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from hashlib import sha256
from types import CodeType, FunctionType, MethodType
from typing import Any, Final, cast

from telic._hash import content_key
from telic._optional import load
from telic._unset import UNSET
from telic.context import DEFAULTS
from telic.context import get as get_setting
from telic.data import Example
from telic.modules import Leaf, Module, Node
from telic.types import Tool

_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")
_PLAIN: Final = (str, int, float, bool, type(None))
_DEPTH: Final = 6
_NO_SETTINGS: Final = frozenset(("callbacks", "frozen_parts", "history", "report"))
_LEARNED: Final = frozenset(("signature", "demos", "lm", "config"))


def program_key(program: Any, *, code: bool = False, inside: tuple[int, ...] = ()) -> str:
    """Return the key of a program: instructions, fields, demos, options and LM of its predictors, and its settings.

    Args:
        program: A module, or any callable, which is known by its code.
        code: The code of its modules counts as well.
        inside: The ids of what holds it.
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
    within = (*inside, id(program))
    for path, part in program.named_sub_modules():
        settings = _settings_of(part, within)
        if settings:
            parts.append([path, "holds", settings])
        if code:
            parts.append([type(part).__qualname__, _class_code(type(part))])
    return content_key(parts)


def _settings_of(part: Node, within: tuple[int, ...]) -> dict[str, Any]:
    """Return what a part of a program holds beside its own parts and what is learned."""
    apart = _NO_SETTINGS | _LEARNED if isinstance(part, Leaf) else _NO_SETTINGS | _noted(type(part))
    return {
        name: _beside_parts(value, within)
        for name, value in part.held()
        if name[0] != "_" and name not in apart and not isinstance(value, Node)
    }


def _beside_parts(value: Any, within: tuple[int, ...]) -> Any:
    """Return `stable(value)` without the parts of the program in it, which count by their own paths."""
    if isinstance(value, Node):
        return type(value).__qualname__
    if len(within) <= _DEPTH and isinstance(value, (list, tuple, dict)):
        deeper = (*within, id(cast("object", value)))
        if isinstance(value, dict):
            items = cast("dict[Any, Any]", value).items()
            return {str(name): _beside_parts(item, deeper) for name, item in items}
        return [_beside_parts(item, deeper) for item in cast("list[Any]", value)]
    return stable(value, within)


def _noted(cls: type) -> set[str]:
    """Return the attributes that the `forward` of a class assigns: what it keeps of a call."""
    names: set[str] = set()
    for base in cls.__mro__:
        if not _is_ours(base):
            for name in ("forward", "aforward"):
                function = vars(base).get(name)
                if isinstance(function, FunctionType):
                    names |= _assigned(function.__code__)
    return names


def _assigned(code: CodeType) -> set[str]:
    names = {one.argval for one in load("dis").get_instructions(code) if one.opname == "STORE_ATTR"}
    return names.union(*(_assigned(inner) for inner in code.co_consts if isinstance(inner, CodeType)))


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
    adapter, rm, retries = get_setting("adapter"), get_setting("rm"), get_setting("max_retries")
    return [
        lm_identity(get_setting("lm")),
        None if adapter is None else _described(adapter),
        get_setting("sample"),
        stable(get_setting("lm_options")),
        [get_setting(name) for name in ("max_backtracks", "bypass_assert", "bypass_suggest")],
        *(
            [] if rm is None else [["rm", stable(rm)]]
        ),  # only where it is not the usual: keys of older runs hold
        *([] if retries == DEFAULTS["max_retries"] else [["max_retries", retries]]),
    ]


def _described(adapter: Any) -> Any:
    """Return which adapter it is: its class, its code where that is the user's, and its settings."""
    kind: type = cast("type[Any]", type(adapter))
    own: dict[str, Any] = getattr(adapter, "__dict__", {})
    held = {name: value for name, value in own.items() if name[0] != "_" and name != "callbacks"}
    return [kind.__qualname__, _class_code(kind), stable(held)]


def stable(value: Any, inside: tuple[int, ...] = ()) -> Any:
    """Return JSON-able data that stands for `value`, equal for equal values in any process.

    Args:
        value: Anything.
        inside: The ids of what holds it; a value in itself, or one that lies too deep, is known by its class.
    """
    if isinstance(value, _PLAIN):
        return value
    if len(inside) > _DEPTH or id(value) in inside:
        return type(value).__qualname__
    deeper = (*inside, id(value))
    if isinstance(value, Example):
        row: Any = cast("Any", value)  # with its hidden fields
        fields = {str(name): stable(item, deeper) for name, item in row._store.items()}
        return ["example", fields, None if row._input_keys is None else sorted(row._input_keys)]
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {str(name): stable(item, deeper) for name, item in items}
    if isinstance(value, (list, tuple)):
        return [stable(item, deeper) for item in cast("list[Any]", value)]
    if isinstance(value, (set, frozenset)):
        return sorted((stable(item, deeper) for item in cast("set[Any]", value)), key=content_key)
    return _stable_object(value, deeper)


def _stable_object(value: Any, deeper: tuple[int, ...]) -> Any:
    if isinstance(value, MethodType):
        return ["method", _function(value.__func__, deeper), stable(value.__self__, deeper)]
    if isinstance(value, FunctionType):
        return _function(value, deeper)
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, Module):
        return [program_key(value, inside=deeper[:-1]), _class_code(type(value))]
    if isinstance(value, Tool):
        return ["Tool", value.to_dict(), stable(value.func, deeper)]
    if callable(getattr(value, "dump_state", None)) and hasattr(value, "complete"):
        return lm_identity(value)
    if isinstance(value, bytes):
        return ["bytes", sha256(value).hexdigest()]
    for name in (
        "identity",
        "tobytes",
        "to_dict",
        "model_dump",
    ):  # arrays and pictures show only a part of themselves
        method = getattr(value, name, None)
        if callable(method):
            return [type(value).__qualname__, stable(method(), deeper)]
    if callable(value) and type(value).__module__ != "builtins":
        return [type(value).__qualname__, _class_code(type(value)), stable(_held(value), deeper)]
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


def _function(function: Any, deeper: tuple[int, ...]) -> Any:
    closure = [_cell(cell) for cell in function.__closure__ or ()]
    by_name: dict[str, Any] = function.__kwdefaults__ or {}
    defaults: list[Any] = [*(function.__defaults__ or ()), *sorted(by_name.items())]
    return [
        "function",
        function.__qualname__,
        _code(function.__code__),
        [stable(item, deeper) for item in closure],
        [stable(item, deeper) for item in defaults],
        *_used([function], deeper),
    ]


def _cell(cell: Any) -> Any:
    """Return what a closure holds, where that is a plain value, a function or a program; of others the class."""
    try:
        value: Any = cell.cell_contents
    except ValueError:  # not assigned yet
        return None
    known = isinstance(value, (*_PLAIN, tuple, frozenset, FunctionType, Module))
    return cast("Any", value) if known else type(value).__qualname__


def _used(functions: list[FunctionType], deeper: tuple[int, ...]) -> list[Any]:
    """Return what some functions use of their own file: other functions, plain values, programs. Empty: nothing.

    Lists and dicts are left out: many a metric counts in one what it sees.
    """
    reached, values = list(functions), {}
    for function in reached:  # it grows
        for name in _global_names(function.__code__):
            value = function.__globals__.get(name, UNSET)
            if isinstance(value, FunctionType):
                if value.__module__ == function.__module__ and value not in reached:
                    reached.append(value)
            elif name[:2] != "__" and isinstance(value, (*_PLAIN, tuple, frozenset, Module)):
                values[name] = stable(value, deeper)
    others = [[one.__qualname__, _code(one.__code__)] for one in reached[len(functions) :]]
    return [others, values] if others or values else []


@lru_cache(maxsize=1024)
def _global_names(code: CodeType) -> Sequence[str]:
    """Return the global names that code reads and does not assign itself."""
    read: dict[str, None] = {}
    assigned: set[str] = set()
    for one in load("dis").get_instructions(code):
        if one.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            read[one.argval] = None
        elif one.opname == "STORE_GLOBAL":
            assigned.add(one.argval)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            read |= dict.fromkeys(_global_names(inner))
    return [name for name in read if name not in assigned]


def _class_code(cls: type) -> Any:
    """Return the code of the methods that a class and its bases outside of telic define."""
    found: list[Any] = []
    for base in cls.__mro__:
        if _is_ours(base):
            continue
        items = sorted(vars(base).items())
        methods = {name: f for name, item in items for f in _functions_in(item)}
        values = {
            name: _beside_parts(item, (id(cls),))
            for name, item in items
            if name[0] != "_" and isinstance(item, (*_PLAIN, tuple, list, dict, set, frozenset))
        }
        functions = {name: _code(f.__code__) for name, f in methods.items()}
        used = _used(list(methods.values()), (id(cls),))
        found.append([base.__qualname__, functions, *([values] if values else []), *used])
    return found


def _is_ours(cls: type) -> bool:
    return cls.__module__.partition(".")[0] in ("telic", "builtins", "abc", "typing")


def _functions_in(item: Any) -> list[FunctionType]:
    """Return the functions of a class attribute: its own, and what a static method or a property wraps."""
    wrapped = [item, *(getattr(item, name, None) for name in ("__func__", "fget", "func"))]
    return [one for one in wrapped if isinstance(one, FunctionType)][:1]


def _code(code: CodeType) -> Any:
    constants = [_code(c) if isinstance(c, CodeType) else _constant(c) for c in code.co_consts]
    return [code.co_code.hex(), list(code.co_names), list(code.co_varnames), constants]


def _constant(value: Any) -> Any:
    return sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]

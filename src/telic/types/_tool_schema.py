"""What a function takes, as an LM has to know it: names, types as JSON schema, descriptions, defaults.

Everything is read from the function once: its signature, its annotations and its docstring. JSON schemas and checks
come from pydantic, which is loaded when the first one is needed.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, cast

from telic._optional import load
from telic._text import truncate
from telic._unset import UNSET
from telic.errors import ConfigurationError


class Parameter(NamedTuple):
    """One argument of a tool."""

    name: str
    annotation: Any
    """Its type; UNSET where there is none, and any value is taken."""
    default: Any
    """What the function takes where none is given; UNSET: it must be given."""


class FunctionFacts(NamedTuple):
    """What can be read from a function."""

    name: str
    desc: str
    parameters: dict[str, Parameter]
    arg_desc: dict[str, str]
    takes_any: bool
    """It has `**kwargs`: arguments that are not named are passed on."""
    is_async: bool


def facts_of(function: Any) -> FunctionFacts:
    """Return what a function, a method, a callable object, a partial or a program says of itself.

    Raises:
        ConfigurationError: It cannot be called, cannot be called by name, or has an annotation that names nothing.
    """
    if not callable(function):
        raise ConfigurationError(f"a tool is made from a function, and {function!r} cannot be called")
    inspect = load("inspect")
    target = _written(function)
    name: str = getattr(target, "__name__", type(target).__name__)
    if target is not function and name in ("__call__", "forward", "aforward", "flow"):
        name = type(function).__name__
    bound: frozenset[str] = frozenset()
    partial = isinstance(function, load("functools").partial)
    if partial:
        bound = frozenset(cast("Any", function).keywords)
    try:
        listed = inspect.signature(function if partial else target).parameters
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"the tool {name!r} has no signature that can be read ({error}); wrap it in a function of your own"
        ) from error
    described = _signature_of(function, listed)
    hints = _hints(target, name)
    parameters: dict[str, Parameter] = {}
    for one in listed.values():
        if one.kind.name == "POSITIONAL_ONLY" and one.default is one.empty:
            raise ConfigurationError(
                f"the tool {name!r} takes {one.name!r} by position only, and tools are called by name; wrap it in a "
                "function of your own"
            )
        if one.kind.name == "VAR_POSITIONAL" and described is None and not partial:
            raise ConfigurationError(
                f"the tool {name!r} takes *{one.name} by position, and tools are called by name; wrap it in a function "
                "of your own with a list as an argument"
            )
        if one.kind.name not in ("POSITIONAL_OR_KEYWORD", "KEYWORD_ONLY") or one.name in bound:
            continue
        default = UNSET if one.default is one.empty else one.default
        parameters[one.name] = Parameter(one.name, hints.get(one.name, UNSET), default)
    if described is not None:
        return FunctionFacts(name, described.instructions, *_of_signature(described), False, False)
    desc, arg_desc = read_docstring(inspect.cleandoc(target.__doc__ or ""))
    own: Any = getattr(function, "desc", None)  # of a program that says itself what it does, as `Retrieve`
    desc = own if isinstance(own, str) and target is not function else desc
    if not desc and name == type(function).__name__:
        desc, _ = read_docstring(inspect.cleandoc(type(function).__doc__ or ""))
    return FunctionFacts(
        name,
        desc,
        parameters,
        arg_desc,
        any(one.kind.name == "VAR_KEYWORD" for one in listed.values()),
        inspect.iscoroutinefunction(target) and not hasattr(function, "acall"),
    )


def _signature_of(program: Any, listed: Mapping[str, Any]) -> Any:
    """Return the signature of a program whose `forward` takes whatever its signature has, as those of telic do."""
    if {one.kind.name for one in listed.values()} != {"VAR_POSITIONAL", "VAR_KEYWORD"}:
        return None
    for holder in (program, getattr(program, "predict", None)):
        signature = getattr(holder, "signature", None)
        if hasattr(signature, "input_fields") and hasattr(program, "forward"):
            return signature
    return None


def _of_signature(signature: Any) -> tuple[dict[str, Parameter], dict[str, str]]:
    """Return the inputs of a signature as arguments, and what is said of them."""
    fields: Mapping[str, Any] = signature.input_fields
    made = {name: Parameter(name, one.annotation, _default_of(one)) for name, one in fields.items()}
    return made, {name: one.desc for name, one in fields.items() if one.desc}


def _default_of(field: Any) -> Any:
    if field.required:
        return UNSET
    return field.get_default() if field.has_default else None


def _written(function: Any) -> Any:
    """Return the function that somebody wrote: below partials, and the method of an object or a program."""
    while isinstance(function, load("functools").partial):
        function = function.func
    inspect = load("inspect")
    if inspect.isroutine(function) or isinstance(function, type):
        return function
    if hasattr(function, "acall") and hasattr(function, "forward"):  # a program: `__call__` takes anything
        if hasattr(function, "flow"):
            return function.flow
        return function.aforward if getattr(function, "_has_aforward", False) else function.forward
    return function.__call__


def _hints(target: Any, name: str) -> dict[str, Any]:
    annotated = target.__init__ if isinstance(target, type) else target
    try:
        return typing.get_type_hints(annotated, include_extras=True)
    except NameError as error:
        raise ConfigurationError(
            f"an annotation of the tool {name!r} names nothing that is known ({error}); pass arg_types={{…}}"
        ) from error
    except TypeError:  # written in C: it has none
        return {}


_SECTION: Final = re.compile(r"^(Args|Arguments|Parameters):\s*$")
_ENTRY: Final = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")


def read_docstring(doc: str) -> tuple[str, dict[str, str]]:
    r"""Return a docstring's text without its Args section (Google style), and that section by name.

    Example:
        >>> read_docstring("Find pages.\n\nArgs:\n    query: What to look for,\n        in words.")
        ('Find pages.', {'query': 'What to look for, in words.'})
    """
    rest: list[str] = []
    found: dict[str, str] = {}
    inside, indent, last = False, -1, ""
    for line in doc.splitlines():
        if _SECTION.match(line):
            inside, indent, last = True, -1, ""
            continue
        if inside and line.strip() and not line[:1].isspace():
            inside = False
        if not inside:
            rest.append(line)
            continue
        text = line.strip()
        width = len(line) - len(line.lstrip())
        entry = _ENTRY.match(text)
        if entry is not None and (indent < 0 or width <= indent):
            indent, last = width, entry[1]
            found[last] = entry[2]
        elif text and last:
            found[last] = f"{found[last]} {text}".strip()
    return re.sub(r"\n{3,}", "\n\n", "\n".join(rest)).strip(), found


# Schemas and checks

_PLAIN: Final[Mapping[Any, str]] = {str: "string", int: "integer", float: "number", bool: "boolean"}


def schema_of(annotation: Any, name: str) -> dict[str, Any]:
    """Return the JSON schema of a type, without titles; {} where any value is taken.

    Raises:
        ConfigurationError: JSON cannot describe it.
    """
    if annotation is UNSET or annotation is Any:
        return {}
    if isinstance(annotation, type) and annotation in _PLAIN:
        return {"type": _PLAIN[annotation]}
    pydantic = load("pydantic")
    try:
        return without_titles(checker_of(annotation).json_schema())
    except (TypeError, pydantic.PydanticUserError) as error:
        raise ConfigurationError(
            f"the argument {name!r} has the type {annotation!r}, which an LM cannot write as JSON ({error}); give it "
            "another type with arg_types={…}, or bind it with functools.partial"
        ) from error


def checker_of(annotation: Any) -> Any:
    """Return pydantic's `TypeAdapter` of a type."""
    return load("pydantic").TypeAdapter(annotation)


def without_titles(schema: Any) -> Any:
    """Return a JSON schema without the titles that pydantic makes of its names: tokens that say nothing."""
    if isinstance(schema, list):
        return [without_titles(item) for item in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    plain: dict[str, Any] = {}
    for key, value in cast("dict[str, Any]", schema).items():
        if key in ("properties", "$defs"):
            plain[key] = {name: without_titles(inner) for name, inner in value.items()}
        elif key in ("enum", "const", "default", "examples"):
            plain[key] = value
        elif key != "title":
            plain[key] = without_titles(value)
    return plain


_OF_SCHEMA: Final[Mapping[str, Any]] = {
    "string": str, "integer": int, "number": float, "boolean": bool, "array": list[Any], "object": dict[str, Any],
}  # fmt: skip


def type_of_schema(schema: Mapping[str, Any]) -> Any:
    """Return a type that checks what a simple JSON schema says; UNSET where it says more than a name of a type."""
    enum = schema.get("enum")
    if isinstance(enum, list) and enum and all(isinstance(one, (str, int, type(None))) for one in enum):  # pyright: ignore[reportUnknownVariableType]
        return typing.Literal[tuple(cast("list[Any]", enum))]
    kind = schema.get("type")
    if kind == "array" and isinstance(schema.get("items"), Mapping):
        inner = type_of_schema(cast("Mapping[str, Any]", schema["items"]))
        return list[Any] if inner is UNSET else types.GenericAlias(list, (inner,))
    return _OF_SCHEMA.get(kind, UNSET) if isinstance(kind, str) else UNSET


def parts_of_schema(schema: Mapping[str, Any], name: str) -> tuple[dict[str, dict[str, Any]], frozenset[str]]:
    """Return the schemas of an object's properties, each with the definitions it refers to, and those required.

    Raises:
        ConfigurationError: It is no object's schema.
    """
    properties: Any = schema.get("properties", {}) if isinstance(schema, Mapping) else None  # pyright: ignore[reportUnnecessaryIsInstance]
    if not isinstance(properties, Mapping) or schema.get("type", "object") != "object":
        raise ConfigurationError(
            f"the arguments of the tool {name!r} are described by the JSON schema of an object, not by {schema!r}"
        )
    definitions = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
    parts: dict[str, dict[str, Any]] = {}
    for key, value in cast("Mapping[str, Any]", properties).items():
        part = dict(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else {}
        parts[key] = without_titles({**part, **definitions} if "$ref" in str(part) else part)
    return parts, frozenset(schema.get("required") or ())


def awaited_where_wanted(coroutine: Any) -> Any:
    """Return what comes of a coroutine where the setting `allow_tool_async_sync_conversion` is on, else itself."""
    wanted: bool = load("telic.context").get("allow_tool_async_sync_conversion")
    return load("telic.execution").run_coroutine(coroutine) if wanted else coroutine


def in_words(schema: Mapping[str, Any]) -> str:
    """Return a schema in a few words: "integer", "array of string", "one of 'a', 'b'".

    Example:
        >>> in_words({"type": "array", "items": {"enum": ["a", "b"]}})
        "array of one of 'a', 'b'"
    """
    if "enum" in schema:
        return f"one of {', '.join(repr(value) for value in schema['enum'])}"
    if "const" in schema:
        return repr(schema["const"])
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(in_words(one) for one in schema["anyOf"]))
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        definition = cast("Mapping[str, Any]", schema.get("$defs", {})).get(name)
        return in_words(definition) if definition is not None and "enum" in definition else name
    kind = schema.get("type", "any value")
    if isinstance(kind, list):
        return " or ".join(str(one) for one in cast("list[Any]", kind))
    if kind == "array" and "items" in schema:
        return f"array of {in_words(schema['items'])}"
    return str(kind)


def object_schema(
    properties: Mapping[str, Mapping[str, Any]], required: list[str], *, closed: bool
) -> dict[str, Any]:
    """Return the schema of an object with these properties; definitions inside them are lifted to its top."""
    definitions: dict[str, Any] = {}
    lifted: dict[str, Any] = {}
    for name, schema in properties.items():
        own: dict[str, Any] = dict(schema)
        for title, definition in cast("dict[str, Any]", own.pop("$defs", {})).items():
            known = definitions.setdefault(title, definition)
            if known != definition:
                raise ConfigurationError(
                    f"the argument {name!r} and another one have different types that are both called {title!r}; "
                    "rename one of the classes"
                )
        lifted[name] = own
    made: dict[str, Any] = {"type": "object", "properties": lifted, "required": required}
    if closed:
        made["additionalProperties"] = False
    if definitions:
        made["$defs"] = definitions
    return made


def reason_of(error: ValueError) -> str:
    """Return pydantic's first reasons in one line, without its links."""
    errors: Callable[[], list[dict[str, Any]]] | None = getattr(error, "errors", None)
    if errors is None:
        return truncate(str(error), 200)
    said: list[str] = []
    for one in errors()[:3]:
        place = ".".join(str(part) for part in one["loc"])
        said.append(f"{place}: {one['msg']}" if place else str(one["msg"]))
    return ", ".join(said)

"""`ToolCalls`: the calls of tools that an LM asks for, as values.

They are read from every form in which calls travel (DSPy's `name` and `args`, OpenAI's `function` with arguments as
JSON text, `Completion.tool_calls`), and written in those of DSPy and OpenAI. As an output field, `ToolCalls` is what an
LM is to choose.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, cast, final

from telic._optional import load
from telic._text import did_you_mean, join_names, truncate
from telic.errors import InputError, ToolError
from telic.types._tool import Tool


@final
class ToolCall:
    """One call that an LM asks for.

    Args:
        name: The tool.
        args: Its arguments by name.
        id: The provider's id of the call, by which its result is told; None where there is none.
    """

    __slots__ = ("args", "id", "name")

    def __init__(self, name: str, args: Mapping[str, Any] | None = None, id: str | None = None) -> None:
        self.name: Final = name
        self.args: Final[dict[str, Any]] = {} if args is None else dict(args)
        self.id: Final = id

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ToolCall):
            return NotImplemented
        return (self.name, self.args, self.id) == (other.name, other.args, other.id)

    def __hash__(self) -> int:
        return hash((self.name, self.id, len(self.args)))

    def __repr__(self) -> str:
        return f"ToolCall(name={self.name!r}, args={self.args!r}, id={self.id!r})"

    @classmethod
    def of(cls, value: Any) -> ToolCall:
        """Return the call that a value stands for: a `ToolCall`, or a dict in DSPy's or OpenAI's form.

        Raises:
            ValueError: It is none of these; the text is fit for an LM.

        Example:
            >>> ToolCall.of({"id": "c1", "function": {"name": "add", "arguments": '{"a": 2}'}})
            ToolCall(name='add', args={'a': 2}, id='c1')
        """
        if isinstance(value, ToolCall):
            return value
        if not isinstance(value, Mapping):
            raise ValueError(f"a tool call is an object with name and args, not {truncate(repr(value), 80)}")
        given = cast("Mapping[str, Any]", value)
        function = given.get("function")
        inner = cast("Mapping[str, Any]", function) if isinstance(function, Mapping) else given
        name = inner.get("name")
        if not isinstance(name, str) or not name:
            raise ValueError(
                f"a tool call needs the name of the tool, and {truncate(repr(dict(given)), 80)} has none"
            )
        call_id = given.get("id")
        return cls(name, _arguments(inner), None if call_id is None else str(call_id))

    def execute(self, functions: Iterable[Any] | Mapping[str, Any] | None = None) -> Any:
        """Run the call by the one of `functions` that it names, and return its result.

        Args:
            functions: `Tool`s or functions, in a list or by name. They must be given: nothing is looked for in the
                caller's variables.

        Raises:
            InputError: No tools were given.
            ToolError: None of them has that name, or the arguments do not fit; the text is fit for an LM.
            Exception: What the function raises; an async one returns its coroutine.

        Example:
            >>> ToolCall("abs", {"x": "-2"}).execute({"abs": lambda x: abs(int(x))})
            2
        """
        if functions is None:
            raise InputError(f"pass the tools among which {self.name!r} is to be found: call.execute([…])")
        named = _by_name(functions)
        tool = named.get(self.name)
        if tool is None:
            raise ToolError(
                f"there is no tool {truncate(self.name, 80)!r}{did_you_mean(truncate(self.name, 80), named)}; "
                f"the tools are {join_names(named) or 'none'}",
                tool=self.name,
            )
        return tool(**self.args)

    def to_openai(self) -> dict[str, Any]:
        """Return the call in the form of OpenAI's assistant messages."""
        arguments = load("json").dumps(self.args, ensure_ascii=False, default=str)
        call: dict[str, Any] = {"type": "function", "function": {"name": self.name, "arguments": arguments}}
        return call if self.id is None else {"id": self.id, **call}

    def to_dict(self) -> dict[str, Any]:
        """Return the call as plain data."""
        plain: dict[str, Any] = {"name": self.name, "args": self.args}
        return plain if self.id is None else {**plain, "id": self.id}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        core = load("pydantic_core.core_schema")
        return core.no_info_before_validator_function(cls.of, core.is_instance_schema(cls))

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
        properties = {"name": {"type": "string"}, "args": {"type": "object", "additionalProperties": True}}
        return {"type": "object", "properties": properties, "required": ["name", "args"]}


def _arguments(call: Mapping[str, Any]) -> dict[str, Any]:
    value: Any = next((call[key] for key in ("args", "arguments", "input") if key in call), None)
    if isinstance(value, str):
        try:
            value = load("json").loads(value) if value.strip() else {}
        except (ValueError, RecursionError) as error:
            raise ValueError(f"the arguments of {call['name']!r} are no JSON ({error})") from error
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"the arguments of {call['name']!r} are an object by name, not {value!r}")
    return dict(cast("Mapping[str, Any]", value))


def _by_name(tools: Iterable[Any] | Mapping[str, Any]) -> dict[str, Tool]:
    if isinstance(tools, Mapping):
        given = cast("Mapping[str, Any]", tools)
        return {name: f if isinstance(f, Tool) else Tool(f, name=name) for name, f in given.items()}
    made = [f if isinstance(f, Tool) else Tool(f) for f in tools]
    return {tool.name: tool for tool in made}


@final
class ToolCalls:
    """The calls of one turn; as an output field, what an LM is to choose.

    Args:
        tool_calls: `ToolCall`s, or dicts in DSPy's or OpenAI's form.

    Raises:
        ValueError: One is no call.

    Example:
        >>> ToolCalls([{"name": "add", "args": {"a": 2}}]).tool_calls[0].args
        {'a': 2}
    """

    __slots__ = ("tool_calls",)

    ToolCall: Final = ToolCall
    """The class of one call, where DSPy has it."""

    def __init__(self, tool_calls: Iterable[ToolCall | Mapping[str, Any]] = ()) -> None:
        self.tool_calls: Final = [ToolCall.of(call) for call in tool_calls]

    def __iter__(self) -> Iterator[ToolCall]:
        return iter(self.tool_calls)

    def __len__(self) -> int:
        return len(self.tool_calls)

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return self.tool_calls == other.tool_calls if isinstance(other, ToolCalls) else NotImplemented

    def __hash__(self) -> int:
        return hash(len(self.tool_calls))

    def __repr__(self) -> str:
        return f"ToolCalls({self.tool_calls!r})"

    @classmethod
    def of(cls, value: Any) -> ToolCalls:
        """Return the calls that a value stands for: a list of calls, an object with `tool_calls`, or one call.

        Raises:
            ValueError: It is none of these.
        """
        if isinstance(value, ToolCalls):
            return value
        if isinstance(value, Mapping) and "tool_calls" in value:
            calls: Any = cast("Mapping[str, Any]", value)["tool_calls"]
            return cls([] if calls is None else calls)
        if isinstance(value, (list, tuple)):
            return cls(cast("list[Any]", value))
        return cls([ToolCall.of(value)])

    @classmethod
    def from_dict_list(cls, tool_calls: Iterable[Mapping[str, Any]]) -> ToolCalls:
        """Return calls from dicts with `name` and `args`."""
        return cls(tool_calls)

    def to_openai(self) -> list[dict[str, Any]]:
        """Return the calls in the form of OpenAI's assistant messages."""
        return [call.to_openai() for call in self.tool_calls]

    def to_dict(self) -> dict[str, Any]:
        """Return the calls as plain data."""
        return {"tool_calls": [call.to_dict() for call in self.tool_calls]}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        core = load("pydantic_core.core_schema")
        return core.no_info_before_validator_function(cls.of, core.is_instance_schema(cls))

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
        call = ToolCall.__get_pydantic_json_schema__(None, None)
        calls = {"type": "array", "items": call}
        return {"type": "object", "properties": {"tool_calls": calls}, "required": ["tool_calls"]}

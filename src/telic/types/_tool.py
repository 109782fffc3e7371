"""`Tool`: a function that an LM may call.

A tool stands between words and code: it tells the LM what the function takes (JSON schema, descriptions, defaults),
and checks what the LM gives before the function sees it. What does not fit is a `ToolError` whose text the LM can
correct itself by; what the function itself raises passes through as it is. Tools are values: copies of programs share
them. What reads functions (`_tool_schema`) is loaded with the first tool, since every program loads this file.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, cast, final

from telic._optional import load
from telic._replay import astep, step
from telic._text import did_you_mean, truncate
from telic._unset import UNSET
from telic.errors import ConfigurationError, ToolError

if TYPE_CHECKING:
    from telic.types._tool_schema import FunctionFacts, Parameter

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


@final
class Tool:
    """A function that an LM may call.

    Args:
        func: A function or method, sync or async; a callable object, a `functools.partial` (what it binds is hidden
            from the LM) or a program.
        name: What the LM calls it; None: the function's name.
        desc: What it does; None: its docstring, without the Args section.
        args: JSON schemas by argument, instead of those made from the annotations.
        arg_types: Types by argument, instead of the annotations.
        arg_desc: Descriptions by argument, before those of the docstring's Args section.
        timeout: Seconds that one call may take where an agent makes it; None: as the agent says.

    Attributes:
        args: JSON schema by argument, with `description` and `default`.

    Raises:
        ConfigurationError: The function cannot be called by name, has no usable name, or takes what JSON cannot say.

    Calling it takes the arguments by name, as an LM gave them: numbers in text become numbers, dicts become models.
    `tool(…)` of an async function returns its coroutine. Safe to call from many threads and tasks if the function is.

    Cost: no LM calls of its own.

    Example:
        >>> def add(a: int, b: int = 1) -> int:
        ...     '''Add two numbers.'''
        ...     return a + b
        >>> tool = Tool(add)
        >>> tool(a="2"), tool.args["b"]
        (3, {'type': 'integer', 'default': 1})
        >>> tool()
        Traceback (most recent call last):
        telic.errors.ToolError: add was not run: `a` is missing. It takes a (integer, required), b (integer, default 1)
    """

    def __init__(
        self,
        func: Callable[..., Any],
        name: str | None = None,
        desc: str | None = None,
        args: Mapping[str, Any] | None = None,
        arg_types: Mapping[str, Any] | None = None,
        arg_desc: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> None:
        facts: FunctionFacts = _reading().facts_of(func)
        self.func = func
        self.name = facts.name if name is None else name
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(
                f"a tool cannot be called {self.name!r}: letters, digits, _ and -, at most 64; pass name='…'"
            )
        self.desc = facts.desc if desc is None else desc
        self.is_async = facts.is_async
        self.timeout = checked_timeout(timeout, f"the tool {self.name!r}: timeout")
        self._takes_any = facts.takes_any
        self.arg_desc: dict[str, str] = {**facts.arg_desc, **(arg_desc or {})}
        self._parameters = self._with_types(facts, args, arg_types or {})
        self._given = {key: dict(schema) for key, schema in (args or {}).items()}
        self._whole: Mapping[str, Any] | None = None
        self._schemas: dict[str, dict[str, Any]] | None = None
        self._checkers: dict[str, Any] = {}

    def _with_types(
        self, facts: FunctionFacts, args: Mapping[str, Any] | None, arg_types: Mapping[str, Any]
    ) -> dict[str, Parameter]:
        """Return the parameters that the LM is told of, with the types that hold."""
        known = facts.parameters
        for given, what in ((args, "args"), (arg_types, "arg_types")):
            unknown = [name for name in given or () if name not in known]
            if unknown and not facts.takes_any:
                raise ConfigurationError(
                    f"{what} of the tool {self.name!r} names {unknown[0]!r}, which the function does not take"
                    f"{did_you_mean(unknown[0], known)}"
                )
        names = list(known) if args is None else [name for name in known if name in args]
        names += [name for name in (*(args or ()), *arg_types) if name not in known]
        made: dict[str, Parameter] = {}
        for name in dict.fromkeys(names):
            # Only the function knows whether it needs what it takes by **kwargs: it is not asked of the LM.
            own = known.get(name)
            annotation = UNSET if own is None else own.annotation
            annotation = arg_types.get(name, annotation)
            if args is not None and name in args and name not in arg_types:
                schema = args[name]
                if not isinstance(schema, Mapping):
                    raise ConfigurationError(
                        f"args of the tool {self.name!r} are JSON schemas by name; {name!r} is {schema!r}"
                    )
                annotation = _reading().type_of_schema(schema)
            made[name] = _reading().Parameter(name, annotation, None if own is None else own.default)
        return made

    @property
    def args(self) -> dict[str, dict[str, Any]]:
        """JSON schema by argument, with its description and default; not to be changed."""
        if self._schemas is None:
            self._schemas = {name: self._schema(one) for name, one in self._parameters.items()}
        return self._schemas

    @property
    def arg_types(self) -> dict[str, Any]:
        """Type by argument; `Any` where there is none."""
        return {
            name: Any if one.annotation is UNSET else one.annotation for name, one in self._parameters.items()
        }

    @property
    def required(self) -> list[str]:
        """The arguments that must be given."""
        return [name for name, one in self._parameters.items() if one.default is UNSET]

    def _schema(self, one: Parameter) -> dict[str, Any]:
        given = self._given.get(one.name)
        made: dict[str, Any] = (
            _reading().schema_of(one.annotation, one.name) if given is None else dict(given)
        )
        if one.name in self.arg_desc:
            made = {**made, "description": self.arg_desc[one.name]}
        if one.default is not UNSET and one.default is not None and "default" not in made:
            try:
                plain = load("pydantic_core").to_jsonable_python(one.default)
            except ValueError:
                return made  # a default that JSON cannot say is the function's own affair
            made = {**made, "default": plain}
        return made

    # Calling

    def __call__(self, **arguments: Any) -> Any:
        """Check the arguments and call the function; an async one returns its coroutine, unless a setting wants it run.

        Raises:
            ToolError: The arguments do not fit; the function was not called.
        """
        checked = self.check(arguments)
        is_program = hasattr(self.func, "acall")  # its own steps are replayed
        if self.is_async and not is_program:
            made = astep(self.func, checked, lambda: self._atold(checked, lambda: self.func(**checked)))
            return _reading().awaited_where_wanted(made)
        return self._told(checked) if is_program else step(self.func, checked, lambda: self._told(checked))

    async def acall(self, **arguments: Any) -> Any:
        """Same as calling it, and awaits the function; a plain one runs in a worker thread."""
        checked = self.check(arguments)
        acall: Callable[..., Any] | None = getattr(self.func, "acall", None)
        if acall is not None:  # a program
            return await self._atold(checked, lambda: acall(**checked))
        return await astep(self.func, checked, lambda: self._atold(checked, lambda: self._awaited(checked)))

    def _told(self, checked: dict[str, Any]) -> Any:
        """Call the function, and tell callbacks, which belong to a higher floor."""
        return load("telic.tracing").observed("tool", self, {"kwargs": checked}, lambda: self.func(**checked))

    async def _atold(self, checked: dict[str, Any], work: Callable[[], Awaitable[Any]]) -> Any:
        return await load("telic.tracing").aobserved("tool", self, {"kwargs": checked}, work)

    async def _awaited(self, checked: dict[str, Any]) -> Any:
        if self.is_async:
            return await self.func(**checked)
        result = await load("asyncio").to_thread(self.func, **checked)
        return await result if hasattr(result, "__await__") else result

    def check(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments as the function takes them.

        Raises:
            ToolError: Some are missing, unknown or of another type; the message names all of them.
        """
        problems = [f"`{name}` is missing" for name in self.required if name not in arguments]
        checked: dict[str, Any] = {}
        for name, value in arguments.items():
            one = self._parameters.get(name)
            if one is None:
                if self._takes_any:
                    checked[name] = value
                else:
                    shown = truncate(name, 80)
                    near = did_you_mean(shown, self._parameters).lstrip("; ")
                    problems.append(f"it has no argument `{shown}`" + (f" ({near})" if near else ""))
                continue
            try:
                checked[name] = self._converted(one, value)
            except ValueError as error:
                if value is None and one.default is not UNSET:
                    continue  # LMs write null for what they leave out
                problems.append(f"`{name}` is {truncate(repr(value), 100)}: {_reading().reason_of(error)}")
        if problems:
            raise ToolError(
                f"{self.name} was not run: {'; '.join(problems)}. {self._takes()}",
                tool=self.name,
                problems=tuple(problems),
            )
        return checked

    def _converted(self, one: Parameter, value: Any) -> Any:
        annotation = one.annotation
        if annotation is UNSET or annotation is Any:
            return value
        kind: type = type(cast("object", value))
        if kind is annotation and kind in (str, int, float, bool):
            return value
        if annotation is str and kind in (int, float):
            return str(value)
        checker = self._checkers.get(one.name)
        if checker is None:
            checker = self._checkers[one.name] = _reading().checker_of(annotation)
        try:
            return checker.validate_python(value)
        except ValueError:
            if not isinstance(value, str):
                raise
            try:  # JSON inside of JSON
                return checker.validate_json(value)
            except ValueError:
                pass
            raise

    def _takes(self) -> str:
        in_words: Callable[[Any], str] = _reading().in_words
        words: list[str] = []
        for name, schema in self.args.items():
            default = f", default {schema['default']!r}" if "default" in schema else ", optional"
            words.append(f"{name} ({in_words(schema)}{', required' if name in self.required else default})")
        return f"It takes {', '.join(words)}" if words else "It takes no arguments"

    # Other makings

    @classmethod
    def from_schema(
        cls,
        func: Callable[..., Any],
        name: str,
        desc: str,
        schema: Mapping[str, Any],
        *,
        timeout: float | None = None,
    ) -> Tool:
        """Return a tool whose arguments a JSON schema describes, as other systems give them.

        Args:
            func: Takes the arguments by name, whatever they are; sync or async.
            name: What the LM calls it.
            desc: What it does.
            schema: Of an object: `properties`, `required`, `$defs` …. The LM is told all of it; names, types, choices
                and what is required are checked here, the rest is for `func` to refuse.
            timeout: As for `Tool`.

        Raises:
            ConfigurationError: The schema is no object's.

        Example:
            >>> schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
            >>> Tool.from_schema(lambda **given: given, "count", "Count.", schema)(n="3")
            {'n': 3}
        """
        properties, required = _reading().parts_of_schema(schema, name)
        tool = cls(func, name, desc, properties, timeout=timeout)
        tool._whole = schema
        tool._takes_any = schema.get("additionalProperties", not properties) is not False and not properties
        for key, one in tool._parameters.items():
            if key in required:
                tool._parameters[key] = one._replace(default=UNSET)
        return tool

    @classmethod
    def from_mcp_tool(
        cls, session: Any, tool: Any, result_mode: Any = "text", *, timeout: float | None = None
    ) -> Tool:
        """Return a tool of an open MCP session; `telic.mcp_tools` opens one, and is the easier way.

        Args:
            session: An initialized `mcp.ClientSession`.
            tool: One of `(await session.list_tools()).tools`.
            result_mode: "text", or "structured" for the structured content of results.
            timeout: As for `Tool`.
        """
        made: Tool = load("telic.integrations._mcp").mcp_tool(
            session, tool, result_mode=result_mode, timeout=timeout
        )
        return made

    @classmethod
    def from_langchain(cls, tool: Any, *, timeout: float | None = None) -> Tool:
        """Return a tool of LangChain (`@tool`, `StructuredTool`, a `BaseTool`) as one of telic."""
        made: Tool = load("telic.integrations._langchain").langchain_tool(tool, timeout=timeout)
        return made

    @classmethod
    def of(cls, value: Any) -> Tool:
        """Return a tool as it is, a function as a tool, and the description of one (`to_dict`) as one that cannot run.

        Raises:
            ConfigurationError: It is none of these.
        """
        made = _from_description(value)
        return made if isinstance(made, Tool) else cls(made)

    # Telling

    def parameters_schema(self) -> dict[str, Any]:
        """Return the JSON schema of all arguments as one object."""
        if self._whole is not None:
            return dict(self._whole)
        return _reading().object_schema(self.args, self.required, closed=not self._takes_any)

    def to_openai(self) -> dict[str, Any]:
        """Return the tool in the form of OpenAI's chat completions."""
        function = {"name": self.name, "description": self.desc, "parameters": self.parameters_schema()}
        return {"type": "function", "function": function}

    def format_as_litellm_function_call(self) -> dict[str, Any]:
        """Return the same as `to_openai`, by DSPy's name."""
        return self.to_openai()

    def to_dict(self) -> dict[str, Any]:
        """Return name, description and arguments as plain data: how a tool is shown in a prompt."""
        return {"name": self.name, "desc": self.desc, "args": self.args}

    def __copy__(self) -> Tool:
        return self

    def __deepcopy__(self, memo: object) -> Tool:
        return self  # what it calls (a connection, an index) is not the program's to copy

    def __str__(self) -> str:
        return f"{self.name}: {self.desc}" if self.desc else self.name

    def __repr__(self) -> str:
        return f"Tool({self.name!r}, args={list(self._parameters)})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Take a tool, or the description of one (`to_dict`), as it stands in saved demos."""
        core = load("pydantic_core.core_schema")
        return core.no_info_before_validator_function(_from_description, core.is_instance_schema(cls))

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": "object"}


def checked_timeout(seconds: Any, what: str) -> float | None:
    """Return a limit of time.

    Raises:
        ConfigurationError: It is no number above 0, and not None.
    """
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0:
        raise ConfigurationError(
            f"{what} must be seconds, more than 0, or None for no limit; got {seconds!r}"
        )
    return float(seconds)


def _from_description(value: Any) -> Any:
    """Return a tool that can be shown but not run for a description, and anything else as it is."""
    if not isinstance(value, Mapping) or not {"name", "args"} <= value.keys():
        return value  # pyright: ignore[reportUnknownVariableType]
    said = cast("Mapping[str, Any]", value)
    name = str(said["name"])

    def absent(**arguments: Any) -> Any:
        raise ToolError(f"{name} is known by its description alone and cannot be run", tool=name)

    return Tool(absent, name=name, desc=str(said.get("desc", "")), args=said["args"])


def _reading() -> Any:
    return load("telic.types._tool_schema")

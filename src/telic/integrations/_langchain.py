"""LangChain's tools as `Tool`s."""

from __future__ import annotations

from typing import Any

from telic.errors import ConfigurationError
from telic.types import Tool


def langchain_tool(tool: Any, *, timeout: float | None = None) -> Tool:
    """Return a tool of LangChain (`@tool`, `StructuredTool`, a `BaseTool`) as one of telic.

    Args:
        tool: LangChain's object. Its schema is what the LM is told, its `invoke` and `ainvoke` are what is called.
        timeout: Seconds for one call; None: as the agent says.

    Raises:
        ConfigurationError: It is no tool of LangChain.
    """
    for method in ("invoke", "ainvoke", "get_input_schema"):
        if not callable(getattr(tool, method, None)):
            raise ConfigurationError(f"{tool!r} is no tool of LangChain: it has no {method!r}")
    schema: Any = tool.tool_call_schema
    shown: dict[str, Any] = schema if isinstance(schema, dict) else schema.model_json_schema()  # pyright: ignore[reportUnknownVariableType]
    return Tool.from_schema(_Run(tool), tool.name, tool.description or "", shown, timeout=timeout)


class _Run:
    """A call of LangChain's tool, sync and async."""

    def __init__(self, tool: Any) -> None:
        self._tool = tool

    def __call__(self, **arguments: Any) -> Any:
        """Run it in this thread; one that is async alone is run to its end."""
        if getattr(self._tool, "func", self) is None and getattr(self._tool, "coroutine", None) is not None:
            return self._tool.ainvoke(arguments)
        return self._tool.invoke(arguments)

    async def acall(self, **arguments: Any) -> Any:
        """Await it."""
        return await self._tool.ainvoke(arguments)

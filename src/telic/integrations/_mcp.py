"""Tools of MCP servers: one tool of an open session, as a `Tool`.

The server's JSON schema is what the LM is told, and what its arguments are checked by before they travel; the server
checks them again. What the server calls an error is a `ToolError`, which agents show to the LM.

A session of the `mcp` package belongs to the event loop that it was opened on. A tool that is called on another loop,
or from plain code in another thread, goes over to that one. Plain code that blocks the session's own loop would wait
for itself: a loop that does not stir for some seconds is told to be blocked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Literal, cast, final

from telic._optional import load
from telic.errors import ConfigurationError, MediaError, TelicError, ToolError
from telic.types import Audio, Image, Tool

ResultMode = Literal["text", "structured"]
BUSY_S: Final = 5.0
"""How long a loop may be busy before it is taken for blocked."""
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_-]")


def mcp_tool(
    session: Any,
    tool: Any,
    *,
    result_mode: ResultMode = "text",
    timeout: float | None = None,
    loop: Any = None,
    prefix: str = "",
) -> Tool:
    """Return one tool of an MCP session.

    Args:
        session: An initialized `mcp.ClientSession`.
        tool: One of `(await session.list_tools()).tools`.
        result_mode: "text": the result's text (or `Image`, `Audio`), a list where there are several parts.
            "structured": its structured content, where the server gives one.
        timeout: Seconds for one call; None: as the agent says.
        loop: The event loop that the session lives on; None: the one that runs now.
        prefix: What the LM sees before the tool's name.

    Raises:
        ConfigurationError: An option is impossible, or the tool's schema is no object's.

    What a name may not have for LMs ("files.read") becomes "_"; the server is called by its own name.
    """
    if result_mode not in ("text", "structured"):
        raise ConfigurationError(f"result_mode must be 'text' or 'structured', got {result_mode!r}")
    call = _Call(session, str(tool.name), result_mode, _running_loop() if loop is None else loop)
    name = _NOT_IN_NAMES.sub("_", f"{prefix}{call.name}")[:64]
    name = name if name[:1].isalpha() or name[:1] == "_" else f"_{name}"[:64]
    said = tool.description if tool.description else getattr(tool, "title", None)
    return Tool.from_schema(call.start, name, said if said else "", tool.inputSchema, timeout=timeout)


@final
class _Call:
    """Calls one tool of a session, from any thread and loop."""

    def __init__(self, session: Any, name: str, result_mode: ResultMode, loop: Any) -> None:
        self.name = name
        self._session = session
        self._mode: ResultMode = result_mode
        self._loop = loop

    async def start(self, **arguments: Any) -> Any:
        """Call the tool and return its result."""
        asyncio = load("asyncio")
        if self._loop is None or asyncio.get_running_loop() is self._loop:
            return read_result(await self._ask(arguments), self.name, self._mode)
        if self._loop.is_closed():
            raise _closed(self.name)
        await self._stirs(asyncio)
        asked = asyncio.run_coroutine_threadsafe(self._ask(arguments), self._loop)
        return read_result(await asyncio.wrap_future(asked), self.name, self._mode)

    async def _stirs(self, asyncio: Any) -> None:
        """Return once the session's loop answers."""
        here: Any = asyncio.get_running_loop()
        rung: Any = asyncio.Event()
        self._loop.call_soon_threadsafe(lambda: here.call_soon_threadsafe(rung.set))
        try:
            await asyncio.wait_for(rung.wait(), BUSY_S)
        except TimeoutError:
            raise ToolError(
                f"{self.name} was not run: the event loop of its MCP session is blocked, by this very program if that "
                "is called there without await; await program.acall(…), or use telic.mcp_tools(…)",
                tool=self.name,
            ) from None

    async def _ask(self, arguments: dict[str, Any]) -> Any:
        ask: Callable[..., Awaitable[Any]] = self._session.call_tool
        try:
            return await ask(self.name, arguments)
        except TelicError:
            raise
        except Exception as error:
            if type(error).__name__ in ("ClosedResourceError", "BrokenResourceError"):
                raise _closed(self.name) from error
            raise ToolError(f"the MCP server could not run {self.name}: {error}", tool=self.name) from error


def _closed(name: str) -> ToolError:
    return ToolError(
        f"{name} was not run: the connection to its MCP server is closed; keep the `with` block open around the "
        "program, and see whether the server has ended",
        tool=name,
    )


def read_result(result: Any, name: str, mode: ResultMode) -> Any:
    """Return what a tool's result says.

    Raises:
        ToolError: The server calls it an error.
    """
    parts = [_part(part) for part in result.content or ()]
    if result.isError:
        said = "\n".join(str(part) for part in parts)
        raise ToolError(f"{name} answered with an error: {said or 'it does not say which'}", tool=name)
    if mode == "structured":
        structured: Any = getattr(result, "structuredContent", None)
        if structured is not None:
            # Servers wrap what is no object: {"result": 3}.
            plain = cast("Mapping[str, Any]", structured)
            return plain["result"] if list(plain) == ["result"] else dict(plain)
    return parts[0] if len(parts) == 1 else parts


def _part(part: Any) -> Any:
    """Return a part of a result: text, an `Image` or an `Audio` where it can be read, else what it is in words."""
    kind: str = getattr(part, "type", "")
    if kind == "text":
        return part.text
    if kind in ("image", "audio"):
        made: Callable[[str], Any] = Image if kind == "image" else Audio
        try:
            return made(f"data:{part.mimeType};base64,{part.data}")
        except MediaError as error:
            return f"({kind}, {part.mimeType}, that cannot be read: {error})"
    resource = getattr(part, "resource", None)
    text: str | None = getattr(resource, "text", None)
    if text is not None:
        return text
    plain: dict[str, Any] = part.model_dump(mode="json", exclude_none=True)
    return json.dumps(plain, ensure_ascii=False) if len(str(plain)) < 1000 else f"({kind})"


def _running_loop() -> Any:
    return load("asyncio")._get_running_loop()

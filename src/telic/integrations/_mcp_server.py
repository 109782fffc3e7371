"""`mcp_tools`: the tools of an MCP server, for as long as a `with` block lasts.

The connection lives on an event loop in a thread of its own, so that its tools serve plain and async programs, many
threads and many loops alike. Its one task opens it, keeps it and closes it.
"""

from __future__ import annotations

import os
import shlex
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Final, cast, final
from urllib.parse import urlsplit

from telic._optional import load, require
from telic._text import did_you_mean, join_names
from telic.errors import ConfigurationError
from telic.integrations._mcp import ResultMode, mcp_tool
from telic.types import Tool, checked_timeout

_PURPOSE: Final = "mcp_tools"
_CLOSE_S: Final = 10.0


def mcp_tools(
    server: str | Sequence[str],
    *,
    only: Iterable[str] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 60.0,
    result_mode: ResultMode = "text",
    prefix: str = "",
) -> McpTools:
    """Return a context manager, for `with` and `async with`, whose value is the list of an MCP server's tools.

    Args:
        server: The URL of a server that speaks streamable HTTP, or the command that starts one which speaks over its
            standard input and output: "uvx mcp-server-time", or a list of arguments.
        only: The names of the tools that are wanted; None: all.
        env: Environment variables for the command, beside a few harmless ones (PATH, HOME …); no others are passed on.
        cwd: The folder that the command runs in.
        headers: Sent with every request to a URL.
        timeout: Seconds: to connect, and for each call of a tool.
        result_mode: As for `Tool.from_mcp_tool`.
        prefix: What the LM sees before the tools' names, to tell those of several servers apart.

    Raises:
        MissingExtraError: The package `mcp` is not installed.
        ConfigurationError: An option cannot be; and, when the block is entered: the server cannot be started or
            reached, or has no tool of a name that is wanted.

    Example:
        >>> mcp_tools("uvx mcp-server-time --local-timezone=UTC", only=["get_current_time"])
        McpTools('uvx …', closed)
    """
    return McpTools(_Address(server, env, cwd, headers), only, timeout, result_mode, prefix)


@final
class McpTools:
    """The tools of one MCP server; see `mcp_tools`.

    One block at a time; after it, the tools say that the connection is closed.
    """

    def __init__(
        self,
        address: _Address,
        only: Iterable[str] | None,
        timeout: float,
        result_mode: ResultMode,
        prefix: str,
    ) -> None:
        require("mcp", extra="mcp", purpose=_PURPOSE)
        self._address = address
        self._only = None if only is None else list(only)
        self._timeout = checked_timeout(timeout, f"{_PURPOSE}: timeout")
        self._mode: ResultMode = result_mode
        self._prefix = prefix
        self._link: _Link | None = None

    def __enter__(self) -> list[Tool]:
        """Connect, and return the tools."""
        if self._link is not None:
            raise ConfigurationError(f"{self!r} is open already; make another one for another block")
        link = _Link(self._address, self._timeout)
        try:
            listed = link.open()
            tools = self._chosen(listed, link)
        except BaseException:
            link.close()
            raise
        self._link = link
        return tools

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection; a server that was started is ended."""
        if self._link is not None:
            self._link.close()
            self._link = None

    async def __aenter__(self) -> list[Tool]:
        """Connect without blocking the loop, and return the tools."""
        return await load("asyncio").to_thread(self.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection without blocking the loop."""
        await load("asyncio").to_thread(self.__exit__, kind, error, trace)

    def _chosen(self, listed: Sequence[Any], link: _Link) -> list[Tool]:
        by_name = {tool.name: tool for tool in listed}
        for name in self._only or ():
            if name not in by_name:
                raise ConfigurationError(
                    f"{self._address.shown!r} has no tool {name!r}{did_you_mean(name, by_name)}; it has "
                    f"{join_names(by_name) or 'none'}"
                )
        wanted = list(by_name) if self._only is None else self._only
        made: dict[str, Tool] = {}
        for name in wanted:
            tool = mcp_tool(
                link.session,
                by_name[name],
                result_mode=self._mode,
                timeout=self._timeout,
                loop=link.loop,
                prefix=self._prefix,
            )
            if tool.name in made:
                raise ConfigurationError(
                    f"two tools of {self._address.shown!r} are both called {tool.name!r} here; take one with only=[…]"
                )
            made[tool.name] = tool
        return list(made.values())

    def __repr__(self) -> str:
        return f"McpTools({self._address.shown!r}, {'closed' if self._link is None else 'open'})"


@final
class _Address:
    """Where a server is: a URL, or a command."""

    def __init__(
        self,
        server: str | Sequence[str],
        env: Mapping[str, str] | None,
        cwd: str | os.PathLike[str] | None,
        headers: Mapping[str, str] | None,
    ) -> None:
        self.url = server if isinstance(server, str) and "://" in server else None
        self.command: list[str] = []
        self.env = env
        self.cwd = cwd
        self.headers = headers
        if self.url is not None:
            parts = urlsplit(self.url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ConfigurationError(
                    f"{_PURPOSE}: {parts.scheme}://… is no address of an MCP server; use http:// or https://, or a "
                    "command"
                )
            if env is not None or cwd is not None:
                raise ConfigurationError(f"{_PURPOSE}: env and cwd are for servers that a command starts")
            host = parts.netloc.rpartition("@")[2]
            self.shown = f"{parts.scheme}://{host}{parts.path}"  # user and query may hold a key
            return
        self.command = shlex.split(server) if isinstance(server, str) else [str(part) for part in server]
        if not self.command:
            raise ConfigurationError(f"{_PURPOSE}: the command is empty; give a command, or a URL")
        if headers is not None:
            raise ConfigurationError(f"{_PURPOSE}: headers are for servers at a URL")
        name = os.path.basename(self.command[0])
        self.shown = f"{name} …" if len(self.command) > 1 else name  # arguments may hold a key

    async def connect(self, stack: AsyncExitStack, timeout_s: float | None) -> tuple[Any, Any]:
        """Open the streams of a session."""
        if self.url is None:
            stdio = load("mcp.client.stdio")
            given = stdio.StdioServerParameters(
                command=self.command[0],
                args=self.command[1:],
                env=None if self.env is None else {**stdio.get_default_environment(), **self.env},
                cwd=self.cwd,
            )
            return await stack.enter_async_context(stdio.stdio_client(given, errlog=_errors()))
        http = load("mcp.client.streamable_http")
        httpx = load("httpx")
        limit = httpx.Timeout(timeout_s, read=None)
        client = http.create_mcp_http_client(
            headers=None if self.headers is None else dict(self.headers), timeout=limit
        )
        await stack.enter_async_context(client)
        streams = await stack.enter_async_context(http.streamable_http_client(self.url, http_client=client))
        return streams[0], streams[1]


def _errors() -> Any:
    """Return where a server's own messages go: this process's standard error, where there is one."""
    for stream in (sys.stderr, sys.__stderr__):
        try:
            if stream is not None:
                stream.fileno()
                return stream
        except (OSError, ValueError, AttributeError):
            continue
    return None


@final
class _Link:
    """A connection and the thread it lives in."""

    def __init__(self, address: _Address, timeout_s: float | None) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._tools: list[Any] = []
        self._stop: Any = None
        self._thread = threading.Thread(target=self._run, name="telic-mcp", daemon=True)
        self.loop: Any = None
        self.session: Any = None

    def open(self) -> list[Any]:
        """Connect, and return what the server lists.

        Raises:
            ConfigurationError: It cannot be reached, or does not answer in time.
        """
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            cause = _innermost(self._error)
            said = (
                "no answer in time" if isinstance(cause, TimeoutError) else f"{type(cause).__name__}: {cause}"
            )
            raise ConfigurationError(
                f"{_PURPOSE}: {self._address.shown!r} is no MCP server that can be used ({said}); check the "
                f"{'command' if self._address.url is None else 'address and headers'}"
            ) from cause
        return self._tools

    def close(self) -> None:
        """End the connection, and wait for the end of its thread."""
        if self.loop is not None and self._stop is not None:
            try:
                self.loop.call_soon_threadsafe(self._stop.set)
            except RuntimeError:
                pass  # it has ended by itself
        if self._thread.is_alive():
            self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        try:
            load("asyncio").run(self._main())
        except BaseException as error:  # noqa: BLE001  told to whoever opened it
            self._error = error
        self._ready.set()

    async def _main(self) -> None:
        asyncio = load("asyncio")
        self.loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(self._timeout_s):
                streams = await self._address.connect(stack, self._timeout_s)
                self.session = await stack.enter_async_context(load("mcp").ClientSession(*streams))
                await self.session.initialize()
                self._tools = await _listed(self.session)
            self._ready.set()
            await self._stop.wait()


async def _listed(session: Any) -> list[Any]:
    """Return all tools of a session, page by page."""
    tools: list[Any] = []
    cursor: str | None = None
    while True:
        page = await session.list_tools(cursor)
        tools += page.tools
        cursor = page.nextCursor
        if not cursor:
            return tools


def _innermost(error: BaseException) -> BaseException:
    """Return the first failure inside of groups of them."""
    inner: BaseException = error
    while isinstance(inner, BaseExceptionGroup):
        inner = cast("BaseExceptionGroup[BaseException]", inner).exceptions[0]
    return inner

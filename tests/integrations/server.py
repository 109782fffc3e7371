"""A real MCP server, for tests: run, it speaks over standard input and output; imported, it is served over HTTP."""

import os
import signal
from typing import Literal

import anyio
from mcp.server.fastmcp import FastMCP
from mcp.types import ImageContent, TextContent
from pydantic import BaseModel

server = FastMCP("test", log_level="CRITICAL")


class City(BaseModel):
    name: str
    country: str = "?"


@server.tool()
def population(city: str, unit: Literal["people", "millions"] = "people") -> int:
    """Look up how many people live in a city."""
    return {"Rome": 2_700_000}[city]


@server.tool()
def describe(city: City) -> dict[str, str]:
    """Describe a city."""
    return {"said": f"{city.name} in {city.country}"}


@server.tool(name="files.read")
def read(path: str) -> list[TextContent | ImageContent]:
    """Read a file."""
    return [
        TextContent(type="text", text=path),
        ImageContent(type="image", data="AAAA", mimeType="image/png"),
    ]


@server.tool()
def environment(name: str) -> str:
    """Tell an environment variable."""
    return os.environ.get(name, "")


@server.tool()
async def hang() -> str:
    """Never answer."""
    await anyio.sleep_forever()
    return ""


@server.tool()
def die() -> str:
    """End the server."""
    os.kill(os.getpid(), signal.SIGKILL)
    return ""


@server.tool()
def big(n: int) -> str:
    """Answer at length."""
    return "x" * n


if __name__ == "__main__":
    server.run("stdio")

"""Other libraries beside telic: tools of MCP servers and of LangChain, rows on a Ray cluster, OpenTelemetry."""

from telic.integrations._langchain import langchain_tool as langchain_tool
from telic.integrations._mcp import mcp_tool as mcp_tool
from telic.integrations._mcp_server import McpTools as McpTools
from telic.integrations._mcp_server import mcp_tools as mcp_tools
from telic.integrations._otel import OpenTelemetry as OpenTelemetry
from telic.integrations._ray import Ray as Ray

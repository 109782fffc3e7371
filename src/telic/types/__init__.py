"""Types of fields that are more than text."""

from telic.types._base import FieldType as FieldType
from telic.types._history import History as History
from telic.types._tool import Tool as Tool
from telic.types._tool_calls import ToolCall as ToolCall
from telic.types._tool_calls import ToolCalls as ToolCalls

"""Types of fields that are more than text."""

from telic.types._audio import Audio as Audio
from telic.types._base import FieldType as FieldType
from telic.types._base import FieldValue as FieldValue
from telic.types._citations import Citation as Citation
from telic.types._citations import Citations as Citations
from telic.types._code import Code as Code
from telic.types._document import Document as Document
from telic.types._file import File as File
from telic.types._history import History as History
from telic.types._image import Image as Image
from telic.types._marked import unmarked as unmarked
from telic.types._mentions import mentions as mentions
from telic.types._parts import has_parts as has_parts
from telic.types._parts import part_text as part_text
from telic.types._parts import text_of_value as text_of_value
from telic.types._reasoning import Reasoning as Reasoning
from telic.types._tool import Tool as Tool
from telic.types._tool import checked_timeout as checked_timeout
from telic.types._tool_calls import ToolCall as ToolCall
from telic.types._tool_calls import ToolCalls as ToolCalls
from telic.types._tool_schema import without_titles as without_titles

"""Types of fields that are more than text."""

from telic.types._base import FieldType as FieldType
from telic.types._history import History as History

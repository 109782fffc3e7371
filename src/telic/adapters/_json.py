"""`JSONAdapter`: inputs as sections, outputs as one JSON object.

What the LM can do natively is chosen before the call, from its capabilities: a strict JSON schema where every output
can be described by a closed one, else "some JSON object", else the prompt alone. The choice is in `plan.options`, which
a `response_format` of the user's own takes precedence over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from telic.adapters._annotations import split_histories
from telic.adapters._base import Adapter
from telic.adapters._describe import NOT_SUPPLIED, name_outputs, placeholder
from telic.adapters._guard import MARKERS
from telic.adapters._objects import read_object
from telic.adapters._parts import plain_output
from telic.adapters._strict import strict_schema
from telic.adapters._values import to_json
from telic.types import has_parts

if TYPE_CHECKING:
    from telic.adapters._reading import Reader
    from telic.protocols import Capabilities

_JSON_OBJECT: Mapping[str, Any] = {"response_format": {"type": "json_object"}}


class JSONAdapter(Adapter):
    """Asks for one JSON object with the output fields.

    Example:
        >>> from telic.signatures import Signature
        >>> JSONAdapter().parse(Signature("question -> tags: list[str]"), 'Sure: {"tags": ["a", "b",]}')
        {'tags': ['a', 'b']}
    """

    _native_by_itself = True

    def reader(self) -> Reader:
        """Return the reader of JSON objects."""
        return read_object

    def response_options(self, signature: Any, capabilities: Capabilities) -> Mapping[str, Any]:
        """Return the `response_format` that the LM supports for these outputs, or nothing."""
        if capabilities.response_schema:
            schema = strict_schema(signature)
            if schema is not None:
                return {"response_format": {"type": "json_schema", "json_schema": schema}}
        return _JSON_OBJECT if capabilities.json_object or capabilities.response_schema else {}

    def format_field_structure(self, signature: Any) -> str:
        """Return one section for each input, and the object of the outputs with notes of what they must look like."""
        inputs, _ = split_histories(signature)
        outputs = {name: placeholder(field) for name, field in signature.output_fields.items()}
        return "\n\n".join(
            (
                self._form(inputs),
                "Outputs are one JSON object with these fields, in this order:",
                json.dumps(outputs, ensure_ascii=False, indent=2),
            )
        )

    def user_message_output_requirements(self, signature: Any) -> str:
        """Return the sentence that names the keys, in order."""
        names = name_outputs(signature, "{}")
        return f"Respond with a JSON object in the following order of fields: {names}."

    def format_assistant_message_content(
        self, signature: Any, outputs: Mapping[str, Any], missing_field_message: str | None = None
    ) -> str:
        """Return the outputs as an indented JSON object."""
        missing = NOT_SUPPLIED if missing_field_message is None else missing_field_message
        return to_json(
            {name: _plain(outputs[name]) if name in outputs else missing for name in signature.output_fields},
            indent=2,
        )


def _plain(value: Any) -> Any:
    if type(value) is str:
        return MARKERS.hide(value)  # JSON needs no guard, but the reader takes one away from every text
    plain = plain_output(value)
    return MARKERS.hide(plain) if has_parts(value) and isinstance(plain, str) else plain

"""`ChatAdapter`: fields as `[[ ## name ## ]]` sections. Works with every LM, and is the default.

The text is settled: the embedded LM is trained on it byte for byte, and golden files hold it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from telic.adapters._base import Adapter
from telic.adapters._describe import name_outputs
from telic.adapters._markers import END, read_markers

if TYPE_CHECKING:
    from telic.adapters._reading import Reader


class ChatAdapter(Adapter):
    """Marks each field by a line `[[ ## name ## ]]`.

    Reading is forgiving where that costs nothing: order, spacing, case and markdown of markers, a missing end marker, a
    fence around all, a reply that is a JSON object or tags; with a single text output and no marker at all, the whole
    reply is the answer. Where a field stays missing or does not fit its type, it is an `AdapterParseError`.

    Example:
        >>> from telic.signatures import Signature
        >>> adapter = ChatAdapter()
        >>> print(adapter.format(Signature("question -> answer"), [], {"question": "2+2?"})[1]["content"][:25])
        [[ ## question ## ]]
        2+2?
        >>> adapter.parse(Signature("question -> answer: int"), "[[ ## answer ## ]] 4.")
        {'answer': 4}
    """

    def reader(self) -> Reader:
        """Return the reader of sections."""
        return read_markers

    def format_field_structure(self, signature: Any) -> str:
        """Return one section for each field, outputs with a note of what they must look like."""
        return f"{super().format_field_structure(signature)}\n\n{END}"

    def user_message_output_requirements(self, signature: Any) -> str:
        """Return the sentence that names the markers to come, in order."""
        return (
            f"Respond with the output fields, starting with the field {name_outputs(signature, '[[ ## {} ## ]]')}, "
            f"and then ending with the marker for `{END}`."
        )

    def format_assistant_message_content(
        self, signature: Any, outputs: Mapping[str, Any], missing_field_message: str | None = None
    ) -> str:
        """Return the sections of the outputs and the end marker."""
        sections = super().format_assistant_message_content(signature, outputs, missing_field_message)
        return f"{sections}\n\n{END}"

"""`ChatAdapter`: fields as `[[ ## name ## ]]` sections. Works with every LM, and is the default.

The text is settled: the embedded LM is trained on it byte for byte, and golden files hold it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from telic.adapters._base import Adapter, split_histories
from telic.adapters._describe import NOT_SUPPLIED, asked_type, placeholder
from telic.adapters._guard import MARKERS, Guard
from telic.adapters._markers import opening, read_markers
from telic.adapters._parser import ReplyParser
from telic.adapters._turns import Block, text_of, value_piece

if TYPE_CHECKING:
    from telic.signatures import FieldInfo

_COMPLETED = "[[ ## completed ## ]]"


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

    def guard(self, signature: Any) -> Guard:
        """Return what hides `[[ ## … ## ]]` inside values."""
        return MARKERS

    def block(self, field: FieldInfo) -> Block:
        """Return the marker line; nothing closes a section."""
        return Block(field, opening(field.name), "")

    def new_parser(self, signature: Any, guard: Guard) -> ReplyParser:
        """Return the reader of sections."""
        return ReplyParser(self.name, tuple(signature.output_fields.values()), read_markers, guard.restore)

    def format_field_structure(self, signature: Any) -> str:
        """Return one section for each field, outputs with a note of what they must look like."""
        inputs, _ = split_histories(signature)
        blocks = [f"{opening(f.name)}{placeholder(f)}" for f in (*inputs, *signature.output_fields.values())]
        return "\n\n".join(("Every message follows this form:", *blocks, _COMPLETED))

    def user_message_output_requirements(self, signature: Any) -> str:
        """Return the sentence that names the markers to come, in order."""
        names = ", then ".join(
            f"`[[ ## {f.name} ## ]]`{asked_type(f)}" for f in signature.output_fields.values()
        )
        return (
            f"Respond with the output fields, starting with the field {names}, "
            f"and then ending with the marker for `{_COMPLETED}`."
        )

    def format_assistant_message_content(
        self, signature: Any, outputs: Mapping[str, Any], missing_field_message: str | None = None
    ) -> str:
        """Return the sections of the outputs and the end marker."""
        missing = NOT_SUPPLIED if missing_field_message is None else missing_field_message
        blocks = [
            opening(name)
            + (text_of(value_piece(outputs[name], field, MARKERS)) if name in outputs else missing)
            for name, field in signature.output_fields.items()
        ]
        return "\n\n".join((*blocks, _COMPLETED))

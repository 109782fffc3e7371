"""`XMLAdapter`: fields as `<name>…</name>` blocks, values verbatim inside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from telic.adapters._base import Adapter, split_histories
from telic.adapters._describe import NOT_SUPPLIED, asked_type, placeholder
from telic.adapters._guard import Guard, tag_guard
from telic.adapters._parser import ReplyParser
from telic.adapters._tags import read_tags
from telic.adapters._turns import Block, text_of, value_piece

if TYPE_CHECKING:
    from telic.signatures import FieldInfo


class XMLAdapter(Adapter):
    """Wraps each field in a tag of its name.

    A reply is not parsed as XML: prose around the tags and any `<` or `&` inside a value do no harm. An output with
    structure may come as JSON or as nested elements inside its tag.

    Example:
        >>> from telic.signatures import Signature
        >>> graded = Signature("question -> answer, score: float")
        >>> XMLAdapter().parse(graded, "<answer>1 < 2</answer> <score>85%</score>")
        {'answer': '1 < 2', 'score': 0.85}
    """

    def guard(self, signature: Any) -> Guard:
        """Return what hides the tags of this signature's fields inside values."""
        return tag_guard(signature.fields)

    def block(self, field: FieldInfo) -> Block:
        """Return the field's opening and closing tags, each on a line of its own."""
        return Block(field, f"<{field.name}>\n", f"\n</{field.name}>")

    def new_parser(self, signature: Any, guard: Guard) -> ReplyParser:
        """Return the reader of tags."""
        return ReplyParser(self.name, tuple(signature.output_fields.values()), read_tags, guard.restore)

    def format_field_structure(self, signature: Any) -> str:
        """Return one block for each field, outputs with a note of what they must look like."""
        inputs, _ = split_histories(signature)
        blocks = [_wrap(f.name, placeholder(f)) for f in (*inputs, *signature.output_fields.values())]
        return "\n\n".join(("Every message follows this form:", *blocks))

    def user_message_output_requirements(self, signature: Any) -> str:
        """Return the sentence that names the tags, in order."""
        names = ", then ".join(f"`<{f.name}>`{asked_type(f)}" for f in signature.output_fields.values())
        return f"Respond with the corresponding output fields wrapped in XML tags {names}."

    def format_assistant_message_content(
        self, signature: Any, outputs: Mapping[str, Any], missing_field_message: str | None = None
    ) -> str:
        """Return the blocks of the outputs."""
        missing = NOT_SUPPLIED if missing_field_message is None else missing_field_message
        guard = self.guard(signature)
        return "\n\n".join(
            _wrap(name, text_of(value_piece(outputs[name], field, guard)) if name in outputs else missing)
            for name, field in signature.output_fields.items()
        )


def _wrap(name: str, text: str) -> str:
    return f"<{name}>\n{text}\n</{name}>"

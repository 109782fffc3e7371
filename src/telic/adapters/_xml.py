"""`XMLAdapter`: fields as `<name>…</name>` blocks, values verbatim inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from telic.adapters._base import Adapter
from telic.adapters._describe import name_outputs
from telic.adapters._guard import Guard, tag_guard
from telic.adapters._tags import read_tags
from telic.adapters._turns import Block

if TYPE_CHECKING:
    from telic.adapters._reading import Reader
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

    def reader(self) -> Reader:
        """Return the reader of tags."""
        return read_tags

    def user_message_output_requirements(self, signature: Any) -> str:
        """Return the sentence that names the tags, in order."""
        names = name_outputs(signature, "<{}>")
        return f"Respond with the corresponding output fields wrapped in XML tags {names}."

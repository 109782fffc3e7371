"""The prose about fields in prompts: their list, the note beside each output, the types asked for.

This text is settled: the embedded LM is trained on it, and golden files hold it.
"""

from __future__ import annotations

import json
import typing
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from telic.adapters._annotations import bare_annotation, enum_choices, is_field_type, literal_choices
from telic.signatures import json_schema, type_name
from telic.types import without_titles

if TYPE_CHECKING:
    from telic.signatures import FieldInfo

NOT_SUPPLIED = "Not supplied for this particular example."
INCOMPLETE = "This is an example of the task, though some input or output fields are not supplied."


def list_fields(fields: Iterable[FieldInfo]) -> str:
    """Return one numbered line a field: name, type, description, constraints."""
    lines: list[str] = []
    for number, field in enumerate(fields, 1):
        line = f"{number}. `{field.name}` ({prompt_name(field.annotation)})"
        if field.desc:
            line += f": {field.desc}"
        if field.constraints_text:
            line += f" ({field.constraints_text})"
        lines.append(line)
        lines += (f"    {name}: {text}" for name, text in type_descriptions(field.annotation).items())
    return "\n".join(lines)


def prompt_name(annotation: Any) -> str:
    """Return a type as prompts name it."""
    return annotation.prompt_name() if is_field_type(annotation) else type_name(annotation)


def type_descriptions(annotation: Any) -> dict[str, str]:
    """Return what the field types in an annotation say of themselves, by name."""
    arguments = typing.get_args(annotation)
    if arguments:
        found: dict[str, str] = {}
        for argument in arguments:
            found.update(type_descriptions(argument))
        return found
    if not isinstance(annotation, type) or not hasattr(annotation, "to_parts"):
        return {}
    describe: Any = getattr(annotation, "description", None)
    text: Any = describe() if callable(describe) else ""
    return {prompt_name(annotation): " ".join(text.split())} if isinstance(text, str) and text.strip() else {}


def placeholder(field: FieldInfo) -> str:
    """Return `{name}`, with what an output must look like where text alone would not do."""
    note = "" if field.kind == "input" else output_note(field)
    return f"{{{field.name}}}        # {note}" if note else f"{{{field.name}}}"


def output_note(field: FieldInfo) -> str:
    """Return what the text of an output must be, or "" for plain text."""
    annotation = bare_annotation(field.annotation)
    if annotation is str:
        return ""
    if is_field_type(annotation) and (note := annotation.output_note()) is not None:
        return note
    if annotation is bool:
        return "must be True or False"
    if annotation in (int, float):
        return f"must be a single {annotation.__name__} value"
    if choices := literal_choices(annotation):
        return f"must exactly match one of: {'; '.join(choices)}"
    if choices := enum_choices(annotation):
        return f"must be one of: {'; '.join(choices)}"
    schema = json.dumps(without_titles(json_schema(annotation)), ensure_ascii=False, separators=(",", ":"))
    return f"must be JSON that follows the schema: {schema}"


def name_outputs(signature: Any, mark: str) -> str:
    """Return "`a`, then `b` (must be formatted as …)" for the outputs, each name in `mark`, such as "<{}>"."""
    outputs = signature.output_fields.values()
    return ", then ".join(f"`{mark.format(field.name)}`{_asked_type(field)}" for field in outputs)


def _asked_type(field: FieldInfo) -> str:
    """Return " (must be formatted as a valid Python …)", or "" for plain text."""
    annotation = bare_annotation(field.annotation)
    if annotation is str or (is_field_type(annotation) and annotation.output_note() is not None):
        return ""
    return f" (must be formatted as a valid Python {prompt_name(field.annotation)})"


def indent_instructions(instructions: str) -> str:
    """Return every line of `instructions` behind eight blanks."""
    return "\n".join(f"        {line}" for line in instructions.split("\n"))

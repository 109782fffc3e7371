"""Outputs that may come beside the text of a reply: the citations of documents, and the model's own reasoning.

Where the LM declares that it cites, the documents of a call go to it as documents, and the field of `Citations` is no
part of the prompt; where it declares that its reasoning comes with the reply, neither is the field of `Reasoning`. All
other LMs are shown numbered texts and write both as fields. The choice is made before the call, from what is declared.
Either way citations are looked up in the documents of the call, and one that does not stand there is an error that the
LM can be told of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast, final

from telic._text import truncate
from telic.adapters._annotations import holds
from telic.errors import AdapterParseError
from telic.signatures import default_instructions
from telic.types import Citations, Document, FieldType, Reasoning, mentions

if TYPE_CHECKING:
    from telic.adapters._plan import Parse
    from telic.adapters._turns import UserTurn
    from telic.data import Completion
    from telic.protocols import Capabilities

NATIVE_TYPES: tuple[type[FieldType], ...] = (Citations, Reasoning)
_QUOTED = frozenset({"char_location", "page_location"})


class Source(NamedTuple):
    """A document as it was given to the LM."""

    data: str
    title: str | None
    is_text: bool


@final
class Channels:
    """Which outputs of a signature come beside the text, for one LM.

    Attributes:
        shown: The signature that the prompt shows: without these outputs.
        documents: Whether documents go to the LM as they are.
    """

    __slots__ = ("_cited", "_citing", "_given", "_name", "_signature", "_thought", "documents", "shown")

    def __init__(self, signature: Any, capabilities: Capabilities, native: Iterable[type], name: str) -> None:
        """Choose.

        Args:
            signature: The signature.
            capabilities: What the LM does by itself.
            native: The types that may come beside the text at all.
            name: The adapter's, for errors.
        """
        outputs = signature.output_fields.values()
        self._signature = signature
        self._name = name
        self._citing = tuple(f.name for f in outputs if holds(f.annotation, Citations))
        thinking = tuple(f.name for f in outputs if holds(f.annotation, Reasoning))
        self._given = any(mentions(f.annotation, Document) for f in signature.input_fields.values())
        cites = bool(self._citing) and self._given and capabilities.citations and Citations in native
        thinks = bool(thinking) and capabilities.reasoning_text and Reasoning in native
        beside = {*(self._citing if cites else ()), *(thinking if thinks else ())}
        if len(beside) == len(signature.output_fields):
            beside, cites, thinks = set[str](), False, False  # a reply must have something to say
        self._cited = self._citing if cites else ()
        self._thought = thinking if thinks else ()
        self.documents = cites
        self.shown = signature
        for field in beside:
            self.shown = self.shown.delete(field)
        if beside and signature.instructions == _default(signature):
            self.shown = self.shown.with_instructions(_default(self.shown))

    @property
    def thinking(self) -> tuple[str, ...]:
        """The outputs that are the LM's own reasoning."""
        return self._thought

    def read(self, parse: Parse, turn: UserTurn) -> Parse:
        """Return what reads a reply of the signature, given what reads one of `shown`.

        Args:
            parse: The reader of `shown`.
            turn: Of the inputs; says which documents a call gave.
        """
        if not self._citing and not self._thought:
            return parse

        def read(completion: Completion, inputs: Mapping[str, Any] | None) -> dict[str, Any]:
            values = parse(completion, inputs)
            for name in self._thought:
                values[name] = Reasoning(completion.reasoning or "")
            for name in self._cited:
                values[name] = _native_citations(completion)
            given = sources(turn, inputs) if self._citing and inputs is not None else []
            if given or (self._given and inputs is not None):
                for name in self._citing:
                    values[name] = self._verified(values[name], name, given, completion, values)
            if not self._cited and not self._thought:
                return values
            return self._signature.check_outputs(
                {n: values[n] for n in self._signature.output_fields}, inputs
            )

        return read

    def _verified(
        self, value: Any, name: str, given: Sequence[Source], completion: Completion, values: dict[str, Any]
    ) -> Any:
        if not isinstance(value, Citations):
            return value
        try:
            return value.verified(given)
        except ValueError as error:
            title = getattr(self._signature, "__name__", "")
            raise AdapterParseError(
                f"{self._name}: the reply for {title!r} could not be used: field `{name}`: {error}. The reply was "
                f"{truncate(completion.text, 400)!r}; raise `max_retries` if the LM can do better",
                adapter_name=self._name,
                signature=self._signature,
                lm_response=completion.text,
                parsed_result={n: v for n, v in values.items() if n != name},
                field=name,
                problems=(f"field `{name}`: {error}",),
            ) from error


def _default(signature: Any) -> str:
    return default_instructions(signature.input_fields, signature.output_fields)


def sources(turn: UserTurn, inputs: Mapping[str, Any]) -> list[Source]:
    """Return the documents in a turn with these inputs, in the order in which they are numbered."""
    content = turn.with_documents().content(inputs)
    if isinstance(content, str):
        return []
    found: list[Source] = []
    for part in content:
        if part.get("type") == "document":
            source = cast("Mapping[str, Any]", part.get("source") or {})
            found.append(Source(str(source.get("data")), part.get("title"), source.get("type") == "text"))
    return found


def _native_citations(completion: Completion) -> Citations:
    """Return the citations that came with a reply; those of other things than documents are left out."""
    return Citations([c for c in completion.citations if c.get("type", "char_location") in _QUOTED])

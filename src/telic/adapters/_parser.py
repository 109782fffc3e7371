"""One reply to typed outputs: the layout's own reader first, then the repairs that cost nothing.

Made once per signature. The fast path is: read, one function per field, done. Where fields are missing, the reply may
be wholly in another layout's format (it must then begin with it: text that a reply merely quotes is never taken for
one), or, for a signature with a single text output, be the bare answer without any marker. A reply that the provider
cut and that does not show its own end is a `TruncatedReplyError`, whatever could be read of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, final

from telic._text import join_names, truncate
from telic.adapters._annotations import bare_annotation, holds, is_text
from telic.adapters._coerce import Coercer, FieldValueError, Restore, coercer
from telic.adapters._markers import has_markers, read_markers, without_end
from telic.adapters._objects import read_object
from telic.adapters._reading import EMPTY, Reader, Reading, unwrap, without_thoughts
from telic.adapters._tags import read_tags
from telic.errors import AdapterParseError, TruncatedReplyError
from telic.types import Reasoning

if TYPE_CHECKING:
    from telic.data import Completion

_FOREIGN: tuple[tuple[str, Reader], ...] = (("[[", read_markers), ("{", read_object), ("<", read_tags))


class _Output(NamedTuple):
    name: str
    coerce: Coercer
    default: Callable[[], Any] | None


@final
class ReplyParser:
    """Turns completions into output values for one signature and one layout. Immutable; shared by threads."""

    __slots__ = ("_adapter_name", "_names", "_outputs", "_reader", "_single_text", "_texts", "_thought")

    def __init__(self, adapter_name: str, fields: Sequence[Any], reader: Reader, restore: Restore) -> None:
        """Look at the output fields once.

        Args:
            adapter_name: For error messages.
            fields: The output `FieldInfo`s, in order.
            reader: The layout's own.
            restore: Takes the layout's guards out of text.
        """
        self._adapter_name = adapter_name
        self._outputs = tuple(_Output(f.name, coercer(f, restore), _default(f)) for f in fields)
        self._names = {f.name: None for f in fields}  # ordered, and quick to ask
        # Where all outputs are plain text, a reader of text has them as they are returned.
        only_text = reader is not read_object and all(f.is_plain_str for f in fields)
        self._texts = tuple(self._names) if only_text else None
        self._reader = reader
        self._thought = next((f.name for f in fields if holds(f.annotation, Reasoning)), "reasoning")
        self._single_text = len(fields) == 1 and is_text(bare_annotation(fields[0].annotation))

    @property
    def coercers(self) -> dict[str, Coercer]:
        """What makes the value of each output out of its raw value."""
        return {output.name: output.coerce for output in self._outputs}

    def parse(
        self, completion: Completion, signature: Any, inputs: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return the output values in signature order.

        Args:
            completion: The reply.
            signature: Whose validators hold, and which errors name.
            inputs: What was asked, for those validators.

        Raises:
            TruncatedReplyError: The reply was cut and does not show its end.
            AdapterParseError: A field is missing or does not fit, and no repair helps.
        """
        text = completion.text
        found, complete = reading = self._reader(text, self._names)
        as_read = False
        if not complete or len(found) != len(self._names) or "think>" in text:
            found, complete = self._repaired(completion, reading)
            if not complete and completion.finish_reason == "length":
                self._refuse_cut(completion, found, signature)
        else:
            as_read = "\\" not in text and tuple(found) == self._texts
        try:
            return signature.check_outputs(found if as_read else self._typed(found), inputs)
        except (KeyError, ValueError, RecursionError) as error:
            self._refuse(completion, found, signature, error)

    def _typed(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of all outputs, or raise at the first that is missing or does not fit."""
        values: dict[str, Any] = {}
        for name, coerce, default in self._outputs:
            values[name] = coerce(found[name]) if name in found or default is None else default()
        return values

    def _repaired(self, completion: Completion, reading: Reading) -> Reading:
        """Return a better reading of a reply that is not plainly whole, or the same."""
        names = self._names
        text = completion.text
        if "think>" in text:
            text = without_thoughts(text)
            reading = self._reader(text, names)
        if len(reading.found) < len(names) or (not reading.complete and "```" in text):
            reading = self._reread(unwrap(text), reading)
        if len(reading.found) < len(names) and completion.reasoning and self._thought in names:
            # A reasoning model put the field into its own channel and only the rest into the reply.
            reading = Reading({self._thought: completion.reasoning, **reading.found}, reading.complete)
        if not reading.found and self._single_text and completion.finish_reason != "length":
            return self._whole(text.strip())
        return reading

    def _reread(self, text: str, best: Reading) -> Reading:
        """Read the text inside a fence, and text that begins as another layout does."""
        start = text.lstrip("*_`#> ")[:2]
        for sign, reader in (("", self._reader), *_FOREIGN):
            if start.startswith(sign):
                reading = reader(text, self._names)
                if len(reading.found) >= max(len(best.found), 1):
                    best = reading
                if len(best.found) == len(self._names):
                    break
        return best

    def _whole(self, text: str) -> Reading:
        """Take a reply without any marker for the one text that was asked for."""
        text = without_end(text)[0]
        if not text or has_markers(text):
            return EMPTY
        return Reading({next(iter(self._names)): text}, complete=False)

    def _refuse_cut(self, completion: Completion, found: Mapping[str, Any], signature: Any) -> NoReturn:
        missing = [name for name in self._names if name not in found]
        last = next(reversed(list(found)), None)
        where = f"before {join_names(missing)}" if missing else f"in or after field `{last}`"
        raise TruncatedReplyError(
            f"{self._adapter_name}: the reply for {_title(signature)} was cut at max_tokens, {where}, after "
            f"{len(completion.text):,} characters; give the LM a larger max_tokens, or ask for less",
            adapter_name=self._adapter_name,
            signature=signature,
            lm_response=completion.text,
            parsed_result=self._usable(found)[0],
            field=missing[0] if missing else last,
            problems=("it was cut before it was complete",),
        )

    def _refuse(
        self, completion: Completion, found: Mapping[str, Any], signature: Any, cause: Exception
    ) -> NoReturn:
        values, problems, faulty = self._usable(found)
        if not problems:
            problems = [str(cause)]  # the signature's own validators
        raise AdapterParseError(
            f"{self._adapter_name}: the reply for {_title(signature)} could not be used: {'; '.join(problems)}. "
            f"The reply was {truncate(completion.text, 400)!r}; if the LM keeps answering so, say in the field's "
            "description what it must look like, show it in a demo, or raise `max_retries`",
            adapter_name=self._adapter_name,
            signature=signature,
            lm_response=completion.text,
            parsed_result=values,
            field=faulty[0] if len(faulty) == 1 else None,
            problems=tuple(problems),
        ) from (None if isinstance(cause, (KeyError, FieldValueError)) else cause)

    def _usable(self, found: Mapping[str, Any]) -> tuple[dict[str, Any], list[str], list[str]]:
        """Return the values that could be read, what is wrong with the others, and the others' names."""
        values: dict[str, Any] = {}
        problems: list[str] = []
        faulty: list[str] = []
        for name, coerce, default in self._outputs:
            try:
                if name in found:
                    values[name] = coerce(found[name])
                    continue
                if default is not None:
                    continue
                problems.append(f"field `{name}`: missing")
            except ValueError as error:
                problems.append(f"field `{name}`: {error}")
            except RecursionError:
                problems.append(f"field `{name}`: nested too deeply")
            faulty.append(name)
        return values, problems, faulty


def _default(field: Any) -> Callable[[], Any] | None:
    """Return what makes the value of an output that a reply may leave out, or None where it may not."""
    if field.has_default:
        return field.get_default
    return None if field.required else lambda: None


def _title(signature: Any) -> str:
    return repr(getattr(signature, "__name__", str(signature)))

"""Which delta reader reads the replies of a format: that of the format's own reader of whole replies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from telic.adapters._annotations import bare_annotation
from telic.adapters._coerce import Coercer
from telic.adapters._deltas import DeltaReader, Deltas
from telic.adapters._deltas_markers import MarkerDeltas
from telic.adapters._deltas_objects import ObjectDeltas
from telic.adapters._deltas_tags import TagDeltas
from telic.adapters._markers import read_markers
from telic.adapters._objects import read_object
from telic.adapters._tags import read_tags
from telic.types import Reasoning

if TYPE_CHECKING:
    from telic.adapters._reading import Reader
    from telic.signatures import FieldInfo

_KINDS: Mapping[Reader, type[MarkerDeltas | ObjectDeltas | TagDeltas]] = {
    read_markers: MarkerDeltas,
    read_object: ObjectDeltas,
    read_tags: TagDeltas,
}


def deltas_of(
    reader: Reader,
    outputs: Sequence[FieldInfo],
    coercers: Mapping[str, Coercer],
    restore: Callable[[str], str],
) -> Deltas | None:
    """Return how replies are read while they are written, or None for a reader of somebody else's.

    Args:
        reader: Of whole replies.
        outputs: The output fields.
        coercers: What makes their values out of raw ones.
        restore: Takes guards out of text.
    """
    kind = _KINDS.get(reader)
    if kind is None:
        return None
    names = dict.fromkeys(field.name for field in outputs)
    texts = frozenset(f.name for f in outputs if bare_annotation(f.annotation) in (str, Reasoning))

    def start(kind: Any = kind) -> DeltaReader:
        return kind(names, texts, restore)

    return Deltas(start, texts, coercers, quoted=kind is ObjectDeltas)

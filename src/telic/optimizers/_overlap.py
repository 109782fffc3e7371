"""Rows that are learned from and scored too: how many there are, for the report. Their score is none on new data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from telic._hash import content_key
from telic._text import plural
from telic.evaluate import stable

if TYPE_CHECKING:
    from telic.data import Example


def tell_overlap(note: Callable[..., None], data: Mapping[str, Any]) -> None:
    """Note how many rows of a compile's valset, if there is one, stand in its trainset."""
    if data.get("valset"):
        tell_shared(note, data["trainset"], data["valset"], ("trainset", "valset"))


def tell_shared(
    note: Callable[..., None], learned: Sequence[Example], scored: Sequence[Example], names: tuple[str, str]
) -> None:
    """Note how many rows to score on have the inputs of a row to learn from; `names` are those of the two lists."""
    known = {_inputs_key(row) for row in learned}
    shared = sum(_inputs_key(row) in known for row in scored)
    if shared:
        note(
            f"{shared} of the {plural(len(scored), 'row')} of {names[1]} stand in {names[0]} too: a score on rows that "
            "were learned from is too high for new data; keep them apart",
            warn=True,
        )


def _inputs_key(row: Example) -> str:
    return content_key(stable(dict(row.inputs().items())))

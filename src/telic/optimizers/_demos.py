"""Demonstrations: which rows can serve as labelled ones, and how a traced run becomes bootstrapped ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from telic._hash import content_key
from telic._seed import derive
from telic.data import Example, Step
from telic.modules import correction_fields

Demos = dict[str, Example]
"""One demonstration for each predictor that a run called, by the predictor's path."""


def usable(example: Example, predictor: Any) -> bool:
    """Whether a row can be a labelled demo: it has at least one input and one output of the predictor's signature.

    Adapters leave out demos that lack either, so such a row would only take the place of a useful one.
    """
    signature = predictor.signature
    return any(example.get(name) is not None for name in signature.input_fields) and any(
        example.get(name) is not None for name in signature.output_fields
    )


def labelled_demos(
    rows: Sequence[Example],
    predictor: Any,
    path: str,
    k: int,
    *,
    sample: bool = True,
    seed: int = 0,
    beside: Sequence[Example] = (),
) -> list[Example]:
    """Return up to `k` of the usable rows: a draw by `seed` and the predictor's path, spread; or the first ones.

    Args:
        rows: To choose from.
        predictor: Whose demos they will be.
        path: Its path.
        k: How many.
        sample: False: the first ones.
        seed: Of the draw.
        beside: Demos that the predictor is shown already.
    """
    fit = [row for row in rows if usable(row, predictor)]
    if not sample:
        return fit[:k]
    drawn = derive(seed, "labelled", path).sample(fit, len(fit))
    return spread(drawn, list(predictor.signature.output_fields), beside=beside)[:k]


def spread(
    rows: Sequence[Example], names: Sequence[str] | None = None, *, beside: Sequence[Example] = ()
) -> list[Example]:
    """Return rows in another order: in any number of the first ones, each answer is shown as often as the others.

    A few demos drawn by chance alone leave out a class now and then, and a label that no demo shows is one that an LM
    may not know of. Where every row has an answer of its own, the order stays as it is.

    Args:
        rows: In the order that decides between rows of one answer.
        names: The fields that make an answer; None: the labels of each row.
        beside: Rows whose answers are shown as well.

    Example:
        >>> rows = [Example(n=n, kind=kind).with_inputs("n") for n, kind in enumerate("aaabac")]
        >>> [row.n for row in spread(rows)]
        [0, 3, 5, 1, 2, 4]
    """
    if names is not None:  # what no row tells (reasoning, say) tells no answers apart
        names = [name for name in names if any(row.get(name) is not None for row in rows)]
    shown = Counter(_answer(row, names) for row in beside)
    ranks: list[int] = []
    for row in rows:
        answer = _answer(row, names)
        ranks.append(shown[answer])
        shown[answer] += 1
    return [rows[place] for place in sorted(range(len(rows)), key=ranks.__getitem__)]


def _answer(row: Example, names: Sequence[str] | None) -> str:
    fields = sorted(row.labels().keys()) if names is None else names
    return repr([row.get(name) for name in fields])


def demos_of_trace(
    trace: Sequence[Step], paths: Mapping[int, str], seed: int = 0, *, counter_examples: bool = False
) -> Demos:
    """Return one demo for each predictor of a successful run.

    Args:
        trace: The run's steps.
        paths: The path of each predictor, by its `id`; steps of other predictors are left out.
        seed: For the choice below.
        counter_examples: Demos of answers that an assertion had corrected also hold what was refused and why, in the
            fields that a retry asks with. In plain calls these are not seen.

    Of several calls of one predictor (a loop) one is kept: with even chances the last, or any of the earlier ones,
    drawn by the content of the calls, so that equal runs make equal demos.
    """
    calls: dict[str, list[Example]] = {}
    for predictor, inputs, prediction in trace:
        path = paths.get(id(predictor))
        if path is not None:
            fields = {**inputs, **dict(prediction.items())}
            correction = prediction.get_correction() if counter_examples else None
            if correction is not None:
                fields.update(correction_fields(predictor.signature, correction))
            demo = Example(augmented=True, **fields)
            calls.setdefault(path, []).append(demo)
    return {
        path: demos[0] if len(demos) == 1 else _chosen(path, demos, seed) for path, demos in calls.items()
    }


def _chosen(path: str, demos: Sequence[Example], seed: int) -> Example:
    rng = derive(seed, "call", path, content_key([dict(demo.items()) for demo in demos]))
    return demos[-1] if rng.random() < 0.5 else rng.choice(demos[:-1])

"""`majority`: the answer that most samples give.

The other half of self-consistency: sample a program several times, then keep the answer that most samples agree on.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from telic._text import did_you_mean, join_names
from telic.data import Completions, Prediction
from telic.errors import InputError
from telic.modules._value_text import value_text

Normalize = Callable[[Any], Any]

_MARKS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))|((?<=\d)[.,](?=\d)|(?<![\w.])-(?=\.?\d))|[!-/:-@\[-`{-~]")
"""ASCII punctuation; group 1 is what a number cannot do without, its point and its sign."""
_NUMBER = re.compile(r"-?\d*(?:\.\d+)?")
_ARTICLES = frozenset({"a", "an", "the"})


def default_normalize(value: Any) -> str | None:
    """Return what answers are compared by: words in lower case without punctuation and articles; None for no answer.

    Numbers are compared by value, in texts too, and what has structure by its JSON.

    Example:
        >>> default_normalize("The  Eiffel Tower!"), default_normalize(4.0), default_normalize("...")
        ('eiffel tower', '4', None)
        >>> default_normalize("$1,250.50"), default_normalize("-3."), default_normalize(-3)
        ('1250.5', '-3', '-3')
    """
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = value_text(value)
    if isinstance(value, str):
        words = _MARKS.sub(r"\1", unicodedata.normalize("NFD", text).lower()).split()
        kept = [_short(word) for word in words if word not in _ARTICLES]
        text = " ".join(kept or words)  # of the choices A, B and C, the first is no article
    return text or None


def _short(word: str) -> str:
    """Return a number without the zeros that mean nothing, and any other word as it is."""
    return word.rstrip("0").rstrip(".") if "." in word and _NUMBER.fullmatch(word) else word


def majority(
    prediction_or_completions: Prediction | Completions | Sequence[Any],
    normalize: Normalize | None = default_normalize,
    field: str | None = None,
) -> Prediction:
    """Return the sample whose answer most samples give, whole, as a `Prediction`.

    Args:
        prediction_or_completions: A prediction (its `completions` are counted; one without has one), completions, or a
            list of predictions or dicts.
        normalize: Makes of an answer what is compared; answers that it makes None are not counted. None: answers are
            compared as they are, by value.
        field: The field with the answer; None: the last output field.

    Raises:
        InputError: There are no samples, or they lack the field.

    Of equally frequent answers the one that was given first wins, and it is shown as it was given first. Where no
    answer counts, all samples do, so that there is always a result.

    Cost: no LM calls.
    Source: Wang et al. 2022 (self-consistency, arXiv 2203.11171). Deviations: none; drawing the samples is the
    caller's, such as `Predict(…, n=5, temperature=0.7)`.

    Example:
        >>> majority([{"answer": "Rome."}, {"answer": "Paris"}, {"answer": "the rome"}]).answer
        'Rome.'
    """
    rows, signature = _rows(prediction_or_completions)
    if not rows:
        raise InputError("majority needs at least one sample, and there is none")
    return Prediction.from_completions([rows[vote(rows, signature, normalize, field)]], signature)


def vote(
    rows: Sequence[Mapping[str, Any]], signature: Any, normalize: Normalize | None, field: str | None
) -> int:
    """Return the position of the sample that wins; see `majority`."""
    outputs = [name for name in getattr(signature, "output_fields", ()) if name in rows[0]]
    name = field if field is not None else (outputs or list(rows[0]) or [""])[-1]
    for number, row in enumerate(rows):
        if name not in row:
            near = did_you_mean(name, row)
            raise InputError(
                f"sample {number} has no field {name!r}{near}; it has {join_names(row) or 'none'}"
            )
    answers = [row[name] for row in rows]
    keys = [_key(answer if normalize is None else normalize(answer)) for answer in answers]
    counted = [key for key in keys if key is not None]
    if not counted:
        keys = counted = [_key(answer) or "" for answer in answers]
    counts: dict[str, int] = {}
    for key in counted:
        counts[key] = counts.get(key, 0) + 1
    winner = max(counts, key=lambda key: counts[key])  # the first of equals: dicts keep the order
    return keys.index(winner)


def _rows(samples: Any) -> tuple[list[dict[str, Any]], Any]:
    """Return the samples as dicts, and the signature that they were made for, or None."""
    if isinstance(samples, Prediction):
        samples = samples.completions
    if isinstance(samples, Completions):
        return samples.rows(), samples.signature
    if isinstance(samples, (str, bytes, Mapping)) or not isinstance(samples, Sequence):
        raise InputError(f"majority takes a prediction, completions or a list of them, got {samples!r}")
    rows: list[dict[str, Any]] = []
    for number, sample in enumerate(cast("Sequence[Any]", samples)):
        if not hasattr(sample, "items"):
            raise InputError(f"sample {number} is {sample!r}, and must be a prediction or a dict")
        rows.append(dict(sample.items()))
    return rows, None


def _key(value: Any) -> str | None:
    """Return a text by which values can be counted, also those that have no hash."""
    return None if value is None else f"{type(value).__name__}:{value_text(value)}"

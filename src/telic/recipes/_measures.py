"""The measures that recipes pick: how right an answer, a label or a list of records is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, cast

from telic._hash import canonical_json
from telic.data import Example, Prediction
from telic.evaluate import EM, F1, SemanticF1
from telic.recipes.programs import field_of, is_not_found

GOOD_ENOUGH = 0.7
"""From this score on an answer is a demonstration."""


def answer_score(example: Any, pred: Any, trace: Any = None) -> float | bool:
    """Return the token F1 of a short answer; "not in the documents" is right or wrong as a whole.

    Args:
        example: Carries `answer`: a text, or a list of accepted ones.
        pred: Carries `answer`.
        trace: While compiling: the score is whether it is good enough for a demonstration.

    Example:
        >>> answer_score(Example(answer="20 days"), Prediction(answer="20 days a year"))
        0.8
    """
    score = _unanswerable(example, pred)
    score = F1(str(pred.answer), accepted(example)) if score is None else score
    return score if trace is None else score >= GOOD_ENOUGH


def judged_answer(example: Any, pred: Any, trace: Any = None) -> float | bool:
    """Return how far a long answer says what the true one says, as an LM judges it. Cost: one LM call.

    Args:
        example: Carries `question` and `answer`.
        pred: Carries `answer`.
        trace: While compiling: the score is whether it is good enough for a demonstration.
    """
    score = _unanswerable(example, pred)
    if score is None:
        row = Example(question=example.question, response=accepted(example)[0])
        score = float(SemanticF1()(row, Prediction(response=str(pred.answer))).score)
    return score if trace is None else score >= GOOD_ENOUGH


def exact_match(example: Any, pred: Any, trace: Any = None) -> bool:
    """Return whether all labels are predicted, apart from case, punctuation, articles and blanks."""
    del trace
    return all(EM(str(pred[name]), [str(value)]) for name, value in example.labels().items())


def record_f1(example: Any, pred: Any, trace: Any = None) -> float | bool:
    """Return the F1 over the values of all records: which of the true ones were found, which found ones are true.

    Args:
        example: Carries `records`, a list of mappings.
        pred: Carries `records`.
        trace: While compiling: the score is whether nothing is missing and nothing too much.

    Example:
        >>> record_f1(Example(records=[{"name": "Ada", "age": 36}]), Prediction(records=[{"name": "Ada", "age": 35}]))
        0.5
    """
    true, found = _values(example.records), _values(pred.records)
    if not true and not found:
        return True if trace is not None else 1.0
    common = (true & found).total()
    score = 2 * common / (true.total() + found.total())
    return score if trace is None else score == 1.0


def accepted(example: Any) -> list[str]:
    """Return the answers of a row that count as right."""
    answer: Any = example.answer
    return (
        [str(one) for one in cast("list[Any]", answer)]
        if isinstance(answer, (list, tuple))
        else [str(answer)]
    )


def _unanswerable(example: Any, pred: Any) -> float | None:
    """Return the score where one of the two says that the documents do not; else None."""
    true, said = any(is_not_found(one) for one in accepted(example)), is_not_found(str(pred.answer))
    return float(true and said) if true or said else None


def _values(records: Any) -> Counter[bytes]:
    """Return the fields of all records with their values; of a field without a value nothing."""
    return Counter(
        canonical_json([name, value.casefold().strip() if isinstance(value, str) else value])
        for record in cast("list[Any]", records)
        for name, value in _fields(record).items()
        if value is not None
    )


def _fields(record: Any) -> dict[str, Any]:
    if isinstance(record, Mapping):
        return dict(cast("Mapping[str, Any]", record))
    kind: type[Any] = cast("Any", type(record))
    names = getattr(kind, "__dataclass_fields__", None) or getattr(kind, "model_fields", None)
    return {"value": record} if names is None else {name: field_of(record, name) for name in names}

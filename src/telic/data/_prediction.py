"""`Prediction`: what a program answers, and `Completions`, the samples it was chosen from.

A prediction is an example whose fields come from an LM. It carries beside its fields what the call was about (the
response and its usage), in slots of their own, so that a field may have any name. A metric may return one too: then
its `score` field is the number that `float()`, comparison and arithmetic see, and `feedback` the words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from telic._text import did_you_mean
from telic.data._example import Example
from telic.errors import DatasetError

if TYPE_CHECKING:
    from telic.data._assertion import AssertionOutcome, Correction
    from telic.data._messages import Response


class Completions:
    """Samples as columns: one list for each field, all of the same length.

    Args:
        completions: Rows (dicts with equal keys) or columns (a dict of equally long lists).
        signature: The signature they were made for, or None.

    Raises:
        DatasetError: Columns or rows do not match one another.

    Example:
        >>> both = Completions([{"answer": "4"}, {"answer": "5"}])
        >>> both.answer, both[1].answer, len(both)
        (['4', '5'], '5', 2)
    """

    __slots__ = ("_columns", "signature")

    def __init__(
        self, completions: Sequence[Mapping[str, Any]] | Mapping[str, list[Any]], signature: Any = None
    ) -> None:
        columns = dict(completions) if isinstance(completions, Mapping) else _transposed(completions)
        sizes = {name: len(column) for name, column in columns.items()}
        if len(set(sizes.values())) > 1:
            raise DatasetError(f"the columns of completions differ in length: {sizes}")
        self._columns: dict[str, list[Any]] = columns
        self.signature = signature

    def __getitem__(self, key: int | str) -> Any:
        """Return one sample as a `Prediction` (for a position), or one field of all samples (for a name)."""
        if isinstance(key, str):
            return self._columns[key]
        if not -len(self) <= key < len(self):
            raise IndexError(f"there are {len(self)} completions, and no number {key}")
        return Prediction(**{name: column[key] for name, column in self._columns.items()})

    def __getattr__(self, name: str) -> list[Any]:
        if name[:2] != "__" and name != "_columns" and name in self._columns:
            return self._columns[name]
        known = () if name[:1] == "_" else tuple(self._columns)
        raise AttributeError(f"these completions have no field {name!r}{did_you_mean(name, known)}")

    def __len__(self) -> int:
        return len(next(iter(self._columns.values()), ()))

    def __iter__(self) -> Iterator[Prediction]:
        return (self[position] for position in range(len(self)))

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def keys(self) -> list[str]:
        """Return the names of the fields."""
        return list(self._columns)

    def items(self) -> list[tuple[str, list[Any]]]:
        """Return names and columns."""
        return list(self._columns.items())

    def rows(self) -> list[dict[str, Any]]:
        """Return one dict for each sample."""
        return [{name: column[n] for name, column in self._columns.items()} for n in range(len(self))]

    def __eq__(self, other: object) -> bool:
        return self._columns == other._columns if isinstance(other, Completions) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return _shown("Completions", self._columns)


class Prediction(Example):
    """Fields that a program answered with.

    Args:
        base: Another example or a mapping whose fields are taken first.
        kwargs: Fields by name.

    Example:
        >>> verdict = Prediction(score=0.5, feedback="half right")
        >>> float(verdict), verdict.feedback, sum([verdict, verdict]), verdict < 0.6
        (0.5, 'half right', 1.0, True)
    """

    __slots__ = ("_assertions", "_completions", "_response", "_step", "_usage")

    _assertions: tuple[tuple[AssertionOutcome, ...], Correction | None]
    _completions: Completions | Sequence[Mapping[str, Any]] | None
    _response: Response | None
    _step: Any
    _usage: Any

    def __init__(self, base: Example | Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        if base is None:
            _set_store(self, kwargs)
            _set_keys(self, None)
        else:
            Example.__init__(self, base, **kwargs)
        _set_completions(self, None)
        _set_response(self, None)
        _set_step(self, None)
        _set_usage(self, None)

    @classmethod
    def of(
        cls,
        store: dict[str, Any],
        *,
        response: Response | None = None,
        completions: Completions | Sequence[Mapping[str, Any]] | None = None,
    ) -> Self:
        """Return a prediction that adopts `store` (it is not copied): the way in for predictors.

        Args:
            store: The fields; nobody else may write into it afterwards.
            response: What the LM answered.
            completions: All samples where there is more than one: rows are made into `Completions` on first use.
        """
        made = cls.__new__(cls)
        _set_store(made, store)
        _set_keys(made, None)
        _set_completions(made, completions)
        _set_response(made, response)
        _set_step(made, None)
        _set_usage(made, None)
        return made

    @classmethod
    def _of(cls, store: dict[str, Any], input_keys: frozenset[str] | None = None) -> Self:
        made = cls.of(store)
        _set_keys(made, input_keys)
        return made

    @classmethod
    def from_completions(
        cls,
        list_or_dict: Sequence[Mapping[str, Any]] | Mapping[str, list[Any]] | Completions,
        signature: Any = None,
    ) -> Self:
        """Return the first of several samples, with all of them in `completions`.

        Raises:
            DatasetError: There is no sample, or their fields do not match.
        """
        many = (
            list_or_dict
            if isinstance(list_or_dict, Completions)
            else Completions(list_or_dict, signature=signature)
        )
        if not len(many):
            raise DatasetError("a prediction needs at least one completion, and there is none")
        return cls.of({name: column[0] for name, column in many.items()}, completions=many)

    @property
    def completions(self) -> Completions:
        """All samples of this call as columns; one sample where the LM was asked for one."""
        held = self._completions
        if not isinstance(held, Completions):
            held = Completions([dict(Example.items(self))] if held is None else held)
            _set_completions(self, held)
        return held

    def get_lm_usage(self) -> Any:
        """Return the usage by LM name that `track_usage` noted for the call, or None."""
        return self._usage

    def set_lm_usage(self, value: Any) -> None:
        """Note the usage of the call."""
        _set_usage(self, value)

    # Assertions; the slot stays empty in all but the few predictions that were asserted something about

    def get_assertions(self) -> tuple[AssertionOutcome, ...]:
        """Return what became of the assertions: of a module's prediction, all that its call made, those of inner
        modules too; of a predictor's in a trace, those that had it asked again or gave it up.
        """
        return self._asserted()[0]

    def get_correction(self) -> Correction | None:
        """Return what an assertion refused before this answer of a predictor was given; None: nothing."""
        return self._asserted()[1]

    def note_assertions(self, outcomes: Iterable[AssertionOutcome], correction: Correction | None) -> None:
        """Note what became of assertions, in place of what was noted before."""
        _set_assertions(self, (tuple(outcomes), correction))

    def _asserted(self) -> tuple[tuple[AssertionOutcome, ...], Correction | None]:
        try:
            return _get_assertions(self)
        except AttributeError:
            return (), None

    # The score as a number

    def __float__(self) -> float:
        if "score" not in self._store:
            raise ValueError(
                f"a Prediction is a number through its field 'score'; this one has {self.keys()}"
            )
        return float(self._store["score"])

    def __add__(self, other: Any) -> float:
        return float(self) + float(other) if _is_number(other) else NotImplemented

    __radd__ = __add__

    def __sub__(self, other: Any) -> float:
        return float(self) - float(other) if _is_number(other) else NotImplemented

    def __rsub__(self, other: Any) -> float:
        return float(other) - float(self) if _is_number(other) else NotImplemented

    def __mul__(self, other: Any) -> float:
        return float(self) * float(other) if _is_number(other) else NotImplemented

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> float:
        return float(self) / float(other) if _is_number(other) else NotImplemented

    def __rtruediv__(self, other: Any) -> float:
        return float(other) / float(self) if _is_number(other) else NotImplemented

    def __lt__(self, other: Any) -> bool:
        return float(self) < float(other) if _is_number(other) else NotImplemented

    def __le__(self, other: Any) -> bool:
        return float(self) <= float(other) if _is_number(other) else NotImplemented

    def __gt__(self, other: Any) -> bool:
        return float(self) > float(other) if _is_number(other) else NotImplemented

    def __ge__(self, other: Any) -> bool:
        return float(self) >= float(other) if _is_number(other) else NotImplemented

    def __repr__(self) -> str:
        shown = _shown(type(self).__name__, dict(Example.items(self)))
        held = self._completions
        others = 0 if held is None else len(held) - 1
        return f"{shown} ({others} more in .completions)" if others > 0 else shown

    # Copies and pickles

    def _copy_extras(self, made: Example) -> None:
        _set_completions(made, self._completions)
        _set_response(made, self._response)
        _set_step(made, self._step)
        _set_usage(made, self._usage)
        _set_assertions(made, self._asserted())
        super()._copy_extras(made)

    def __getstate__(self) -> tuple[dict[str, Any] | None, dict[str, Any]]:
        """Return what a pickle keeps: all but the provider's raw object and the step, which belong to one process."""
        response = self._response
        return getattr(self, "__dict__", None), {
            "_store": self._store,
            "_input_keys": self._input_keys,
            "_completions": self._completions,
            "_usage": self._usage,
            "_assertions": self._asserted(),
            "_response": None if response is None else response._replace(raw=None),
            "_step": None,
        }


_set_store = Example.__dict__["_store"].__set__
_set_keys = Example.__dict__["_input_keys"].__set__
_set_completions = Prediction.__dict__["_completions"].__set__
_set_response = Prediction.__dict__["_response"].__set__
_set_step = Prediction.__dict__["_step"].__set__
_set_usage = Prediction.__dict__["_usage"].__set__
_set_assertions = Prediction.__dict__["_assertions"].__set__
_get_assertions = Prediction.__dict__["_assertions"].__get__


def _is_number(other: Any) -> bool:
    return isinstance(other, (int, float, Prediction))


def _transposed(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    if not rows:
        return {}
    names = list(rows[0])
    for number, row in enumerate(rows):
        if set(row) != set(names):
            raise DatasetError(
                f"completion {number} has the fields {sorted(row)}, completion 0 has {sorted(names)}"
            )
    return {name: [row[name] for row in rows] for name in names}


def _shown(title: str, fields: Mapping[str, Any]) -> str:
    lines = ",\n".join(f"    {name}={value!r}" for name, value in fields.items())
    return f"{title}(\n{lines}\n)"

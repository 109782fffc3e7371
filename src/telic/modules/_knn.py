"""`KNN`: the rows of a training set that are most like the inputs at hand.

Nearness is the cosine between vectors of the inputs' texts, which an embedder makes. The training set is embedded once,
at the first call, by one call of the embedder; copies of a program share its vectors.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, final

from telic._optional import require
from telic._text import did_you_mean, join_names, plural
from telic.data import Example
from telic.errors import ConfigurationError, InputError
from telic.execution import run_in_thread
from telic.modules._flow import Flow, UseTool
from telic.modules._module import FlowModule
from telic.modules._value_text import value_text

Vectorizer = Callable[[list[str]], Any]


class KNN(FlowModule):
    """Find the `k` rows whose inputs are nearest to given ones, the nearest first.

    Args:
        k: How many rows; all of them where the training set is smaller.
        trainset: Examples with their inputs marked (`with_inputs`).
        vectorizer: Takes a list of texts and returns a vector for each: an array, `(len(texts), size)`, or a list of
            lists. An `Embedder`, a function, sync or async, or an object with `acall` beside its call.
        callbacks: Told of this module's calls.

    Returns:
        A list of the examples themselves. Of equally near ones, the earlier comes first.

    Raises:
        ConfigurationError: A size, a row or the vectorizer cannot work; for its vectors, at the first call.
        InputError: An input is unknown to all rows, or one that all rows have is missing.
        MissingExtraError: NumPy is not installed; `pip install 'telic[tiny]'`.

    A text is `name: value | name: value` of the inputs, in the order of the rows' fields. There is nothing to learn.

    Cost: no LM calls; the vectorizer is called once for all rows, and once a call.
    Source: Liu et al. 2022, arXiv 2101.06804 (kNN-augmented in-context examples). Deviations from DSPy's class: cosine
    in the place of the dot product; a module, also async; rows are embedded at the first call; names are checked.

    Example:
        >>> from telic.testing import DummyVectorizer
        >>> rows = [Example(word=word).with_inputs("word") for word in ("cat", "house", "cats")]
        >>> near = KNN(k=2, trainset=rows, vectorizer=DummyVectorizer())
        >>> [row.word for row in near(word="cat")]
        ['cat', 'cats']
    """

    def __init__(
        self,
        k: int,
        trainset: Sequence[Example],
        vectorizer: Vectorizer,
        *,
        callbacks: Sequence[Any] | None = None,
    ) -> None:
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"KNN: k must be a whole number of 1 or more, got {k!r}")
        if not callable(vectorizer):
            raise ConfigurationError(
                f"KNN needs a vectorizer, a function from a list of texts to vectors; got {vectorizer!r}"
            )
        self.k = k
        self.rows = _Rows(trainset, vectorizer)
        if callbacks:
            self.callbacks = list(callbacks)

    @property
    def trainset(self) -> list[Example]:
        """The rows that are searched."""
        return self.rows.examples

    if TYPE_CHECKING:

        def __call__(self, *args: Any, **inputs: Any) -> list[Example]: ...
        async def acall(self, *args: Any, **inputs: Any) -> list[Example]: ...

    def flow(self, *args: Any, **inputs: Any) -> Flow[list[Example]]:
        """Embed the inputs, and look for the nearest rows."""
        if args:
            raise InputError(f"KNN takes inputs by name, got {len(args)} by position")
        rows = self.rows
        text = rows.text(inputs)
        yield _Ready(rows)
        vector = yield _Embed(rows.vectorizer, [text])
        return rows.nearest(vector, self.k)


@final
class _Rows:
    """The training set with its vectors, made once, whichever copy of a program asks first."""

    _share_on_copy = True

    def __init__(self, trainset: Sequence[Example], vectorizer: Vectorizer) -> None:
        self.examples = list(trainset)
        self.vectorizer = vectorizer
        self._names = _input_names(self.examples)
        self._needed = set(self._names).intersection(*(row.inputs().keys() for row in self.examples))
        self._vectors: Any = None
        self._lock = threading.Lock()  # held while the rows are embedded: they are embedded once

    def identity(self) -> dict[str, Any]:
        """Return what tells them from other rows, for the keys of a run."""
        return {"examples": self.examples, "vectorizer": self.vectorizer}

    def text(self, inputs: Mapping[str, Any]) -> str:
        """Return what is embedded of the inputs of a call.

        Raises:
            InputError: They are not those of the rows.
        """
        for name in inputs:
            if name not in self._names:
                near = did_you_mean(name, self._names)
                raise InputError(
                    f"KNN: no row has an input {name!r}{near}; rows have {join_names(self._names)}"
                )
        missing = [name for name in self._names if name in self._needed and name not in inputs]
        if missing or not inputs:
            raise InputError(
                f"KNN: {join_names(missing or self._names)} is missing, by which rows are compared"
            )
        return _text(self._names, inputs)

    def vectors(self) -> Any:
        """Return the vectors of all rows, of length 1: float32, `(len(examples), size)`."""
        with self._lock:
            if self._vectors is None:
                texts = [_text(self._names, dict(row.inputs().items())) for row in self.examples]
                self._vectors = _unit(_Embed(self.vectorizer, texts).run(), len(texts))
            return self._vectors

    def nearest(self, vector: Any, k: int) -> list[Example]:
        """Return the rows nearest to one vector."""
        vectors, query = self.vectors(), _unit(vector, 1)
        if query.shape[1] != vectors.shape[1]:
            raise ConfigurationError(
                f"KNN: the vectorizer gave vectors of size {vectors.shape[1]} for the rows, and of size "
                f"{query.shape[1]} for a call"
            )
        order = (-(vectors @ query[0])).argsort(kind="stable")
        return [self.examples[place] for place in order[:k].tolist()]


@final
class _Ready:
    """The effect of having the rows' vectors: in a worker thread under `acall`, since others may be making them."""

    __slots__ = ("rows",)

    def __init__(self, rows: _Rows) -> None:
        self.rows = rows

    def run(self) -> Any:
        return self.rows.vectors()

    async def arun(self) -> Any:
        return await run_in_thread(self.rows.vectors)


@final
class _Embed:
    """The effect of embedding texts."""

    __slots__ = ("texts", "vectorizer")

    def __init__(self, vectorizer: Vectorizer, texts: list[str]) -> None:
        self.vectorizer = vectorizer
        self.texts = texts

    def run(self) -> Any:
        return UseTool(partial(self.vectorizer, self.texts), {}).run()

    async def arun(self) -> Any:
        embed = getattr(self.vectorizer, "acall", self.vectorizer)
        return await UseTool(partial(embed, self.texts), {}).arun()


def _input_names(rows: Sequence[Any]) -> dict[str, None]:
    """Return the names of all inputs, in the order in which they are met.

    Raises:
        ConfigurationError: There are no rows, or one is no example with inputs.
    """
    if not rows:
        raise ConfigurationError("KNN needs a trainset of at least one row, and it is empty")
    names: dict[str, None] = {}
    for number, row in enumerate(rows):
        if not isinstance(row, Example):
            raise ConfigurationError(f"KNN: row {number} of trainset is {row!r}, and must be an Example")
        try:
            names.update(dict.fromkeys(row.inputs().keys()))
        except ValueError as error:
            raise ConfigurationError(f"KNN: row {number} of trainset: {error}") from error
    return names


def _text(names: Mapping[str, None], values: Mapping[str, Any]) -> str:
    return " | ".join(f"{name}: {value_text(values[name])}" for name in names if name in values)


def _unit(vectors: Any, count: int) -> Any:
    """Return vectors as an array of rows of length 1; those of length 0 stay.

    Raises:
        ConfigurationError: They are not one vector of finite numbers for each text.
    """
    numpy = require("numpy", extra="tiny", purpose="KNN")
    try:
        made = numpy.asarray(vectors, dtype=numpy.float32)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"KNN: the vectorizer returned {type(vectors).__name__}, which is no array of numbers"
        ) from error
    if made.ndim != 2 or made.shape[0] != count or not numpy.isfinite(made).all():
        raise ConfigurationError(
            f"KNN: for {plural(count, 'text')} the vectorizer must return an array of finite numbers of the shape "
            f"({count}, size), and it returned the shape {made.shape}"
        )
    lengths = numpy.linalg.norm(made, axis=1, keepdims=True)
    return made / numpy.where(lengths > 0, lengths, 1)

"""`Retrieve`: the step of a program that finds passages.

It asks the retriever of the setting `rm` (or its own), so that a program does not say where passages come from; `k`
is all that it holds and all that is saved of it. A retriever is any callable `rm(query, k=…)` that returns texts,
passages, or objects with `long_text`; all of `telic.retrieve` are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast, final

from telic._replay import astep, step
from telic.context import get as setting
from telic.data import Prediction
from telic.errors import InputError, NotConfiguredError, StateError
from telic.execution import is_async, run_coroutine, run_in_thread
from telic.modules._flow import Flow, Gather
from telic.modules._module import FlowModule
from telic.modules._tree import Leaf
from telic.retrieve import Passage, as_passages, checked_k, fuse

_THOUGHTS = frozenset({"reasoning", "rationale"})


@final
class Search:
    """An effect: ask a retriever, sync or async.

    Args:
        rm: The retriever; the query is its first argument, whatever it calls that.
        query: What to look for.
        options: `k` and what else the call says, by name.
    """

    __slots__ = ("options", "query", "rm")

    def __init__(self, rm: Callable[..., Any], query: str, options: Mapping[str, Any]) -> None:
        self.rm = rm
        self.query = query
        self.options = options

    def run(self) -> Any:
        """Ask in this thread; a coroutine is run to its end."""
        return step(self.rm, [self.query, dict(self.options)], self._run)

    async def arun(self) -> Any:
        """Await its `acall` or itself; a plain function runs in a worker thread."""
        return await astep(self.rm, [self.query, dict(self.options)], self._arun)

    def _run(self) -> Any:
        found = self.rm(self.query, **self.options)
        return run_coroutine(_awaited(found)) if hasattr(found, "__await__") else found

    async def _arun(self) -> Any:
        acall = getattr(self.rm, "acall", None)
        if acall is not None:
            return await acall(self.query, **self.options)
        if is_async(self.rm):
            return await self.rm(self.query, **self.options)
        found = await run_in_thread(self.rm, self.query, **self.options)
        return await found if hasattr(found, "__await__") else found


async def _awaited(found: Any) -> Any:
    return await found


@final
class Retrieve(FlowModule, Leaf):
    """Find passages for one query, or for several as one.

    Args:
        k: How many passages.
        callbacks: Told of this module's calls.
        rm: A retriever of its own; None: that of the settings, at the time of the call. It is not saved.

    Calling it takes `query`: a text; a list of texts, whose rankings are joined into one (reciprocal-rank fusion); or
    a `Prediction` whose one text output (its reasoning left aside) is the query. `k=` changes it for one call; other
    keywords go to the retriever.

    Returns (of a call): a `Prediction` with `passages`, at most `k`, best first, each once.

    Raises:
        NotConfiguredError: There is no retriever.
        InputError: The query is empty, or none of the above.
        ConfigurationError: `k` is no whole number of at least 1.
        RetrievalError: The retriever failed, or returned something else than passages.

    Cost: no LM calls; one call of the retriever for each query.

    Example:
        >>> from telic.retrieve import BM25
        >>> find = Retrieve(k=1, rm=BM25(["Ada wrote programs.", "Paris is in France."]))
        >>> [str(passage) for passage in find("Where is Paris?").passages]
        ['Paris is in France.']
    """

    name = "Search"
    input_variable = "query"
    desc = "finds the passages of a corpus that fit a query best"

    def __init__(
        self, k: int = 3, callbacks: Sequence[Any] | None = None, *, rm: Callable[..., Any] | None = None
    ) -> None:
        super().__init__(callbacks)
        self.k = checked_k(k, "Retrieve")
        self.rm = rm

    def flow(self, query: Any = None, k: int | None = None, **options: Any) -> Flow[Prediction]:
        """See the class."""
        queries = _texts(query)
        number = self.k if k is None else checked_k(k, "Retrieve")
        rm: Callable[..., Any] | None = setting("rm") if self.rm is None else self.rm
        if rm is None:
            raise NotConfiguredError(
                "Retrieve has no retriever; call telic.configure(rm=…) once, for example with "
                "telic.retrieve.BM25(passages), or pass Retrieve(rm=…)"
            )
        asked = [Search(rm, text, {"k": number, **options}) for text in queries]
        if len(asked) == 1:
            return Prediction(passages=_each_once(as_passages((yield asked[0])), number))
        found = yield Gather(asked)
        return Prediction(passages=fuse([as_passages(items) for items in found], number))

    def dump_leaf_state(self) -> dict[str, Any]:
        """See `Leaf`."""
        return {"k": self.k}

    def read_leaf_state(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """See `Leaf`.

        Raises:
            StateError: `k` is no whole number of at least 1.
        """
        k = state.get("k", self.k)
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise StateError(f"the saved state of a Retrieve has k={k!r}; a whole number of at least 1")
        return {"k": k}

    def __repr__(self) -> str:
        return f"Retrieve(k={self.k})"


def _each_once(passages: list[Passage], k: int) -> list[Passage]:
    first: dict[str, Passage] = {}
    for passage in passages:
        first.setdefault(str(passage), passage)
    return list(first.values())[:k]


def _texts(query: Any) -> list[str]:
    """Return the queries that a call means."""
    if isinstance(query, Prediction):
        query = _of_prediction(query)
    queries = list(cast("Sequence[Any]", query)) if isinstance(query, (list, tuple)) else [query]
    for text in queries:
        if not isinstance(text, str) or not text.strip():
            raise InputError(
                f"Retrieve: the query is {type(text).__name__} {text!r:.100}; pass a text that is not empty, a list of "
                "such, or a Prediction with one text output"
            )
    if not queries:
        raise InputError("Retrieve: the list of queries is empty; pass at least one text")
    return list(dict.fromkeys(cast("list[str]", queries)))


def _of_prediction(prediction: Prediction) -> Any:
    """Return the one output of a prediction that can be a query."""
    found = {
        name: value
        for name, value in prediction.items()
        if name not in _THOUGHTS and (isinstance(value, str) or _is_texts(value))
    }
    if len(found) != 1:
        raise InputError(
            f"Retrieve: the Prediction has {len(found)} text outputs ({', '.join(map(repr, prediction.keys()))}), and "
            "one is needed; pass that one: retrieve(prediction.query)"
        )
    return next(iter(found.values()))


def _is_texts(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(
        isinstance(item, str) for item in cast("Sequence[Any]", value)
    )

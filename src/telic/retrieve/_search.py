"""`Searcher`: what all retrievers of telic are.

A searcher answers many queries at once (`search`, `asearch`); calling it answers one. It is what `settings.rm` takes:
`rm(query, k=3)`. It is immutable once it is built, so threads and copies of a program share it.

`k` beyond the corpus gives all there is; a passage that a retriever has no reason to return (no word in common with
the query) is not returned either, so that fewer than `k` may come back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

from telic._replay import astep, step
from telic.errors import ConfigurationError, InputError
from telic.execution import run_in_thread
from telic.retrieve._passage import Passage


class Searcher:
    """Finds passages for queries. Subclasses define `search`, and `asearch` where they wait for a server.

    Args:
        k: How many passages a call returns that does not say so itself.

    Raises:
        ConfigurationError: `k` is no whole number of at least 1.
    """

    _share_on_copy = True
    _answers_by: ClassVar[tuple[str, ...]] = ()
    """The attributes that its answers depend on, beside `k` and `corpus`."""

    def __init__(self, k: int) -> None:
        self.k = checked_k(k, type(self).__name__)

    def identity(self) -> dict[str, Any]:
        """Return what tells its answers from those of another, for the keys of a run: `k`, corpus and settings."""
        held = {name.strip("_"): value for name, value in vars(self).items() if name in self._answers_by}
        corpus: Any = getattr(self, "corpus", None)
        return {"k": self.k, **held, **({} if corpus is None else {"corpus": corpus.fingerprint})}

    def search(self, queries: Sequence[str], k: int) -> list[list[Passage]]:
        """Return for each query at most `k` passages, best first."""
        raise NotImplementedError

    async def asearch(self, queries: Sequence[str], k: int) -> list[list[Passage]]:
        """Same as `search`, for tasks; here in a worker thread."""
        return await run_in_thread(self.search, queries, k)

    def __call__(self, query: str, k: int | None = None) -> Any:
        """Return at most `k` passages for one query, best first.

        Raises:
            InputError: The query is no text.
            ConfigurationError: `k` is no whole number of at least 1.
        """
        text, number = self._query(query), self._k(k)
        return self._answer(step(self, (text, number), lambda: self.search([text], number)[0]))

    async def acall(self, query: str, k: int | None = None) -> Any:
        """Same as calling it, for tasks."""
        text, number = self._query(query), self._k(k)
        return self._answer((await astep(self, (text, number), lambda: self.asearch([text], number)))[0])

    def _answer(self, passages: list[Passage]) -> Any:
        return passages

    def _k(self, k: int | None) -> int:
        return self.k if k is None else checked_k(k, type(self).__name__)

    def _query(self, query: str) -> str:
        return checked_query(query, type(self).__name__)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        del memo
        return self


def checked_k(k: Any, owner: str) -> int:
    """Return `k`.

    Raises:
        ConfigurationError: It is no whole number of at least 1.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ConfigurationError(f"{owner}: k is {k!r}; how many passages, a whole number of at least 1")
    return k


def checked_query(query: Any, owner: str) -> str:
    """Return `query`.

    Raises:
        InputError: It is no text.
    """
    if not isinstance(query, str):
        raise InputError(
            f"{owner}: the query is {type(query).__name__} {query!r:.100}, and must be a text; "
            "for several use `search([…], k)`, or telic.Retrieve"
        )
    return query

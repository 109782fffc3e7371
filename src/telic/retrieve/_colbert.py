"""`ColBERTv2`: a client of a retrieval server with ColBERT's small protocol.

Asked `query` and `k` (in the URL, or as JSON by POST), the server answers `{"topk": [{"text": …, "pid": …, "score": …,
"prob": …, "rank": …}, …]}`, or `{"error": true, "message": …}`. Answers are kept in the response cache. A server that
stalls, fails or answers with something else is a typed error within `timeout` seconds, retries included.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast, final
from urllib.parse import urlencode

from telic._http import Endpoint, HttpRequest, HttpResponse, Transport, portal, shared_transport
from telic._optional import load
from telic.context import get as setting
from telic.errors import (
    CacheMissError,
    ConfigurationError,
    LMError,
    LMTimeoutError,
    RequestsForbiddenError,
    RetrievalError,
    RetrievalTimeoutError,
)
from telic.lm.caching._cache import current_cache
from telic.lm.caching._key import value_key
from telic.lm.wire._dialect import Place, excerpt, failure
from telic.lm.wire._retry import RetryPolicy
from telic.retrieve._passage import Passage, as_passage
from telic.retrieve._search import Searcher
from telic.retrieve._together import together

MAX_K: Final = 100
"""What the public servers give at most."""


@final
class ColBERTv2(Searcher):
    """Passages found by a ColBERTv2 server.

    Args:
        url: Where it is, path included: "http://host/wiki17_abstracts".
        port: Added to the URL; None: none.
        post_requests: Ask by POST in place of GET.
        k: How many passages a call returns that does not say so itself.
        timeout: Seconds for one query, retries and waits included.
        num_retries: Tries beyond the first, after lost connections, 429 and 5xx.
        cache: Keep and reuse answers.
        transport: None: the process's own.

    Calling it returns passages, best first, with `pid`, `score`, `rank` and `prob` as the server gave them; with
    `simplify=True` plain texts.

    Raises:
        RetrievalTimeoutError: No answer in time.
        RetrievalError: The server cannot be reached, failed, or answered with something else.
        ConfigurationError: The URL cannot be used, or `k` is above 100.

    Cost: no LM calls; one request for each query that is not in the cache.
    """

    _answers_by = ("url",)

    def __init__(
        self,
        url: str = "http://0.0.0.0",
        port: str | int | None = None,
        post_requests: bool = False,
        *,
        k: int = 10,
        timeout: float = 10.0,
        num_retries: int = 2,
        cache: bool = True,
        transport: Transport | None = None,
    ) -> None:
        super().__init__(k)
        if not timeout > 0:
            raise ConfigurationError(f"ColBERTv2: timeout is {timeout!r}; seconds, more than 0")
        self.url = f"{url}:{port}" if port else url
        self.post_requests = post_requests
        self.cache = cache
        self._post = Endpoint(self.url, {"Content-Type": "application/json; charset=utf-8"})
        self._place = Place("ColBERTv2", "search", self._post.origin.name)
        self._timeout_s = timeout
        self._retry = RetryPolicy(num_retries)
        self._transport = transport

    def __call__(self, query: str, k: int | None = None, simplify: bool = False) -> Any:
        """Return at most `k` passages for one query, best first; see the class."""
        found = super().__call__(query, k)
        return [str(passage) for passage in found] if simplify else found

    def search(self, queries: Sequence[str], k: int) -> list[list[Passage]]:
        """See `Searcher`; up to 8 queries are under way at once."""
        return together(queries, lambda query: self._one(query, k), 8)

    async def asearch(self, queries: Sequence[str], k: int) -> list[list[Passage]]:
        """Same as `search`, for tasks."""
        return list(await load("asyncio").gather(*(self._aone(query, k) for query in queries)))

    def _one(self, query: str, k: int) -> list[Passage]:
        key = self._key(query, k)
        kept = self._kept(key)
        if kept is None:
            self._refuse_if_forbidden()
            kept = self._keep(key, portal.run(self._ask, query, k), k)
        return [as_passage(item) for item in kept]

    async def _aone(self, query: str, k: int) -> list[Passage]:
        key = self._key(query, k)
        kept = self._kept(key)
        if kept is None:
            self._refuse_if_forbidden()
            kept = self._keep(key, await portal.arun(self._ask, query, k), k)
        return [as_passage(item) for item in kept]

    def _key(self, query: str, k: int) -> bytes:
        if self._k(k) > MAX_K:
            raise ConfigurationError(f"ColBERTv2: k is {k}; the servers give at most {MAX_K}")
        return value_key(["colbert", 1, self.url, self._query(query), k])

    def _kept(self, key: bytes) -> list[Any] | None:
        store = current_cache() if self.cache else None
        if store is None:
            return None
        found = store.get(key) if store.readable else None
        if found is None and store.mode == "replay-only":
            raise CacheMissError(f"replay-only: an answer of {self._place.host} is not in the cache")
        return cast("list[Any]", found) if isinstance(found, list) else None

    def _keep(self, key: bytes, topk: list[Any], k: int) -> list[Any]:
        kept = topk[:k]
        if self.cache and (store := current_cache()).writable:
            store.put(key, kept)
        return kept

    def _refuse_if_forbidden(self) -> None:
        if setting("forbid_requests"):
            raise RequestsForbiddenError(
                f"a search at {self._place.host} while requests are forbidden; configure another rm"
            )

    # On the portal's loop.

    async def _ask(self, query: str, k: int) -> list[Any]:
        asyncio: Any = load("asyncio")
        clock: Any = asyncio.get_running_loop().time
        deadline = clock() + self._timeout_s
        request, attempt = self._request(query, k), 0
        transport = shared_transport() if self._transport is None else self._transport
        while True:
            attempt += 1
            try:
                response = await transport.send(request, deadline)
                if not 200 <= response.status < 300:
                    raise failure(self._place, response.status, response.headers, response.body)
                return self._topk(response)
            except LMError as error:
                wait = self._retry.wait_s(error, attempt)
                if wait is None or clock() + wait >= deadline or clock() >= deadline:
                    raise self._given_up(error, attempt) from error
                await asyncio.sleep(wait)

    def _request(self, query: str, k: int) -> HttpRequest:
        if self.post_requests:
            return HttpRequest(self._post, load("orjson").dumps({"query": query, "k": k}))
        mark = "&" if "?" in self.url else "?"
        url = f"{self.url}{mark}{urlencode({'query': query, 'k': k}, errors='replace')}"
        return HttpRequest(Endpoint(url, method="GET"))

    def _topk(self, response: HttpResponse) -> list[Any]:
        try:
            body: Any = load("orjson").loads(response.body)
            if body.get("error"):
                raise RetrievalError(
                    f"the server at {self._place.host} says: {str(body.get('message', 'an error'))[:300]}"
                )
            return [{**row, "long_text": row["text"]} for row in body["topk"]]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RetrievalError(
                f"{self._place.host} answered without passages: {excerpt(response.body)}; is the URL, path included, "
                "that of a ColBERTv2 server?"
            ) from error

    def _given_up(self, error: LMError, attempt: int) -> RetrievalError:
        tries = f" (tried {attempt} times)" if attempt > 1 else ""
        if isinstance(error, LMTimeoutError):
            return RetrievalTimeoutError(
                f"the retrieval server at {self._place.host} did not answer within {self._timeout_s:g} s{tries}; look "
                "whether it is up, or raise `timeout`"
            )
        return RetrievalError(f"the retrieval server at {self._place.host} failed{tries}: {error}")

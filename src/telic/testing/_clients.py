"""What every client must stand up to, as a test class that pytest collects.

Subclass it and say how a client is made:

    class TestMyClient(ClientConformance):
        def make_client(self, base_url): return MyClient(base_url)

A client that leaves the process (`remote`) is given the address of a `FaultServer` that speaks OpenAI's and Anthropic's
protocols, and has to tell the server's failures apart; for others `base_url` is None and those tests do not apply.
Retries, if it has any, must be off.
"""

from __future__ import annotations

import asyncio
import copy
from abc import abstractmethod
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, ClassVar

from telic import errors
from telic.data import Request, Response
from telic.protocols import Capabilities, Client, Delta
from telic.testing import faults
from telic.testing._forbid import forbid_requests
from telic.testing._server import FaultServer

_ANSWER = "Paris — é, שלום, 👩‍👩‍👧, \u2028, [[ ## answer ## ]]"
_STATUS = {
    401: errors.LMAuthError,
    403: errors.LMAuthError,
    402: errors.LMBillingError,
    404: errors.LMInvalidRequestError,
    400: errors.LMInvalidRequestError,
    429: errors.LMRateLimitError,
    500: errors.LMServerError,
    503: errors.LMServerError,
}


class ClientConformance:
    """Behaviours of a client; a subclass defines `make_client`, and `remote = False` where nothing leaves the process.

    `needs_prompt` replaces the question for clients that answer only some.
    """

    remote: ClassVar[bool] = True
    needs_prompt: ClassVar[str] = "Where is Paris?"

    @abstractmethod
    def make_client(self, base_url: str | None) -> Client:
        """Return a client without retries; `base_url` is where a remote one sends its requests."""

    # Answers

    def test_an_answer_has_text_and_usage(self) -> None:
        """One request, one completion, and tokens that can be added up."""
        with self._client() as client:
            response = client.complete(self._request())

        self._check(response, 1)

    def test_async_answers_are_the_same(self) -> None:
        """The same request, asked from a task."""
        with self._client() as client:
            response = asyncio.run(client.acomplete(self._request()))

        self._check(response, 1)

    def test_n_completions_are_given(self) -> None:
        """`n` is kept, natively or by asking again."""
        with self._client() as client:
            response = client.complete(self._request(n=3, temperature=1.0))

        self._check(response, 3)

    def test_requests_are_left_as_they_were(self) -> None:
        """Messages are shared by all calls of a predictor."""
        request = self._request(temperature=0.0)
        messages, options = copy.deepcopy(list(request.messages)), dict(request.options)

        with self._client() as client:
            client.complete(request)

        assert list(request.messages) == messages
        assert dict(request.options) == options

    def test_capabilities_are_known_before_the_first_call(self) -> None:
        """Adapters choose by them without a call."""
        with self._client() as client:
            assert isinstance(client.capabilities, Capabilities)

    def test_many_threads_may_call_at_once(self) -> None:
        """A client has no state of a call."""
        with self._client() as client, ThreadPoolExecutor(16) as pool:
            responses = list(pool.map(client.complete, [self._request() for _ in range(32)]))

        for response in responses:
            self._check(response, 1)

    def test_many_tasks_may_call_at_once(self) -> None:
        """And from one event loop."""

        async def all_at_once(client: Client) -> list[Response]:
            return await asyncio.gather(*(client.acomplete(self._request()) for _ in range(32)))

        with self._client() as client:
            responses = asyncio.run(all_at_once(client))

        for response in responses:
            self._check(response, 1)

    def test_a_stream_adds_up_to_its_response(self) -> None:
        """The pieces of the first completion are its text; the last piece has the whole response."""
        with self._client() as client:
            deltas = list(client.stream(self._request()))

        self._check_stream(deltas)

    def test_an_async_stream_adds_up_to_its_response(self) -> None:
        """Likewise from a task."""

        async def collect(client: Client) -> list[Delta]:
            return [delta async for delta in client.astream(self._request())]

        with self._client() as client:
            deltas = asyncio.run(collect(client))

        self._check_stream(deltas)

    # Failures of a server

    def test_statuses_are_told_apart(self) -> None:
        """Each is its own error, with status and model on it, and no error is retried by type."""
        for status, expected in _STATUS.items():
            error = self._failure(faults.status(status))
            if error is not None:
                assert isinstance(error, expected), (status, error)
                assert error.status == status

    def test_a_wait_that_the_server_asks_for_is_handed_on(self) -> None:
        """`Retry-After` is on the error."""
        error = self._failure(faults.status(429, retry_after=7))
        if error is not None:
            assert error.retry_after_s == 7.0

    def test_broken_connections_are_transport_errors(self) -> None:
        """Closed, cut or reset: never a partial answer as if it were whole."""
        for fault in (
            faults.close_before_answer(),
            faults.half_body(),
            faults.half_headers(),
            faults.reset_mid_body(),
        ):
            error = self._failure(fault)
            if error is not None:
                assert isinstance(error, errors.LMTransportError), (fault, error)

    def test_answers_that_break_the_protocol_are_response_errors(self) -> None:
        """A web page, cut JSON, no completions."""
        for fault in (faults.html(), faults.bad_json()):
            error = self._failure(fault)
            if error is not None:
                assert isinstance(error, errors.LMResponseError), (fault, error)

    def test_nothing_is_sent_while_requests_are_forbidden(self) -> None:
        """The switch for tests holds in every way to call."""
        if not self.remote:
            return
        with FaultServer(_ANSWER) as server, forbid_requests():
            client = self.make_client(server.url)
            for call in (
                lambda: client.complete(self._request()),
                lambda: list(client.stream(self._request())),
            ):
                try:
                    call()
                except errors.RequestsForbiddenError:
                    continue
                raise AssertionError("a request went out while requests were forbidden")
        assert server.requests == []

    # Parts

    def _request(self, **options: Any) -> Request:
        messages: Any = [
            {"role": "system", "content": "Answer."},
            {"role": "user", "content": self.needs_prompt},
        ]
        return Request(messages, {"max_tokens": 32, **options})

    @contextmanager
    def _client(self) -> Generator[Client]:
        if not self.remote:
            yield self.make_client(None)
            return
        with FaultServer(_ANSWER) as server:
            yield self.make_client(server.url)

    def _failure(self, fault: Any) -> errors.LMError | None:
        """Return what a call raises when the server fails so; None where no server is involved."""
        if not self.remote:
            return None
        with FaultServer(_ANSWER, faults=fault) as server:
            try:
                response = self.make_client(server.url).complete(self._request())
            except errors.LMError as error:
                assert error.model, error  # noqa: PT017
                return error
        raise AssertionError(f"expected an LMError for {fault!r}, got {response!r}")

    def _check(self, response: Response, count: int) -> None:
        assert isinstance(response, Response)
        assert len(response.completions) == count
        for completion in response.completions:
            assert isinstance(completion.text, str)
            if self.remote:
                assert completion.text == _ANSWER
        assert response.usage.input_tokens >= 0
        assert response.usage.output_tokens >= 0
        assert response.model
        assert not response.cached

    def _check_stream(self, deltas: list[Delta]) -> None:
        last = deltas[-1].response
        assert last is not None
        self._check(last, 1)
        assert "".join(delta.text for delta in deltas if delta.index == 0) == last.text
        assert all(delta.response is None for delta in deltas[:-1])

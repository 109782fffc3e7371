"""A client that counts what reaches it."""

from __future__ import annotations

import threading

import pytest

from telic.data import Completion, Request, Response, Usage
from telic.lm import LM
from telic.lm._chokepoint import _flights
from telic.protocols import Capabilities, Delta


class CountingClient:
    """Answers "n messages: last text", counts requests, and can be held at a gate."""

    capabilities = Capabilities()

    def __init__(self, endpoint="http://one.test/v1", usage=Usage(input_tokens=10, output_tokens=5)):
        self.endpoint = endpoint
        self.usage = usage
        self.requests = []
        self.arrived = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()
        self.error = None
        self.lock = threading.Lock()

    def answer(self, request: Request) -> Response:
        if self.error is not None:
            raise self.error
        text = f"{request.messages[-1]['content']}!"
        n = request.options.get("n", 1)
        return Response(tuple(Completion(text) for _ in range(n)), self.usage, "served-model", "id-1")

    def complete(self, request):
        with self.lock:
            self.requests.append(request)
        self.arrived.release()
        assert self.gate.wait(20)
        return self.answer(request)

    async def acomplete(self, request):
        import asyncio

        with self.lock:
            self.requests.append(request)
        self.arrived.release()
        await asyncio.to_thread(self.gate.wait, 20)
        return self.answer(request)

    def stream(self, request):
        with self.lock:
            self.requests.append(request)
        response = self.answer(request)
        for character in response.text:
            yield Delta(character)
        yield Delta(response=response)

    async def astream(self, request):
        for delta in self.stream(request):
            yield delta


@pytest.fixture
def client():
    return CountingClient()


@pytest.fixture
def make_client():
    return CountingClient


@pytest.fixture
def lm(client):
    return LM("test/model", client=client)


@pytest.fixture
def wait_for_waiters():
    """Return a function that returns when `count` callers wait for a call under way."""

    def wait(count):
        while True:
            with _flights._lock:
                if sum(len(flight.waiters) for flight in _flights._table.values()) >= count:
                    return
            threading.Event().wait(0.001)

    return wait

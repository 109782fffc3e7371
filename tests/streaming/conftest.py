"""An LM that streams in the cuts that a test says, and what tests look at in events."""

import asyncio
import threading

import pytest

from telic.context import context
from telic.data import Completion, Response, Usage
from telic.lm import LM
from telic.protocols import Capabilities, Delta
from telic.streaming import FieldDelta, FieldDone, Retracted


class CutClient:
    """A client that answers with what `function(request)` says, in pieces of `size` characters.

    An exception among the pieces is raised there; `gate` is waited for before each piece.
    """

    remote = False
    endpoint = "here"

    def __init__(self, function, size=5, gate=None, reasoning=""):
        self.function, self.size, self.gate, self.reasoning = function, size, gate, reasoning
        self.requests, self.open, self.closed = [], 0, 0
        self.lock = threading.Lock()

    capabilities = Capabilities()

    def _response(self, request, text):
        return Response(
            (Completion(text, reasoning=self.reasoning or None),),
            Usage(10, len(text.split()), cost_usd=0.25, calls=1),
            "cut",
        )

    def complete(self, request):
        self.requests.append(request)
        text = self.function(request)
        return Response(
            tuple(Completion(text) for _ in range(request.options.get("n") or 1)),
            Usage(10, 2, cost_usd=0.25, calls=1),
        )

    async def acomplete(self, request):
        return self.complete(request)

    def stream(self, request):
        self.requests.append(request)
        with self.lock:
            self.open += 1
        try:
            if self.reasoning:
                yield Delta(reasoning=self.reasoning)
            said = ""
            for piece in self._pieces(request):
                if self.gate is not None:
                    self.gate.acquire()
                if isinstance(piece, BaseException):
                    raise piece
                said += piece
                yield Delta(piece)
            yield Delta(response=self._response(request, said))
        finally:
            with self.lock:
                self.open -= 1
                self.closed += 1

    async def astream(self, request):
        for delta in self.stream(request):
            yield delta

    def _pieces(self, request):
        answer = self.function(request)
        for part in answer if isinstance(answer, list) else [answer]:
            if isinstance(part, BaseException):
                yield part
            else:
                yield from (part[at : at + self.size] for at in range(0, len(part), self.size))


def chat(**fields):
    """Return a reply in the Chat adapter's form."""
    return "\n\n".join([*(f"[[ ## {k} ## ]]\n{v}" for k, v in fields.items()), "[[ ## completed ## ]]"])


def joined(events):
    """Return the text of each call and field as it stands at the end, what was retracted left out."""
    texts = {}
    for event in events:
        if isinstance(event, Retracted):
            for field in event.fields:
                texts.pop((event.path, event.call_id, field), None)
        elif isinstance(event, FieldDelta):
            key = (event.path, event.call_id, event.field)
            texts[key] = texts.get(key, "") + event.text
    return texts


def texts(events):
    """Return `joined` by path and field, one call of each."""
    return {(path, field): text for (path, _, field), text in joined(events).items()}


def values(events):
    """Return the last value of each field, by path and field."""
    return {(event.path, event.field): event.value for event in events if isinstance(event, FieldDone)}


def of(events, *kinds):
    return [event for event in events if isinstance(event, kinds)]


@pytest.fixture
def use():
    """Configure an LM around a `CutClient` for the test: `client = use(lambda request: …)`."""
    opened = []

    def configured(function, *, cache=False, num_retries=0, **options):
        if isinstance(function, str):
            text = function
            function = lambda request: text  # noqa: E731
        client = CutClient(function, **options)
        block = context(lm=LM("cut/lm", client=client, cache=cache, num_retries=num_retries))
        block.__enter__()
        opened.append(block)
        return client

    yield configured
    for block in reversed(opened):
        block.__exit__(None, None, None)


@pytest.fixture
def look():
    """What tests look at: `look.texts(events)` …."""
    return Look


class Look:
    chat = staticmethod(chat)
    joined = staticmethod(joined)
    texts = staticmethod(texts)
    values = staticmethod(values)
    of = staticmethod(of)
    client = CutClient

    @staticmethod
    def read(stream):
        return list(stream)

    @staticmethod
    def aread(stream):
        async def main():
            return [event async for event in stream]

        return asyncio.run(main())


@pytest.fixture(params=["read", "aread"], ids=["sync", "async"])
def events_of(request):
    """Reads a stream to its end, in plain code and in a task."""
    return getattr(Look, request.param)

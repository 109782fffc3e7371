import pytest

from telic.context import context
from telic.data import Completion, Response, Usage
from telic.protocols import Capabilities
from telic.tracing import clear_history, record_call


class FakeLM:
    """An LM that answers from a script or a function of the request, and keeps its requests."""

    capabilities = Capabilities()

    def __init__(self, *replies, function=None, model="fake/lm"):
        self.model = model
        self.kwargs = {}
        self.replies = list(replies)
        self.function = function
        self.requests = []

    def complete(self, request):
        self.requests.append(request)
        reply = self.function(request) if self.function is not None else self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        many = reply if isinstance(reply, list) else [reply]
        completions = tuple(one if isinstance(one, Completion) else Completion(one) for one in many)
        response = Response(completions, Usage(10, 2, cost_usd=0.5, calls=1), self.model)
        record_call(self.model, request, response)
        return response

    async def acomplete(self, request):
        return self.complete(request)


def chat(**fields):
    """Return a reply in the Chat adapter's form."""
    return "\n\n".join([*(f"[[ ## {k} ## ]]\n{v}" for k, v in fields.items()), "[[ ## completed ## ]]"])


@pytest.fixture
def use():
    """Configure a `FakeLM` for the test: `lm = use(reply, …)`."""
    clear_history()
    opened = []

    def configured(*replies, **options):
        lm = FakeLM(*replies, **options)
        block = context(lm=lm)
        block.__enter__()
        opened.append(block)
        return lm

    yield configured
    for block in reversed(opened):
        block.__exit__(None, None, None)


@pytest.fixture
def reply():
    return chat


@pytest.fixture
def fake():
    return FakeLM

"""LMs for tests: a script, a function, and DSPy's `DummyLM`.

They are LMs like any other (history, usage, traces and budgets see their calls) around a client that sends nothing.
They are asked anew each time unless made with `cache=True`. Their usage counts words for tokens and costs nothing. A
stream of theirs comes word by word.
"""

from __future__ import annotations

import re
import threading
from abc import abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast, final

from telic._hash import content_key
from telic._optional import require
from telic._text import truncate
from telic.data import Completion, Request, Response, Usage
from telic.errors import ConfigurationError, DatasetError, LMError, LMResponseError
from telic.lm import BaseLM
from telic.protocols import Capabilities, Delta
from telic.testing._replies import format_of, reply_text

Reply = str | Mapping[str, Any] | Completion | Response | BaseException | type[BaseException]
"""A text, fields by name (written in the format of the adapter in use), or an error to raise."""

NO_MORE_RESPONSES = "No more responses"
_WORD = re.compile(r"\s*\S+|\s+")


class FakeLM(BaseLM):
    """The base of the fakes: they answer requests in this thread or task, and remember them.

    Attributes:
        requests: All requests that were answered or failed, in order; copies of the LM share the list.
    """

    def __init__(
        self, model: str, capabilities: Capabilities | None = None, adapter: Any = None, **options: Any
    ) -> None:
        super().__init__(model, **options)
        self.requests: list[Request] = []
        self.adapter = adapter
        self._capabilities = Capabilities() if capabilities is None else capabilities
        self._lock = (
            threading.Lock()
        )  # protects `requests` and the script: parallel callers get one reply each

    @property
    def capabilities(self) -> Capabilities:
        """What the fake says it can do natively."""
        return self._capabilities

    @abstractmethod
    def reply(self, request: Request) -> Reply:
        """Return one reply to a request; called once for each of its `n` completions, by one caller at a time."""

    def answer(self, request: Request) -> Response:
        """Return the whole answer to a request.

        Raises:
            BaseException: What the reply says.
        """
        count: int = request.options.get("n", 1)
        with self._lock:
            self.requests.append(request)
            replies = [self.reply(request) for _ in range(count)]
        for reply in replies:
            if isinstance(reply, Response):
                return reply
            if isinstance(reply, (BaseException, type)):
                raise reply
        completions = tuple(
            self._completion(cast("str | Mapping[str, Any] | Completion", r)) for r in replies
        )
        return Response(completions, _usage(request, completions), self.model)

    def _completion(self, reply: str | Mapping[str, Any] | Completion) -> Completion:
        if isinstance(reply, Completion):
            return reply
        if isinstance(reply, str):
            return Completion(reply)
        return Completion(reply_text(reply, format_of(self.adapter)))

    def stream(self, request: Request) -> Iterator[Delta]:
        """Yield the answer word by word, the last piece with the whole response."""
        response = self.complete(request)
        yield from _words(response)

    async def astream(self, request: Request) -> AsyncIterator[Delta]:
        """Same as `stream`, for tasks."""
        response = await self.acomplete(request)
        for delta in _words(response):
            yield delta

    def _make_client(self) -> tuple[_FakeClient, str, bool]:
        return _FakeClient(self), f"fake:{id(self)}", False


def _words(response: Response) -> Iterator[Delta]:
    for index, completion in enumerate(response.completions):
        if completion.reasoning:
            yield Delta(reasoning=completion.reasoning, index=index)
        for word in _WORD.findall(completion.text):
            yield Delta(word, index=index)
    yield Delta(response=response)


@final
class _FakeClient:
    def __init__(self, fake: FakeLM) -> None:
        self._fake = fake

    def complete(self, request: Request) -> Response:
        return self._fake.answer(request)

    async def acomplete(self, request: Request) -> Response:
        return self._fake.answer(request)


@final
class ScriptedLM(FakeLM):
    """Answers with the next reply of a script, whatever it is asked.

    Args:
        replies: Texts, dicts of fields, `Completion`s or errors; each is used once. With `n=3` a request takes three.
        model: Its name.
        capabilities: What it says it can do natively; nothing, unless given.
        adapter: Whose format dicts are written in; None: the adapter in force at the call.

    Raises:
        LMError: When it is asked more often than the script is long; the message has the last question.

    Example:
        >>> from telic.modules import Predict
        >>> lm = ScriptedLM([{"answer": "Paris"}])
        >>> Predict("question -> answer")(question="Capital of France?", lm=lm).answer
        'Paris'
        >>> len(lm.requests), lm.remaining
        (1, 0)
    """

    def __init__(
        self,
        replies: Iterable[Reply],
        *,
        model: str = "scripted",
        capabilities: Capabilities | None = None,
        adapter: Any = None,
        cache: bool = False,
    ) -> None:
        super().__init__(model, capabilities, adapter, cache=cache)
        self._script = deque(replies)
        self._length = len(self._script)

    @property
    def remaining(self) -> int:
        """How many replies are left."""
        return len(self._script)

    def reply(self, request: Request) -> Reply:
        """Return the next reply."""
        if not self._script:
            raise LMError(
                f"the script of {self.model!r} is used up (its length was {self._length}), and it was asked once more: "
                f"{truncate(_last_text(request), 300)!r}",
                model=self.model,
            )
        return self._script.popleft()


@final
class FunctionLM(FakeLM):
    """Answers with what a function makes of the last message.

    Args:
        function: Takes the text of the last message, or, if its parameter is called `request`, the whole `Request`;
            returns a reply (text, dict of fields, `Completion`) or raises.
        model: Its name.
        capabilities: What it says it can do natively; nothing, unless given.
        adapter: Whose format dicts are written in; None: the adapter in force at the call.

    Example:
        >>> from telic.modules import Predict
        >>> lm = FunctionLM(lambda text: {"answer": "Paris" if "France" in text else "I do not know"})
        >>> Predict("question -> answer")(question="Capital of France?", lm=lm).answer
        'Paris'
    """

    def __init__(
        self,
        function: Callable[..., Reply],
        *,
        model: str = "function",
        capabilities: Capabilities | None = None,
        adapter: Any = None,
        cache: bool = False,
    ) -> None:
        super().__init__(model, capabilities, adapter, cache=cache)
        self._function = function
        code: Any = getattr(function, "__code__", None)
        self._takes_request = code is not None and "request" in code.co_varnames[: code.co_argcount]

    def reply(self, request: Request) -> Reply:
        """Return what the function says."""
        value: Any = self._function(request) if self._takes_request else self._function(_last_text(request))
        if isinstance(value, (str, Mapping, Completion, Response, BaseException)):
            return cast("Reply", value)
        raise LMResponseError(
            f"the function of {self.model!r} returned {value!r}, which is no reply", model=self.model
        )


class DummyLM(FakeLM):
    r"""DSPy's `DummyLM`: answers from a list in order, from a dict by what is asked, or from the demos.

    Args:
        answers: A list of dicts of fields, one an answer; or a dict from a substring of the last message to the fields
            of its answer. When nothing is left or nothing fits, the answer is "No more responses".
        follow_examples: Answer as the demo did whose user turn has the same fields as the question.
        reasoning: Also answer in the reasoning channel.
        adapter: Whose format fields are written in; None: the adapter in force at the call (DSPy: ChatAdapter).

    Example:
        >>> lm = DummyLM([{"answer": "blue"}])
        >>> lm("What colour is the sky?"), lm("And the sea?")
        (['[[ ## answer ## ]]\nblue'], ['[[ ## answer ## ]]\nNo more responses'])
    """

    def __init__(
        self,
        answers: Sequence[Mapping[str, Any]] | Mapping[str, Mapping[str, Any]],
        follow_examples: bool = False,
        reasoning: bool = False,
        adapter: Any = None,
    ) -> None:
        super().__init__("dummy", None, adapter, temperature=0.0, max_tokens=1000)
        values = answers.values() if isinstance(answers, Mapping) else answers
        if not all(isinstance(fields, Mapping) for fields in values):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"answers must be a list of dicts or a dict of dicts, got {answers!r}")
        self.answers = answers
        self.follow_examples = follow_examples
        self.reasoning = reasoning
        self._left = deque(
            cast("Sequence[Mapping[str, Any]]", () if isinstance(answers, Mapping) else answers)
        )

    def reply(self, request: Request) -> Reply:
        """Return the answer that the semantics above give."""
        text = self._reply_text(request)
        return Completion(text, reasoning="Some reasoning" if self.reasoning else None)

    def _reply_text(self, request: Request) -> str:
        if self.follow_examples:
            return _answer_of_same_question(request)
        if isinstance(self.answers, Mapping):
            asked = _last_text(request)
            found = next((fields for part, fields in self.answers.items() if part in asked), None)
            return NO_MORE_RESPONSES if found is None else self._written(found)
        return self._written(self._left.popleft() if self._left else {"answer": NO_MORE_RESPONSES})

    def _written(self, fields: Mapping[str, Any]) -> str:
        return reply_text(fields, format_of(self.adapter), completed=False)


@final
class DummyVectorizer:
    """Vectors of texts by hashed character n-grams, mean taken off and of length 1: equal texts, equal vectors.

    Args:
        max_length: Length of the vectors.
        n_gram: Length of the n-grams.
    """

    def __init__(self, max_length: int = 100, n_gram: int = 2) -> None:
        self.max_length = max_length
        self.n_gram = n_gram

    def __call__(self, texts: Sequence[str]) -> Any:
        """Return an array, `(len(texts), max_length)`, float32; needs NumPy."""
        numpy = require("numpy", extra="tiny", purpose="DummyVectorizer")
        rows = numpy.zeros((len(texts), self.max_length), dtype=numpy.float32)
        for row, text in zip(rows, texts, strict=True):
            for start in range(len(text) - self.n_gram + 1):
                row[int(content_key(text[start : start + self.n_gram])[:8], 16) % self.max_length] += 1.0
        rows -= rows.mean(axis=1, keepdims=True)
        lengths = numpy.linalg.norm(rows, axis=1, keepdims=True)
        return rows / (lengths + 1e-10)


def dummy_rm(passages: Sequence[str] = ()) -> Callable[..., list[dict[str, str]]]:
    """Return a retriever over `passages`: the `k` nearest by character n-grams, as `{"long_text": …}` each.

    Raises:
        DatasetError: `k` is larger than the number of passages (when it is called).
    """
    vectorizer = DummyVectorizer()
    index = vectorizer(passages) if passages else None

    def retrieve(query: str, *, k: int = 3, **options: Any) -> list[dict[str, str]]:
        del options
        if index is None or k > len(passages):
            raise DatasetError(f"asked for {k} passages of {len(passages)}")
        scores = (index @ vectorizer([query])[0]).tolist()
        best = sorted(range(len(passages)), key=lambda place: -scores[place])[:k]
        return [{"long_text": passages[place]} for place in best]

    return retrieve


def _usage(request: Request, completions: Sequence[Completion]) -> Usage:
    asked = sum(len(_text_of(message.get("content")).split()) for message in request.messages)
    answered = sum(len(completion.text.split()) for completion in completions)
    return Usage(asked, answered, cost_usd=0.0, calls=1)


def _last_text(request: Request) -> str:
    return _text_of(request.messages[-1].get("content")) if request.messages else ""


def _text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    return "\n".join(part.get("text", "") for part in content)


def _answer_of_same_question(request: Request) -> str:
    """Return the assistant turn after the demo whose fields are those of the last user turn; "" where none is."""
    asked = _fields_of(_last_text(request))
    for turn, reply in zip(request.messages[:-1], request.messages[1:], strict=True):
        same = turn["role"] == "user" and _fields_of(_text_of(turn.get("content"))) == asked
        if same and reply["role"] == "assistant":
            return _text_of(reply.get("content"))
    return ""


def _fields_of(turn: str) -> str:
    """Return the fields of a user turn without the closing words that only the last one has."""
    return turn.partition("\n\nRespond with ")[0].strip()

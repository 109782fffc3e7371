"""Every swappable part of telic, on one page. Read this second, after `data`.

Nobody needs to import a protocol to satisfy it: an object with the members is enough. Each part is handed over as an
object (`LM(…, client=…)`, `configure(adapter=…)`); where a name in a string finds one, the docstring says so.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from telic.data import Completion, Example, Message, Prediction, Request, Response


class Capabilities(NamedTuple):
    """What a model can do natively; an adapter chooses by it before the call, never after a failure."""

    response_schema: bool = False
    """The server constrains the reply to a JSON schema (`response_format: json_schema`)."""
    json_object: bool = False
    """The server constrains the reply to some JSON object."""
    function_calling: bool = False
    reasoning: bool = False
    context_tokens: int | None = None
    """How many tokens prompt and reply may have together; None: not known."""
    citations: bool = False
    """The model takes documents as such and cites them beside its text."""
    reasoning_text: bool = False
    """As it is configured, the model's reasoning comes with its reply, in a channel of its own."""


class Delta(NamedTuple):
    """A piece of a streamed reply; the last one carries the whole `response`."""

    text: str = ""
    reasoning: str = ""
    index: int = 0  # pyright: ignore[reportIncompatibleMethodOverride]  (which completion; no tuple method is meant)
    response: Response | None = None


@runtime_checkable
class LanguageModel(Protocol):
    """What a predictor calls: an LM with its options, cache, limits and history behind it."""

    @property
    def model(self) -> str: ...
    @property
    def capabilities(self) -> Capabilities: ...
    def complete(self, request: Request) -> Response: ...
    async def acomplete(self, request: Request) -> Response: ...


class Client(Protocol):
    """The innermost layer of an LM: takes a request whose options are final, returns the answer.

    Found by the prefix of "prefix/model" (entry points in the group `telic.clients` add prefixes), or passed as
    `LM(…, client=…)`. Raises the `LMError` family; adds no cache, no retries and no limits of its own.
    """

    @property
    def capabilities(self) -> Capabilities: ...
    def complete(self, request: Request) -> Response: ...
    async def acomplete(self, request: Request) -> Response: ...
    def stream(self, request: Request) -> Iterator[Delta]: ...
    def astream(self, request: Request) -> AsyncIterator[Delta]: ...


class RenderPlan(Protocol):
    """A predictor's prompt with all that does not depend on the inputs already rendered.

    Made once for each state of a predictor, then used by all its calls, from any thread: it is immutable.
    """

    @property
    def prefix(self) -> tuple[Message, ...]:
        """System message and demos."""
        ...

    @property
    def options(self) -> Mapping[str, Any]:
        """Generation options that the format needs (`response_format`, `tools`), chosen before the call."""
        ...

    def render(self, inputs: Mapping[str, Any]) -> list[Message]:
        """Return all messages: the prefix, the turns of a `History` input, and the inputs. Pure."""
        ...

    def parse(self, completion: Completion, inputs: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the output fields, typed and validated, in signature order. Pure.

        Args:
            completion: The reply.
            inputs: What was asked, for validators of the signature that look at it; without it they see None.

        Raises:
            TruncatedReplyError: The reply was cut and its fields are incomplete.
            AdapterParseError: A field is missing or does not fit its type, after all repair that costs nothing.
        """
        ...

    def reask(self, completion: Completion, error: Exception) -> list[Message]:
        """Return the turns that continue the conversation: the reply as it was, and what was wrong with it."""
        ...


class Adapter(Protocol):
    """A prompt format: signature and values to messages, and a reply back to values. Pure, no I/O, no LM."""

    @property
    def name(self) -> str: ...
    def plan(self, signature: Any, demos: Sequence[Any], capabilities: Capabilities) -> RenderPlan: ...
    def format(self, signature: Any, demos: Sequence[Any], inputs: Mapping[str, Any]) -> list[Message]: ...
    def parse(self, signature: Any, completion: str) -> dict[str, Any]: ...


class Cache(Protocol):
    """Replies by content key. Any failure inside degrades to a miss; it never stops a run."""

    def get(self, key: bytes) -> Response | None: ...
    def put(self, key: bytes, response: Response) -> None: ...


class Retriever(Protocol):
    """Finds passages: `settings.rm`."""

    def __call__(self, query: str, *, k: int) -> Sequence[Any]: ...


class Execution(NamedTuple):
    """What came of running a piece of code."""

    output: str = ""
    """What it printed, cut at the interpreter's limit."""
    value: Any = None
    """The value of its last line, where that is an expression; plain data."""
    error: str = ""
    """What went wrong, in words for the LM that wrote the code; empty where nothing did."""
    lost: bool = False
    """The session ended with it: the names of all code before are gone."""


class Executor(Protocol):
    """Where programs are run on rows: other processes, or other machines; the setting `executor`.

    Rows of evaluations and optimizers go there, teachers' attempts, and GRPO's rollouts. A thread of this process waits
    for each, so that as many are under way as the setting `num_threads` says. What is sent must be picklable by the
    executor's own means. `telic.integrations.Ray` is one.
    """

    def share(self, value: Any) -> Any:
        """Return what stands for `value` in the arguments of `run`: it is sent once, however often it is used.

        Raises:
            ConfigurationError: It cannot be sent.
        """
        ...

    def run(self, work: Callable[..., Any], *args: Any) -> Any:
        """Return `work(*args)`, done there; what stands for a shared value is replaced by it.

        Raises:
            WorkerLostError: Who worked on it ended before it answered, as often as the executor tries.
        """
        ...


class Interpreter(Protocol):
    """Runs LM-written code between its walls. One interpreter is one session, for one caller at a time.

    `telic.sandbox` has three: `MontyInterpreter` (the default), `DenoInterpreter`, and for trusted code
    `SubprocessInterpreter`; each says at the top of its file what its walls hold back, and what not.
    """

    def execute(
        self,
        code: str,
        variables: Mapping[str, Any] | None = None,
        tools: Mapping[str, Callable[..., Any]] | None = None,
    ) -> Execution:
        """Run code; the names that it defines stay for the next call.

        Args:
            code: Python.
            variables: Values that it finds under these names, as plain data.
            tools: Functions of the host that it may call under these names, during this call alone.

        What goes wrong in the code is in the result; only what no other code can mend is raised.
        """
        ...

    def fresh(self) -> Interpreter:
        """Return another one with the same limits and no state."""
        ...

    def close(self) -> None:
        """End the session, also while another thread executes in it; the next `execute` begins a new one."""
        ...


MetricResult = float | bool | int | Prediction
Metric = Callable[..., MetricResult | Awaitable[MetricResult]]
"""`metric(example, prediction, trace=None)` → score; sync or async. `trace` is a list of steps while compiling."""

Program = Callable[..., Any]
"""What is evaluated: a `Module`, or any callable that takes the inputs of an example by name."""


class Optimizer(Protocol):
    """Makes a better program out of a program, a metric and examples; returns a new program."""

    def compile(
        self, student: Any, *, trainset: Sequence[Example], valset: Sequence[Example] | None = None
    ) -> Any: ...

"""`as_lm`: whatever a user passes where an LM is wanted, as an LM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast, final

from telic.data import Request
from telic.errors import ConfigurationError
from telic.execution import run_coroutine, run_in_thread
from telic.lm._base import BaseLM

if TYPE_CHECKING:
    from collections.abc import Callable

    from telic.data import Message
    from telic.protocols import LanguageModel

_VARARGS_BY_NAME: Final = 0x08  # code flag: takes **options
_COROUTINE: Final = 0x80  # code flag: `async def`


def as_lm(lm: LanguageModel | Callable[..., Any]) -> LanguageModel:
    """Return an LM for what was passed.

    Args:
        lm: An LM, which is returned as it is; an object with `complete(request)`; or a function
            `f(messages, **options)`, sync or async, that returns a text, a list of texts, an answer in OpenAI's shape
            or a `Response`. Options that the function does not take are not passed to it. A sync function that is
            called from a task runs in a thread.

    Raises:
        ConfigurationError: It is neither.

    Example:
        >>> as_lm(lambda messages: "I heard: " + messages[-1]["content"])("hello")
        ['I heard: hello']
    """
    if isinstance(lm, BaseLM):
        return lm
    kind = type(lm)
    if hasattr(kind, "complete") and hasattr(kind, "acomplete"):
        return cast("LanguageModel", lm)
    if callable(lm) and not isinstance(lm, type):
        return CallableLM(lm)
    if hasattr(kind, "complete") and not isinstance(lm, type):
        return OneMethodLM(lm)
    hint = ""
    if isinstance(lm, str):
        hint = f"; write LM({lm!r})"
    elif isinstance(lm, type):
        hint = f"; it is a class: make one, {lm.__name__}(…)"
    raise ConfigurationError(
        f"{lm!r:.100} is no LM{hint}: expected an LM such as LM('openai/gpt-5-mini'), an object with `complete` and "
        "`acomplete`, or a function f(messages, **options)"
    )


@final
class CallableLM(BaseLM):
    """A function as an LM; made by `as_lm`. Answers are not cached.

    Args:
        function: `f(messages, **options)`.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(getattr(function, "__name__", type(function).__name__))
        self._function = function
        code = _code_of(function)
        self._is_async = code is not None and bool(code.co_flags & _COROUTINE)
        self._takes: frozenset[str] | None = None  # None: any option
        if code is not None and not code.co_flags & _VARARGS_BY_NAME:
            self._takes = frozenset(code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount])

    def forward(
        self, prompt: str | None = None, messages: list[Message] | None = None, **options: Any
    ) -> Any:
        """Call the function and return what it returns."""
        answer = self._call(messages, options)
        return run_coroutine(answer) if hasattr(answer, "__await__") else answer

    async def aforward(
        self, prompt: str | None = None, messages: list[Message] | None = None, **options: Any
    ) -> Any:
        """Await the function, or call it in a thread where it is sync."""
        if self._is_async:
            return await self._call(messages, options)
        answer = await run_in_thread(self._call, messages, options)
        return await answer if hasattr(answer, "__await__") else answer

    def _call(self, messages: list[Message] | None, options: dict[str, Any]) -> Any:
        takes = self._takes
        if takes is None:
            return self._function(messages, **options)
        return self._function(messages, **{name: value for name, value in options.items() if name in takes})


@final
class OneMethodLM(BaseLM):
    """An object with `complete(request)` alone as an LM; made by `as_lm`. Answers are not cached.

    Args:
        inner: Its `complete` takes a `Request`, and returns a `Response` or what `BaseLM.forward` may return.
    """

    def __init__(self, inner: Any) -> None:
        super().__init__(str(getattr(inner, "model", type(inner).__name__)))
        self._inner = inner

    def forward(
        self, prompt: str | None = None, messages: list[Message] | None = None, **options: Any
    ) -> Any:
        """Ask the object."""
        return self._inner.complete(Request([] if messages is None else messages, options))


def _code_of(function: Any) -> Any:
    """Return the code of a function, a method or an object with `__call__`; None where it is not Python."""
    code = getattr(function, "__code__", None)
    if code is None:
        call: Any = getattr(cast("Any", type(function)), "__call__", None)  # noqa: B004  not asked, taken
        code = getattr(call, "__code__", None)
    return code

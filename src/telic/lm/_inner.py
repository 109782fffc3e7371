"""The innermost layer of LMs that are Python classes: what their own methods answer.

`forward` and `aforward` are the way to bring an LM. Programs written for DSPy also override `__call__` and `acall`:
then every call goes through those, cache and budget are behind them, and what they pass on to `super()` or to `forward`
goes there.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, cast, final

from telic.data import Message, Request, Response
from telic.lm._forward import response_from
from telic.lm._registry import split_model
from telic.protocols import Capabilities

_calling: Final[ContextVar[tuple[Any, bool] | None]] = ContextVar("telic_calling", default=None)
"""The LM whose own `__call__` is being run, and whether a call of the chokepoint's led to it, which is told by that."""


@final
class ForwardClient:
    """An LM's own `forward` and `aforward`."""

    __slots__ = ("_lm",)

    def __init__(self, lm: Any) -> None:
        self._lm = lm

    def complete(self, request: Request) -> Response:
        lm, messages = self._lm, request.messages
        answer = lm.forward(prompt=None, messages=_as_list(messages), **request.options)
        return response_from(answer, lm.model)

    async def acomplete(self, request: Request) -> Response:
        lm, messages = self._lm, request.messages
        answer = await lm.aforward(prompt=None, messages=_as_list(messages), **request.options)
        return response_from(answer, lm.model)


def called(lm: Any, request: Request) -> Response:
    """Return what the `__call__` of an LM's class answers."""
    token = _calling.set((lm, True))
    try:
        answer = lm(prompt=None, messages=_as_list(request.messages), **request.options)
    finally:
        _calling.reset(token)
    return response_from(answer, lm.model)


async def acalled(lm: Any, request: Request) -> Response:
    """Return what the `acall` of an LM's class answers."""
    token = _calling.set((lm, True))
    try:
        answer = await lm.acall(prompt=None, messages=_as_list(request.messages), **request.options)
    finally:
        _calling.reset(token)
    return response_from(answer, lm.model)


@contextmanager
def passing_on(lm: Any, own: bool) -> Generator[None]:
    """Let what an LM's own `__call__` passes on, called by the user, go to the cache and not to itself again."""
    if not own or is_inside(lm):
        yield
        return
    token = _calling.set((lm, False))
    try:
        yield
    finally:
        _calling.reset(token)


def is_inside(lm: Any) -> bool:
    """Whether a `__call__` or `acall` of `lm` is being run in this context: what it passes on goes to the cache."""
    calling = _calling.get()
    return calling is not None and calling[0] is lm


def is_told(lm: Any) -> bool:
    """Whether such a call is part of one that stands in the history already."""
    return _calling.get() == (lm, True)


@final
class Nobody:
    """Who is behind the name of an LM that answers by itself, where no provider goes by it."""

    capabilities: Final = Capabilities()
    remote: Final = False

    def __init__(self, model: str) -> None:
        self._model = model

    def complete(self, request: Request) -> Response:
        split_model(self._model)  # raises what there is to say
        raise AssertionError(self._model)

    async def acomplete(self, request: Request) -> Response:
        return self.complete(request)


def _as_list(messages: Sequence[Message]) -> list[Message]:
    return cast("list[Message]", messages) if type(messages) is list else list(messages)

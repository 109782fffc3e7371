"""The innermost layer of LMs that are Python classes: what their own methods answer.

`forward` and `aforward` are the way to bring an LM. Programs written for DSPy also override `__call__` and `acall`:
then every call goes through those, and what they pass on to `super()` or to `forward` reaches the layer below.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, cast, final

from telic.data import Message, Request, Response
from telic.lm._forward import response_from
from telic.lm._registry import split_model
from telic.protocols import Capabilities

if TYPE_CHECKING:
    from telic.lm._chokepoint import Completes

_calling: Final[ContextVar[tuple[Any, Any] | None]] = ContextVar("telic_calling", default=None)


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


@final
class CallClient:
    """An LM's own `__call__` and `acall`; where it has only one of them, the other way leads to `below`."""

    __slots__ = ("_below", "_lm", "_own_acall", "_own_call")

    def __init__(self, lm: Any, below: Completes, base: Any) -> None:
        self._lm = lm
        self._below = below
        self._own_call: bool = lm.__class__.__call__ is not base.__call__
        self._own_acall: bool = lm.__class__.acall is not base.acall

    def complete(self, request: Request) -> Response:
        lm = self._lm
        if not self._own_call:
            return self._below.complete(request)
        token = _calling.set((lm, self._below))
        try:
            answer = lm(prompt=None, messages=_as_list(request.messages), **request.options)
        finally:
            _calling.reset(token)
        return response_from(answer, lm.model)

    async def acomplete(self, request: Request) -> Response:
        lm = self._lm
        if not self._own_acall:
            return await self._below.acomplete(request)
        token = _calling.set((lm, self._below))
        try:
            answer = await lm.acall(prompt=None, messages=_as_list(request.messages), **request.options)
        finally:
            _calling.reset(token)
        return response_from(answer, lm.model)


def below(lm: Any) -> Completes | None:
    """Return the layer below the `__call__` of `lm` that is being run in this context; None outside of one."""
    calling = _calling.get()
    return calling[1] if calling is not None and calling[0] is lm else None


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

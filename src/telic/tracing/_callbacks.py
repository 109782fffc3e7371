"""Hooks around calls of modules, LMs, adapters, tools, evaluations and compiles, by DSPy's names.

Where no callback is set, a call costs one settings lookup. A callback that raises never stops the program:
the failure goes to the logger `telic.callbacks` with its traceback.

The side that is observed uses `begin` and `finish`:

    call = begin("lm", lm, {"messages": messages})
    try: …
    except Exception as error: finish(call, None, error); raise
    finish(call, outputs)

or `observed` and `aobserved`, which are that around one function.
"""

from __future__ import annotations

import contextvars
import os
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from telic._optional import load
from telic.context import get as setting

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

T = TypeVar("T")

ACTIVE_CALL_ID: contextvars.ContextVar[str | None] = contextvars.ContextVar("telic_call_id", default=None)
"""The id of the innermost call that callbacks were told of: the parent of the next one."""


class BaseCallback:
    """Subclass it, override what you want to see, and pass it: `configure(callbacks=[MyCallback()])`.

    The setting's callbacks hear of all calls; those of a module, LM, adapter or tool (`callbacks=[…]`) of its own.
    `inputs` are, for modules: `args` and `kwargs`; LMs: `prompt`, `messages`, `kwargs`; adapters: `signature`, `demos`
    and `inputs`, or `signature` and `completion`; tools: `kwargs`; code: `code` and `variables`, and for functions that
    it calls `tool_name`, `args` and `kwargs`; evaluations: `program`, `metric`, `devset` and `callback_metadata`;
    compiles: `student`, `trainset` and what else was given. While `…_start` runs, `ACTIVE_CALL_ID` still holds the call
    that this one is made in.

    Every `…_start` gets the call's id, the object that is called and its inputs by name; every `…_end` the
    same id, the outputs (None after a failure) and the exception (None after a success).
    """

    def on_module_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """A module's call begins."""

    def on_module_end(
        self, call_id: str, outputs: Any | None, exception: BaseException | None = None
    ) -> None:
        """A module's call has ended."""

    def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """An LM's call begins."""

    def on_lm_end(self, call_id: str, outputs: Any | None, exception: BaseException | None = None) -> None:
        """An LM's call has ended."""

    def on_lm_response(self, call_id: str, response: Any) -> None:
        """An LM has answered, and `on_lm_end` follows: the whole `Response`, with usage and whether it was kept."""

    def on_adapter_format_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """An adapter begins to render messages."""

    def on_adapter_format_end(
        self, call_id: str, outputs: Any | None, exception: BaseException | None = None
    ) -> None:
        """The messages are rendered."""

    def on_adapter_parse_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """An adapter begins to parse a reply."""

    def on_adapter_parse_end(
        self, call_id: str, outputs: Any | None, exception: BaseException | None = None
    ) -> None:
        """The reply is parsed."""

    def on_tool_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """A tool's call begins."""

    def on_tool_end(self, call_id: str, outputs: Any | None, exception: BaseException | None = None) -> None:
        """A tool's call has ended."""

    def on_evaluate_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """An evaluation begins."""

    def on_evaluate_end(
        self, call_id: str, outputs: Any | None, exception: BaseException | None = None
    ) -> None:
        """An evaluation has ended."""

    def on_interpreter_execute_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Code of an LM begins to run."""

    def on_interpreter_execute_end(
        self, call_id: str, outputs: Any | None, exception: BaseException | None = None
    ) -> None:
        """The code has run; `outputs` is an `Execution`, in which errors of the code itself are told."""

    def on_interpreter_tool_call_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Code of an LM calls a function of the host."""

    def on_interpreter_tool_call_end(
        self, call_id: str, outputs: Any | None, exception: BaseException | None = None
    ) -> None:
        """The function has returned."""

    def on_interpreter_startup_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """An interpreter's process begins: at the first code of a session, and after one that was lost."""

    def on_interpreter_startup_end(
        self, call_id: str, outputs: Any | None, exception: BaseException | None = None
    ) -> None:
        """The process is there."""

    def on_interpreter_shutdown_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """An interpreter with a process is closed."""

    def on_interpreter_shutdown_end(
        self, call_id: str, outputs: Any | None, exception: BaseException | None = None
    ) -> None:
        """Its process has ended."""

    def on_compile_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """A compile begins."""

    def on_compile_end(
        self, call_id: str, outputs: Any | None, exception: BaseException | None = None
    ) -> None:
        """A compile has ended."""


class ObservedCall(NamedTuple):
    """A call that callbacks were told of, between its start and its end."""

    kind: str
    id: str
    callbacks: Sequence[Any]
    token: contextvars.Token[str | None]


def begin(kind: str, instance: Any, inputs: dict[str, Any]) -> ObservedCall | None:
    """Tell callbacks that a call begins; None where there are none, and then `finish` does nothing.

    Args:
        kind: "module", "lm", "adapter_format", "adapter_parse", "tool", "evaluate", "compile", or of interpreters
            "interpreter_execute", "interpreter_tool_call", "interpreter_startup" or "interpreter_shutdown".
        instance: The object that is called; its own `callbacks` come after the setting's.
        inputs: The call's inputs by name.
    """
    callbacks: Sequence[Any] = setting("callbacks")
    own: Sequence[Any] = getattr(instance, "callbacks", ())
    if not callbacks and not own:
        return None
    everyone = (*callbacks, *own) if own else callbacks
    call_id = os.urandom(16).hex()
    for callback in everyone:
        _tell(callback, f"on_{kind}_start", call_id=call_id, instance=instance, inputs=inputs)
    return ObservedCall(kind, call_id, everyone, ACTIVE_CALL_ID.set(call_id))


def finish(
    call: ObservedCall | None, outputs: Any, exception: BaseException | None = None, *, response: Any = None
) -> None:
    """Tell callbacks that a call has ended, in the thread or task in which it began; of an LM's, the response first."""
    if call is None:
        return
    try:
        ACTIVE_CALL_ID.reset(call.token)
    except ValueError:  # a generator that is closed in another task than it was begun in
        pass
    for callback in call.callbacks:
        if response is not None:
            _tell(callback, "on_lm_response", call_id=call.id, response=response)
        _tell(callback, f"on_{call.kind}_end", call_id=call.id, outputs=outputs, exception=exception)


def observed(kind: str, instance: Any, inputs: dict[str, Any], work: Callable[[], T]) -> T:
    """Return `work()`, and tell callbacks of it; see `begin`."""
    call = begin(kind, instance, inputs)
    try:
        result = work()
    except BaseException as error:
        finish(call, None, error)
        raise
    finish(call, result)
    return result


async def aobserved(kind: str, instance: Any, inputs: dict[str, Any], work: Callable[[], Awaitable[T]]) -> T:
    """`observed` for coroutines."""
    call = begin(kind, instance, inputs)
    try:
        result = await work()
    except BaseException as error:
        finish(call, None, error)
        raise
    finish(call, result)
    return result


def _tell(callback: Any, method: str, **arguments: Any) -> None:
    hook = getattr(callback, method, None)
    if hook is None:
        return
    try:
        hook(**arguments)
    except Exception:  # the user's code, at a boundary: watching must not change what is watched
        logger = load("logging").getLogger("telic.callbacks")
        logger.exception("callback %s.%s raised", type(callback).__name__, method)

"""`Emitter`: what a streamed program tells its events to; the setting `send_stream` holds it while the program runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from telic._cancel import Cancelled
from telic.context import get as setting
from telic.protocols import Capabilities
from telic.streaming._events import (
    AssertionChecked,
    Custom,
    ModuleEnd,
    ModuleStart,
    Retracted,
    Spent,
    ToolEnd,
    ToolStart,
)
from telic.streaming._tap import Tap
from telic.tracing import ACTIVE_CALL_ID, BaseCallback

if TYPE_CHECKING:
    from telic.data import Usage
    from telic.streaming._channel import Channel


@final
class Emitter(BaseCallback):
    """Tells the events of one run of a program. As a callback it hears of modules and tools.

    Args:
        channel: Where they go.
        program: Whose parts are named by their paths.
        pieces: Also tell of the pieces of LMs' replies.
    """

    def __init__(self, channel: Channel, program: Any, *, pieces: bool = False) -> None:
        self._channel = channel
        self._pieces = pieces
        self._program = program  # kept alive, so that no other object gets the id of a part
        self._paths: dict[int, str] = {}
        if hasattr(program, "named_sub_modules"):
            for path, module in program.named_sub_modules():
                self._paths.setdefault(id(module), path)
        self._open: dict[str, Any] = {}  # the instances of calls under way

    def path_of(self, module: Any) -> str:
        """Return where a module is in the program; of one that is not in it, what it is called."""
        path = self._paths.get(id(module))
        if path is not None:
            return path
        signature = getattr(module, "signature", None)
        return getattr(signature, "__name__", type(module).__name__)

    def tap(self, predictor: Any, adapter: Any, signature: Any, lm: Any) -> Tap:
        """Return the LM that a call of `predictor` asks in place of `lm`."""
        deltas_of = getattr(adapter, "deltas", None)
        deltas = (
            None if deltas_of is None else deltas_of(signature, getattr(lm, "capabilities", Capabilities()))
        )
        call_id = ACTIVE_CALL_ID.get()
        return Tap(
            self._channel,
            lm,
            deltas,
            self.path_of(predictor),
            predictor.signature.__name__,
            "" if call_id is None else call_id,
            pieces=self._pieces,
        )

    def emit(self, value: Any) -> None:
        """Put a value of the program's own into the stream."""
        self._channel.put(Custom(value))

    async def send(self, value: Any) -> None:
        """Same, for programs of DSPy that write into `settings.send_stream` themselves; waits for a slow reader."""
        await self._channel.await_room()
        self.emit(value)

    def assertion(self, outcome: Any) -> None:
        """Tell of an assertion that was decided; `outcome` has `passed`, `name` and `message`."""
        self._channel.put(
            AssertionChecked(outcome.passed, outcome.name, outcome.message, outcome, ACTIVE_CALL_ID.get())
        )

    def backtracked(self, predictor: Any, call_id: str | None, message: str) -> None:
        """Take back what a predictor's call answered: an assertion lets it, or what came before it, be asked again."""
        signature = predictor.signature
        self._channel.put(
            Retracted(
                self.path_of(predictor),
                signature.__name__,
                tuple(signature.output_fields),
                "backtrack",
                message,
                "" if call_id is None else call_id,
            )
        )

    def spent(self, usage: Usage, lm: str, predictor: Any, cached: bool) -> None:
        """Tell of an answered call of an LM."""
        path = "" if predictor is None else self.path_of(predictor)
        self._channel.put(Spent(lm, usage, cached, path))

    # As a callback

    def on_module_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Tell of a module's call."""
        self._open[call_id] = instance
        given: dict[str, Any] = inputs.get("kwargs", inputs)
        if inputs.get("args"):
            given = {"args": inputs["args"], **given}
        self._channel.put(ModuleStart(self.path_of(instance), instance, given, call_id, ACTIVE_CALL_ID.get()))

    def on_module_end(
        self, call_id: str, outputs: Any | None, exception: BaseException | None = None
    ) -> None:
        """Tell of its end."""
        instance = self._open.pop(call_id, None)
        if not isinstance(exception, Cancelled):
            self._channel.put(ModuleEnd(self.path_of(instance), instance, outputs, exception, call_id))

    def on_tool_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Tell of a tool's call."""
        self._open[call_id] = instance
        self._channel.put(ToolStart(instance, inputs.get("kwargs", inputs), call_id, ACTIVE_CALL_ID.get()))

    def on_tool_end(self, call_id: str, outputs: Any | None, exception: BaseException | None = None) -> None:
        """Tell of its end."""
        instance = self._open.pop(call_id, None)
        if not isinstance(exception, Cancelled):
            self._channel.put(ToolEnd(instance, outputs, exception, call_id))


def emit(value: object) -> None:
    """Put a value into the stream of the program that runs here, as a `Custom` event; without one, do nothing.

    For tools and `forward`s that have progress of their own to tell.
    """
    emitter: Emitter | None = setting("send_stream")
    if emitter is not None:
        emitter.emit(value)

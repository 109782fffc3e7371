"""Running a program whose events somebody reads: in a thread for plain code, as a task on an event loop."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from telic._cancel import Cancelled, CancelScope
from telic._optional import load
from telic.context import context
from telic.context import get as setting
from telic.data import Prediction
from telic.execution import is_async, run_coroutine, run_in_thread, stray_cancellations
from telic.streaming._emitter import Emitter
from telic.streaming._events import Failed, Finished
from telic.tracing import UsageTracker

if TYPE_CHECKING:
    from telic.data import Usage
    from telic.streaming._channel import TaskChannel, ThreadChannel


class ProgramCall(NamedTuple):
    """What is to be run."""

    program: Any
    args: tuple[Any, ...]
    inputs: Mapping[str, Any]
    pieces: bool
    """Whether the pieces of LMs' replies are told, too."""


@contextmanager
def _told(emitter: Emitter, scope: CancelScope) -> Generator[UsageTracker]:
    """Have all that happens in this block told to the emitter."""

    def on_add(usage: Usage, lm: str, predictor: Any, cached: bool) -> None:
        emitter.spent(usage, lm, predictor, cached)

    tracker = UsageTracker(setting("usage_tracker"), on_add=on_add)
    others = [callback for callback in setting("callbacks") if not isinstance(callback, Emitter)]
    with context(
        send_stream=emitter, callbacks=[*others, emitter], usage_tracker=tracker, cancel_scope=scope
    ):
        yield tracker


def _with_usage(result: Any, tracker: UsageTracker, *, wanted: bool) -> Any:
    """Note the usage on the prediction, as the outermost module does where it is not streamed."""
    if wanted and isinstance(result, Prediction):
        result.set_lm_usage(tracker.get_total_tokens())
    return result


def _is_usage_wanted() -> bool:
    return bool(setting("track_usage")) and setting("usage_tracker") is None


def run_in_this_thread(call: ProgramCall, channel: ThreadChannel, scope: CancelScope) -> None:
    """Run the program and put what comes of it into the channel."""
    wanted = _is_usage_wanted()
    try:
        with _told(Emitter(channel, call.program, pieces=call.pieces), scope) as tracker:
            try:
                result = call.program(*call.args, **call.inputs)
                if hasattr(result, "__await__"):
                    result = run_coroutine(_awaited(result))
                channel.put(Finished(_with_usage(result, tracker, wanted=wanted), tracker.total))
            except Cancelled:
                raise
            except BaseException as error:  # noqa: BLE001  not swallowed: raised where the next event is asked for
                channel.put(Failed(error, tracker.total))
    except Cancelled:
        return  # nobody reads any more
    finally:
        channel.end()


async def run_as_task(call: ProgramCall, channel: TaskChannel, scope: CancelScope) -> None:
    """Same as `run_in_this_thread`, on the running loop."""
    wanted = _is_usage_wanted()
    cancelled = load("asyncio").CancelledError
    try:
        with _told(Emitter(channel, call.program, pieces=call.pieces), scope) as tracker:
            try:
                with stray_cancellations:
                    result = await _called(call.program, call.args, call.inputs)
                channel.put(Finished(_with_usage(result, tracker, wanted=wanted), tracker.total))
            except (Cancelled, cancelled):
                raise
            except BaseException as error:  # noqa: BLE001  as above
                channel.put(Failed(error, tracker.total))
    except Cancelled:
        return
    except cancelled:
        if not scope.cancelled:
            raise
    finally:
        channel.end()


async def _called(program: Any, args: tuple[Any, ...], inputs: Mapping[str, Any]) -> Any:
    acall = getattr(program, "acall", None)
    if acall is not None:
        return await acall(*args, **inputs)
    if is_async(program):
        return await program(*args, **inputs)
    result = await run_in_thread(program, *args, **inputs)
    return await result if hasattr(result, "__await__") else result


async def _awaited(awaitable: Any) -> Any:
    return await awaitable

"""`streamify`: DSPy's way to stream a program, over the events of `Stream`; and its two helpers for servers.

It yields what DSPy's yields: with listeners the text of the fields that they pick, without them the pieces of the LMs'
replies as they come; status messages; and last the prediction. What it adds: every type and every format of reply has
text to listen to, answers from the cache are streamed as well, and what a retry makes void is said.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Sequence
from typing import Any, final

from telic._cancel import Cancelled
from telic._optional import load
from telic.adapters._values import to_json
from telic.context import context
from telic.context import get as setting
from telic.data import Prediction
from telic.errors import ConfigurationError, InputError
from telic.streaming._channel import ThreadChannel
from telic.streaming._events import Custom, Event, Finished, LMDelta
from telic.streaming._listener import Listening, StreamListener, place_listeners
from telic.streaming._messages import (
    StatusCallback,
    StatusMessage,
    StatusMessageProvider,
    StreamChunk,
    StreamResponse,
)
from telic.streaming._stream import Stream


def streamify(
    program: Any,
    status_message_provider: StatusMessageProvider | None = None,
    stream_listeners: Sequence[StreamListener] | None = None,
    include_final_prediction_in_output_stream: bool = True,
    is_async_program: bool = False,
    async_streaming: bool = True,
) -> Callable[..., Any]:
    """Return a function that calls `program` and yields its outputs while they come.

    Args:
        program: A module, or any function, sync or async.
        status_message_provider: Words the status messages; None: those of `StatusMessageProvider`.
        stream_listeners: Which fields to yield; none: the pieces of all LMs' replies.
        include_final_prediction_in_output_stream: False: the prediction is left out, unless no listener heard anything.
        is_async_program: Kept for programs that pass it: how a program is called is seen from the program.
        async_streaming: True: the function returns an async generator. False: a generator.

    Yields (from the returned function): `StreamResponse`, `StatusMessage`, `StreamChunk` where there are no listeners,
    what the program itself puts into the stream, and last the prediction. Errors of the program are raised.

    Raises:
        ConfigurationError: A listener fits no predictor, or several.

    Cost: what a call of the program costs.

    Example:
        >>> from telic.modules import Predict
        >>> from telic.testing import FunctionLM
        >>> ask = streamify(Predict("question -> answer"), stream_listeners=[StreamListener("answer")],
        ...                 async_streaming=False)
        >>> with context(lm=FunctionLM(lambda text: {"answer": "Paris"})):
        ...     [value.chunk for value in ask(question="Where?") if isinstance(value, StreamResponse)]
        ['Paris', '']
    """
    del is_async_program
    listeners = list(stream_listeners) if stream_listeners is not None else []
    for listener in listeners:
        if not isinstance(listener, StreamListener):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"stream_listeners has {listener!r}, which is no StreamListener")
    place_listeners(program, listeners)
    provider = StatusMessageProvider() if status_message_provider is None else status_message_provider
    always = include_final_prediction_in_output_stream

    def start(args: tuple[Any, ...], inputs: dict[str, Any]) -> tuple[Stream, _Outputs]:
        with context(callbacks=[*setting("callbacks"), StatusCallback(provider)]):
            stream = Stream(program, args, inputs, pieces=not listeners)
        return stream, _Outputs(listeners, always)

    def sync_streamer(*args: Any, **inputs: Any) -> Generator[Any]:
        return _outputs(*start(args, inputs))

    def async_streamer(*args: Any, **inputs: Any) -> AsyncGenerator[Any]:
        return _aoutputs(*start(args, inputs))

    return async_streamer if async_streaming else sync_streamer


@final
class _Outputs:
    """Events of one run as what `streamify` yields."""

    def __init__(self, listeners: Sequence[StreamListener], always: bool) -> None:
        self._listening = Listening(listeners) if listeners else None
        self._always = always

    def of(self, event: Event) -> list[Any]:
        if isinstance(event, Custom):
            return [event.value]
        if isinstance(event, LMDelta):
            return [StreamChunk(event.text, event.reasoning, event.path)]
        if isinstance(event, Finished):
            heard = self._listening is not None and self._listening.captured
            return [event.prediction] if self._always or not heard else []
        return [] if self._listening is None else list(self._listening.hear(event))


def _outputs(stream: Stream, outputs: _Outputs) -> Generator[Any]:
    with stream:
        for event in stream:
            yield from outputs.of(event)


async def _aoutputs(stream: Stream, outputs: _Outputs) -> AsyncGenerator[Any]:
    async with stream:
        async for event in stream:
            for value in outputs.of(event):
                yield value


async def streaming_response(streamer: AsyncIterator[Any]) -> AsyncGenerator[str]:
    """Yield what a streamified program yields as server-sent events, for the response of a web server.

    One event a value: `{"prediction": {…}}`, `{"chunk": …}` (of a `StreamResponse` its fields), `{"status": …}`; then
    `[DONE]`. Texts that begin with "data:" pass as they are.

    Raises:
        InputError: A value is none of these.
    """
    try:
        async for value in streamer:
            yield value if isinstance(value, str) and value.startswith("data:") else _event(value)
    finally:
        if hasattr(streamer, "aclose"):
            await streamer.aclose()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    yield "data: [DONE]\n\n"


def _event(value: Any) -> str:
    if isinstance(value, Prediction):
        said = to_json({"prediction": dict(value.items())})
    elif isinstance(value, StatusMessage):
        said = to_json({"status": value.message})
    elif isinstance(value, (StreamResponse, StreamChunk)):
        chunk = value.json() if isinstance(value, StreamChunk) else vars(value)
        said = to_json({"chunk": chunk})
    else:
        raise InputError(
            f"a stream for a web server got {value!r:.200}, which is none of what `streamify` yields; "
            "put texts that begin with 'data:' into the stream for events of your own"
        )
    return f"data: {said}\n\n"


def apply_sync_streaming(async_generator: AsyncIterator[Any]) -> Generator[Any]:
    """Yield in plain code what an async generator yields; it runs in a thread, on an event loop of its own.

    Leaving early cancels it.
    """
    asyncio = load("asyncio")
    channel = ThreadChannel()
    running: list[Any] = []  # its loop and its task
    failures: list[BaseException] = []

    async def pump() -> None:
        running.extend((asyncio.get_running_loop(), asyncio.current_task()))
        try:
            async for value in async_generator:
                channel.wait_for_room()
                channel.put((value,))
        finally:
            if hasattr(async_generator, "aclose"):
                await async_generator.aclose()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]

    def run() -> None:
        try:
            asyncio.run(pump())
        except (Cancelled, asyncio.CancelledError):
            pass  # nobody reads any more
        except BaseException as error:  # noqa: BLE001  raised where the values are read
            failures.append(error)
        finally:
            channel.end()

    carried = contextvars.copy_context()
    thread = threading.Thread(target=carried.run, args=(run,), name="telic-stream", daemon=True)
    thread.start()
    try:
        while (value := channel.get()) is not None:
            yield value[0]
    finally:
        channel.leave()
        if thread.is_alive() and running:
            try:
                running[0].call_soon_threadsafe(running[1].cancel)
            except RuntimeError:
                pass  # it has ended just now
        thread.join(5.0)
    if failures:
        raise failures[0]

"""`StreamListener`: which output field of which predictor a user of `streamify` wants to see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

from telic._text import did_you_mean, join_names
from telic.errors import ConfigurationError
from telic.streaming._events import Event, FieldDelta, FieldDone, ModuleEnd, ModuleStart, Retracted
from telic.streaming._messages import StreamResponse


@final
class StreamListener:
    """Picks the text of one output field out of a stream.

    Args:
        signature_field_name: The output field, of any type.
        predict: The predictor; None: the only one of the program that has such a field.
        predict_name: Its path in the program, instead of the predictor itself.
        allow_reuse: True: all calls of the predictor in a run. False: the first one.

    A listener holds nothing of a run: it can be used for many, one after the other and at once.
    """

    def __init__(
        self,
        signature_field_name: str,
        predict: Any = None,
        predict_name: str | None = None,
        allow_reuse: bool = False,
    ) -> None:
        self.signature_field_name = signature_field_name
        self.predict = predict
        self.predict_name = predict_name
        self.allow_reuse = allow_reuse

    def __repr__(self) -> str:
        return f"StreamListener({self.signature_field_name!r}, predict_name={self.predict_name!r})"


def place_listeners(program: Any, listeners: Sequence[StreamListener]) -> None:
    """Give each listener its predictor and the predictor's path.

    Raises:
        ConfigurationError: There is no such predictor or field, or there are several.
    """
    named: list[tuple[str, Any]] = (
        list(program.named_predictors()) if hasattr(program, "named_predictors") else []
    )
    for listener in listeners:
        if listener.predict is None:
            listener.predict_name, listener.predict = _find(named, listener)
        elif listener.predict_name is None:
            paths = [path for path, predictor in named if predictor is listener.predict]
            listener.predict_name = paths[0] if paths else listener.predict.signature.__name__
        outputs = listener.predict.signature.output_fields
        if listener.signature_field_name not in outputs:
            raise ConfigurationError(
                f"{listener!r}: {listener.signature_field_name!r} is no output of that predictor"
                f"{did_you_mean(listener.signature_field_name, outputs)}; it has {join_names(outputs)}"
            )


def _find(named: Sequence[tuple[str, Any]], listener: StreamListener) -> tuple[str, Any]:
    field, name = listener.signature_field_name, listener.predict_name
    if name is not None:
        for path, predictor in named:
            if path == name:
                return path, predictor
        paths = [path for path, _ in named]
        raise ConfigurationError(
            f"{listener!r}: the program has no predictor {name!r}{did_you_mean(name, paths)}; it has "
            f"{join_names(paths) if paths else 'none'}"
        )
    having = [(path, predictor) for path, predictor in named if field in predictor.signature.output_fields]
    if len(having) == 1:
        return having[0]
    if having:
        raise ConfigurationError(
            f"StreamListener({field!r}): {len(having)} predictors have that output "
            f"({join_names([path for path, _ in having])}); say which: predict_name=… or predict=…"
        )
    fields = [name for _, predictor in named for name in predictor.signature.output_fields]
    raise ConfigurationError(
        f"StreamListener({field!r}): no predictor of the program has that output{did_you_mean(field, fields)}; "
        "pass predict=… for one that the program does not hold"
    )


@final
class Listening:
    """What the listeners of one run hear of its events.

    Args:
        listeners: With their predictors.
    """

    def __init__(self, listeners: Sequence[StreamListener]) -> None:
        self._listeners = {
            (id(listener.predict), listener.signature_field_name): listener for listener in listeners
        }
        self._predictors = {id(listener.predict) for listener in listeners}
        self._calls: dict[str, int] = {}  # of listened predictors, under way
        self._heard: dict[tuple[int, str], str] = {}  # which call each heard first
        self.captured = False

    def hear(self, event: Event) -> list[StreamResponse]:
        """Return what comes of an event."""
        if isinstance(event, FieldDelta):
            return self._response(event, event.field, event.text)
        if isinstance(event, FieldDone):
            return self._response(event, event.field, "", last=True)
        if isinstance(event, Retracted):
            return [r for field in event.fields for r in self._response(event, field, "", void=True)]
        if isinstance(event, ModuleStart):
            if id(event.module) in self._predictors:
                self._calls[event.call_id] = id(event.module)
        elif isinstance(event, ModuleEnd):
            self._calls.pop(event.call_id, None)
        return []

    def _response(
        self, event: Any, field: str, text: str, *, last: bool = False, void: bool = False
    ) -> list[StreamResponse]:
        key = (self._calls.get(event.call_id, 0), field)
        listener = self._listeners.get(key)
        if listener is None:
            return []
        if self._heard.setdefault(key, event.call_id) != event.call_id and not listener.allow_reuse:
            return []
        self.captured = True
        return [StreamResponse(str(listener.predict_name), field, text, last, void)]

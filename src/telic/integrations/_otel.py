"""OpenTelemetry (extra `otel`): a span for each call of a module, LM or tool, run of code, evaluation and compile.

Names and attributes are those of OpenTelemetry's conventions for generative AI (`gen_ai.…`); what they lack is
`telic.…`, and `input.value` and `output.value`, as OpenInference has them. Spans are children of whatever span is
current, and current themselves while their call runs: what a web framework or a database driver traces stands above and
below them in one trace. Rendering and parsing have no spans of their own. Texts are left out unless they are asked for:
they are people's data.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any, Final, NamedTuple, final

from telic._optional import load, require
from telic.adapters._values import to_json
from telic.tracing import BaseCallback

_OPTIONS: Final = {
    "temperature": "temperature", "max_tokens": "max_tokens", "max_completion_tokens": "max_tokens", "top_p": "top_p",
    "seed": "seed", "presence_penalty": "presence_penalty", "frequency_penalty": "frequency_penalty",
    "n": "choice.count",
}  # fmt: skip


class _Open(NamedTuple):
    """A span that has begun."""

    span: Any
    token: Any
    began: float
    labels: dict[str, Any]
    """What its figures are told apart by, for an LM's call."""


@final
class OpenTelemetry(BaseCallback):
    """Tells OpenTelemetry what programs do: `telic.configure(callbacks=[OpenTelemetry()])`.

    Args:
        tracer_provider: None: the global one.
        meter_provider: Takes the histograms `gen_ai.client.token.usage` and `gen_ai.client.operation.duration` of LM
            calls that were not answered by the cache; None: the global one.
        content: True: messages, replies, inputs, outputs, arguments and results are attributes, too, as JSON.

    Raises:
        MissingExtraError: OpenTelemetry is not installed.
    """

    def __init__(
        self, tracer_provider: Any = None, meter_provider: Any = None, *, content: bool = False
    ) -> None:
        self._api: Any = require("opentelemetry.trace", extra="otel", purpose="OpenTelemetry")
        self._context: Any = load("opentelemetry.context")
        self._tracer: Any = self._api.get_tracer("telic", tracer_provider=tracer_provider)
        meter = load("opentelemetry.metrics").get_meter("telic", meter_provider=meter_provider)
        self._tokens = meter.create_histogram("gen_ai.client.token.usage", unit="{token}")
        self._seconds = meter.create_histogram("gen_ai.client.operation.duration", unit="s")
        self._content = content
        self._open: dict[str, _Open] = {}

    def on_module_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Begin a span named like the module's class."""
        self._begin(call_id, type(instance).__name__, {"telic.kind": "module"}, **{"input.value": inputs})

    def on_module_end(
        self, call_id: str, outputs: Any | None, exception: BaseException | None = None
    ) -> None:
        """End it."""
        self._end(call_id, outputs, exception)

    def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Begin a span with what is asked for."""
        provider, _, name = instance.model.rpartition("/")
        labels = {
            "gen_ai.operation.name": "text_completion" if instance.model_type == "text" else "chat",
            "gen_ai.provider.name": provider or "telic",
            "gen_ai.request.model": name,
        }
        options = {
            f"gen_ai.request.{_OPTIONS[key]}": value
            for key, value in inputs["kwargs"].items()
            if key in _OPTIONS and isinstance(value, (int, float))
        }
        self._begin(
            call_id,
            f"{labels['gen_ai.operation.name']} {name}",
            {**labels, **options},
            labels,
            **{"gen_ai.input.messages": inputs["messages"]},
        )

    def on_lm_response(self, call_id: str, response: Any) -> None:
        """Add what came back, and what it took."""
        call = self._open.get(call_id)
        if call is None:
            return
        usage = response.usage
        found = {
            "gen_ai.response.model": response.model,
            "gen_ai.response.id": response.id,
            "gen_ai.response.finish_reasons": [one.finish_reason for one in response.completions],
            "gen_ai.usage.input_tokens": usage.input_tokens,
            "gen_ai.usage.output_tokens": usage.output_tokens,
            "gen_ai.usage.cache_read.input_tokens": usage.cached_input_tokens,
            "telic.usage.cost_usd": usage.cost_usd,
            "telic.cached": response.cached,
        }
        call.span.set_attributes({name: value for name, value in found.items() if value is not None})
        if response.cached:
            call.labels.clear()
            return
        for kind, tokens in (("input", usage.input_tokens), ("output", usage.output_tokens)):
            self._tokens.record(tokens, {**call.labels, "gen_ai.token.type": kind})

    def on_lm_end(self, call_id: str, outputs: Any | None, exception: BaseException | None = None) -> None:
        """End it."""
        self._end(call_id, outputs, exception, "gen_ai.output.messages")

    def on_tool_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Begin a span named like the tool."""
        name = str(instance.name)
        labels = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
        self._begin(
            call_id, f"execute_tool {name}", labels, **{"gen_ai.tool.call.arguments": inputs["kwargs"]}
        )

    def on_tool_end(self, call_id: str, outputs: Any | None, exception: BaseException | None = None) -> None:
        """End it."""
        self._end(call_id, outputs, exception, "gen_ai.tool.call.result")

    def on_interpreter_execute_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Begin a span of code that runs."""
        self._begin(call_id, "execute_code", {"telic.kind": "code"}, **{"input.value": inputs["code"]})

    def on_interpreter_execute_end(
        self, call_id: str, outputs: Any | None, exception: BaseException | None = None
    ) -> None:
        """End it."""
        self._end(call_id, outputs, exception)

    def on_evaluate_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Begin a span of an evaluation."""
        self._begin(call_id, "evaluate", {"telic.kind": "evaluate", "telic.rows": len(inputs["devset"])})

    def on_evaluate_end(
        self, call_id: str, outputs: Any | None, exception: BaseException | None = None
    ) -> None:
        """End it, with its score."""
        score = getattr(outputs, "score", None)
        call = self._open.get(call_id)
        if call is not None and isinstance(score, (int, float)):
            call.span.set_attribute("telic.score", float(score))
        self._end(call_id, None, exception)

    def on_compile_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Begin a span of a compile."""
        self._begin(call_id, f"compile {type(instance).__name__}", {"telic.kind": "compile"})

    def on_compile_end(
        self, call_id: str, outputs: Any | None, exception: BaseException | None = None
    ) -> None:
        """End it."""
        self._end(call_id, None, exception)

    def _begin(
        self,
        call_id: str,
        name: str,
        attributes: dict[str, Any],
        labels: dict[str, Any] | None = None,
        **content: Any,
    ) -> None:
        kind = self._api.SpanKind.CLIENT if labels is not None else self._api.SpanKind.INTERNAL
        if self._content:
            attributes = {**attributes, **{key: _json(value) for key, value in content.items()}}
        span = self._tracer.start_span(name, kind=kind, attributes=attributes)
        token = self._context.attach(self._api.set_span_in_context(span))
        self._open[call_id] = _Open(span, token, perf_counter(), {} if labels is None else dict(labels))

    def _end(
        self, call_id: str, outputs: Any, exception: BaseException | None, key: str = "output.value"
    ) -> None:
        call = self._open.pop(call_id, None)
        if call is None:  # begun before this callback was set
            return
        if self._content and outputs is not None:
            call.span.set_attribute(key, _json(outputs))
        if isinstance(exception, Exception):  # what was called off, or left early, did not fail
            call.labels["error.type"] = type(exception).__name__
            call.span.set_attribute("error.type", type(exception).__name__)
            call.span.record_exception(exception)
            call.span.set_status(self._api.Status(self._api.StatusCode.ERROR, str(exception)))
        if "gen_ai.operation.name" in call.labels:
            self._seconds.record(perf_counter() - call.began, call.labels)
        if self._api.get_current_span() is call.span:  # else it is ended in another task than it was begun in
            self._context.detach(call.token)
        call.span.end()


def _json(value: Any) -> str:
    return value if isinstance(value, str) else to_json(value)

import asyncio
import json

import pytest

from telic.context import context
from telic.data import Example
from telic.errors import LMServerError
from telic.evaluate import Evaluate
from telic.integrations import OpenTelemetry
from telic.lm import LM
from telic.modules import ChainOfThought, Module, Predict, ReAct
from telic.testing import FaultServer, ScriptedLM, faults

trace = pytest.importorskip("opentelemetry.trace")
sdk = pytest.importorskip("opentelemetry.sdk.trace")
export = pytest.importorskip("opentelemetry.sdk.trace.export")
memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
metrics = pytest.importorskip("opentelemetry.sdk.metrics")
readers = pytest.importorskip("opentelemetry.sdk.metrics.export")

ROWS = [Example(question=str(number)).with_inputs("question") for number in range(20)]
REPLY = "[[ ## answer ## ]]\nParis\n\n[[ ## completed ## ]]"


class Telemetry:
    """OpenTelemetry's own SDK, keeping in memory what it is told."""

    def __init__(self):
        self.exporter = memory.InMemorySpanExporter()
        self.provider = sdk.TracerProvider()
        self.provider.add_span_processor(export.SimpleSpanProcessor(self.exporter))
        self.reader = readers.InMemoryMetricReader()
        self.meters = metrics.MeterProvider([self.reader])

    def callback(self, **options):
        return OpenTelemetry(self.provider, self.meters, **options)

    @property
    def spans(self):
        return self.exporter.get_finished_spans()

    def tree(self):
        """Each span's name under its parent's, in the order of their ends."""
        names = {span.context.span_id: span.name for span in self.spans}
        return [(span.parent and names.get(span.parent.span_id), span.name) for span in self.spans]

    def figures(self):
        found = self.reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
        return {metric.name: list(metric.data.data_points) for metric in found}


@pytest.fixture
def telemetry():
    return Telemetry()


@pytest.fixture
def server():
    with FaultServer(REPLY) as server:
        yield server


class Twice(Module):
    def __init__(self):
        self.first = Predict("question -> answer")
        self.second = ChainOfThought("question -> answer")

    def forward(self, question):
        return self.first(question=question)


def lm_at(server, **options):
    return LM("openai/gpt-4o-mini", base_url=server.url, api_key="sk-hush-1234", cache=False, **options)


def test_spans_stand_below_what_is_current_and_above_what_they_call(telemetry, server):
    tracer = telemetry.provider.get_tracer("app")
    with (
        context(lm=lm_at(server), callbacks=[telemetry.callback()]),
        tracer.start_as_current_span("GET /ask"),
    ):
        Twice()(question="Where?")
    assert telemetry.tree() == [
        ("Predict", "chat gpt-4o-mini"),
        ("Twice", "Predict"),
        ("GET /ask", "Twice"),
        (None, "GET /ask"),
    ]


def test_an_lms_span_says_what_was_asked_and_what_it_took(telemetry, server):
    with context(lm=lm_at(server, temperature=0.5), callbacks=[telemetry.callback()]):
        Predict("question -> answer")(question="Where is hush?")
    span = telemetry.spans[0]
    told = dict(span.attributes)
    assert span.kind is trace.SpanKind.CLIENT
    assert told["gen_ai.operation.name"] == "chat"
    assert (told["gen_ai.provider.name"], told["gen_ai.request.model"]) == ("openai", "gpt-4o-mini")
    assert told["gen_ai.request.temperature"] == 0.5
    assert told["gen_ai.usage.input_tokens"] > 0
    assert told["gen_ai.usage.output_tokens"] > 0
    assert told["gen_ai.response.finish_reasons"] == ("stop",)
    assert told["telic.cached"] is False
    assert "hush" not in str([span.attributes for span in telemetry.spans])


def test_figures_are_kept_of_calls_that_were_paid_for(telemetry, server):
    lm = LM("openai/gpt-4o-mini", base_url=server.url, api_key="k")
    with context(lm=lm, callbacks=[telemetry.callback()]):
        for _ in range(3):
            Predict("question -> answer")(question="Where?")
    figures = telemetry.figures()
    assert {
        point.attributes["gen_ai.token.type"]: point.count for point in figures["gen_ai.client.token.usage"]
    } == {
        "input": 1,
        "output": 1,
    }
    (duration,) = figures["gen_ai.client.operation.duration"]
    assert duration.count == 1
    assert [span.attributes.get("telic.cached") for span in telemetry.spans[::2]] == [False, True, True]


def test_texts_are_told_where_they_are_asked_for(telemetry, server):
    with context(lm=lm_at(server), callbacks=[telemetry.callback(content=True)]):
        Predict("question -> answer")(question="Where is it?")
    lm, module = telemetry.spans
    assert "Where is it?" in json.loads(lm.attributes["gen_ai.input.messages"])[-1]["content"]
    assert json.loads(lm.attributes["gen_ai.output.messages"]) == [REPLY]
    assert json.loads(module.attributes["input.value"])["kwargs"] == {"question": "Where is it?"}
    assert json.loads(module.attributes["output.value"]) == {"answer": "Paris"}


def test_failures_are_errors_of_their_spans(telemetry):
    with FaultServer(faults=faults.status(500)) as server:
        lm = lm_at(server, num_retries=0)
        with context(lm=lm, callbacks=[telemetry.callback()]), pytest.raises(LMServerError):
            Predict("question -> answer")(question="Where?")
    for span in telemetry.spans:
        assert span.status.status_code is trace.StatusCode.ERROR
        assert span.attributes["error.type"] == "LMServerError"
        assert span.events[0].name == "exception"
    (duration,) = telemetry.figures()["gen_ai.client.operation.duration"]
    assert duration.attributes["error.type"] == "LMServerError"


def test_what_is_called_off_is_no_error_and_ends_its_spans(telemetry):
    async def main():
        task = asyncio.create_task(Predict("question -> answer").acall(question="Where?"))
        while not server.requests:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with (
        FaultServer(faults=faults.stall()) as server,
        context(lm=lm_at(server), callbacks=[telemetry.callback()]),
    ):
        asyncio.run(main())
    assert telemetry.tree() == [("Predict", "chat gpt-4o-mini"), (None, "Predict")]
    assert all(span.status.status_code is trace.StatusCode.UNSET for span in telemetry.spans)


def test_tasks_and_threads_keep_their_spans_apart(telemetry, server):
    async def main():
        await asyncio.gather(*(Twice().acall(question=str(number)) for number in range(20)))

    with context(lm=lm_at(server), callbacks=[telemetry.callback()]):
        asyncio.run(main())
        Predict("question -> answer").batch(ROWS, num_threads=8)
    tree = telemetry.tree()
    assert tree.count((None, "Twice")) == tree.count(("Twice", "Predict")) == 20
    assert tree.count((None, "Predict")) == 20
    assert tree.count(("Predict", "chat gpt-4o-mini")) == 40
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_a_stream_that_is_left_in_another_task_ends_its_spans(telemetry, server, caplog):
    async def main():
        stream = Predict("question -> answer").stream(question="Where?")
        await asyncio.create_task(anext(aiter(stream)))
        while not server.requests:
            await asyncio.sleep(0.001)
        await stream.aclose()

    with context(lm=lm_at(server), callbacks=[telemetry.callback()]):
        asyncio.run(main())
    assert sorted(name for _, name in telemetry.tree()) == ["Predict", "chat gpt-4o-mini"]
    assert "Failed to detach" not in caplog.text


def test_tools_and_evaluations_have_spans(telemetry):
    def look(city: str) -> str:
        """Look a city up."""
        return f"{city} is in France"

    steps = [
        {"next_thought": "look", "next_tool_name": "look", "next_tool_args": {"city": "Paris"}},
        {"next_thought": "done", "next_tool_name": "finish", "next_tool_args": {}},
        {"reasoning": "so", "answer": "France"},
    ]
    with context(lm=ScriptedLM(steps), callbacks=[telemetry.callback(content=True)]):
        agent = ReAct("question -> answer", tools=[look])
        Evaluate(devset=ROWS[:1], metric=lambda example, prediction: 1.0, display_progress=False)(agent)
    tree = telemetry.tree()
    assert ("ReAct", "execute_tool look") in tree
    assert tree[-2:] == [("evaluate", "ReAct"), (None, "evaluate")]
    tool = next(span for span in telemetry.spans if span.name == "execute_tool look")
    assert json.loads(tool.attributes["gen_ai.tool.call.arguments"]) == {"city": "Paris"}
    assert tool.attributes["gen_ai.tool.call.result"] == "Paris is in France"
    assert telemetry.spans[-1].attributes["telic.score"] == 100.0

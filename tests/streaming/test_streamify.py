import asyncio
import json
import subprocess
import sys
import threading

import pytest

from telic.adapters import JSONAdapter, XMLAdapter
from telic.context import context, settings
from telic.data import Prediction
from telic.errors import AdapterParseError, ConfigurationError, InputError
from telic.modules import ChainOfThought, Module, Predict, ReAct
from telic.streaming import (
    StatusMessage,
    StatusMessageProvider,
    StreamChunk,
    StreamListener,
    StreamResponse,
    apply_sync_streaming,
    emit,
    streamify,
    streaming_response,
)


def outputs(streamer, *args, **inputs):
    """Return what a streamified program yields, sync or async."""
    made = streamer(*args, **inputs)
    if hasattr(made, "__next__"):
        return list(made)

    async def main():
        return [value async for value in made]

    return asyncio.run(main())


both = pytest.mark.parametrize("async_streaming", [True, False])


@both
@pytest.mark.parametrize("adapter", [None, JSONAdapter(), XMLAdapter()])
def test_listeners_pick_fields_of_any_format(use, look, async_streaming, adapter):
    fields = {"reasoning": "Because.", "answer": "It is so, I think."}
    program = ChainOfThought("question -> answer")
    use(
        look.chat(**fields)
        if adapter is None
        else adapter.format_assistant_message_content(program.predict.signature, fields)
    )
    stream = streamify(program, stream_listeners=[StreamListener("answer")], async_streaming=async_streaming)

    with context(adapter=adapter):
        values = outputs(stream, question="q")

    *chunks, prediction = values
    assert "".join(chunk.chunk for chunk in chunks) == "It is so, I think."
    assert {(chunk.predict_name, chunk.signature_field_name) for chunk in chunks} == {("predict", "answer")}
    assert [chunk.is_last_chunk for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert len(chunks) > 3
    assert isinstance(prediction, Prediction)


@both
def test_without_listeners_the_pieces_of_replies_come_in_openais_shape(use, look, async_streaming):
    use(look.chat(answer="a"))

    *chunks, prediction = outputs(
        streamify(Predict("question -> answer"), async_streaming=async_streaming), question="q"
    )

    assert "".join(chunk.choices[0].delta.content for chunk in chunks) == look.chat(answer="a")
    assert isinstance(chunks[0], StreamChunk)
    assert (
        json.loads(chunks[0].json())["choices"][0]["delta"]["content"] == chunks[0].choices[0].delta.content
    )
    assert prediction.answer == "a"


def test_the_prediction_can_be_left_out_where_a_listener_heard_something(use, look):
    use(look.chat(reasoning="r", answer="a"))
    program = ChainOfThought("question -> answer")

    def last(**options):
        return outputs(
            streamify(program, include_final_prediction_in_output_stream=False, **options), question="q"
        )[-1]

    assert isinstance(last(stream_listeners=[StreamListener("answer")]), StreamResponse)
    other = Predict("question -> other")
    assert isinstance(last(stream_listeners=[StreamListener("other", predict=other)]), Prediction)
    assert isinstance(last(), Prediction)


class Steps(Module):
    def __init__(self):
        super().__init__()
        self.first = Predict("question -> answer")
        self.second = Predict("question -> answer, note")

    def forward(self, question):
        for _ in range(2):
            self.first(question=question)
        return self.second(question=question)


def test_a_listener_finds_its_predictor():
    by_name, by_field = StreamListener("answer", predict_name="second"), StreamListener("note")
    program = Steps()
    by_predictor = StreamListener("answer", predict=program.first)

    streamify(program, stream_listeners=[by_name, by_field, by_predictor])

    assert (by_name.predict, by_field.predict) == (program.second, program.second)
    assert (by_field.predict_name, by_predictor.predict_name) == ("second", "first")


@pytest.mark.parametrize(
    ("listener", "said"),
    [
        (StreamListener("answer"), "2 predictors have that output"),
        (StreamListener("anwser"), "did you mean 'answer'"),
        (StreamListener("answer", predict_name="secnd"), "did you mean 'second'"),
        (StreamListener("note", predict_name="first"), "no output of that predictor"),
        ("answer", "no StreamListener"),
    ],
)
def test_a_listener_that_fits_nothing_is_refused_at_once(listener, said):
    with pytest.raises(ConfigurationError, match=said):
        streamify(Steps(), stream_listeners=[listener])


def test_a_listener_hears_the_first_call_or_all(use, look):
    counter = iter(range(100))
    use(lambda request: look.chat(answer=f"answer {next(counter)}", note="n"))
    program = Steps()

    def heard(reuse):
        listener = StreamListener("answer", predict_name="first", allow_reuse=reuse)
        stream = streamify(program, stream_listeners=[listener], async_streaming=False)
        return [
            "".join(v.chunk for v in stream(question="q") if isinstance(v, StreamResponse)) for _ in range(2)
        ]

    assert heard(False) == ["answer 0", "answer 3"]  # every run anew
    assert heard(True) == ["answer 6answer 7", "answer 9answer 10"]


def test_one_listener_serves_runs_at_once(use, look):
    use(lambda request: look.chat(answer=request.messages[-1]["content"].split("\n")[1].strip() * 30))
    stream = streamify(Predict("question -> answer"), stream_listeners=[StreamListener("answer")])

    async def one(question):
        return "".join([v.chunk async for v in stream(question=question) if isinstance(v, StreamResponse)])

    async def main():
        return await asyncio.gather(*(one(f"q{n} ") for n in range(20)))

    assert asyncio.run(main()) == [f"q{n}" * 30 for n in range(20)]


def test_what_a_retry_makes_void_is_said(use, look):
    replies = iter([look.chat(answer="first", count="many"), look.chat(answer="second", count="2")])
    use(lambda request: next(replies))
    stream = streamify(
        Predict("question -> answer, count: int"),
        stream_listeners=[StreamListener("answer")],
        async_streaming=False,
    )

    said = ""
    for value in stream(question="q"):
        if isinstance(value, StreamResponse):
            said = "" if value.is_void else said + value.chunk

    assert said == "second"


class Words(StatusMessageProvider):
    def tool_start_status_message(self, instance, inputs):
        return f"tool {instance.name}"

    def tool_end_status_message(self, outputs):
        return f"found {outputs}"

    def module_start_status_message(self, instance, inputs):
        return "program" if isinstance(instance, ReAct) else None

    def module_end_status_message(self, outputs):
        return None

    def lm_start_status_message(self, instance, inputs):
        return f"asking {instance.model}"

    def lm_end_status_message(self, outputs):
        return "answered"


def agent_replies(look):
    return iter([
        look.chat(next_thought="t", next_tool_name="search", next_tool_args='{"query": "cats"}'),
        look.chat(next_thought="t", next_tool_name="finish", next_tool_args="{}"),
        look.chat(reasoning="r", answer="done"),
    ])  # fmt: skip


def search(query: str) -> str:
    """Find."""
    return query.upper()


@both
def test_status_messages_tell_of_tools_modules_and_lms(use, look, async_streaming):
    replies = agent_replies(look)
    use(lambda request: next(replies))
    stream = streamify(
        ReAct("question -> answer", tools=[search]),
        Words(),
        [StreamListener("answer")],
        async_streaming=async_streaming,
    )

    said = [value.message for value in outputs(stream, question="q") if isinstance(value, StatusMessage)]

    assert said == [
        "program", "asking cut/lm", "answered", "tool search", "found CATS", "asking cut/lm", "answered",
        "asking cut/lm", "answered",
    ]  # fmt: skip


def test_by_default_tools_are_told_of(use, look):
    replies = agent_replies(look)
    use(lambda request: next(replies))

    values = outputs(streamify(ReAct("question -> answer", tools=[search])), question="q")

    said = [value.message for value in values if isinstance(value, StatusMessage)]
    assert len(said) == 2
    assert "search" in said[0]


@both
def test_errors_of_the_program_are_raised_as_they_are(use, look, async_streaming):
    use(look.chat(count="many"))
    stream = streamify(Predict("question -> count: int"), async_streaming=async_streaming)

    with context(max_retries=0), pytest.raises(AdapterParseError):
        outputs(stream, question="q")


def test_functions_are_streamed_too(use, look):
    use(look.chat(answer="a"))
    ask = Predict("question -> answer")

    def plain(question):
        emit("hello")
        return ask(question=question)

    async def awaited(question):
        return await ask.acall(question=question)

    for program in (plain, awaited):
        for async_streaming in (True, False):
            stream = streamify(
                program,
                stream_listeners=[StreamListener("answer", predict=ask)],
                async_streaming=async_streaming,
            )
            values = outputs(stream, "q")
            chunks = [value.chunk for value in values if isinstance(value, StreamResponse)]
            assert "".join(chunks) == "a"
            assert ("hello" in values) == (program is plain)


def test_programs_may_write_into_the_stream_themselves():
    class Own(Module):
        async def aforward(self):
            await settings.send_stream.send({"progress": 1})
            return Prediction(answer="a")

    values = outputs(streamify(Own()))

    assert values[0] == {"progress": 1}
    assert values[1].answer == "a"
    assert settings.send_stream is None


def test_closing_the_generator_calls_the_program_off(use, look):
    client = use(look.chat(answer="x" * 20_000), size=1)
    stream = streamify(Predict("question -> answer"))

    async def main():
        made = stream(question="q")
        async for _ in made:
            break
        await made.aclose()
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert asyncio.run(main()) == set()
    made = streamify(Predict("question -> answer"), async_streaming=False)(question="q")
    next(made)
    made.close()
    assert client.open == 0
    assert not [thread for thread in threading.enumerate() if thread.name == "telic-stream"]


def test_server_sent_events_for_a_web_server(use, look):
    use(look.chat(answer="é"), size=100)
    listened = streamify(Predict("question -> answer"), stream_listeners=[StreamListener("answer")])

    async def main(source):
        return [event async for event in streaming_response(source)]

    events = asyncio.run(main(listened(question="q")))
    assert events[-1] == "data: [DONE]\n\n"
    assert all(event.startswith("data: ") and event.endswith("\n\n") for event in events)
    said = [json.loads(event[6:]) for event in events[:-1]]
    assert said[0]["chunk"]["chunk"] == "é"
    assert said[-1] == {"prediction": {"answer": "é"}}

    async def mixed():
        yield StatusMessage("working")
        yield "data: own\n\n"
        yield StreamChunk("t", "", "self")
        yield object()

    seen = []

    async def until_refused():
        async for event in streaming_response(mixed()):
            seen.append(event)  # noqa: PERF401  it raises at the end

    with pytest.raises(InputError, match="web server"):
        asyncio.run(until_refused())
    assert (json.loads(seen[0][6:]), seen[1]) == ({"status": "working"}, "data: own\n\n")


def test_async_generators_become_plain_ones():
    closed = []

    async def numbers(limit):
        try:
            for n in range(limit):
                await asyncio.sleep(0)
                yield n
            raise LookupError("end")
        finally:
            closed.append(limit)

    with pytest.raises(LookupError):
        list(apply_sync_streaming(numbers(3)))
    early = apply_sync_streaming(numbers(10**9))
    assert [next(early), next(early)] == [0, 1]
    early.close()
    assert closed == [3, 10**9]

    async def waits():
        yield 1
        try:
            await asyncio.sleep(60)
        finally:
            closed.append("waits")

    waiting = apply_sync_streaming(waits())
    next(waiting)
    waiting.close()
    assert closed[-1] == "waits"


def test_dspys_paths_lead_here():
    code = """
import telic.compat; telic.compat.install()
import dspy
from dspy.streaming.streamify import streamify
from dspy.streaming.messages import StatusMessage, StatusMessageProvider, StreamResponse
from dspy.streaming.streaming_listener import StreamListener
import telic.streaming
assert dspy.streamify is streamify is telic.streaming._streamify.streamify
assert dspy.streaming.StreamListener is StreamListener is telic.streaming.StreamListener
assert callable(dspy.streaming.streamify(dspy.Predict("q -> a")))
assert dspy.streaming.StatusMessageProvider is StatusMessageProvider
from dspy.utils.callback import ACTIVE_CALL_ID, BaseCallback, with_callbacks
assert with_callbacks(len) is len
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr

import asyncio
import gc
import threading
import time

import pytest

from telic.adapters import ChatAdapter, JSONAdapter, XMLAdapter
from telic.context import context
from telic.errors import AdapterParseError, InputError, LMTransportError, ProgramError
from telic.modules import ChainOfThought, Module, Predict, ReAct
from telic.modules._flow import Call, Gather
from telic.modules._module import FlowModule
from telic.signatures import Signature
from telic.streaming import (
    Custom,
    Failed,
    FieldDelta,
    FieldDone,
    Finished,
    ModuleEnd,
    ModuleStart,
    ReasoningDelta,
    Retracted,
    Spent,
    ToolEnd,
    ToolStart,
    emit,
)
from telic.testing import FunctionLM
from telic.tracing import track_usage


def test_the_events_of_a_program_come_in_order(use, look, events_of):
    use(look.chat(reasoning="Because it is so.", answer="42"))
    program = ChainOfThought("question -> answer: int")

    events = events_of(program.stream(question="q"))

    start, inner = events[:2]
    assert [type(event) for event in events[:3]] == [ModuleStart, ModuleStart, FieldDelta]
    assert [type(event) for event in events[-4:]] == [Spent, ModuleEnd, ModuleEnd, Finished]
    assert (start.path, start.inputs, start.parent_id, start.module) == (
        "self",
        {"question": "q"},
        None,
        program,
    )
    assert (inner.path, inner.parent_id) == ("predict", start.call_id)
    assert look.texts(events) == {("predict", "reasoning"): "Because it is so.", ("predict", "answer"): "42"}
    assert look.values(events) == {("predict", "reasoning"): "Because it is so.", ("predict", "answer"): 42}
    assert {event.call_id for event in look.of(events, FieldDelta, FieldDone)} == {inner.call_id}
    assert not look.of(events, Retracted)
    assert events[-1].prediction.answer == 42
    assert (events[-1].usage.calls, look.of(events, Spent)[0].path) == (1, "predict")
    fields = [event.field for event in look.of(events, FieldDelta, FieldDone)]
    assert fields == sorted(fields, reverse=True)  # `reasoning` is done before `answer` begins


@pytest.mark.parametrize("adapter", [ChatAdapter(), JSONAdapter(), XMLAdapter()])
def test_any_format_gives_the_same_events(use, look, events_of, adapter):
    signature = Signature("question -> answer, tags: list[str], count: int, maybe: str | None")
    outputs = {"answer": "a < b\n and [x]", "tags": ["p", 'q"'], "count": 7, "maybe": None}
    use(adapter.format_assistant_message_content(signature, outputs), size=1)
    with context(adapter=adapter):
        events = events_of(Predict(signature).stream(question="q"))

    assert {field: value for (_, field), value in look.values(events).items()} == outputs
    assert look.texts(events)["self", "answer"] == "a < b\n and [x]"
    assert not look.of(events, Retracted)
    assert [event.field for event in look.of(events, FieldDone)] == list(outputs)


def test_partial_values_grow_while_json_is_written(use, look, events_of):
    use(look.chat(tags='["red", {"shade": "dark blue"}]'), size=3)

    events = events_of(Predict("question -> tags: list").stream(question="q"))

    seen = [event.value for event in look.of(events, FieldDelta)]
    assert seen[0] == ["re"]
    assert ["red", {"shade": "dark b"}] in seen[5:-1]
    assert seen[-1] == ["red", {"shade": "dark blue"}]
    assert [event.value for event in look.of(events, FieldDelta)] == seen  # each has its own, however late


def test_a_number_has_no_partial_value(use, look):
    use(look.chat(count="1234"), size=2)

    events = look.read(Predict("question -> count: int").stream(question="q"))

    assert {event.value for event in look.of(events, FieldDelta)} == {None}
    assert look.values(events) == {("self", "count"): 1234}


def test_a_reply_that_the_parser_reads_otherwise_is_taken_back(use, look, events_of):
    use("[[ ## reasoning ## ]]\nSo. **[[ ## answer ## ]]**\n**[[ ## answer ## ]]** yes")

    events = events_of(ChainOfThought("question -> answer").stream(question="q"))

    prediction = events[-1].prediction
    assert look.of(events, Retracted)[0].reason == "repair"
    assert look.texts(events) == {
        ("predict", "reasoning"): prediction.reasoning,
        ("predict", "answer"): prediction.answer,
    }


def test_a_bare_answer_comes_in_one_piece_at_its_end(use, look, events_of):
    use("Just Paris.", size=2)

    events = events_of(Predict("question -> answer").stream(question="q"))

    assert look.texts(events) == {("self", "answer"): "Just Paris."}
    assert not look.of(events, Retracted)


def test_a_reply_that_does_not_parse_is_taken_back_and_asked_again(use, look, events_of):
    replies = iter([look.chat(answer="first", count="many"), look.chat(answer="second", count="3")])
    client = use(lambda request: next(replies))

    events = events_of(Predict("question -> answer, count: int").stream(question="q"))

    taken = look.of(events, Retracted)
    assert [(event.fields, event.reason) for event in taken] == [(("answer", "count"), "reask")]
    assert "expected int, got 'many'" in taken[0].message
    assert look.texts(events) == {("self", "answer"): "second", ("self", "count"): "3"}
    assert events[-1].prediction.toDict() == {"answer": "second", "count": 3}
    assert (len(client.requests), len(look.of(events, Spent)), events[-1].usage.calls) == (2, 2, 2)


def test_a_failure_is_an_event_and_then_raised(use, look, events_of):
    use(look.chat(count="many"))
    program = Predict("question -> count: int")

    with context(max_retries=0), pytest.raises(AdapterParseError) as caught:
        events_of(program.stream(question="q"))

    seen = []
    with context(max_retries=0), pytest.raises(AdapterParseError):
        for event in program.stream(question="q"):
            seen.append(event)  # noqa: PERF402  it raises at the end
    assert isinstance(seen[-1], Failed)
    assert isinstance(seen[-2], ModuleEnd)
    assert type(seen[-2].error) is type(caught.value)


def test_bad_inputs_are_refused_before_a_call(use, events_of):
    client = use("x")

    with pytest.raises(InputError, match="quesion"):
        events_of(Predict("question -> answer").stream(quesion="q"))
    assert client.requests == []


def test_a_connection_that_breaks_midway_is_asked_again_as_without_streaming(use, look, events_of):
    tries = iter([["[[ ## answer ## ]]\nhalf an", LMTransportError("reset")], look.chat(answer="whole")])
    use(lambda request: next(tries), num_retries=2)

    events = events_of(Predict("question -> answer").stream(question="q"))

    assert [(e.reason, e.message) for e in look.of(events, Retracted)] == [("connection", "reset")]
    assert look.texts(events) == {("self", "answer"): "whole"}


def test_a_connection_that_keeps_breaking_is_the_programs_failure(use, look, events_of):
    client = use(lambda request: ["[[ ## answer ## ]]\nhalf", LMTransportError("reset")], num_retries=1)

    with pytest.raises(LMTransportError, match="reset"):
        events_of(Predict("question -> answer").stream(question="q"))
    assert (len(client.requests), client.open) == (2, 0)


def test_from_the_cache_come_the_same_events(use, look, events_of):
    client = use(look.chat(reasoning="r", answer="a b c d"), cache=True)
    program = ChainOfThought("question -> answer")

    fresh, kept = (events_of(program.stream(question="same")) for _ in range(2))

    assert len(client.requests) == 1
    assert look.texts(kept) == look.texts(fresh)
    assert look.values(kept) == look.values(fresh)
    kinds = [
        [type(event) for event in events if not isinstance(event, FieldDelta)] for events in (fresh, kept)
    ]
    assert kinds[0] == kinds[1]
    assert (look.of(kept, Spent)[0].cached, kept[-1].usage.calls) == (True, 0)


def test_what_was_streamed_answers_plain_calls_from_the_cache(use, look, events_of):
    client = use(look.chat(answer="a"), cache=True)
    program = Predict("question -> answer")

    events_of(program.stream(question="q"))

    assert (program(question="q").answer, len(client.requests)) == ("a", 1)


def test_several_completions_come_whole(use, look, events_of):
    use(look.chat(answer="a"))

    events = events_of(Predict("question -> answer", n=3).stream(question="q"))

    assert look.texts(events) == {("self", "answer"): "a"}
    assert len(events[-1].prediction.completions) == 3


def test_lms_that_cannot_stream_come_whole(look, events_of):
    with context(lm=FunctionLM(lambda text: {"answer": "whole"})):
        events = events_of(Predict("question -> answer").stream(question="q"))

    assert look.texts(events) == {("self", "answer"): "whole"}


def test_the_thoughts_of_a_model_are_events_of_their_own(use, look, events_of):
    use(look.chat(answer="a"), reasoning="Hmm.")

    events = events_of(Predict("question -> answer").stream(question="q"))

    assert [event.text for event in look.of(events, ReasoningDelta)] == ["Hmm."]


class Twice(Module):
    """The same predictor twice, and another inside a nested module."""

    def __init__(self):
        super().__init__()
        self.draft = Predict("question -> answer")
        self.parts = [ChainOfThought("question -> answer")]

    def forward(self, question):
        first = self.draft(question=question)
        second = self.draft(question=first.answer)
        return self.parts[0](question=second.answer)


def test_calls_of_one_predictor_are_told_apart(use, look, events_of):
    counter = iter(range(10))
    use(lambda request: look.chat(reasoning="r", answer=f"answer {next(counter)}"))

    events = events_of(Twice().stream(question="q"))

    calls = {call_id: text for (path, call_id, _), text in look.joined(events).items() if path == "draft"}
    assert list(calls.values()) == ["answer 0", "answer 1"]
    assert look.texts(events)["parts[0].predict", "answer"] == "answer 2"
    starts = [event.path for event in look.of(events, ModuleStart)]
    assert starts == ["self", "draft", "draft", "parts[0]", "parts[0].predict"]


def test_a_stream_can_be_made_again(use, look, events_of):
    use(look.chat(answer="a"))
    program = Predict("question -> answer")

    runs = [look.texts(events_of(program.stream(question="q"))) for _ in range(3)]

    assert runs == [{("self", "answer"): "a"}] * 3


class Many(FlowModule):
    def __init__(self):
        super().__init__()
        self.ask = Predict("question -> answer")

    def flow(self, *, count):
        found = yield Gather([Call(self.ask, question=f"({n})") for n in range(count)])
        return found


def test_predictors_that_run_at_once_do_not_mix(use, look, events_of):
    def answer(request):
        text = request.messages[-1]["content"]
        return look.chat(answer=f"to {text[text.index('(') : text.index(')') + 1]} " * 20)

    use(answer)
    events = events_of(Many().stream(count=12))

    joined = look.joined(events)
    answers = {prediction.answer for prediction in events[-1].prediction}
    assert len(joined) == len(answers) == 12
    assert set(joined.values()) == answers


def test_agents_tell_of_their_tools(use, look, events_of):
    def search(query: str) -> str:
        emit({"progress": query})
        if query == "boom":
            raise LookupError("nothing")
        return "found " + query

    steps = iter([
        look.chat(next_thought="t0", next_tool_name="search", next_tool_args='{"query": "cats"}'),
        look.chat(next_thought="t1", next_tool_name="search", next_tool_args='{"query": "boom"}'),
        look.chat(next_thought="t2", next_tool_name="finish", next_tool_args="{}"),
        look.chat(reasoning="r", answer="done"),
    ])  # fmt: skip
    use(lambda request: next(steps))

    events = events_of(ReAct("question -> answer", tools=[search]).stream(question="q"))

    tools = [(event.tool.name, dict(event.arguments)) for event in look.of(events, ToolStart)]
    ends = look.of(events, ToolEnd)
    assert tools[:2] == [("search", {"query": "cats"}), ("search", {"query": "boom"})]
    assert (ends[0].output, type(ends[1].error)) == ("found cats", LookupError)
    assert [event.value for event in look.of(events, Custom)] == [{"progress": "cats"}, {"progress": "boom"}]
    thoughts = [text for (_, _, field), text in look.joined(events).items() if field == "next_thought"]
    assert thoughts == ["t0", "t1", "t2"]
    assert look.texts(events)["extract.predict", "answer"] == "done"


def test_results_without_looking_at_events(use, look):
    use(look.chat(answer="a"))
    stream = Predict("question -> answer").stream(question="q")

    async def main():
        return await Predict("question -> answer").stream(question="q").aresult()

    assert stream.prediction is stream.usage is None
    assert stream.result().answer == "a"
    assert (stream.prediction.answer, stream.usage.calls) == ("a", 1)
    assert list(stream) == []
    assert asyncio.run(main()).answer == "a"


def test_the_context_is_that_in_which_the_stream_was_made(look):
    client = look.client(lambda request: look.chat(answer="a"))
    with context(lm=FunctionLM(lambda text: {"answer": "inner"})):
        stream = Predict("question -> answer").stream(question="q")
        lazy = Predict("question -> answer").stream(question="q")
    with context(lm=client):
        assert stream.result().answer == "inner"

        async def main():
            return await lazy.aresult()

        assert asyncio.run(main()).answer == "inner"


def test_nothing_runs_before_the_first_event_is_asked_for(use):
    client = use("x")
    stream = Predict("question -> answer").stream(question="q")

    assert "not begun" in repr(stream)
    stream.close()
    assert (client.requests, list(stream)) == ([], [])
    with pytest.raises(ProgramError, match="closed"):
        stream.result()


def test_a_stream_is_read_in_one_way(use, look):
    use(look.chat(answer="a"), size=1)
    stream = Predict("question -> answer").stream(question="q")
    next(stream)

    async def main():
        async for _ in stream:
            pass

    with pytest.raises(InputError, match="other way"):
        asyncio.run(main())
    stream.close()


def test_usage_is_counted_inside_and_outside(use, look, events_of):
    use(look.chat(answer="a"))

    with track_usage() as outer:
        events = events_of(Predict("question -> answer").stream(question="q"))
    with context(track_usage=True):
        prediction = events_of(Predict("question -> answer").stream(question="q"))[-1].prediction

    assert (outer.total.calls, outer.total.cost_usd, events[-1].usage.cost_usd) == (1, 0.25, 0.25)
    assert prediction.get_lm_usage()["cut/lm"]["calls"] == 1


def test_a_stream_inside_a_streamed_program_keeps_its_events_to_itself(use, look, events_of):
    use(look.chat(answer="a"))

    class Outer(Module):
        def __init__(self):
            super().__init__()
            self.inner = Predict("question -> answer")

        def forward(self, question):
            with self.inner.stream(question=question) as stream:
                texts = [event.text for event in stream if isinstance(event, FieldDelta)]
            emit("".join(texts))
            return stream.prediction

    events = events_of(Outer().stream(question="q"))

    assert [event.path for event in look.of(events, ModuleStart)] == ["self"]
    assert [event.value for event in look.of(events, Custom)] == ["a"]
    assert events[-1].usage.calls == 1


def test_emit_outside_of_a_stream_does_nothing():
    emit("nobody hears")


# Leaving early


def no_threads_left(name="telic-stream"):
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if not any(thread.name == name for thread in threading.enumerate()):
            return True
        time.sleep(0.005)
    return False


def test_a_reader_that_does_not_read_holds_the_program_back(use, look):
    client = use(look.chat(answer="x" * 20_000), size=1)

    with Predict("question -> answer").stream(question="q") as stream:
        next(stream)
        for _ in range(20):
            time.sleep(0.005)
        assert stream._channel._events.qsize() < 400
        assert client.open == 1
    assert no_threads_left()
    assert (client.open, client.closed) == (0, 1)


def test_a_dropped_stream_is_called_off(use, look):
    client = use(look.chat(answer="x" * 20_000), size=1)

    for event in Predict("question -> answer").stream(question="q"):
        if isinstance(event, FieldDelta):
            break
    gc.collect()

    assert no_threads_left()
    assert client.open == 0


def test_a_task_that_leaves_calls_the_program_off(use, look):
    client = use(look.chat(answer="x" * 20_000), size=1)

    async def main():
        before = asyncio.all_tasks()
        async with Predict("question -> answer").stream(question="q") as stream:
            async for event in stream:
                if isinstance(event, FieldDelta):
                    break
            assert len(stream._channel._events) < 400
        return asyncio.all_tasks() - before

    assert asyncio.run(main()) == set()
    assert client.open == 0


def test_a_dropped_stream_ends_its_task(use, look):
    client = use(look.chat(answer="x" * 20_000), size=1)

    async def main():
        async for event in Predict("question -> answer").stream(question="q"):
            if isinstance(event, FieldDelta):
                break
        gc.collect()
        for _ in range(10):
            await asyncio.sleep(0)
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert asyncio.run(main()) == set()
    assert client.open == 0


def test_cancelling_the_reading_task_calls_the_program_off(use, look):
    gate = threading.Semaphore(3)
    client = use(look.chat(answer="abc"), size=1, gate=gate)
    began = threading.Event()

    class Slow(Module):
        async def aforward(self):
            began.set()
            await asyncio.sleep(60)

    async def main():
        reading = asyncio.create_task(Slow().stream().aresult())
        while not began.is_set():
            await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        for _ in range(10):
            await asyncio.sleep(0)
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert asyncio.run(main()) == set()
    assert client.open == 0


def test_code_that_handles_all_errors_does_not_go_on_after_the_reader_left(use, look):
    calls = []

    class Stubborn(Module):
        def __init__(self):
            super().__init__()
            self.ask = Predict("question -> answer")

        def forward(self, question):
            for _ in range(100):
                try:
                    self.ask(question=question)
                except Exception:
                    calls.append("handled")

    client = use(look.chat(answer="x" * 5_000), size=1)
    with Stubborn().stream(question="q") as stream:
        while not isinstance(next(stream), FieldDelta):
            pass

    assert no_threads_left()
    assert (calls, len(client.requests)) == ([], 1)


def test_plain_programs_are_read_by_tasks_too(use, look):
    use(look.chat(reasoning="r", answer="a"))

    events = look.aread(Twice().stream(question="q"))

    assert look.texts(events)["parts[0].predict", "answer"] == "a"


def test_coroutines_are_read_in_plain_code_too(use, look):
    use(look.chat(answer="a"))

    class Awaited(Module):
        def __init__(self):
            super().__init__()
            self.ask = Predict("question -> answer")

        async def aforward(self, question):
            return await self.ask.acall(question=question)

    events = look.read(Awaited().stream(question="q"))

    assert look.texts(events) == {("ask", "answer"): "a"}

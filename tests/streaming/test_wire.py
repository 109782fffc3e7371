"""Streams over real sockets: what a server sees of them."""

import asyncio
import gc
import threading

import pytest

from telic.context import context
from telic.errors import LMAuthError, LMTransportError
from telic.lm import LM
from telic.modules import ChainOfThought, Module, Predict
from telic.modules._flow import Call, Gather
from telic.modules._module import FlowModule
from telic.streaming import FieldDelta, Retracted, Spent
from telic.testing import FaultServer, faults
from telic.testing._wire_answers import stream_answer
from telic.testing.faults import Fault

REPLY = "[[ ## reasoning ## ]]\nSince it is so.\n\n[[ ## answer ## ]]\nForty two [1]\n\n[[ ## completed ## ]]"


def lm(server, dialect="openai", **options):
    url = server.url if dialect == "openai" else server.host
    return LM(f"{dialect}/m", base_url=url, api_key="k", cache=False, **options)


def telic_threads():
    return [thread.name for thread in threading.enumerate() if thread.name == "telic-stream"]


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_both_dialects_stream_every_field(look, events_of, dialect):
    with FaultServer(REPLY) as server, context(lm=lm(server, dialect)):
        events = events_of(ChainOfThought("question -> answer").stream(question="q"))

        assert server.requests[0].body["stream"] is True
    assert look.texts(events) == {
        ("predict", "reasoning"): "Since it is so.",
        ("predict", "answer"): "Forty two [1]",
    }
    assert len(look.of(events, FieldDelta)) > 4
    assert look.of(events, Spent)[0].usage.output_tokens > 0
    assert not look.of(events, Retracted)


def cut(share, *, reset=False):
    """Close, or reset, the connection when a share of the stream was sent."""

    async def act(exchange):
        data = stream_answer(exchange.request.path, exchange.answer)
        exchange.writer.write(data[: int(len(data) * share)])
        await exchange.writer.drain()
        await asyncio.sleep(0.01)  # a reset would overtake what was not sent yet
        exchange.reset() if reset else exchange.close()

    return Fault("cut", act)


def stall_within(share):
    """Send a share of the stream and then nothing, until the client goes."""

    async def act(exchange):
        data = stream_answer(exchange.request.path, exchange.answer)
        exchange.writer.write(data[: int(len(data) * share)])
        await exchange.writer.drain()
        await exchange.closing.wait()

    return Fault("stall", act)


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@pytest.mark.parametrize("reset", [False, True])
def test_a_connection_cut_midway_is_asked_again(look, events_of, dialect, reset):
    with FaultServer(REPLY, faults=[cut(0.7, reset=reset)]) as server, context(lm=lm(server, dialect)):
        events = events_of(ChainOfThought("question -> answer").stream(question="q"))

        assert len(server.requests) == 2
    assert [event.reason for event in look.of(events, Retracted)] == ["connection"]
    assert look.texts(events)["predict", "answer"] == "Forty two [1]"


def test_a_connection_cut_midway_is_an_error_where_no_retry_is_left(events_of):
    with FaultServer(REPLY, faults=cut(0.7)) as server, context(lm=lm(server, num_retries=1)):
        with pytest.raises(LMTransportError):
            events_of(ChainOfThought("question -> answer").stream(question="q"))

        assert len(server.requests) == 2


def test_a_server_that_fails_before_the_first_piece_is_tried_again(look, events_of):
    with FaultServer(REPLY, faults=[faults.status(500)]) as server, context(lm=lm(server)):
        events = events_of(ChainOfThought("question -> answer").stream(question="q"))

    assert not look.of(events, Retracted)
    assert look.texts(events)["predict", "answer"] == "Forty two [1]"


def test_a_refused_key_is_an_error(events_of):
    with FaultServer(REPLY, faults=faults.status(401)) as server, context(lm=lm(server)):
        with pytest.raises(LMAuthError):
            events_of(Predict("question -> answer").stream(question="q"))


def first_delta(stream):
    for event in stream:
        if isinstance(event, FieldDelta):
            return event
    raise AssertionError("no delta came")


def test_leaving_a_stalled_stream_closes_its_connection_and_thread():
    with FaultServer(REPLY, faults=stall_within(0.7)) as server, context(lm=lm(server)):
        stream = ChainOfThought("question -> answer").stream(question="q")
        first_delta(stream)
        assert server.open_connections == 1

        stream.close()

        assert server.wait_until(lambda: server.open_connections == 0)
        assert telic_threads() == []


def test_dropping_a_stalled_stream_closes_its_connection():
    with FaultServer(REPLY, faults=stall_within(0.7)) as server, context(lm=lm(server)):
        for event in ChainOfThought("question -> answer").stream(question="q"):
            if isinstance(event, FieldDelta):
                break
        gc.collect()

        assert server.wait_until(lambda: server.open_connections == 0)


def test_a_task_that_leaves_a_stalled_stream_closes_its_connection():
    async def main(server, way):
        made = ChainOfThought("question -> answer").stream(question="q")
        if way == "with":
            async with made as stream:
                async for event in stream:
                    if isinstance(event, FieldDelta):
                        break
        else:

            async def read():
                async for _ in made:
                    pass

            reading = asyncio.create_task(read())
            while not server.open_connections:
                await asyncio.sleep(0.001)
            reading.cancel()
            await asyncio.wait([reading])
        gone = await asyncio.to_thread(server.wait_until, lambda: server.open_connections == 0)
        return gone, asyncio.all_tasks() - {asyncio.current_task()}

    for way in ("with", "cancel"):
        with FaultServer(REPLY, faults=stall_within(0.7)) as server, context(lm=lm(server)):
            assert asyncio.run(main(server, way)) == (True, set())


class Fan(FlowModule):
    """Several calls at once, nested."""

    def __init__(self):
        super().__init__()
        self.asks = [ChainOfThought("question -> answer") for _ in range(6)]

    def flow(self, *, question):
        return (yield Gather([Call(ask, question=question) for ask in self.asks]))


@pytest.mark.parametrize("way", ["sync", "async"])
def test_leaving_a_program_of_many_calls_at_once_closes_all_connections(way):
    with FaultServer(REPLY, faults=stall_within(0.7)) as server, context(lm=lm(server)):
        stream = Fan().stream(question="q")
        if way == "sync":
            first_delta(stream)
            assert server.wait_until(lambda: server.max_in_flight == 6)
            stream.close()
        else:

            async def main():
                async with stream:
                    async for event in stream:
                        if isinstance(event, FieldDelta):
                            break
                    await asyncio.to_thread(server.wait_until, lambda: server.max_in_flight == 6)

            asyncio.run(main())

        assert server.wait_until(lambda: server.open_connections == 0)
        assert telic_threads() == []


class Plain(Module):
    """Only `forward`: read by a task, it runs in a thread."""

    def __init__(self, **config):
        super().__init__()
        self.ask = Predict("question -> answer", **config)

    def forward(self, question):
        return self.ask(question=question)


@pytest.mark.parametrize("config", [{}, {"n": 2}])
def test_calls_off_plain_code_in_threads_too_streamed_or_not(config):
    fault = stall_within(0.7) if not config else faults.stall()
    with FaultServer(REPLY, faults=fault) as server, context(lm=lm(server)):

        async def main():
            async with Plain(**config).stream(question="q") as stream:
                reading = asyncio.create_task(stream.aresult())
                await asyncio.to_thread(server.wait_until, lambda: server.max_in_flight == 1)
                reading.cancel()
                await asyncio.wait([reading])
            return await asyncio.to_thread(server.wait_until, lambda: server.open_connections == 0)

        assert asyncio.run(main())


class Awaited(Module):
    """Only `aforward`: read by plain code, it runs on a loop of its own."""

    def __init__(self):
        super().__init__()
        self.ask = Predict("question -> answer")

    async def aforward(self, question):
        return await self.ask.acall(question=question)


class Mixed(Module):
    """Plain code that awaits, inside code that is awaited."""

    def __init__(self):
        super().__init__()
        self.inner = Awaited()

    def forward(self, question):
        return self.inner(question=question)


@pytest.mark.parametrize("program", [Awaited(), Mixed()], ids=["awaited", "mixed"])
@pytest.mark.parametrize("way", ["sync", "async"])
def test_calls_off_coroutines_in_plain_code_too(program, way):
    with FaultServer(REPLY, faults=stall_within(0.9)) as server, context(lm=lm(server)):
        if way == "sync":
            with program.stream(question="q") as stream:
                first_delta(stream)
        else:

            async def main():
                async with program.stream(question="q") as stream:
                    async for event in stream:
                        if isinstance(event, FieldDelta):
                            break

            asyncio.run(main())

        assert server.wait_until(lambda: server.open_connections == 0)
    assert telic_threads() == []


def test_many_streams_at_once_do_not_mix(look):
    def answer(asked):
        question = asked["messages"][-1]["content"].split("\n")[1]
        return f"[[ ## answer ## ]]\n{question} {question}\n\n[[ ## completed ## ]]"

    async def one(question):
        events = [event async for event in Predict("question -> answer").stream(question=question)]
        return look.texts(events)["self", "answer"]

    async def main():
        return await asyncio.gather(*(one(f"q{n}") for n in range(40)))

    with FaultServer(answer) as server, context(lm=lm(server)):
        assert asyncio.run(main()) == [f"q{n} q{n}" for n in range(40)]

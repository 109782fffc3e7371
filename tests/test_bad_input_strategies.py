"""What goes wrong in strategies, end to end: what the user, or the LM, is told, and how often the server was asked.

One test for each item, through programs, agents, `Evaluate`, optimizers and streams, over real sockets, threads and
processes. A mistake of the program's author is an error that names place, fact and next step after no more requests than
had to be made; a mistake of the LM or of a tool is told to the LM, which goes on.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading

import pytest

import telic
from telic import Assert, Example, Predict, Suggest
from telic.errors import (
    AssertionFailed,
    CodeExecutionError,
    ConfigurationError,
    InputError,
    MissingExtraError,
)
from telic.sandbox import MontyInterpreter
from telic.streaming import FieldDelta, Spent
from telic.testing import FaultServer, faults

PARIS = "[[ ## answer ## ]]\nParis\n\n[[ ## completed ## ]]"
QA = "question -> answer"


def lm(server):
    return telic.LM("openai/m", api_key="k", base_url=server.url, cache=False, num_retries=0)


def chat(**fields):
    return "\n\n".join(
        [*(f"[[ ## {name} ## ]]\n{text}" for name, text in fields.items()), "[[ ## completed ## ]]"]
    )


class Checked(telic.Module):
    """A predictor, and whatever is asserted of its answer."""

    def __init__(self, check):
        self.ask = Predict(QA)
        self.check = check

    def forward(self, question):
        made = self.ask(question=question)
        self.check(made.answer)
        return made


def rows(n=4):
    return [Example(question=f"q{i}", answer="Paris").with_inputs("question") for i in range(n)]


def right(example, prediction, trace=None):
    return example.answer == prediction.answer


# assertions


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        (
            lambda answer: answer,
            r"Assert at test_bad_input_strategies.py:\d+ needs a bool, and got 'Paris' of type str; write Assert\(bool",
        ),
        (lambda answer: None, r"got None of type NoneType; write Assert\(… is not None"),
        (lambda answer: answer.isalpha, r"got a function: call it, Assert\(check"),
        (lambda answer: [answer], r"got \['Paris'\] of type list"),
    ],
    ids=["text", "None", "function", "list"],
)
def test_a_condition_that_is_no_bool_is_told_after_the_one_call_before_it(condition, said):
    program = Checked(lambda answer: Assert(condition(answer), "No."))

    with FaultServer(PARIS) as server, telic.context(lm=lm(server)):
        with pytest.raises(InputError, match=said):
            program(question="x")
        assert len(server.requests) == 1  # the author's mistake: asking again would not mend it


class Hasty(telic.Module):
    """Asserts before it has asked anything."""

    def __init__(self, kind):
        self.ask, self.kind = Predict(QA), kind

    def forward(self, question):
        self.kind(question.endswith("?"), "Ask a question.")
        return self.ask(question=question)


def test_without_a_predictor_before_it_nothing_is_paid_for_and_a_suggest_goes_on(caplog):
    with FaultServer(PARIS) as server, telic.context(lm=lm(server)):
        with pytest.raises(AssertionFailed, match=r"Ask a question\.\n.*no predictor was called before it"):
            Hasty(Assert)(question="x")
        assert server.requests == []

        assert Hasty(Suggest)(question="x").answer == "Paris"
        assert len(server.requests) == 1
    assert "Ask a question. (no predictor was called before it" in caplog.text


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (Predict(QA), "Predict is no part of the running Checked"),
        ("asks", "'asks': Checked has no part of that path; did you mean 'ask'"),
        (telic.Signature("a -> b"), "is no part of the running Checked and was not called in it.*`ask`"),
        (3, "target_module must be a module"),
    ],
    ids=["another program's", "misspelt path", "signature", "number"],
)
def test_a_foreign_target_is_told_after_the_one_call_before_it(target, said):
    program = Checked(lambda answer: Assert(answer == "Rome", "Wrong.", target_module=target))

    with FaultServer(PARIS) as server, telic.context(lm=lm(server)):
        with pytest.raises(ConfigurationError, match=said):
            program(question="x")
        assert len(server.requests) == 1


def never(answer):
    never.tries += 1
    Assert(False, f"No. {never.tries}")


def test_what_can_never_pass_costs_its_retries_and_the_error_has_the_last_message():
    never.tries = 0
    with FaultServer(PARIS) as server, telic.context(lm=lm(server), max_backtracks=3):
        with pytest.raises(AssertionFailed, match=r"'ask' was asked 4 times \(max_backtracks=3\)") as caught:
            Checked(never)(question="x")
        assert (caught.value.msg, caught.value.attempts, len(server.requests)) == ("No. 4", 4, 4)


def test_in_an_evaluation_and_a_compile_it_costs_that_much_a_row_and_stops_neither():
    never.tries = 0
    with FaultServer(PARIS) as server, telic.context(lm=lm(server), max_backtracks=1):
        result = telic.Evaluate(devset=rows(), metric=right, num_threads=2, max_errors=1)(Checked(never))
        assert (result.score, len(result.failures), len(server.requests)) == (0.0, 4, 8)
        assert [(count.failed, count.backtracks) for count in result.assertions.values()] == [(4, 4)]

        compiled = telic.BootstrapFewShot(right, max_rounds=1).compile(Checked(never), trainset=rows())
        assert len(server.requests) == 16
        assert [demo for demo in compiled.ask.demos if demo.get("augmented")] == []


# tools of agents


def answers_of_an_agent(*calls):
    """Return what a server answers an agent that makes these calls and then answers: natively, or as text."""
    left = list(calls)

    def answer(body):
        native = "tools" in body
        if not native and "next_tool_name" not in str(body["messages"][0]):
            return chat(reasoning="r", answer="done")
        name, arguments = left.pop(0) if left else ("finish", "{}")
        if not native:
            return chat(next_thought="t", next_tool_name=name, next_tool_args=arguments)
        call = {"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}
        return {"choices": [{"message": {"role": "assistant", "tool_calls": [call]}}], "usage": {}}

    return answer


@pytest.fixture(params=["text", "native", "async"])
def run_agent(request):
    """Run an agent of one tool in each way, and return what it found and the server."""

    def run(tool, calls, **options):
        agent = telic.ReAct(QA, tools=[tool], native=request.param == "native", **options)
        with FaultServer(answers_of_an_agent(*calls)) as server, telic.context(lm=lm(server), max_retries=0):
            if request.param == "async":
                return asyncio.run(agent.acall(question="x")), server
            return agent(question="x"), server

    return run


def shown_last(server):
    return str(server.requests[-1].body["messages"][-1]["content"])


def test_a_tool_that_raises_is_told_to_the_lm_without_traceback(run_agent):
    def look(city: str) -> str:
        return {"Rome": "Italy"}[city]

    found, server = run_agent(look, [("look", '{"city": "Atlantis"}')])

    assert found.answer == "done"
    assert found.trajectory["observation_0"] == "Error: look failed with KeyError: 'Atlantis'"
    assert "look failed with KeyError" in shown_last(server)
    assert "Traceback" not in shown_last(server)
    assert len(server.requests) == 3


def test_a_tool_that_hangs_is_left_behind_at_its_limit(run_agent):
    gate = threading.Event()

    def look(city: str) -> str:
        gate.wait()
        return city

    try:
        found, server = run_agent(look, [("look", '{"city": "Rome"}')], tool_timeout=0.05)
    finally:
        gate.set()

    assert found.answer == "done"
    assert "TimeoutError: no answer within 0.05 seconds" in shown_last(server)


def test_ten_megabytes_of_a_tool_are_kept_whole_and_sent_in_part(run_agent):
    def look(city: str) -> str:
        return city * 2_500_000

    found, server = run_agent(look, [("look", '{"city": "Rome"}')], max_observation_chars=1_000)

    assert len(found.trajectory["observation_0"]) == 10_000_000
    assert max(len(str(request.body)) for request in server.requests) < 20_000
    assert "… (+9999000 characters)" in shown_last(server)


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, b"\xff", float("nan"), {("a", 1): 2}, lambda: 1],
    ids=lambda v: type(v).__name__,
)
def test_what_json_has_no_word_for_is_shown_as_well_as_can_be(run_agent, value):
    def look(city: str):
        return value

    found, server = run_agent(look, [("look", '{"city": "Rome"}')])

    assert found.answer == "done"
    assert found.trajectory["observation_0"] is value
    assert len(server.requests) == 3


def test_an_unknown_tool_is_told_with_the_nearest_name(run_agent):
    def look_up(city: str) -> str:
        return city

    found, server = run_agent(look_up, [("lookup", '{"city": "Rome"}'), ("look_up", '{"city": "Rome"}')])

    assert "there is no tool 'lookup'; did you mean 'look_up'" in found.trajectory["observation_0"]
    assert (found.trajectory["observation_1"], len(server.requests)) == ("Rome", 4)


def test_an_lm_that_never_finishes_answers_from_what_it_knows_at_max_iters(run_agent):
    def look(city: str) -> str:
        return city

    found, server = run_agent(look, [("look", '{"city": "Rome"}')] * 99, max_iters=4)

    assert found.answer == "done"
    assert "observation_3" in found.trajectory
    assert "observation_4" not in found.trajectory
    assert len(server.requests) == 4 + 1


# code that an LM wrote

BROKEN = "Sure! First we add the numbers, then we print them."


def code_server():
    """A server whose LM writes prose in place of code, until it is shown what Python says of it."""

    def answer(body):
        asked = str(body["messages"])
        code = "print(1 + 2)" if "SyntaxError" in asked else BROKEN
        return chat(reasoning="r", generated_code=code, code=code, finished="True", answer="3")

    return FaultServer(answer)


@pytest.mark.parametrize(
    "program",
    [telic.ProgramOfThought(QA), telic.CodeAct(QA, tools=[]), telic.RLM(QA, max_iters=2)],
    ids=lambda program: type(program).__name__,
)
def test_code_that_is_not_python_is_shown_to_the_lm_with_pythons_words(program):
    with code_server() as server, telic.context(lm=lm(server)):
        assert program(question="x").answer == "3"
        assert "SyntaxError" in str(server.requests[1].body["messages"])


def test_code_that_is_never_python_is_an_error_that_has_it():
    with FaultServer(chat(reasoning="r", generated_code=BROKEN)) as server, telic.context(lm=lm(server)):
        with pytest.raises(CodeExecutionError, match="SyntaxError") as caught:
            telic.ProgramOfThought(QA, max_iters=3)(question="x")
        assert (caught.value.code, len(server.requests)) == (BROKEN, 3)


@pytest.mark.parametrize("kind", ["ProgramOfThought(QA)", "CodeAct(QA, tools=[])", "RLM(QA)"])
def test_a_missing_interpreter_is_told_with_its_extra_before_a_request(kind, tmp_path):
    (tmp_path / "pydantic_monty.py").write_text("raise ModuleNotFoundError(name='pydantic_monty')\n")
    code = f"import telic; QA = {QA!r}\ntelic.{kind}(question='x', lm=telic.LM('openai/m', api_key='k', base_url=URL))"
    with FaultServer(PARIS) as server:
        ran = subprocess.run(
            [sys.executable, "-c", f"URL = {server.url!r}\n{code}"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
            capture_output=True,
            text=True,
            check=False,
        )
        assert server.requests == []
    assert MissingExtraError.__name__ in ran.stderr
    assert "pip install 'telic[sandbox]'" in ran.stderr


# streams that nobody reads any more


def running():
    """Return what could be left: threads of a stream, of a tool or of a coroutine."""
    names = ("telic-stream", "telic-tool", "telic-coroutine")
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(names)]


class Several(telic.Module):
    """Three calls side by side."""

    def __init__(self):
        self.ask = Predict(QA)
        self.parallel = telic.Parallel(num_threads=3)

    def forward(self, question):
        return self.parallel([(self.ask, {"question": f"{question} {i}"}) for i in range(3)])[0]


@pytest.mark.parametrize("make", [lambda: Predict(QA), Several], ids=["one call", "three at once"])
def test_a_cancelled_stream_leaves_no_connection_thread_or_request(make):
    with FaultServer(PARIS, faults=faults.stall()) as server, telic.context(lm=lm(server)):
        stream = make().stream(question="x")
        assert next(stream) is not None
        waits = 3 if make is Several else 1
        assert server.wait_until(lambda: len(server.requests) == waits)

        stream.close()

        assert server.wait_until(lambda: server.open_connections == 0)
        assert running() == []
        assert len(server.requests) == waits


def test_a_cancelled_reader_on_a_loop_leaves_no_connection_or_task():
    async def main(server):
        async def read():
            async for _ in Predict(QA).stream(question="x"):
                pass

        reading = asyncio.create_task(read())
        await asyncio.to_thread(server.wait_until, lambda: len(server.requests) == 1)
        reading.cancel()
        await asyncio.wait([reading])
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with FaultServer(PARIS, faults=faults.stall()) as server, telic.context(lm=lm(server)):
        asyncio.run(main(server))
        assert server.wait_until(lambda: server.open_connections == 0)


def test_a_cancelled_stream_kills_the_code_that_runs_in_the_sandbox():
    begun, ended = threading.Event(), []

    class Watched:
        """The sandbox, and what became of the code in it."""

        def __init__(self):
            self.inner = MontyInterpreter(max_seconds=60)

        def execute(self, code, variables=None, tools=None):
            if "while" in code:
                begun.set()
            ran = self.inner.execute(code, variables, tools)
            ended.append(ran.lost)
            return ran

        def close(self):
            self.inner.close()

    endless = chat(reasoning="r", generated_code="while True:\n    pass")
    with FaultServer(endless) as server, telic.context(lm=lm(server)):
        stream = telic.ProgramOfThought(QA, interpreter=Watched).stream(question="x")
        for event in stream:
            if isinstance(event, Spent):
                break
        assert begun.wait(10)

        stream.close()

        assert running() == []
        assert ended[-1] is True
        assert len(server.requests) == 1


def test_after_a_cancelled_stream_the_next_call_is_as_ever():
    with FaultServer(PARIS, faults=[faults.stall()]) as server, telic.context(lm=lm(server)):
        program = Predict(QA)
        stream = program.stream(question="x")
        next(stream)
        assert server.wait_until(lambda: len(server.requests) == 1)
        stream.close()

        assert program(question="x").answer == "Paris"
        assert [event for event in program.stream(question="x") if isinstance(event, FieldDelta)]


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("kind", [telic.CodeAct, telic.RLM])
def test_a_tool_that_hangs_in_code_is_left_behind_at_its_limit(kind, way):
    gate = threading.Event()

    def look(city: str) -> str:
        gate.wait()
        return city

    def answer(body):
        asked = str(body["messages"])
        code = "print('nothing')" if "TimeoutError" in asked else "look('Rome')"
        code = f"{code}\nSUBMIT('done')" if kind is telic.RLM else code
        return chat(reasoning="r", generated_code=code, code=code, finished="True", answer="done")

    program = kind(QA, tools=[telic.Tool(look, timeout=0.05)])
    try:
        with FaultServer(answer) as server, telic.context(lm=lm(server)):
            found = program(question="x") if way == "sync" else asyncio.run(program.acall(question="x"))
    finally:
        gate.set()

    assert found.answer == "done"
    assert "TimeoutError: no answer within 0.05 seconds" in str(found.trajectory)

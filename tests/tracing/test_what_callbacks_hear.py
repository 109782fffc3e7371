"""What callbacks are told of programs, by the names that tracers rely on: who is called, with what, and what came of it."""

import asyncio
import inspect

import pytest

import telic
from telic.sandbox import MontyInterpreter, SubprocessInterpreter
from telic.testing import ScriptedLM
from telic.tracing import BaseCallback

ROW = telic.Example(question="q", answer="x").with_inputs("question")


class Heard(BaseCallback):
    """Keeps what it is told."""

    def __init__(self, *kinds):
        self.kinds = kinds
        self.told = []

    def __getattribute__(self, name):
        if not name.startswith("on_"):
            return super().__getattribute__(name)
        kind, _, moment = name.removeprefix("on_").rpartition("_")
        if kind not in self.kinds:
            return lambda **_: None
        if moment == "start":
            return lambda call_id, instance, inputs: self.told.append((kind, type(instance).__name__, inputs))
        return lambda call_id, outputs, exception: self.told.append((kind, outputs, exception))


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def add_later(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def test_every_hook_takes_what_tracers_pass_by_name():
    hooks = {
        f"on_{kind}_{moment}"
        for kind in (
            "module", "lm", "adapter_format", "adapter_parse", "tool", "evaluate", "compile", "interpreter_execute",
            "interpreter_tool_call", "interpreter_startup", "interpreter_shutdown",
        )
        for moment in ("start", "end")
    }  # fmt: skip
    found = {name: f for name, f in inspect.getmembers(BaseCallback, inspect.isfunction) if name[:3] == "on_"}

    assert set(found) == {*hooks, "on_lm_response"}
    assert list(inspect.signature(found.pop("on_lm_response")).parameters) == ["self", "call_id", "response"]
    for name, hook in found.items():
        wanted = ["instance", "inputs"] if name.endswith("start") else ["outputs", "exception"]
        assert list(inspect.signature(hook).parameters) == ["self", "call_id", *wanted]


@pytest.mark.parametrize("way", ["sync", "async", "awaited in place", "a plain one awaited"])
def test_a_tool_that_is_called_directly(way):
    heard = Heard("tool")
    tool = telic.Tool(add if way in ("sync", "a plain one awaited") else add_later)

    async def main():
        return await (tool(a=1, b=2) if way == "awaited in place" else tool.acall(a=1, b=2))

    with telic.context(callbacks=[heard]):
        assert (tool(a=1, b=2) if way == "sync" else asyncio.run(main())) == 3

    assert heard.told == [("tool", "Tool", {"kwargs": {"a": 1, "b": 2}}), ("tool", 3, None)]


def test_a_tool_that_fails_is_told_with_its_error_and_one_that_is_not_run_is_not_told():
    heard = Heard("tool")

    def broken(a: int) -> int:
        raise KeyError(a)

    with telic.context(callbacks=[heard]):
        with pytest.raises(KeyError):
            telic.Tool(broken)(a=1)
        with pytest.raises(telic.errors.ToolError):
            telic.Tool(broken)(a="one")

    (_, (_, outputs, error)) = heard.told
    assert (outputs, type(error)) == (None, KeyError)


class Asserting(telic.Module):
    """Calls a tool, and has its predictor asked again."""

    def __init__(self, tool):
        self.tool, self.ask = tool, telic.Predict("question, total: int -> answer")

    def forward(self, question):
        made = self.ask(question=question, total=self.tool(a=1, b=2))
        telic.Assert(made.answer == "right", "No.")
        return made


def test_a_tool_whose_result_is_replayed_is_told_once():
    heard = Heard("tool")
    program = Asserting(telic.Tool(add))
    program.set_lm(ScriptedLM([{"answer": "wrong"}, {"answer": "right"}]))

    with telic.context(callbacks=[heard]):
        program(question="?")

    assert len(heard.told) == 2


def test_a_compile_ends_with_its_program():
    heard = Heard("compile")
    with telic.context(callbacks=[heard]):
        program = telic.LabeledFewShot(k=1).compile(telic.Predict("question -> answer"), trainset=[ROW])

    start, (_, made, error) = heard.told
    assert start[1] == "LabeledFewShot"
    assert start[2]["trainset"] == [ROW]
    assert made is program
    assert error is None


@pytest.mark.parametrize("interpreter", [MontyInterpreter, SubprocessInterpreter])
def test_code_of_an_lm_from_the_start_of_its_process_to_its_end(interpreter):
    heard = Heard(
        "interpreter_execute", "interpreter_tool_call", "interpreter_startup", "interpreter_shutdown"
    )
    lm = ScriptedLM(
        [{"generated_code": "print(add(1, b=2))", "finished": True}, {"reasoning": "r", "answer": "3"}]
    )
    with telic.context(lm=lm, callbacks=[heard]):
        telic.CodeAct("question -> answer", tools=[add], interpreter=interpreter)(question="1 + 2?")

    told = [one for one in heard.told if one[0] != "interpreter_execute"]
    name = interpreter.__name__
    assert told == [
        ("interpreter_startup", name, {}),
        ("interpreter_startup", None, None),
        ("interpreter_tool_call", name, {"tool_name": "add", "args": (1,), "kwargs": {"b": 2}}),
        ("interpreter_tool_call", 3, None),
        ("interpreter_shutdown", name, {}),
        ("interpreter_shutdown", None, None),
    ]
    ran = [one for one in heard.told if one[0] == "interpreter_execute"]
    assert ran[2][2]["code"] == "print(add(1, b=2))"
    assert ran[3][1].output == "3\n"


def test_that_code_ends_itself_is_no_failure_of_a_function():
    heard = Heard("interpreter_tool_call")
    lm = ScriptedLM([{"reasoning": "r", "code": "SUBMIT('x')"}])
    with telic.context(lm=lm, callbacks=[heard]):
        assert telic.RLM("question -> answer")(question="?").answer == "x"

    assert heard.told[-1] == ("interpreter_tool_call", None, None)


def test_an_interpreter_of_ones_own_is_begun_once_and_ended_once():
    for kind in (MontyInterpreter, SubprocessInterpreter):
        heard = Heard("interpreter_startup", "interpreter_shutdown")
        with telic.context(callbacks=[heard]):
            with kind() as python:
                python.execute("1")
                python.execute("2")
            python.close()

        assert [one[0] for one in heard.told] == ["interpreter_startup"] * 2 + ["interpreter_shutdown"] * 2

import asyncio
import sys
import threading

import pytest

import telic
from telic.errors import (
    BudgetExceeded,
    CodeExecutionError,
    ConfigurationError,
    InputError,
    InterpreterError,
    MissingExtraError,
)
from telic.modules import ProgramOfThought
from telic.protocols import Execution
from telic.sandbox import MontyInterpreter, SubprocessInterpreter
from telic.testing import FunctionLM, ScriptedLM


def code(text):
    return {"reasoning": "Compute.", "generated_code": text}


def answer(value):
    return {"reasoning": "It was computed.", "answer": value}


def run(*replies, signature="question -> answer", inputs=None, **options):
    lm = ScriptedLM(replies)
    program = ProgramOfThought(signature, **options)
    return program(lm=lm, **(inputs or {"question": "?"})), lm


def asked(lm, number):
    return lm.requests[number].messages[-1]["content"]


def test_code_is_written_run_and_answered_from():
    found, lm = run(code("print(6 * 7)"), answer("42"), signature="question -> answer: int")

    assert dict(found.items()) == {
        "reasoning": "It was computed.", "answer": 42, "final_generated_code": "print(6 * 7)", "code_output": "42",
    }  # fmt: skip
    assert "[[ ## final_generated_code ## ]]\nprint(6 * 7)" in asked(lm, 1)
    assert "[[ ## code_output ## ]]\n42" in asked(lm, 1)
    assert len(lm.requests) == 2


def test_it_is_the_same_async():
    lm = ScriptedLM([code("print(1 + 1)"), answer("2")])
    program = ProgramOfThought("question -> answer")

    assert asyncio.run(program.acall(question="1 + 1?", lm=lm)).code_output == "2"


def test_code_that_fails_is_written_again_with_its_error():
    found, lm = run(code("print(total)"), code("print('a'"), code("total = 5\nprint(total)"), answer("5"))

    assert found.answer == "5"
    assert "[[ ## previous_code ## ]]\nprint(total)" in asked(lm, 1)
    assert "[[ ## error ## ]]\nNameError: name 'total' is not defined" in asked(lm, 1)
    assert "[[ ## error ## ]]\nSyntaxError: '(' was never closed" in asked(lm, 2)


def test_what_the_interpreter_lacks_is_told():
    _, lm = run(code("import numpy"), code("print(1)"), answer("1"))

    assert "the modules it has are" in asked(lm, 1)


def test_after_the_last_program_the_error_has_the_code():
    with pytest.raises(
        CodeExecutionError, match="wrote 2 programs and none ran.*ZeroDivisionError"
    ) as caught:
        run(code("1 / 0"), code("2 / 0"), max_iters=2)
    assert caught.value.code == "2 / 0"
    assert caught.value.error == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize(
    ("reply", "output"),
    [
        ("print(3)", "3"),
        ("```python\nprint(3)\n```", "3"),
        ("Here it is:\n```py\nx = 1\n```\nand then\n```\nignored\n```\n```python\nprint(x + 2)\n```", "3"),
        ("~~~\nprint(3)\n~~~", "3"),
        ("`print(3)`", "3"),
        ("1 + 2", "3"),
        ("total = 1 + 2", "3"),
        ("total: int = 3  # what is asked", "3"),
        ("def main():\n    print(3)\nmain()", "3"),
        ("print(1)\n2", "1\n2"),
    ],
)
def test_replies_hold_code_in_many_ways(reply, output):
    assert run(code(reply), answer("x"), max_iters=1)[0].code_output == output


@pytest.mark.parametrize(
    "reply", ["```javascript\n1\n```", "x = None", "import math", "# nothing", "def f():\n    return 1"]
)
def test_what_gives_no_result_is_asked_for_again(reply):
    found, lm = run(code(reply), code("print(1)"), answer("1"))

    assert found.code_output == "1"
    assert "[[ ## error ## ]]" in asked(lm, 1)


def test_the_inputs_are_variables_but_hide_no_name_of_python():
    found, _ = run(
        code("print(sum(numbers))"), answer("x"),
        signature="numbers: list[int], sum: str -> answer", inputs={"numbers": [1, 2], "sum": "no"},
    )  # fmt: skip

    assert found.code_output == "3"


def test_calls_side_by_side_do_not_see_each_others_names():
    def reply(request):
        text = request.messages[-1]["content"]
        if "code_output" in text.split("Respond")[0]:
            return answer(text.partition("[[ ## code_output ## ]]\n")[2].split("\n")[0])
        return code("try:\n    kept = kept + 1\nexcept NameError:\n    kept = 1\nprint(kept)")

    program = ProgramOfThought("question -> answer")
    rows = [telic.Example(question=str(n)).with_inputs("question") for n in range(12)]
    with telic.context(lm=FunctionLM(reply)):
        assert [found.answer for found in program.batch(rows, num_threads=6)] == ["1"] * 12
        assert [program(question="?").answer for _ in range(2)] == ["1", "1"]


def test_output_is_cut_before_it_is_shown():
    found, lm = run(code("print('a' * 50_000)"), answer("x"))

    assert len(found.code_output) < 10_100
    assert len(asked(lm, 1)) < 12_000


@pytest.mark.parametrize("name", ["interpreter", "interpreter_factory"])
def test_the_interpreter_can_be_chosen(name):
    reply = code("import heapq\nprint(heapq.nsmallest(1, [3, 1])[0])")
    for given in (
        SubprocessInterpreter,
        SubprocessInterpreter(max_seconds=5),
        lambda: SubprocessInterpreter(),
    ):
        assert run(reply, answer("1"), **{name: given})[0].code_output == "1"
    with telic.context(interpreter_factory=SubprocessInterpreter):
        assert run(reply, answer("1"))[0].code_output == "1"


def test_interpreters_are_closed_whatever_happens():
    closed = []

    class Fake:
        def __init__(self, raises=None):
            self.raises = raises

        def execute(self, code, variables=None, tools=None):
            if self.raises and code:
                raise self.raises
            return Execution("1\n")

        def fresh(self):
            return Fake()

        def close(self):
            closed.append(1)

    run(code("x"), answer("1"), interpreter=Fake)
    with pytest.raises(InterpreterError):
        run(code("x"), interpreter=lambda: Fake(InterpreterError("gone")))
    with pytest.raises(BudgetExceeded):
        run(BudgetExceeded("spent"), interpreter=Fake)
    assert len(closed) == 3


def test_a_missing_interpreter_is_told_before_anything_is_paid_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydantic_monty", None)
    lm = ScriptedLM([])

    with pytest.raises(MissingExtraError, match=r"telic\[sandbox\]"):
        ProgramOfThought("question -> answer")(question="?", lm=lm)
    assert lm.requests == []


def test_endless_code_ends_and_is_written_again():
    found, lm = run(
        code("while True:\n    pass"), code("print(1)"), answer("1"),
        interpreter=MontyInterpreter(max_seconds=0.2),
    )  # fmt: skip

    assert found.code_output == "1"
    assert "TimeoutError: the code was stopped after 0.2 seconds" in asked(lm, 1)


def test_cancelling_a_call_ends_its_code():
    begun = threading.Event()
    ended = []

    class Watched:
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

    async def main():
        lm = ScriptedLM([code("while True:\n    pass")])
        task = asyncio.ensure_future(
            ProgramOfThought("question -> answer", interpreter=Watched).acall(question="?", lm=lm)
        )
        while not begun.is_set():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while len(ended) < 2:
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(main(), 30))
    assert ended == [False, True]


@pytest.mark.parametrize("name", ["code_output", "error", "generated_code"])
def test_fields_of_its_own_are_refused(name):
    with pytest.raises(ConfigurationError, match=name):
        ProgramOfThought(f"{name} -> answer")


@pytest.mark.parametrize(
    "options", [{"max_iters": 0}, {"max_iters": True}, {"interpreter": 3}, {"interpreter": "deno"},
                {"interpreter": MontyInterpreter, "interpreter_factory": MontyInterpreter}]
)  # fmt: skip
def test_impossible_settings_are_refused(options):
    with pytest.raises(ConfigurationError):
        ProgramOfThought("question -> answer", **options)
    with pytest.raises(InputError, match="by name"):
        ProgramOfThought("question -> answer")("?")


def test_a_factory_of_something_else_is_told():
    with pytest.raises(ConfigurationError, match="has no execute"):
        run(interpreter=lambda: "python")


def test_its_predictors_are_learned_saved_and_loaded(tmp_path):
    program = ProgramOfThought("question -> answer")
    names = [name for name, _ in program.named_predictors()]
    assert names == ["code_generate.predict", "code_regenerate.predict", "generate_output.predict"]

    program.code_generate.predict.demos = [telic.Example(question="1 + 1?", **code("print(2)"))]
    program.save(tmp_path / "p.json")
    loaded = ProgramOfThought("question -> answer").load(tmp_path / "p.json")
    assert loaded.code_generate.predict.demos == program.code_generate.predict.demos

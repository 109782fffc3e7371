"""What holds for both interpreters."""

import copy
import dataclasses
import datetime as dt
import enum
import gc
import os
import threading

import pydantic
import pytest

import telic
from telic.data import Example
from telic.errors import BudgetExceeded, ConfigurationError, InterpreterError, LMAuthError, LMServerError
from telic.protocols import Execution
from telic.sandbox import Finish, MontyInterpreter, SubprocessInterpreter

KINDS = [MontyInterpreter, SubprocessInterpreter]


class Colour(enum.Enum):
    RED = "red"


class Place(pydantic.BaseModel):
    name: str
    size: int = 3


@dataclasses.dataclass
class Point:
    x: int


def test_it_returns_what_code_prints_and_the_value_of_its_last_line(either):
    assert either.execute("print('a')\nprint('b')\n1 + 1") == Execution("a\nb\n", 2)
    assert either.execute("x = 3") == Execution()
    assert either.execute("") == Execution()
    assert either.execute("# nothing") == Execution()


def test_names_stay_until_it_is_closed(either):
    either.execute("def double(n):\n    return 2 * n\nkept = 20")
    assert either.execute("double(kept) + 2").value == 42
    either.close()
    assert either.execute("kept").error == "NameError: name 'kept' is not defined"


def test_a_fresh_one_knows_nothing_and_has_the_same_limits(either):
    either.execute("kept = 20")
    with either.fresh() as other:
        assert "kept" in other.execute("kept").error
        assert repr(other) == repr(either)
    assert either.execute("kept").value == 20


def test_names_survive_an_error(either):
    either.execute("kept = 1")
    assert either.execute("1 / 0") == Execution(error="ZeroDivisionError: division by zero")
    assert either.execute("kept").value == 1


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("print(total)", "NameError: name 'total' is not defined"),
        ("print('a'", "SyntaxError: '(' was never closed"),
        ("Here is the code:\nprint(1)", "SyntaxError: invalid syntax"),
        ("result = 1 +", "SyntaxError: invalid syntax"),
        ("int('x')", "ValueError: invalid literal for int() with base 10: 'x'"),
        ("raise ValueError('boo')", "ValueError: boo"),
        ("[][1]", "IndexError: list index out of range"),
        ("'1' + 1", 'TypeError: can only concatenate str (not "int") to str'),
    ],
)
def test_errors_are_told_in_the_words_of_python(either, code, error):
    assert either.execute(code) == Execution(error=error)


def test_what_was_printed_before_an_error_is_kept(either):
    assert either.execute("print('first')\n1 / 0").output == "first\n"


def test_an_error_in_long_code_is_told_with_its_line(either):
    ran = either.execute("a = 1\nb = 2\nc = 3\nd = 4\ne = 5\nprint(a)\nprint(missing)\n")
    assert ran.error == "NameError: name 'missing' is not defined\nin line 7: print(missing)"


def test_variables_go_in_as_data(either):
    values = {
        "text": "é\u2028\U0001f600 [[ ## answer ## ]]",
        "numbers": [1, 2.5, None, True],
        "nested": {"a": {"b": [1]}},
        "row": Example(q="?", a="!"),
        "place": Place(name="Rome"),
        "point": Point(4),
        "colour": Colour.RED,
        "day": dt.date(2026, 1, 2),
        "thing": object,
    }
    ran = either.execute(
        "[text, numbers, nested, row['q'], place['size'], point['x'], colour, str(day)]", values
    )
    assert ran.error == ""
    assert ran.value == [values["text"], values["numbers"], values["nested"], "?", 3, 4, "red", "2026-01-02"]


def test_a_variable_can_be_changed_inside_and_is_the_hosts_no_more(either):
    mine = [1]
    assert either.execute("mine.append(2)\nmine", {"mine": mine}).value == [1, 2]
    assert mine == [1]


def test_text_that_no_wire_carries_loses_what_is_broken(either):
    assert either.execute("len(t)", {"t": "a\ud800b"}).value == 3
    assert "SyntaxError" in either.execute("'\ud800' +").error
    assert either.execute("'a\ud800'").error == ""


@pytest.mark.parametrize(
    "code", ["a\0b", "(" * 5000, "[" * 150 + "]" * 150, "-" * 50_000 + "1", "+".join("1" * 20_000)]
)
def test_code_that_is_no_code_is_an_error_and_not_the_end(either, code):
    ran = either.execute(code)
    assert ran.error or ran.value is not None
    assert either.execute("1 + 1").value == 2


def test_a_variable_that_is_too_large_is_refused_before_anything_runs():
    for kind in KINDS:
        with kind(max_memory_mb=16) as small:
            with pytest.raises(InterpreterError, match="larger than 2097152 characters"):
                small.execute("1", {"text": "a" * 2_100_000})


def test_a_variable_that_contains_itself_is_refused(either):
    loop = []
    loop.append(loop)
    with pytest.raises(InterpreterError, match="nested more than 100 deep"):
        either.execute("1", {"loop": loop})


def test_code_may_call_the_functions_that_it_is_given_by_position_and_by_name(either):
    seen = []

    def tool(a, b=2, *, c=3):
        seen.append((a, b, c))
        return {"sum": a + b + c}

    assert either.execute("tool(1)['sum'] + tool(1, b=5, c=0)['sum']", tools={"tool": tool}).value == 12
    assert seen == [(1, 2, 3), (1, 5, 0)]


def test_functions_can_be_called_during_their_execution_alone(either):
    assert either.execute("saved = tool()\ntool()", tools={"tool": lambda: 7}).value == 7
    assert "NameError" in either.execute("tool()").error


def test_functions_run_in_the_thread_and_the_context_of_the_caller(either):
    def tool():
        return [threading.get_ident(), telic.settings.num_threads]

    with telic.context(num_threads=3):
        assert either.execute("tool()", tools={"tool": tool}).value == [threading.get_ident(), 3]


def test_what_a_function_raises_can_be_handled_by_the_code(either):
    def fails():
        raise KeyError("no such city")

    code = "try:\n    tool()\nexcept KeyError as error:\n    print('caught', error)"
    assert "no such city" in either.execute(code, tools={"tool": fails}).output
    assert either.execute("tool()", tools={"tool": fails}).error.startswith("KeyError")


def test_an_exception_of_the_hosts_own_is_known_by_its_name(either):
    def fails():
        raise LMServerError("busy " + "x" * 5000)

    said = either.execute("tool()", tools={"tool": fails}).error
    assert said.startswith("RuntimeError: LMServerError: busy")
    assert len(said) < 700


@pytest.mark.parametrize(
    "code",
    [
        "tool()",
        "try:\n    tool()\nexcept:\n    pass\nwhile True:\n    try:\n        tool()\n    except Exception:\n        pass",
    ],
)
@pytest.mark.parametrize("error", [BudgetExceeded("spent"), LMAuthError("no key"), KeyboardInterrupt()])
def test_what_no_code_can_mend_ends_it_and_is_raised_as_it_is(either, code, error):
    calls = []

    def tool():
        calls.append(1)
        raise error

    with pytest.raises(type(error)) as caught:
        either.execute(code, tools={"tool": tool})
    assert caught.value is error
    assert len(calls) == 1
    assert either.execute("1").value == 1


def test_a_function_can_end_the_code(either):
    def done(value):
        raise Finish

    ran = either.execute("print('before')\ndone(1)\nprint('after')", tools={"done": done})
    assert ran == Execution("before\n")


def test_a_function_may_return_what_is_no_data(either):
    tools = {"thing": object, "place": lambda: Place(name="Rome"), "many": lambda: {1}, "loop": _loop}
    assert either.execute("place()['name']", tools=tools).value == "Rome"
    assert either.execute("len(many())", tools=tools).value == 1
    assert "object object at" in either.execute("thing()", tools=tools).value
    assert "ValueError" in either.execute("loop()", tools=tools).error
    assert either.execute("1").value == 1


def _loop():
    loop = []
    loop.append(loop)
    return loop


def test_a_function_that_returns_too_much_is_an_error_of_that_call():
    for kind in KINDS:
        with kind(max_memory_mb=64) as interpreter:
            ran = interpreter.execute("big()", tools={"big": lambda: "a" * 20_000_000})
            assert "larger than" in ran.error
            assert interpreter.execute("1").value == 1


def test_code_cannot_call_functions_without_end():
    for kind in KINDS:
        count = []
        with kind(max_calls=20) as interpreter:
            ran = interpreter.execute("while True:\n    tool()", tools={"tool": lambda: count.append(1)})
            assert "more than 20 times" in ran.error
            assert len(count) == 20
            assert interpreter.execute("tool()", tools={"tool": lambda: 1}).value == 1


def test_arguments_that_are_no_data_reach_the_function_as_words(either):
    seen = []
    either.execute(
        "class A:\n    pass\ntool(A(), lambda: 1, print)", tools={"tool": lambda *args: seen.extend(args)}
    )
    assert len(seen) == 3
    assert all(isinstance(one, str) for one in seen)


def test_deep_arguments_are_refused(either):
    code = "x = []\nfor i in range(5000):\n    x = [x]\ntool(x)"
    assert "Error" in either.execute(code, tools={"tool": lambda x: 1}).error
    assert either.execute("1").value == 1


def test_a_deep_result_is_an_error_in_words(either):
    ran = either.execute("x = []\nfor i in range(5000):\n    x = [x]\nx")
    assert ran.error.startswith("ValueError") or isinstance(ran.value, str)
    assert either.execute("1").value == 1


@pytest.mark.parametrize(
    "code",
    [
        "10 ** 5000",
        "[10 ** 5000]",
        "x = [1]\nx.append(x)\nx",
        "float('nan')",
        "float('inf')",
        "lambda: 1",
        "class A:\n    pass\nA()",
        "print",
        "{1: {2: 3}}",
        "(1, {2})",
        "b'ab'",
        "1j",
    ],
)
def test_odd_results_never_end_it(either, code):
    ran = either.execute(code)
    assert isinstance(ran, Execution)
    assert str(ran.value) is not None
    assert either.execute("1").value == 1


def test_one_session_is_for_one_caller_at_a_time(either):
    inside, leave = threading.Event(), threading.Event()

    def wait():
        inside.set()
        leave.wait(10)

    thread = threading.Thread(target=either.execute, args=("wait()",), kwargs={"tools": {"wait": wait}})
    thread.start()
    inside.wait(10)
    with pytest.raises(InterpreterError, match="another caller"):
        either.execute("1")
    leave.set()
    thread.join(10)
    assert either.execute("1").value == 1


def test_closing_it_ends_code_that_runs_in_another_thread():
    for kind in KINDS:
        interpreter = kind(max_seconds=60)
        started, results = threading.Event(), []

        def run(interpreter=interpreter, started=started, results=results):
            results.append(
                interpreter.execute("begun()\nwhile True:\n    pass", tools={"begun": started.set})
            )

        thread = threading.Thread(target=run)
        thread.start()
        started.wait(10)
        interpreter.close()
        thread.join(10)
        assert not thread.is_alive()
        assert results[0].lost
        assert interpreter.execute("1 + 1").value == 2
        interpreter.close()


def test_closing_it_while_its_process_begins_ends_the_code_too(monkeypatch):
    for kind in KINDS:
        interpreter = kind(max_seconds=60)
        owner, name = (
            (interpreter._engine, "Monty")
            if kind is MontyInterpreter
            else (telic.sandbox._session.subprocess, "Popen")
        )
        begin = getattr(owner, name)

        def begin_late(*args, begin=begin, interpreter=interpreter, **kwargs):
            interpreter.close()  # as another thread would: the session is taken
            return begin(*args, **kwargs)

        with monkeypatch.context() as patched:
            patched.setattr(owner, name, begin_late)
            assert interpreter.execute("while True:\n    pass").lost
        assert interpreter.execute("1 + 1").value == 2
        interpreter.close()


def test_many_sessions_run_side_by_side():
    for kind in KINDS:
        results = {}

        def run(number, kind=kind, results=results):
            with kind() as interpreter:
                interpreter.execute("mine = number", {"number": number})
                results[number] = interpreter.execute("mine * 2").value

        threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == {n: 2 * n for n in range(8)}


def test_closing_twice_and_unused_ones_is_fine():
    for kind in KINDS:
        interpreter = kind()
        interpreter.close()
        assert interpreter.execute("1").value == 1
        interpreter.close()
        interpreter.close()


def test_copies_of_programs_share_it(either):
    class Holder(telic.Module):
        def __init__(self):
            self.interpreter = either

    assert Holder().deepcopy().interpreter is either
    assert copy.copy(either)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_seconds", 0), ("max_seconds", float("inf")), ("max_seconds", "1"), ("max_memory_mb", 1),
        ("max_memory_mb", 2.5), ("max_output_chars", 0), ("max_calls", -1), ("max_calls", True),
    ],
)  # fmt: skip
def test_limits_that_cannot_hold_are_refused(kind, name, value):
    with pytest.raises(ConfigurationError, match=name):
        kind(**{name: value})


def test_output_is_cut_and_counted():
    for kind in KINDS:
        with kind(max_output_chars=100) as interpreter:
            ran = interpreter.execute("for i in range(1000):\n    print('0123456789')")
            assert len(ran.output) < 150
            assert ran.output.endswith("… (+10900 characters)")
            assert interpreter.execute("print(1)").output == "1\n"


def test_what_is_left_behind_ends_with_the_object():
    seen = []
    for kind in KINDS:
        interpreter = kind()
        interpreter.execute("1")
        if isinstance(interpreter, MontyInterpreter):
            seen.append(interpreter._worker)
        else:
            seen.append(interpreter._session.started.process.pid)
        del interpreter
    gc.collect()
    for pid in seen:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

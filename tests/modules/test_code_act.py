import asyncio
import functools
import threading

import pytest

import telic
from telic.errors import (
    BudgetExceeded,
    ConfigurationError,
    ContextWindowExceededError,
    InputError,
    LMAuthError,
)
from telic.modules import CodeAct
from telic.sandbox import MontyInterpreter, SubprocessInterpreter
from telic.testing import ScriptedLM

PEOPLE = {"Rome": 2_700_000, "Milan": 1_400_000}


def population(city: str, year: int = 2020) -> int:
    """Look up how many people live in a city."""
    return PEOPLE[city]


def act(code, finished=False):
    return {"generated_code": code, "finished": finished}


def answer(value):
    return {"reasoning": "It was computed.", "answer": value}


def run(*replies, tools=(population,), signature="question -> answer", inputs=None, **options):
    lm = ScriptedLM(replies)
    with telic.context(max_retries=0):
        found = CodeAct(signature, tools=list(tools), **options)(lm=lm, **(inputs or {"question": "?"}))
    return found, lm


def asked(lm, number):
    return lm.requests[number].messages[-1]["content"]


def test_code_calls_tools_and_names_stay_from_step_to_step():
    found, lm = run(
        act("people = [population(city) for city in ('Rome', 'Milan')]"),
        act("print(sum(people))", True),
        answer("4100000"),
    )

    assert found.trajectory == {
        "generated_code_0": "people = [population(city) for city in ('Rome', 'Milan')]",
        "code_output_0": "(The code printed nothing.)",
        "generated_code_1": "print(sum(people))",
        "code_output_1": "4100000",
    }
    assert found.answer == "4100000"
    assert "code_output_1: 4100000" in asked(lm, 2)


def test_the_functions_are_told_with_their_arguments():
    _, lm = run(act("1", True), answer("1"))

    told = lm.requests[0].messages[0]["content"]
    assert "- population(city: string, year: integer = 2020): Look up how many people live in a city." in told


def test_it_is_the_same_async_and_async_tools_run_on_the_callers_loop():
    seen = []

    async def later(city: str) -> int:
        seen.append(asyncio.get_running_loop())
        await asyncio.sleep(0)
        return PEOPLE[city]

    replies = [act("print(later('Rome') + population('Milan'))", True), answer("4100000")]

    async def main():
        program = CodeAct("question -> answer", tools=[later, population])
        found = await program.acall(question="?", lm=ScriptedLM(replies))
        return found, asyncio.get_running_loop()

    found, loop = asyncio.run(main())
    assert found.trajectory["code_output_0"] == "4100000"
    assert seen == [loop]
    assert run(*replies, tools=[later, population])[0].trajectory["code_output_0"] == "4100000"


def test_any_callable_is_a_tool():
    class Looker:
        def __call__(self, city: str) -> int:
            return PEOPLE[city]

    def made():
        table = PEOPLE
        return lambda city: table[city]

    tools = [
        telic.Tool(made(), name="closure"),
        telic.Tool(Looker(), name="looker"),
        telic.Tool(functools.partial(population, year=1), name="partial"),
        telic.Predict("city -> people: int"),
    ]
    tools[3] = telic.Tool(lambda city: len(city), name="module")
    found, _ = run(
        act("print(closure('Rome') == looker('Rome') == partial(city='Rome'), module('Rome'))", True),
        answer("x"), tools=tools,
    )  # fmt: skip

    assert found.trajectory["code_output_0"] == "True 4"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("population('Oslo')", "KeyError"),
        ("population()", "city"),
        ("population('Rome', 1, 2)", "at most 2"),
        ("population('Rome', city='Rome')", "twice"),
        ("population(city=['Rome'])", "city"),
        ("population(town='Rome')", "town"),
        ("populaton('Rome')", "NameError"),
        ("print('a'", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("open('/etc/passwd')", "There are no files here"),
    ],
)
def test_what_goes_wrong_is_the_observation_of_the_step(code, said):
    found, lm = run(act(code), act("print(1)", True), answer("1"))

    assert said in found.trajectory["observation_0"]
    assert said in asked(lm, 1)
    assert "code_output_0" not in found.trajectory


def test_code_can_handle_what_a_tool_raises():
    found, _ = run(
        act("try:\n    population('Oslo')\nexcept KeyError:\n    print('unknown')", True), answer("x")
    )

    assert found.trajectory["code_output_0"] == "unknown"


def test_finished_code_that_failed_is_not_finished():
    found, lm = run(act("1 / 0", True), act("print(1)", True), answer("1"))

    assert len(lm.requests) == 3
    assert found.trajectory["code_output_1"] == "1"


def test_finished_without_code_ends_the_steps():
    found, lm = run(act("print(1)"), act("", True), answer("1"))

    assert len(lm.requests) == 3
    assert list(found.trajectory) == ["generated_code_0", "code_output_0"]


def test_the_number_of_steps_ends_it_and_can_be_changed_for_one_call():
    for many, options, inputs in ((2, {"max_iters": 2}, {}), (3, {}, {"max_iters": 3})):
        found, lm = run(*[act("print(1)")] * many, answer("1"), inputs={"question": "?", **inputs}, **options)
        assert len(lm.requests) == many + 1
        assert found.answer == "1"
    with pytest.raises(ConfigurationError):
        run(inputs={"question": "?", "max_iters": 0})


def test_a_reply_that_cannot_be_read_ends_the_steps(caplog):
    found, _ = run(act("print(1)"), "no fields at all", answer("1"))

    assert found.answer == "1"
    assert "step 1 could not be read" in caplog.text


@pytest.mark.parametrize("error", [BudgetExceeded("spent"), LMAuthError("no key"), KeyboardInterrupt()])
def test_what_no_code_can_mend_ends_the_call(error):
    def fails() -> int:
        raise error

    with pytest.raises(type(error)):
        run(act("try:\n    fails()\nexcept Exception:\n    pass"), tools=[fails])


def test_endless_code_is_an_observation_and_inputs_are_there_again():
    found, _ = run(
        act("kept = 1\nwhile True:\n    pass"), act("print(question)"), act("print(kept)", True), answer("1"),
        answer("1"), max_iters=3, interpreter=MontyInterpreter(max_seconds=0.2),
    )  # fmt: skip

    assert "stopped after 0.2 seconds" in found.trajectory["observation_0"]
    assert found.trajectory["code_output_1"] == "?"
    assert "NameError" in found.trajectory["observation_2"]


def test_what_a_step_prints_is_cut_and_counted():
    found, lm = run(act("print('a' * 5000)", True), answer("1"), max_output_chars=100)

    assert "(+4900 characters)" in found.trajectory["code_output_0"]
    assert len(asked(lm, 1)) < 1000


def test_a_tool_that_returns_ten_megabytes_or_no_data_harms_nothing():
    def big() -> str:
        return "a" * 10_000_000

    found, _ = run(
        act("print(len(big()))"),
        act("print(thing())", True),
        answer("1"),
        tools=[big, telic.Tool(object, name="thing", args={})],
    )

    assert "10000000" in str(found.trajectory) or "larger than" in str(found.trajectory)
    assert "object object" in found.trajectory["code_output_1"]


def test_the_oldest_steps_are_left_out_where_the_prompt_is_too_long():
    too_long = ContextWindowExceededError("too long", model="m")
    found, lm = run(
        act("print('first')"), act("print('second')"), too_long, act("print('third')", True), answer("1")
    )

    assert found.answer == "1"
    assert "first" in asked(lm, 2)
    assert "first" not in asked(lm, 3)
    assert "second" in asked(lm, 3)


def test_callbacks_are_told_of_tools_that_code_calls():
    seen = []

    class Told:
        def on_tool_start(self, call_id, instance, inputs):
            seen.append((instance.name, inputs["kwargs"]))

    with telic.context(callbacks=[Told()]):
        run(act("print(population('Rome'))", True), answer("1"))

    assert seen == [("population", {"city": "Rome"})]


def test_calls_side_by_side_have_sessions_of_their_own():
    results = []

    def call(number):
        found, _ = run(
            act("mine = question"), act("print(mine)", True), answer("x"), inputs={"question": str(number)}
        )
        results.append((number, found.trajectory["code_output_1"]))

    threads = [threading.Thread(target=call, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [(n, str(n)) for n in range(8)]


def test_the_interpreter_can_be_chosen():
    reply = act("import heapq\nprint(heapq.nsmallest(1, [population('Rome'), 5]))", True)

    assert run(reply, answer("1"), interpreter=SubprocessInterpreter)[0].trajectory["code_output_0"] == "[5]"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tools": population}, "list of tools"),
        ({"tools": [population, population]}, "taken"),
        ({"tools": [telic.Tool(population, name="no-name")]}, "no-name"),
        ({"tools": [telic.Tool(population, name="question")]}, "taken"),
        ({"tools": [], "max_iters": 0}, "max_iters"),
        ({"tools": [], "max_output_chars": -1}, "max_output_chars"),
        ({"tools": [], "signature": "trajectory -> answer"}, "trajectory"),
    ],
)
def test_impossible_settings_are_refused(options, said):
    with pytest.raises(ConfigurationError, match=said):
        CodeAct(options.pop("signature", "question -> answer"), **options)


def test_inputs_by_position_and_a_given_trajectory_are_refused():
    program = CodeAct("question -> answer", tools=[])
    with pytest.raises(InputError, match="by name"):
        program("?")
    with pytest.raises(InputError, match="begins empty"):
        program(question="?", trajectory="")

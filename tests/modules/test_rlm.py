import asyncio
import sys

import pydantic
import pytest

import telic
from telic.errors import (
    BudgetExceeded,
    ConfigurationError,
    ContextWindowExceededError,
    InputError,
    InterpreterError,
    LMAuthError,
    LMServerError,
    MissingExtraError,
)
from telic.modules import RLM
from telic.sandbox import MontyInterpreter, SubprocessInterpreter
from telic.testing import FunctionLM, ScriptedLM


def act(code):
    return {"reasoning": "Look.", "code": code}


def run(*replies, signature="text, question -> answer", sub=None, **options):
    lm = ScriptedLM(replies)
    inputs = options.pop("inputs", {"text": "one two three " * 1000, "question": "How many words?"})
    program = RLM(signature, sub_lm=sub, **options)
    with telic.context(max_retries=0):
        return program(lm=lm, **inputs), lm


def asked(lm, number):
    return lm.requests[number].messages[-1]["content"]


def upper():
    return FunctionLM(lambda text: text.upper())


def test_the_inputs_are_variables_and_only_their_edges_are_in_the_prompt():
    text = "begin " + "x" * 100_000 + " end"
    found, lm = run(act("SUBMIT(str(len(text)))"), inputs={"text": text, "question": "How long?"})

    assert found.answer == str(len(text))
    assert len(asked(lm, 0)) < 3000
    assert "`text` (str, 100,010 characters)" in asked(lm, 0)
    assert "begin xxx" in asked(lm, 0)
    assert "xxx end" in asked(lm, 0)
    assert "[[ ## iteration ## ]]\n1/20" in asked(lm, 0)


def test_steps_see_what_earlier_ones_printed_and_keep_their_names():
    found, lm = run(act("n = len(text.split())\nprint('words', n)"), act("SUBMIT(answer=str(n))"))

    assert found.answer == "3000"
    assert found.trajectory == [
        {"reasoning": "Look.", "code": "n = len(text.split())\nprint('words', n)", "output": "words 3000"},
        {"reasoning": "Look.", "code": "SUBMIT(answer=str(n))", "output": "(The code printed nothing.)"},
    ]
    assert found.final_reasoning == "Look."
    assert "words 3000" in asked(lm, 1)


def test_it_is_the_same_async():
    lm = ScriptedLM([act("print(llm_query('a'), llm_query_batched(['b', 'c']))"), act("SUBMIT('done')")])
    program = RLM("text -> answer", sub_lm=upper())

    found = asyncio.run(program.acall(text="x", lm=lm))
    assert found.answer == "done"
    assert found.trajectory[0]["output"] == "A ['B', 'C']"


def test_inputs_of_any_type_are_values():
    class Row(pydantic.BaseModel):
        name: str

    found, lm = run(
        act("SUBMIT(rows[0]['name'] + str(sum(numbers)) + table['a'])"),
        signature=telic.Signature({"rows": (list[Row], telic.InputField()), "numbers": (list[int], telic.InputField()),
                                   "table": (dict[str, str], telic.InputField()), "answer": (str, telic.OutputField())}),
        inputs={"rows": [Row(name="n")], "numbers": [1, 2], "table": {"a": "z"}},
    )  # fmt: skip

    assert found.answer == "n3z"
    assert "`numbers` (list, 2 items, 6 characters)" in asked(lm, 0)


# Sub-calls


def test_code_asks_lms_about_parts_one_by_one_or_many_at_once():
    sub = upper()
    found, _ = run(
        act("print(llm_query('a'))\nprint(llm_query_batched([c for c in 'bcd']))"),
        act("SUBMIT('x')"),
        sub=sub,
    )

    assert found.trajectory[0]["output"] == "A\n['B', 'C', 'D']"
    assert sub.requests[0].messages == [{"role": "user", "content": "a"}]


def test_without_an_lm_of_its_own_it_asks_the_one_that_writes_the_code():
    lm = ScriptedLM([act("print(llm_query('hi'))"), "sub answer", act("SUBMIT('x')")])
    assert RLM("text -> answer")(text="t", lm=lm).trajectory[0]["output"] == "sub answer"
    lm = ScriptedLM([act("print(llm_query('hi'))"), "sub answer", act("SUBMIT('x')")])
    with telic.context(lm=lm):
        assert RLM("text -> answer")(text="t").trajectory[0]["output"] == "sub answer"


def test_prompts_share_one_limit_and_a_batch_over_it_is_not_sent_at_all():
    sub = upper()
    found, _ = run(
        act("print(llm_query('a'))"),
        act("llm_query_batched(['b'] * 3)"),
        act("print(llm_query_batched(['b', 'c']))\nllm_query('d')"),
        act("SUBMIT('x')"),
        sub=sub, max_llm_calls=3,
    )  # fmt: skip

    assert "of 3 prompts to LMs 2 are left, and 3 were asked" in found.trajectory[1]["output"]
    assert "['B', 'C']" in found.trajectory[2]["output"]
    assert "0 are left" in found.trajectory[2]["output"]
    assert len(sub.requests) == 3
    assert (
        "The LMs answer 3 prompts in all"
        in RLM("t -> a", max_llm_calls=3).generate_action.signature.instructions
    )


def test_the_limit_is_that_of_one_call():
    program = RLM("text -> answer", sub_lm=upper(), max_llm_calls=1)
    for _ in range(3):
        lm = ScriptedLM([act("print(llm_query('a'))"), act("SUBMIT('x')")])
        assert program(text="t", lm=lm).trajectory[0]["output"] == "A"


def test_a_budget_is_shared_with_sub_calls_and_ends_the_call():
    budget = telic.Budget(calls=3)
    with telic.context(budget=budget), pytest.raises(BudgetExceeded):
        run(act("try:\n    llm_query_batched(['a'] * 5)\nexcept Exception:\n    pass"), sub=upper())
    assert budget.used.calls == 3
    with pytest.raises(BudgetExceeded):
        run(act("llm_query('a')"), sub=FunctionLM(lambda text: BudgetExceeded("spent")))


def test_an_lm_that_fails_is_told_to_the_code():
    def reply(text):
        return LMServerError("busy") if "bad" in text else text.upper()

    found, _ = run(
        act("print(llm_query_batched(['a', 'bad', 'c']))"),
        act("llm_query('bad')"),
        act("SUBMIT('x')"),
        sub=FunctionLM(reply),
    )

    assert "'A'" in found.trajectory[0]["output"]
    assert "Error: LMServerError: busy" in found.trajectory[0]["output"]
    assert "LMServerError: busy" in found.trajectory[1]["output"]
    with pytest.raises(LMAuthError):
        run(act("llm_query_batched(['a', 'b'])"), sub=FunctionLM(lambda text: LMAuthError("no key")))


@pytest.mark.parametrize(
    "call", ["llm_query(3)", "llm_query_batched('abc')", "llm_query_batched([1])", "llm_query()"]
)
def test_prompts_that_are_no_text_are_refused_and_cost_nothing(call):
    sub = upper()
    found, _ = run(act(call), act("print(llm_query('a'))"), act("SUBMIT('x')"), sub=sub, max_llm_calls=1)

    assert "Error" in found.trajectory[0]["output"]
    assert found.trajectory[1]["output"] == "A"


# The end


@pytest.mark.parametrize(
    "call",
    ["SUBMIT(3, ['a'])", "SUBMIT(count=3, words=['a'])", "SUBMIT(3, words=['a'])", "SUBMIT({'count': 3, 'words': ['a']})",
     "SUBMIT('3', ['a'])"],
)  # fmt: skip
def test_outputs_are_submitted_in_order_by_name_or_as_one_dict(call):
    found, _ = run(act(call), signature="text, question -> count: int, words: list[str]")

    assert (found.count, found.words) == (3, ["a"])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("SUBMIT('many')", "`count` must be int"),
        ("SUBMIT()", "`count` is missing"),
        ("SUBMIT(cuont=3)", "did you mean 'count'"),
        ("SUBMIT(1, 2)", "and got 2 values"),
        ("SUBMIT(None)", "`count` must be int"),
    ],
)
def test_outputs_that_do_not_fit_are_told_to_the_code_which_goes_on(call, said):
    found, _ = run(act(f"try:\n    {call}\nexcept Exception as error:\n    print(error)"), act(call), act("SUBMIT(3)"),
                   signature="text, question -> count: int")  # fmt: skip

    assert said in found.trajectory[0]["output"]
    assert said in found.trajectory[1]["output"]
    assert found.count == 3


def test_constraints_of_fields_hold():
    class Counted(telic.Signature):
        text: str = telic.InputField()
        count: int = telic.OutputField(ge=0, le=10)

    found, _ = run(act("SUBMIT(99)"), act("SUBMIT(9)"), signature=Counted, inputs={"text": "t"})

    assert "`count` must be int" in found.trajectory[0]["output"]
    assert found.count == 9


def test_what_stands_after_submit_is_not_run():
    found, _ = run(act("print('before')\nSUBMIT('x')\nprint('after')"))

    assert found.trajectory[0]["output"] == "before"


def test_without_submit_the_outputs_are_extracted_after_the_last_step():
    found, lm = run(act("print(1)"), act("print(2)"), {"answer": "so far"}, max_iters=2)

    assert found.answer == "so far"
    assert len(found.trajectory) == 2
    assert found.final_reasoning == ""
    assert "output_1: 2" in asked(lm, 2)


def test_a_reply_that_cannot_be_read_ends_the_steps(caplog):
    found, _ = run(act("print(1)"), "nothing", {"answer": "so far"})

    assert found.answer == "so far"
    assert "step 1 could not be read" in caplog.text


# Bad code


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("print('a'", "SyntaxError"),
        ("```bash\nls\n```", "must be Python"),
        ("open('/etc/passwd')", "There are no files here"),
        ("import requests", "the modules it has are"),
        ("print('x' * 100_000)", "characters)"),
        ("print('first')\n1 / 0", "first\nZeroDivisionError"),
    ],
)
def test_what_goes_wrong_is_seen_by_the_next_step(code, said):
    found, lm = run(act(code), act("SUBMIT('x')"))

    assert said in found.trajectory[0]["output"]
    assert len(asked(lm, 1)) < 15_000


def test_endless_code_ends_and_inputs_are_there_again():
    found, _ = run(
        act("while True:\n    pass"), act("SUBMIT(question)"), interpreter=MontyInterpreter(max_seconds=0.2)
    )

    assert "stopped after 0.2 seconds" in found.trajectory[0]["output"]
    assert found.answer == "How many words?"


def test_the_oldest_steps_are_left_out_where_the_prompt_is_too_long():
    too_long = ContextWindowExceededError("too long", model="m")
    _, lm = run(act("print('first')"), act("print('second')"), too_long, act("SUBMIT('x')"))

    assert "first" in asked(lm, 2)
    assert "first" not in asked(lm, 3)


def test_a_text_that_is_too_large_for_the_interpreter_is_told_before_anything_is_paid_for():
    with pytest.raises(InterpreterError, match="'text' cannot go into the interpreter"):
        run(interpreter=MontyInterpreter(max_memory_mb=16), inputs={"text": "a" * 3_000_000, "question": "?"})


def test_a_missing_interpreter_is_told_before_anything_is_paid_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydantic_monty", None)
    with pytest.raises(MissingExtraError, match=r"telic\[sandbox\]"):
        run()


def test_tools_are_functions_of_the_code():
    def lookup(word: str) -> str:
        """Look a word up."""
        return word[::-1]

    found, lm = run(act("SUBMIT(lookup('abc'))"), tools=[lookup])

    assert found.answer == "cba"
    assert "- lookup(word: string): Look a word up." in lm.requests[0].messages[0]["content"]
    reply = act("import heapq\nSUBMIT(str(heapq.nsmallest(1, [2, 1])))")
    assert run(reply, interpreter=SubprocessInterpreter)[0].answer == "[1]"


@pytest.mark.parametrize(
    ("signature", "options", "said"),
    [
        ("llm_query -> answer", {}, "llm_query"),
        ("SUBMIT -> answer", {}, "SUBMIT"),
        ("text -> trajectory", {}, "trajectory"),
        ("text -> answer", {"max_iters": 0}, "max_iters"),
        ("text -> answer", {"max_llm_calls": 0}, "max_llm_calls"),
        ("text -> answer", {"max_output_chars": 1.5}, "max_output_chars"),
        ("text -> answer", {"tools": [telic.Tool(lambda x: x, name="llm_query")]}, "taken"),
        ("text -> answer", {"tools": [telic.Tool(lambda x: x, name="text")]}, "taken"),
    ],
)
def test_impossible_settings_are_refused(signature, options, said):
    with pytest.raises(ConfigurationError, match=said):
        RLM(signature, **options)


@pytest.mark.parametrize(
    ("inputs", "said"), [({"text": "a"}, "question"), ({"text": "a", "qestion": "b"}, "qestion")]
)
def test_inputs_are_checked_before_anything_is_paid_for(inputs, said):
    with pytest.raises(InputError, match=said):
        run(inputs=inputs)


def test_its_predictors_are_learned_saved_and_loaded(tmp_path):
    program = RLM("text -> answer")
    program.generate_action.demos = [
        telic.Example(variables_info="v", repl_history="", iteration="1/20", **act("x"))
    ]
    program.save(tmp_path / "p.json")

    loaded = RLM("text -> answer").load(tmp_path / "p.json")
    assert [name for name, _ in loaded.named_predictors()] == ["generate_action", "extract"]
    assert loaded.generate_action.demos == program.generate_action.demos


def test_sub_calls_reach_the_history_and_the_usage():
    sub = upper()
    with telic.track_usage() as usage:
        run(act("print(llm_query('a'))"), act("SUBMIT('x')"), sub=sub)

    assert set(usage.get_total_tokens()) == {"scripted", "function"}
    assert len(sub.history) == 1

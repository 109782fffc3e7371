import asyncio
import copy
import enum
import functools
import json
from dataclasses import dataclass
from typing import Annotated, Literal

import pydantic
import pytest

import telic
from telic.errors import ConfigurationError, ToolError
from telic.testing import ScriptedLM
from telic.types import Tool, ToolCall, ToolCalls

UNSAID = object()  # a default that JSON has no words for


class City(pydantic.BaseModel):
    name: str
    inhabitants: int = 0


def search(query: str, k: int = 3, mode: Literal["fast", "deep"] = "fast") -> list[str]:
    """Find pages.

    The index is small.

    Args:
        query (str): What to look for,
            in words.
        k: How many: at most 10.

    Returns:
        Titles.
    """
    return [f"{query}/{mode}"] * k


async def slow_double(n: int) -> int:
    """Double a number."""
    await asyncio.sleep(0)
    return 2 * n


def test_a_function_says_what_it_takes():
    tool = Tool(search)

    assert tool.name == "search"
    assert tool.desc == "Find pages.\n\nThe index is small.\n\nReturns:\n    Titles."
    assert tool.args == {
        "query": {"type": "string", "description": "What to look for, in words."},
        "k": {"type": "integer", "description": "How many: at most 10.", "default": 3},
        "mode": {"type": "string", "enum": ["fast", "deep"], "default": "fast"},
    }
    assert tool.arg_types == {"query": str, "k": int, "mode": Literal["fast", "deep"]}
    assert tool.required == ["query"]


def test_what_is_given_stands_before_what_is_read():
    tool = Tool(search, name="find", desc="Look up.", arg_types={"k": float}, arg_desc={"k": "A number."})

    assert (tool.name, tool.desc) == ("find", "Look up.")
    assert tool.args["k"] == {"type": "number", "description": "A number.", "default": 3}


def test_arguments_are_converted():
    tool = Tool(search)

    assert tool(query="x", k="2", mode="deep") == ["x/deep", "x/deep"]
    assert tool(query=2024, k=1) == ["2024/fast"]
    assert tool(query="x", k=1, mode=None) == ["x/fast"]


def test_models_dataclasses_and_json_inside_of_json_are_read():
    @dataclass
    class Point:
        x: int

    def place(city: City, at: Point, tags: list[str]) -> str:
        return f"{city.name} {at.x} {tags}"

    tool = Tool(place, arg_types={"at": Point})

    assert tool(city={"name": "Rome"}, at={"x": "1"}, tags='["a"]') == "Rome 1 ['a']"
    schema = tool.parameters_schema()
    assert (
        schema["properties"]["city"] == {"$ref": "#/$defs/City"}
        or "properties" in schema["properties"]["city"]
    )
    json.dumps(schema)


def test_every_wrong_argument_is_told_at_once_in_words_for_an_lm():
    with pytest.raises(ToolError) as caught:
        Tool(search)(querry="x", k="many", mode="slow")

    text = str(caught.value)
    assert text.startswith(
        "search was not run: `query` is missing; it has no argument `querry` (did you mean 'query'?)"
    )
    assert "`k` is 'many': Input should be a valid integer" in text
    assert "`mode` is 'slow': Input should be 'fast' or 'deep'" in text
    assert text.endswith(
        "It takes query (string, required), k (integer, default 3), mode (one of 'fast', 'deep', default 'fast')"
    )
    assert "pydantic" not in text
    assert caught.value.tool == "search"
    assert len(caught.value.problems) == 4


def test_what_the_function_raises_passes_through():
    def broken() -> None:
        raise LookupError("no such page")

    with pytest.raises(LookupError, match="no such page"):
        Tool(broken)()


def test_async_functions_are_awaited_and_plain_ones_do_not_block_the_loop():
    import threading

    async def main():
        here = threading.get_ident()
        assert await Tool(slow_double).acall(n="4") == 8
        assert await Tool(lambda: threading.get_ident(), name="ident").acall() != here

    asyncio.run(main())
    assert asyncio.run(Tool(slow_double)(n=2)) == 4


class Adder:
    """Adds."""

    def __init__(self, base):
        self.base = base

    def __call__(self, n: int) -> int:
        return self.base + n

    def method(self, n: int) -> int:
        """Add by method."""
        return self.base + n

    @staticmethod
    def static(n: int) -> int:
        return n


def test_methods_objects_and_partials_are_tools():
    assert Tool(Adder(1))(n="2") == 3
    assert (Tool(Adder(1)).name, Tool(Adder(1)).desc) == ("Adder", "Adds.")
    assert Tool(Adder(1).method)(n=2) == 3
    assert Tool(Adder.static)(n=2) == 2
    bound = Tool(functools.partial(search, "x", k=1))
    assert (bound.name, list(bound.args)) == ("search", ["mode"])
    assert bound(mode="deep") == ["x/deep"]
    assert list(Tool(functools.partial(search, "x")).args) == ["k", "mode"]
    assert Tool(functools.partial(Adder(1), 2))() == 3


def test_a_program_is_a_tool_by_its_forward():
    class Shout(telic.Module):
        def forward(self, text: str):
            """Say it loudly."""
            return text.upper()

    tool = Tool(Shout())

    assert (tool.name, tool.desc, list(tool.args)) == ("Shout", "Say it loudly.", ["text"])
    assert tool(text="hi") == "HI"


def test_an_async_program_is_a_tool_both_ways():
    class Shout(telic.Module):
        async def aforward(self, text: str):
            return text.upper()

    tool = Tool(Shout(), desc="Shouts.")

    assert tool(text="hi") == "HI"
    assert asyncio.run(tool.acall(text="hi")) == "HI"


def test_names_of_arguments_without_end_are_cut():
    with pytest.raises(ToolError) as caught:
        Tool(search)(**{"x" * 1_000_000: 1, "query": "q"})
    assert len(str(caught.value)) < 500


def test_any_further_arguments_are_passed_on_where_the_function_takes_them():
    def anything(a: int, **more):
        return a, more

    assert Tool(anything)(a="1", b=2) == (1, {"b": 2})
    assert Tool(anything).parameters_schema() == {
        "type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"],
    }  # fmt: skip


def test_schemas_can_be_given_for_functions_that_take_anything():
    def remote(**arguments):
        return arguments

    tool = Tool(
        remote, args={"n": {"type": "integer"}, "tags": {"type": "array", "items": {"enum": ["a", "b"]}}}
    )

    assert tool(n="3", tags=["a"]) == {"n": 3, "tags": ["a"]}
    with pytest.raises(ToolError, match="`tags` is \\['c'\\]"):
        tool(tags=["c"])


def test_annotated_constraints_hold():
    def roll(sides: Annotated[int, pydantic.Field(ge=2)]) -> int:
        return sides

    with pytest.raises(ToolError, match="greater than or equal to 2"):
        Tool(roll)(sides=1)


def positional_only(a, /):
    return a


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Tool("search"), "cannot be called"),
        (lambda: Tool(lambda q: q), "pass name="),
        (lambda: Tool(next), "no signature|by position"),
        (lambda: Tool(search, name="two words"), "'two words'"),
        (lambda: Tool(positional_only), "by position only"),
        (lambda: Tool(search, arg_types={"quary": str}), "did you mean 'query'"),
        (lambda: Tool(search, args={"q": {}}), "names 'q'"),
        (lambda: Tool(search, args={"query": str}), "JSON schemas by name"),
    ],
)
def test_what_cannot_be_a_tool_is_refused(make, said):
    with pytest.raises(ConfigurationError, match=said):
        make()


def test_unresolved_annotations_and_types_without_json_are_named():
    def lost(a: "Nowhere"):  # noqa: F821
        return a

    def callback(f: type(lambda: 0)):
        return f

    with pytest.raises(ConfigurationError, match="Nowhere"):
        Tool(lost)
    with pytest.raises(ConfigurationError, match="argument 'f'"):
        _ = Tool(callback).args


def test_the_openai_form():
    shown = Tool(search).to_openai()

    assert shown == Tool(search).format_as_litellm_function_call()
    assert shown["type"] == "function"
    assert shown["function"]["name"] == "search"
    assert shown["function"]["parameters"]["required"] == ["query"]
    assert shown["function"]["parameters"]["additionalProperties"] is False


def test_definitions_inside_of_arguments_stand_where_their_references_point():
    class Tour(pydantic.BaseModel):
        stops: list[City]

    def plan(tour: Tour, best: Tour) -> None: ...

    schema = Tool(plan, arg_types={"tour": Tour, "best": Tour}).parameters_schema()

    assert set(schema["$defs"]) == {"City"}
    assert schema["properties"]["tour"]["properties"]["stops"]["items"] == {"$ref": "#/$defs/City"}
    assert "$defs" not in schema["properties"]["tour"]


def test_different_types_of_one_name_are_told_apart_before_an_lm_confuses_them():
    def maker(kind):
        class Thing(pydantic.BaseModel):
            value: kind

        return list[Thing]

    tool = Tool(lambda a, b: None, name="both", arg_types={"a": maker(int), "b": maker(str)})

    with pytest.raises(ConfigurationError, match="both called 'Thing'"):
        tool.to_openai()


def test_types_are_told_in_words():
    class Colour(enum.Enum):
        RED = "red"

    def paint(
        colour: Colour,
        size: int | None = None,
        kind: Literal["one"] = "one",
        city: City = UNSAID,
        cities: list[City] = (),
    ): ...

    tool = Tool(paint, arg_types={"colour": Colour})

    with pytest.raises(ToolError) as caught:
        tool()
    assert str(caught.value).endswith(
        "It takes colour (one of 'red', required), size (integer or null, optional), kind ('one', default 'one'), "
        "city (object, optional), cities (array of City, default [])"
    )


def test_tools_and_calls_have_a_face():
    tool, call = Tool(search), ToolCall("a", {"n": 1})

    assert (repr(tool), str(Tool(Adder(1)))) == (
        "Tool('search', args=['query', 'k', 'mode'])",
        "Adder: Adds.",
    )
    assert str(Tool(lambda: 1, name="one")) == "one"
    assert (tool(query="a", k=0), copy.copy(tool)) == ([], tool)
    assert Tool(lambda a: a, name="any")(a=[1]) == [1]
    assert repr(ToolCalls([call])) == "ToolCalls([ToolCall(name='a', args={'n': 1}, id=None)])"
    assert (list(ToolCalls([call])), len(ToolCalls([call])), bool(ToolCalls())) == ([call], 1, True)
    assert hash(call) == hash(ToolCall("a", {"n": 2}))
    assert hash(ToolCalls([call])) == hash(ToolCalls([call]))
    assert call != "a"


def test_copies_of_programs_share_tools():
    program = telic.Module()
    program.tools = {"search": Tool(Adder(1), name="search")}

    assert program.deepcopy().tools["search"] is program.tools["search"]


def test_tools_in_demos_are_saved_and_loaded_by_their_description(tmp_path):
    make = functools.partial(
        telic.Signature, "question, tools: list[Tool] -> answer", custom_types={"Tool": Tool}
    )
    program = telic.Predict(make())
    demo = telic.Example(question="?", tools=[Tool(search)], answer="a").with_inputs("question", "tools")
    program.demos = [demo]

    program.save(tmp_path / "program.json")
    loaded = telic.Predict(make()).load(tmp_path / "program.json")

    assert loaded.render(question="q", tools=[]) == program.render(question="q", tools=[])
    with pytest.raises(ToolError, match="description alone"):
        loaded.demos[0].tools[0](query="x")


# Calls

OPENAI = [{"id": "c1", "type": "function", "function": {"name": "search", "arguments": '{"query": "x"}'}}]


@pytest.mark.parametrize(
    "value",
    [
        OPENAI,
        {"tool_calls": OPENAI},
        {"tool_calls": [{"name": "search", "args": {"query": "x"}, "id": "c1"}]},
        [{"id": "c1", "name": "search", "arguments": {"query": "x"}}],
        {"id": "c1", "name": "search", "args": '{"query": "x"}'},
        [ToolCall("search", {"query": "x"}, "c1")],
    ],
)
def test_calls_are_read_from_every_form(value):
    calls = ToolCalls.of(value)

    assert calls.tool_calls == [ToolCall("search", {"query": "x"}, "c1")]
    assert calls.to_openai() == OPENAI
    assert calls == ToolCalls.of(calls.to_dict())


def test_calls_without_arguments_or_calls():
    assert ToolCalls.of([{"name": "stop"}]).tool_calls == [ToolCall("stop")]
    assert ToolCalls.of([{"function": {"name": "stop", "arguments": ""}}]).tool_calls == [ToolCall("stop")]
    assert ToolCalls.of({"tool_calls": None}).tool_calls == []
    assert ToolCalls.from_dict_list([{"name": "a", "args": {}}]).tool_calls[0].name == "a"


@pytest.mark.parametrize(
    ("value", "said"),
    [("x", "an object with name"), ([{"args": {}}], "has none"), ([{"name": "a", "args": "{"}], "no JSON"),
     ([{"name": "a", "args": [1]}], "by name")],
)  # fmt: skip
def test_what_is_no_call_is_refused(value, said):
    with pytest.raises(ValueError, match=said):
        ToolCalls.of(value)


@pytest.mark.parametrize(
    "adapter", [telic.ChatAdapter(), telic.JSONAdapter(), telic.XMLAdapter()], ids=lambda a: a.name
)
def test_tools_and_calls_are_field_types(adapter):
    signature = telic.Signature(
        "question, tools: list[Tool] -> calls: ToolCalls", custom_types={"Tool": Tool, "ToolCalls": ToolCalls}
    )
    program = telic.Predict(signature)
    lm = ScriptedLM([{"calls": {"tool_calls": [{"name": "search", "args": {"query": "x"}}]}}])

    with telic.context(lm=lm, adapter=adapter):
        prediction = program(question="?", tools=[Tool(search)])

    assert prediction.calls == ToolCalls([ToolCall("search", {"query": "x"})])
    assert "What to look for, in words." in str(lm.requests[0].messages)


def test_one_call_is_a_field_type_too():
    signature = telic.Signature("question -> call: ToolCall", custom_types={"ToolCall": ToolCall})
    lm = ScriptedLM([{"call": {"name": "search", "args": {"query": "x"}}}])

    assert telic.Predict(signature)(question="?", lm=lm).call == ToolCall("search", {"query": "x"})


def test_calls_are_saved_in_demos_and_loaded(tmp_path):
    make = functools.partial(
        telic.Signature, "question -> calls: ToolCalls", custom_types={"ToolCalls": ToolCalls}
    )
    program = telic.Predict(make())
    program.demos = [
        telic.Example(question="?", calls=ToolCalls([ToolCall("a", {"n": 1})])).with_inputs("question")
    ]

    program.save(tmp_path / "program.json")
    loaded = telic.Predict(make()).load(tmp_path / "program.json")

    assert loaded.demos[0].calls == ToolCalls([ToolCall("a", {"n": 1})])
    assert loaded.render(question="q") == program.render(question="q")


def test_arguments_by_position_alone_are_refused():
    def many(first: int, *rest: int):
        return first

    with pytest.raises(ConfigurationError, match=r"takes \*rest by position"):
        Tool(many)
    assert Tool(functools.partial(many, 1))() == 1


def test_programs_that_take_whatever_their_signature_has_are_tools_by_it():
    class Ask(telic.Signature):
        """Answer briefly."""

        question: str = telic.InputField(desc="In words.")
        k: int = telic.InputField(default=3)
        hint: str | None = telic.InputField(default=None)
        answer: str = telic.OutputField()

    for program in (telic.Predict(Ask), telic.ChainOfThought(Ask), telic.ReAct(Ask, tools=[])):
        tool = Tool(program)
        assert (tool.name, tool.desc, tool.required) == (
            type(program).__name__,
            "Answer briefly.",
            ["question"],
        )
        assert tool.args["question"] == {"type": "string", "description": "In words."}
        assert tool.args["k"]["default"] == 3

    lm = ScriptedLM([{"answer": "yes"}] * 2)
    with telic.context(lm=lm):
        tool = Tool(telic.Predict(Ask))
        assert tool(question="?", k="2").answer == "yes"
        assert asyncio.run(tool.acall(question="?")).answer == "yes"


def test_a_schema_of_another_system_is_told_whole_and_checked_as_far_as_it_goes():
    schema = {
        "type": "object",
        "properties": {
            "class": {"type": "string", "enum": ["a", "b"]},
            "at": {"$ref": "#/$defs/Point"},
            "n": {"type": ["integer", "null"]},
            "any": True,
        },
        "required": ["class", "at"],
        "$defs": {"Point": {"type": "object", "properties": {"x": {"type": "number"}}}},
    }
    tool = Tool.from_schema(lambda **given: given, "place", "Place it.", schema)

    assert tool.parameters_schema() == schema
    assert tool(**{"class": "a", "at": {"x": 1}}) == {"class": "a", "at": {"x": 1}}
    with pytest.raises(ToolError) as caught:
        tool(**{"class": "c", "m": 1})
    assert "`at` is missing" in str(caught.value)
    assert "`class` is 'c'" in str(caught.value)
    assert "it has no argument `m`" in str(caught.value)
    assert "n (integer or null, optional)" in str(caught.value)
    assert Tool.from_schema(lambda **given: given, "any", "", {})(x=1) == {"x": 1}
    for wrong in ({"type": "array"}, {"properties": 3}, [], None):
        with pytest.raises(ConfigurationError, match="JSON schema of an object"):
            Tool.from_schema(lambda **given: given, "bad", "", wrong)


def test_calls_are_run_by_the_tools_that_they_name():
    call = ToolCall("search", {"query": "x", "k": "1"})

    assert call.execute(functions=[search]) == call.execute({"search": Tool(search)}) == ["x/fast"]
    assert [one.execute([search]) for one in ToolCalls([call])] == [["x/fast"]]
    assert ToolCalls.ToolCall is ToolCall
    with pytest.raises(ToolError, match="no tool 'search'; did you mean 'searches'"):
        call.execute({"searches": search})
    with pytest.raises(ToolError, match="the tools are none"):
        call.execute([])
    with pytest.raises(telic.InputError, match="pass the tools"):
        call.execute()


def test_an_async_tool_is_run_by_a_plain_call_where_the_settings_say_so():
    async def twice(n: int) -> int:
        await asyncio.sleep(0)
        return 2 * n

    with telic.context(allow_tool_async_sync_conversion=True):
        assert Tool(twice)(n=2) == 4
        assert asyncio.run(Tool(twice).acall(n=3)) == 6
    assert asyncio.run(Tool(twice)(n=4)) == 8


def test_a_retriever_of_a_program_is_a_tool_with_its_own_description():
    tool = Tool(telic.Retrieve(k=1))

    assert (tool.name, list(tool.args)) == ("Retrieve", ["query", "k"])
    assert tool.desc == telic.Retrieve.desc
    with telic.context(rm=lambda query, k: [f"{k} on {query}"]):
        assert tool(query="Rome").passages == ["1 on Rome"]

import asyncio

import pytest

from telic.adapters import ChatAdapter
from telic.context import context
from telic.data import Example
from telic.errors import AdapterParseError, LMServerError
from telic.evaluate import Evaluate
from telic.modules import ChainOfThought, Module, Predict, ReAct
from telic.modules._flow import Call, Gather
from telic.modules._module import FlowModule
from telic.testing import FunctionLM, ScriptedLM
from telic.tracing import ACTIVE_CALL_ID, BaseCallback

KINDS = (
    "module",
    "lm",
    "adapter_format",
    "adapter_parse",
    "tool",
    "evaluate",
    "interpreter_execute",
    "compile",
)


class Tree(BaseCallback):
    """All calls as they were told: kind, id, parent, inputs, and what came of them."""

    def __init__(self):
        self.calls, self.order = {}, []

    def _start(self, kind, call_id, instance, inputs):
        assert call_id not in self.calls
        self.calls[call_id] = {
            "kind": kind,
            "parent": ACTIVE_CALL_ID.get(),
            "instance": instance,
            "inputs": inputs,
        }
        self.order.append((kind, "start"))

    def _end(self, kind, call_id, outputs, exception):
        assert self.calls[call_id]["kind"] == kind
        self.calls[call_id].update(outputs=outputs, exception=exception)
        self.order.append((kind, "end"))

    def of(self, kind):
        return [call for call in self.calls.values() if call["kind"] == kind]

    def path(self, call):
        """Return the kinds of a call and of those around it, outermost first."""
        kinds = [call["kind"]]
        while call["parent"] is not None:
            call = self.calls[call["parent"]]
            kinds.insert(0, call["kind"])
        return kinds


for kind in KINDS:

    def start(self, call_id, instance, inputs, kind=kind):
        self._start(kind, call_id, instance, inputs)

    def end(self, call_id, outputs, exception=None, kind=kind):
        self._end(kind, call_id, outputs, exception)

    setattr(Tree, f"on_{kind}_start", start)
    setattr(Tree, f"on_{kind}_end", end)


def call(program, **inputs):
    return program(**inputs)


def acall(program, **inputs):
    return asyncio.run(program.acall(**inputs))


ways = pytest.mark.parametrize("run", [call, acall], ids=["sync", "async"])


@ways
def test_a_call_is_told_with_all_its_parts(run):
    tree = Tree()
    program = ChainOfThought("question -> answer")
    with context(lm=FunctionLM(lambda text: {"reasoning": "r", "answer": "a"}), callbacks=[tree]):
        run(program, question="q")

    outer, inner = tree.of("module")
    assert (outer["instance"], outer["inputs"]) == (program, {"args": (), "kwargs": {"question": "q"}})
    assert (outer["parent"], tree.path(inner)) == (None, ["module", "module"])
    [rendering], [asking], [parsing] = tree.of("adapter_format"), tree.of("lm"), tree.of("adapter_parse")
    assert tree.path(rendering) == ["module", "module", "adapter_format"]
    assert tree.path(asking) == ["module", "module", "lm"]
    assert tree.path(parsing) == ["module", "module", "adapter_parse"]
    assert isinstance(rendering["instance"], ChatAdapter)
    assert rendering["inputs"].keys() == {"signature", "demos", "inputs"}
    assert rendering["inputs"]["inputs"] == {"question": "q"}
    assert asking["inputs"].keys() == {"prompt", "messages", "kwargs"}
    assert asking["inputs"]["messages"] == rendering["outputs"]
    assert parsing["inputs"].keys() == {"signature", "completion"}
    assert parsing["inputs"]["completion"] == asking["outputs"][0]
    assert parsing["outputs"] == {"reasoning": "r", "answer": "a"}
    assert outer["outputs"].answer == "a"
    assert all(one["exception"] is None for one in tree.calls.values())


@ways
def test_a_streamed_call_is_told_the_same(run):
    program = ChainOfThought("question -> answer")
    lm = FunctionLM(lambda text: {"reasoning": "r", "answer": "a"})
    plain, streamed = Tree(), Tree()
    with context(lm=lm, callbacks=[plain]):
        run(program, question="q")
    with context(lm=lm, callbacks=[streamed]):
        if run is call:
            program.stream(question="q").result()
        else:

            async def main():
                await program.stream(question="q").aresult()

            asyncio.run(main())

    assert streamed.order == plain.order
    assert [tree.path(one) for tree in (plain,) for one in tree.calls.values()] == [
        streamed.path(one) for one in streamed.calls.values()
    ]


@ways
def test_a_reply_that_is_asked_for_again_is_told_each_time(run):
    tree = Tree()
    lm = ScriptedLM(["[[ ## count ## ]]\nmany", "[[ ## count ## ]]\n3"])
    with context(lm=lm, callbacks=[tree]):
        assert run(Predict("question -> count: int"), question="q").count == 3

    first, second = tree.of("adapter_parse")
    assert isinstance(first["exception"], AdapterParseError)
    assert (first["outputs"], second["outputs"]) == (None, {"count": 3})
    assert len(tree.of("lm")) == 2
    assert len(tree.of("adapter_format")) == 1


@ways
def test_failures_are_told_all_the_way_up(run):
    tree = Tree()
    failure = LMServerError("down")
    with context(lm=ScriptedLM([failure]), callbacks=[tree]), pytest.raises(LMServerError):
        run(ChainOfThought("question -> answer"), question="q")

    assert [one["exception"] for one in (*tree.of("module"), *tree.of("lm"))] == [failure] * 3
    assert tree.of("adapter_parse") == []


class Many(FlowModule):
    def __init__(self):
        super().__init__()
        self.ask = Predict("question -> answer")

    def flow(self):
        return (yield Gather([Call(self.ask, question=str(n)) for n in range(8)]))


@ways
def test_calls_at_once_have_the_right_parents(run):
    tree = Tree()
    with context(lm=FunctionLM(lambda text: {"answer": "a"}), callbacks=[tree]):
        run(Many())

    paths = [tree.path(one) for one in tree.of("lm")]
    assert paths == [["module", "module", "lm"]] * 8
    assert len({one["parent"] for one in tree.of("lm")}) == 8


def test_tools_are_told_with_their_arguments():
    tree = Tree()
    steps = [
        {"next_thought": "t", "next_tool_name": "double", "next_tool_args": {"n": 2}},
        {"next_thought": "t", "next_tool_name": "finish", "next_tool_args": {}},
        {"reasoning": "r", "answer": "a"},
    ]

    def double(n: int) -> int:
        return n * 2

    with context(lm=ScriptedLM(steps), callbacks=[tree]):
        ReAct("question -> answer", tools=[double])(question="q")

    told = tree.of("tool")[0]
    assert (told["instance"].name, told["inputs"], told["outputs"]) == ("double", {"kwargs": {"n": 2}}, 4)
    assert tree.path(told) == ["module", "tool"]


def test_each_part_may_have_callbacks_of_its_own():
    told = {name: Tree() for name in ("module", "lm", "adapter")}
    lm = FunctionLM(lambda text: {"answer": "a"})
    lm.callbacks = [told["lm"]]
    with context(lm=lm, adapter=ChatAdapter(callbacks=[told["adapter"]])):
        Predict("question -> answer", callbacks=[told["module"]])(question="q")
        Predict("question -> answer")(question="q")

    assert [kind for kind, at in told["module"].order if at == "start"] == ["module"]
    assert [kind for kind, at in told["lm"].order if at == "start"] == ["lm"] * 2
    assert [kind for kind, at in told["adapter"].order if at == "start"] == [
        "adapter_format",
        "adapter_parse",
    ] * 2


def test_callbacks_that_raise_break_nothing(caplog):
    class Raising(BaseCallback):
        pass

    def boom(self, **arguments):
        raise ZeroDivisionError("mine")

    for name in dir(BaseCallback):
        if name.startswith("on_"):
            setattr(Raising, name, boom)
    tree = Tree()
    with context(lm=FunctionLM(lambda text: {"answer": "a"}), callbacks=[Raising(), tree]):
        assert Predict("question -> answer")(question="q").answer == "a"

    assert len(tree.calls) == 4
    assert caplog.text.count("Raising.on_lm_start raised") == 1


def test_evaluations_are_told_with_what_was_asked():
    tree = Tree()
    devset = [Example(question="q", answer="a").with_inputs("question")] * 3

    def exact(example, prediction, trace=None):
        return example.answer == prediction.answer

    with context(lm=FunctionLM(lambda text: {"answer": "a"}), callbacks=[tree]):
        evaluate = Evaluate(devset=devset, metric=exact)
        result = evaluate(Predict("question -> answer"), callback_metadata={"metric_key": "eval_full"})

    [told] = tree.of("evaluate")
    assert told["inputs"]["callback_metadata"] == {"metric_key": "eval_full"}
    assert (told["inputs"]["metric"], told["inputs"]["devset"], told["outputs"]) == (exact, devset, result)
    assert [tree.path(one) for one in tree.of("module")] == [["evaluate", "module"]] * 3


def test_custom_adapters_are_told_of_too():
    tree = Tree()

    class Own(ChatAdapter):
        def parse(self, signature, completion):
            return {"answer": completion}

    with context(lm=FunctionLM(lambda text: "anything"), adapter=Own(), callbacks=[tree]):
        assert Predict("question -> answer")(question="q").answer == "anything"

    assert isinstance(tree.of("adapter_parse")[0]["instance"], Own)


def test_a_subclass_of_predict_is_told_once():
    tree = Tree()

    class Loud(Predict):
        def forward(self, **inputs):
            return super().forward(**inputs)

    class Uses(Module):
        def __init__(self):
            super().__init__()
            self.ask = Loud("question -> answer")

        def forward(self, question):
            return self.ask(question=question)

    with context(lm=FunctionLM(lambda text: {"answer": "a"}), callbacks=[tree]):
        Uses()(question="q")

    assert [kind for kind, at in tree.order if at == "start"] == [
        "module", "module", "adapter_format", "lm", "adapter_parse",
    ]  # fmt: skip

"""Which call is asked again, and which module runs again: targets, nested modules, loops, branches, threads, tasks."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import telic
from telic import Assert, AssertionFailed, Suggest, context, copy_context
from telic._replay import ACTIVE
from telic.data import Prediction
from telic.modules import (
    BestOfN,
    Call,
    ChainOfThought,
    FlowModule,
    Gather,
    Module,
    Parallel,
    Predict,
    ReAct,
    Refine,
    UseTool,
    asyncify,
    syncify,
)
from telic.testing import FunctionLM, ScriptedLM
from telic.types import Tool


def _good(text):
    return text.startswith("good")


class Counting(FunctionLM):
    """Answers every output field it is asked for with "<field> of <its last input line>", better when corrected."""

    def __init__(self, bad=()):
        self.calls = []
        self.bad = bad
        self.lock = threading.Lock()
        super().__init__(self.answer_to)

    def answer_to(self, request):
        text = request.messages[-1]["content"].partition("\n\nRespond with")[0]
        inputs = text.partition("\n\n[[ ## past_")[0]
        corrected = "[[ ## feedback ## ]]" in text
        outputs = [
            name
            for name in ("reasoning", "a", "b", "c", "answer")
            if f"`[[ ## {name} ## ]]`" in request.messages[-1]["content"]
        ]
        key = (tuple(outputs), inputs, corrected)
        self.calls.append(key)
        value = inputs.rpartition("]]\n")[2]
        good = corrected or not any(name in self.bad for name in outputs)
        return {name: f"{'good' if good else 'bad'} {name} of {value}" for name in outputs}


# Targets


class Hops(Module):
    def __init__(self, target=None, name="hop"):
        self.hops = [Predict("a -> b"), Predict("a -> b")]
        self.chain = ChainOfThought("b -> answer")
        self.target = lambda: target(self) if callable(target) else target
        self.seen = []

    def forward(self, a):
        for hop in self.hops:
            a = hop(a=a).b
        self.seen.append(a)
        answer = self.chain(b=a).answer
        Assert("again" in answer, "no", target_module=self.target())
        return Prediction(answer=answer)


class ByName(telic.Signature):
    """Name it."""

    b: str = telic.InputField()
    answer: str = telic.OutputField()


@pytest.mark.parametrize(
    ("target", "asked_again", "title"),
    [
        (None, "answer", "chain.predict"),
        (lambda self: self.chain, "answer", "chain.predict"),
        (lambda self: self.chain.predict, "answer", "chain.predict"),
        ("chain", "answer", "chain.predict"),
        ("chain.predict", "answer", "chain.predict"),
        (lambda self: self.hops[1], "b", "hops[1]"),
        ("hops[0]", "b", "hops[0]"),
    ],
)
def test_a_target_is_a_module_a_predictor_or_a_path(target, asked_again, title):
    asked = []

    def reply(request):
        text = request.messages[-1]["content"].partition("\n\nRespond with")[0]
        again = "feedback" in text
        if again:
            asked.append("b" if "past_b" in text else "answer")
        suffix = " again" if again or "again" in text else ""
        if "`[[ ## b ## ]]`" in request.messages[-1]["content"]:
            return {"b": f"b{suffix}"}
        return {"reasoning": "r", "answer": f"x{suffix}"}

    program = Hops(target)
    program.set_lm(FunctionLM(reply))

    made = program(a="start")

    assert asked == [asked_again]
    (outcome,) = made.get_assertions()
    assert (outcome.target, outcome.backtracks) == (title, 1)


def test_a_target_is_found_by_the_signature_it_was_made_of():
    class Old(Module):
        def __init__(self):
            self.first = Predict("a -> b")
            self.second = ChainOfThought(ByName)
            self.last = Predict("answer -> c")

        def forward(self, a):
            made = self.second(b=self.first(a=a).b)
            c = self.last(answer=made.answer).c
            Suggest(_good(made.answer), "no", target_module=ByName)
            return Prediction(answer=made.answer, c=c)

    program = Old()
    lm = ScriptedLM(
        [
            {"b": "b"},
            {"reasoning": "r", "answer": "bad"},
            {"c": "1"},
            {"reasoning": "s", "answer": "good"},
            {"c": "2"},
        ]
    )
    program.set_lm(lm)

    made = program(a="x")

    assert dict(made.items()) == {"answer": "good", "c": "2"}


def test_a_signature_of_no_predictor_is_a_foreign_target():
    class Other(telic.Signature):
        """Another one."""

        x: str = telic.InputField()
        y: str = telic.OutputField()

    program = Hops(lambda self: Other)
    program.set_lm(Counting())

    with pytest.raises(telic.ConfigurationError, match="target_module=Other is no part of the running Hops"):
        program(a="x")


def test_of_a_predictor_that_was_called_often_the_last_call_alone_is_asked_again():
    class Loop(Module):
        def __init__(self):
            self.ask = Predict("a -> b")

        def forward(self):
            made = [self.ask(a=str(n)).b for n in range(4)]
            Assert(_good(made[-1]), "no")
            return made

    lm = Counting(bad=("b",))
    program = Loop()
    program.set_lm(lm)

    assert program() == ["bad b of 0", "bad b of 1", "bad b of 2", "good b of 3"]
    assert len(lm.calls) == 5


def test_in_a_loop_each_pass_has_its_own_retries():
    class Loop(Module):
        def __init__(self):
            self.ask = Predict("a -> b")

        def forward(self):
            made = []
            for n in range(3):
                made.append(self.ask(a=str(n)).b)
                Suggest(_good(made[-1]), "no")
            return Prediction(made=made)

    lm = Counting(bad=("b",))
    program = Loop()
    program.set_lm(lm)

    made = program()

    assert made.made == ["good b of 0", "good b of 1", "good b of 2"]
    assert len(lm.calls) == 6
    assert [o.backtracks for o in made.get_assertions()] == [1, 1, 1]


def test_equal_calls_of_a_loop_are_told_apart_by_their_order():
    class Twice(Module):
        def __init__(self):
            self.ask = Predict("a -> b")

        def forward(self):
            first, second = self.ask(a="x").b, self.ask(a="x").b
            Assert(second == "2'", "no")
            return first, second

    program = Twice()
    lm = ScriptedLM([{"b": "1"}, {"b": "2"}, {"b": "2'"}])
    program.set_lm(lm)

    assert program() == ("1", "2'")


def test_several_assertions_each_have_their_retries_and_all_messages_are_given():
    class Tweet(Module):
        def __init__(self):
            self.ask = Predict("topic -> tweet")

        def forward(self, topic):
            tweet = self.ask(topic=topic).tweet
            Assert("#" not in tweet, "no hashtags", name="hashtags")
            Suggest(len(tweet) < 10, "too long", name="length")
            Suggest(tweet.endswith("!"), "end with !", name="end")
            return Prediction(tweet=tweet)

    program = Tweet()
    lm = ScriptedLM([{"tweet": "#a"}, {"tweet": "b" * 20}, {"tweet": "c"}, {"tweet": "c#"}, {"tweet": "d!"}])
    program.set_lm(lm)

    made = program(topic="t")

    assert made.tweet == "d!"
    assert [(o.name, o.passed, o.backtracks) for o in made.get_assertions()] == [
        ("hashtags", True, 2),
        ("length", True, 1),
        ("end", True, 1),
    ]
    assert "feedback ## ]]\nno hashtags\ntoo long\nend with !" in lm.requests[-1].messages[-1]["content"]


def test_a_branch_taken_only_after_a_correction_is_live():
    class Branch(Module):
        def __init__(self):
            self.kind = Predict("a -> b")
            self.other = Predict("b -> c")

        def forward(self, a):
            b = self.kind(a=a).b
            c = self.other(b=b).c if b == "other" else None
            Suggest(b == "other", "no", target_module="kind")
            return c

    program = Branch()
    lm = ScriptedLM([{"b": "plain"}, {"b": "other"}, {"c": "made"}])
    program.set_lm(lm)

    assert program(a="x") == "made"


# Which module runs again


class Inner(Module):
    def __init__(self, check=Assert):
        self.ask = Predict("a -> b")
        self.check = check
        self.runs = 0

    def forward(self, a):
        self.runs += 1
        b = self.ask(a=a).b
        self.check(_good(b), "bad b")
        return Prediction(b=b)


class Outer(Module):
    def __init__(self, target=None, check=Assert):
        self.first = Predict("c -> a")
        self.inner = Inner(check)
        self.target = target
        self.runs = 0

    def forward(self, c):
        self.runs += 1
        a = self.first(c=c).a
        b = self.inner(a=a).b
        if self.target is not None:
            Assert(_good(a), "bad a", target_module=self.target)
        return Prediction(a=a, b=b)


def test_the_innermost_module_that_made_the_call_runs_again():
    program = Outer()
    lm = Counting(bad=("b",))
    program.set_lm(lm)

    program(c="x")

    assert (program.runs, program.inner.runs) == (1, 2)
    assert len(lm.calls) == 3


def test_a_call_of_the_module_around_lets_that_one_run_again():
    program = Outer(target="first")
    lm = Counting(bad=("a",))
    program.set_lm(lm)

    made = program(c="x")

    assert made.b == "good b of good a of x"
    assert (program.runs, program.inner.runs) == (2, 2)
    assert len(lm.calls) == 4


def test_an_inner_module_may_blame_a_call_of_the_module_around():
    class Blames(Module):
        def __init__(self):
            self.ask = Predict("a -> b")

        def forward(self, a, target):
            Assert(_good(a), "bad a", target_module=target)
            return self.ask(a=a).b

    class Around(Module):
        def __init__(self):
            self.first = Predict("c -> a")
            self.inner = Blames()
            self.runs = 0

        def forward(self, c, target):
            self.runs += 1
            return self.inner(a=self.first(c=c).a, target=target)

    for target in (None, "first"):
        program = Around()
        lm = Counting(bad=("a",))
        program.set_lm(lm)
        assert program(c="x", target=target) == "good b of good a of x"
        assert program.runs == 2
        assert len(lm.calls) == 3


def test_an_inner_correction_is_replayed_when_the_module_around_runs_again():
    class Around(Module):
        def __init__(self):
            self.inner = Inner(Suggest)
            self.last = Predict("b -> c")

        def forward(self, a):
            b = self.inner(a=a).b
            c = self.last(b=b).c
            Suggest(_good(c), "bad c")
            return Prediction(c=c)

    program = Around()
    lm = Counting(bad=("b", "c"))
    program.set_lm(lm)

    made = program(a="x")

    assert len(lm.calls) == 4  # b, b corrected, c, c corrected
    assert [(o.target, o.backtracks) for o in made.get_assertions()] == [("ask", 1), ("last", 1)]


def test_an_inner_suggestion_that_was_given_up_stays_given_up_and_warns_once(caplog):
    class Around(Module):
        def __init__(self):
            self.ask = Stubborn()
            self.last = Predict("b -> c")

        def forward(self, a):
            c = self.last(b=self.ask(a=a).b).c
            Suggest(_good(c), "bad c")
            return Prediction(c=c)

    class Stubborn(Module):
        def __init__(self):
            self.ask = Predict("a -> b")

        def forward(self, a):
            b = self.ask(a=a).b
            Suggest(b == "perfect", "not perfect", name="perfect")
            return Prediction(b=b)

    program = Around()
    lm = Counting(bad=("c",))
    program.set_lm(lm)

    made = program(a="x")

    assert len(lm.calls) == 3 + 2  # b and two retries, c and one
    assert [(o.passed, o.backtracks) for o in made.get_assertions()] == [(False, 2), (True, 1)]
    assert caplog.text.count("not perfect") == 1


def test_a_failed_assert_of_an_inner_module_is_an_error_that_the_outer_one_may_handle():
    class Around(Module):
        def __init__(self):
            self.inner = Inner()
            self.other = Predict("a -> c")

        def forward(self, a):
            try:
                return self.inner(a=a)
            except AssertionFailed as failure:
                assert failure.msg == "bad b"
                return Prediction(c=self.other(a=a).c)

    program = Around()
    lm = FunctionLM(lambda text: {"b": "bad", "c": "fallback"})
    program.set_lm(lm)

    made = program(a="x")

    assert made.c == "fallback"
    assert len(lm.requests) == 4
    assert [(o.passed, o.backtracks) for o in made.get_assertions()] == [(False, 2)]


def test_code_that_handles_errors_does_not_stop_it_and_what_is_open_is_closed():
    closed = []

    class Careful(Module):
        def __init__(self):
            self.ask = Predict("a -> b")

        def forward(self, a):
            b = self.ask(a=a).b
            try:
                Assert(_good(b), "bad")
            except Exception:
                return "swallowed"
            finally:
                closed.append(b)
            return b

    program = Careful()
    program.set_lm(Counting(bad=("b",)))

    assert program(a="x") == "good b of x"
    assert closed == ["bad b of x", "good b of x"]


def test_a_chain_that_can_never_hold_costs_at_most_its_retries_for_each_call():
    class Chain(Module):
        def __init__(self, size):
            self.steps = [Predict("a -> b") for _ in range(size)]

        def forward(self, a):
            for step in self.steps:
                a = step(a=a).b
            for number in reversed(range(len(self.steps))):
                Suggest(a == "never", f"no {number}", target_module=self.steps[number])
            return a

    def count(size):
        number = iter(range(10_000))
        lm = FunctionLM(lambda text: {"b": f"new {next(number)}"})
        program = Chain(size)
        program.set_lm(lm)
        program(a="x")
        return len(lm.requests)

    # n calls; and two retries of each, all that comes after it again: 2 * (1 + 2 + … + n)
    assert [count(n) for n in (1, 2, 3, 6)] == [3, 8, 15, 48]


def test_a_call_whose_inputs_change_with_the_clock_is_corrected_all_the_same():
    class Clock(Module):
        def __init__(self):
            self.time = 0
            self.first = Predict("now: int -> a")
            self.inner = Asks()

        def forward(self):
            self.time += 1
            a = self.first(now=self.time).a
            b = [self.inner(now=self.time, a=letter) for letter in "xy"]
            Assert(_good(b[1]), "bad")
            return a, b

    class Asks(Module):
        def __init__(self):
            self.ask = Predict("now: int, a -> b")

        def forward(self, now, a):
            return self.ask(now=now, a=a).b

    program = Clock()
    lm = Counting(bad=("b",))
    program.set_lm(lm)

    a, b = program()

    assert a == "good a of 2"
    assert b == ["bad b of x", "good b of y"]
    assert len(lm.calls) == 6


def test_a_forward_that_does_not_come_to_the_call_again_is_told_of(caplog):
    class Once(Module):
        def __init__(self):
            self.runs = 0
            self.ask = Predict("a -> b")
            self.other = Predict("a -> c")

        def forward(self):
            self.runs += 1
            made = self.ask(a="x").b if self.runs == 1 else self.other(a="x").c
            Suggest(
                made == "never",
                "no",
                target_module=self.ask if self.runs == 1 else self.other,
                max_backtracks=1,
            )

    program = Once()
    program.set_lm(Counting())
    program()

    assert program.runs == 3
    assert "'other' was asked 2 times" in caplog.text


def test_a_tool_made_in_forward_is_the_same_tool_in_the_next_run():
    calls = []

    class Ask(Module):
        def __init__(self):
            self.ask = Predict("a -> b")

        def look(self, x: str) -> str:
            calls.append(x)
            return x

        def forward(self, a):
            b = self.ask(a=Tool(self.look)(x=a)).b
            Assert(_good(b), "bad")
            return b

    program = Ask()
    program.set_lm(Counting(bad=("b",)))

    assert program(a="x") == "good b of x"
    assert calls == ["x"]


def test_flows_and_gathered_calls_are_replayed():
    tools = []

    def tool(x):
        tools.append(x)
        return x * 2

    class Wide(FlowModule):
        def __init__(self):
            self.each = Predict("a -> b")
            self.join = Predict("parts: list[str] -> c")

        def flow(self, a):
            parts = yield Gather(Call(self.each, a=f"{a}{n}") for n in range(5))
            numbers = yield Gather((UseTool(tool, {"x": n}) for n in range(3)), keep_errors=True)
            made = yield Call(self.join, parts=sorted(part.b for part in parts) + [str(n) for n in numbers])
            Assert(_good(made.c), "bad")
            return made

    program = Wide()
    for run in (lambda: program(a="x"), lambda: asyncio.run(program.acall(a="x"))):
        tools.clear()
        lm = Counting(bad=("c",))
        program.set_lm(lm)
        assert _good(run().c)
        assert len(lm.calls) == 5 + 2
        assert sorted(tools) == [0, 1, 2]


def test_a_backtrack_from_inside_of_gathered_calls_reaches_its_module():
    class Leafy(Module):
        def __init__(self):
            self.note = None

        def forward(self, a):
            Assert(_good(a), "bad", target_module="first")
            return a

    class Wide(FlowModule):
        def __init__(self):
            self.first = Predict("a -> b")
            self.leaf = Leafy()
            self.keep = False

        def flow(self, a):
            b = (yield Call(self.first, a=a)).b
            return (yield Gather((Call(self.leaf, a=b) for _ in range(4)), keep_errors=self.keep))

    for keep in (False, True):
        program = Wide()
        program.keep = keep
        for run in (lambda: program(a="x"), lambda: asyncio.run(program.acall(a="x"))):
            program.set_lm(Counting(bad=("b",)))
            assert run() == ["good b of x"] * 4


# Threads and tasks


def test_branches_that_refuse_one_answer_at_the_same_time_are_one_attempt():
    class Leafy(Module):
        def __init__(self):
            self.together = threading.Barrier(4, timeout=30)

        def forward(self, a, n):
            self.together.wait()
            Assert(_good(a), f"branch {n}", target_module="first", name=f"assert {n % 2}")
            return a

    class Wide(FlowModule):
        def __init__(self):
            self.first = Predict("a -> b")
            self.leaf = Leafy()
            self.keep = False

        def flow(self, a):
            b = (yield Call(self.first, a=a)).b
            return (yield Gather((Call(self.leaf, a=b, n=n) for n in range(4)), keep_errors=self.keep))

    for keep in (False, True):
        program = Wide()
        program.keep, program.max_backtracks = keep, 1
        for run in (lambda: program(a="x"), lambda: asyncio.run(program.acall(a="x"))):
            lm = Counting(bad=("b",))
            program.set_lm(lm)
            assert run() == ["good b of x"] * 4
            assert len(lm.calls) == 2


def test_a_branch_that_outlives_its_run_says_nothing_of_the_next_one():
    class Slow(Module):
        async def aforward(self, a):
            if not _good(a):
                await asyncio.sleep(0)
                await late.wait()
                refused.set()
                Assert(False, "out of date", target_module="first", name="it")
            return a

    class Quick(Module):
        async def aforward(self, a):
            Assert(_good(a), "bad", target_module="first", name="it")
            late.set()
            await refused.wait()
            runs.append(a)
            Assert(len(runs) > 1, "once more", target_module="first", name="it")
            return a

    class Wide(Module):
        def __init__(self):
            self.first = Predict("a -> b")
            self.slow, self.quick = Slow(), Quick()

        async def aforward(self, a):
            b = (await self.first.acall(a=a)).b
            return await asyncio.gather(self.slow.acall(a=b), self.quick.acall(a=b))

    async def main():
        return await program.acall(a="x"), len(lm.calls)

    program = Wide()
    lm = Counting(bad=("b",))
    program.set_lm(lm)
    late, refused, runs = asyncio.Event(), asyncio.Event(), []
    assert asyncio.run(main()) == (["good b of x"] * 2, 3)


def test_what_is_called_again_does_not_depend_on_which_thread_is_faster():
    """One of many two-step branches is corrected: its second step is asked anew, and no step of another branch."""

    class Branch(Module):
        def __init__(self):
            self.one = Predict("a -> b")
            self.two = Predict("b -> c")

        def forward(self, a):
            b = self.one(a=a).b
            return Prediction(b=b, c=self.two(b=b).c)

    class Fork(Module):
        def __init__(self):
            self.branches = [Branch() for _ in range(8)]

        def forward(self):
            made = Parallel(num_threads=8)([(b, {"a": str(n)}) for n, b in enumerate(self.branches)])
            Assert("again" in made[3].b, "no", target_module="branches[3].one")
            return [one.c for one in made]

    for _ in range(20):
        asked = []

        def reply(request):
            text = request.messages[-1]["content"].partition("\n\nRespond with")[0]
            asked.append(text)
            if "`[[ ## b ## ]]`" in request.messages[-1]["content"]:
                return {"b": f"b{text.splitlines()[1]}" + (" again" if "feedback" in text else "")}
            return {"c": text.splitlines()[1]}

        program = Fork()
        program.set_lm(FunctionLM(reply))
        assert program()[3] == "b3 again"
        assert len(asked) == 16 + 2


def test_after_branches_of_which_one_ended_the_replay_all_is_live():
    class Fork(Module):
        def __init__(self):
            self.one = Predict("a -> b")
            self.two = Predict("b -> c")
            self.after = Predict("a -> answer")

        def forward(self):
            def branch(a):
                return self.two(b=self.one(a=a).b).c

            with ThreadPoolExecutor(2) as pool:
                made = [f.result() for f in [pool.submit(copy_context(branch), a) for a in "xy"]]
            answer = self.after(a="same").answer
            Assert("again" in made[0], "no", target_module="one")
            return answer

    asked = []

    def reply(request):
        text = request.messages[-1]["content"].partition("\n\nRespond with")[0]
        asked.append(text)
        again = " again" if "again" in text or "feedback" in text else ""
        return {"b": f"b{again}", "c": f"c{again}", "answer": "done"}

    program = Fork()
    program.set_lm(FunctionLM(reply))
    with context(max_backtracks=1):
        try:
            program()
        except AssertionFailed:
            pass  # which of the two calls of `one` ended last is not known, so either may be corrected

    assert sum("same" in text for text in asked) == 2  # also the call after the branches was made again


def test_many_threads_do_not_see_each_others_assertions():
    program = Outer(target="first")
    program.set_lm(Counting(bad=("a", "b")))
    barrier = threading.Barrier(32)

    def work(number):
        barrier.wait()
        return program(c=str(number))

    with ThreadPoolExecutor(32) as pool:
        made = list(pool.map(work, range(32)))

    assert [one.a for one in made] == [f"good a of {n}" for n in range(32)]
    assert {len(one.get_assertions()) for one in made} == {2}


def test_tasks_of_one_loop_do_not_see_each_others_assertions():
    class Slow(Module):
        def __init__(self):
            self.ask = Predict("a -> b")

        async def aforward(self, a):
            b = (await self.ask.acall(a=a)).b
            await asyncio.sleep(0)
            Assert(_good(b), f"bad {a}")
            return b

    program = Slow()
    lm = Counting(bad=("b",))
    program.set_lm(lm)

    async def main():
        return await asyncio.gather(*(program.acall(a=str(n)) for n in range(50)))

    assert asyncio.run(main()) == [f"good b of {n}" for n in range(50)]
    assert len(lm.calls) == 100
    assert program(a="sync") == "good b of sync"


def test_it_works_through_asyncify_syncify_parallel_and_batch():
    program = Inner()
    program.set_lm(Counting(bad=("b",)))

    assert asyncio.run(asyncify(program)(a="x")).b == "good b of x"
    assert syncify(program)(a="x").b == "good b of x"
    assert [one.b for one in Parallel(num_threads=4)([(program, {"a": str(n)}) for n in range(8)])] == [
        f"good b of {n}" for n in range(8)
    ]
    rows = [telic.Example(a=str(n)).with_inputs("a") for n in range(8)]
    assert [one.b for one in program.batch(rows)] == [f"good b of {n}" for n in range(8)]


def test_a_plain_forward_called_async_backtracks_in_its_thread():
    program = Outer(target="first")
    program.set_lm(Counting(bad=("a", "b")))

    made = asyncio.run(program.acall(c="x"))

    assert (made.a, made.b) == ("good a of x", "good b of good a of x")


def test_a_task_that_goes_on_after_its_run_was_given_up_is_no_step_of_the_next():
    class Slow(Module):
        def __init__(self):
            self.ask = Predict("a -> c")
            self.gate = None

        async def aforward(self, a):
            if self.gate is not None:
                await self.gate.wait()
            return (await self.ask.acall(a=a)).c

    class Both(Module):
        def __init__(self):
            self.first = Predict("a -> b")
            self.slow = Slow()

        async def check(self, b):
            Assert(_good(b), "bad", target_module="first")

        async def aforward(self, a):
            b = (await self.first.acall(a=a)).b
            made = await asyncio.gather(self.slow.acall(a=a), self.check(b))
            return made[0]

    async def main(program):
        program.slow.gate = asyncio.Event()
        running = asyncio.create_task(program.acall(a="x"))
        while len(lm.calls) < 2:  # the first call and its correction
            await asyncio.sleep(0)
        for _ in range(5):
            await asyncio.sleep(0)
        program.slow.gate.set()  # both runs' slow branches go on now
        result = await running
        for _ in range(5):
            await asyncio.sleep(0)
        return result

    program = Both()
    lm = Counting(bad=("b",))
    program.set_lm(lm)
    trace = []

    with context(trace=trace):
        assert asyncio.run(main(program)) == "good c of x"

    assert [step.predictor for step in trace] == [program.first, program.slow.ask]


def test_a_cancelled_task_is_cancelled_and_leaves_nothing():
    class Waits(Module):
        def __init__(self):
            self.ask = Predict("a -> b")

        async def aforward(self, a):
            b = (await self.ask.acall(a=a)).b
            if "good" in b:
                await asyncio.Event().wait()
            Assert(_good(b), "bad")

    async def main():
        program = Waits()
        program.set_lm(Counting(bad=("b",)))
        task = asyncio.create_task(program.acall(a="x"))
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return ACTIVE.get()

    assert asyncio.run(main()) is None


# Together with other modules


def test_tools_of_an_agent_are_not_run_again():
    calls = []

    def look_up(city: str) -> int:
        """Look up how many people live in a city."""
        calls.append(city)
        return 3

    class Ask(Module):
        def __init__(self):
            self.agent = ReAct("question -> answer", tools=[look_up], native=False)

        def forward(self, question):
            made = self.agent(question=question)
            Assert(made.answer == "3", "Only the number.", target_module="agent.extract")
            return made

    step = {"next_thought": "t", "next_tool_name": "look_up", "next_tool_args": {"city": "Rome"}}
    end = {"next_thought": "t", "next_tool_name": "finish", "next_tool_args": {}}
    program = Ask()
    lm = ScriptedLM([step, end, {"reasoning": "r", "answer": "three"}, {"reasoning": "r", "answer": "3"}])
    program.set_lm(lm)

    assert program(question="?").answer == "3"
    assert calls == ["Rome"]


def test_a_program_as_a_tool_is_corrected_inside():
    inner = Inner()
    tool = Tool(inner, name="inner", desc="d", args={"a": {"type": "string"}})

    class Ask(Module):
        def __init__(self):
            self.inner = inner

        def forward(self, a):
            return tool(a=a)

    program = Ask()
    program.set_lm(Counting(bad=("b",)))

    assert program(a="x").b == "good b of x"


def test_a_tool_inside_of_which_a_predictor_is_blamed_runs_again():
    class Ask(Module):
        def __init__(self):
            self.ask = Predict("a -> b")
            self.tool = Tool(self.help, name="help", desc="d", args={"a": {"type": "string"}})
            self.runs = 0

        def help(self, a):
            self.runs += 1
            return self.ask(a=a).b

        def forward(self, a):
            b = self.tool(a=a)
            Assert(_good(b), "bad")
            return b

    program = Ask()
    program.set_lm(Counting(bad=("b",)))

    assert program(a="x") == "good b of x"
    assert program.runs == 2


def test_best_of_n_draws_again_where_an_attempt_gives_up():
    numbers = iter(range(100))
    lm = FunctionLM(lambda text: {"b": f"good {n}" if (n := next(numbers)) >= 2 else "bad"})
    best = BestOfN(Inner(), N=3, reward_fn=lambda inputs, made: 1.0, threshold=1.0)
    best.set_lm(lm)

    with context(max_backtracks=1):
        assert best(a="x").b == "good 2"


def test_a_judge_is_not_blamed_for_the_programs_answer():
    judge = Predict("b -> a")

    class Around(Module):
        def __init__(self):
            self.best = BestOfN(
                Predict("a -> b"), N=1, reward_fn=lambda inputs, made: len(judge(b=made.b).a), threshold=99.0
            )

        def forward(self, a):
            b = self.best(a=a).b
            Assert(_good(b), "bad")
            return b

    program = Around()
    lm = Counting(bad=("b",))
    with context(lm=lm):
        made = program(a="x")

    assert made == "good b of x"
    assert [key[0] for key in lm.calls] == [("b",), ("a",), ("b",), ("a",)]


def test_refine_and_best_of_n_inside_of_a_module_are_replayed_attempt_by_attempt():
    def reward(inputs, made):
        return Prediction(score=float("2" in made.b), feedback="more")

    class Around(Module):
        def __init__(self, search):
            self.search = search
            self.last = Predict("b -> c")

        def forward(self, a):
            c = self.last(b=self.search(a=a).b).c
            Assert(_good(c), "bad c")
            return c

    for search in (BestOfN, Refine):
        numbers = iter(range(100))

        def reply(request):
            text = request.messages[-1]["content"]
            if "`[[ ## b ## ]]`" in text:
                return {"b": f"draw {next(numbers)}"}
            return {"c": "good" if "feedback" in text else "bad"}

        program = Around(search(Predict("a -> b"), N=3, reward_fn=reward, threshold=1.0))
        lm = FunctionLM(reply)
        program.set_lm(lm)
        with context(trace=[]):
            assert program(a="x") == "good"
            assert len(telic.settings.trace) == 2
        assert len(lm.requests) == 3 + 2


def test_a_new_context_of_its_own_sees_no_frame():
    seen = []

    class Ask(Module):
        def forward(self):
            thread = threading.Thread(target=lambda: seen.append(ACTIVE.get()))
            thread.start()
            thread.join()
            seen.append(contextvars.copy_context()[ACTIVE].module)

    program = Ask()
    program()

    assert seen == [None, program]

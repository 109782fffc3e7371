import asyncio
import io
import pickle
import threading

import pytest

from telic.context import context, get
from telic.data import Example, Prediction
from telic.errors import ConfigurationError, InputError, ProgramError
from telic.execution import RunStopped
from telic.modules import ChainOfThought, Module, Predict
from telic.tracing import BaseCallback, track_usage


class RAG(Module):
    def __init__(self):  # no super().__init__(), as many programs have it
        self.answer = ChainOfThought("context, question -> answer")

    def forward(self, question):
        return self.answer(context=[f"about {question}"], question=question)


class MultiHop(Module):
    """Loops, conditions, nested containers, a class's and a string's signatures."""

    def __init__(self, max_hops=2):
        super().__init__()
        self.queries = [ChainOfThought("context, question -> query") for _ in range(max_hops)]
        self.answer = Predict("context, question -> answer")

    def forward(self, question):
        context_ = []
        for hop in self.queries:
            query = hop(context=context_, question=question).query
            if query == "stop":
                break
            context_.append(f"passage on {query}")
        return Prediction(answer=self.answer(context=context_, question=question).answer, hops=len(context_))


def multi_hop_reply(reply):
    def answer(request):
        text = request.messages[-1]["content"]
        if "## query ##" in text:
            return reply(reasoning="r", query="stop" if "passage on" in text else "river")
        return reply(answer=f"seen {text.count('passage on')}")

    return answer


def test_a_rag_program_runs_sync_and_async(use, reply):
    use(function=lambda request: reply(reasoning="r", answer="Danube"))
    program = RAG()

    assert program(question="q").answer == "Danube"
    assert program("q").answer == "Danube"
    assert asyncio.run(program.acall(question="q")).answer == "Danube"


def test_a_multi_hop_program_runs_sync_and_async(use, reply):
    use(function=multi_hop_reply(reply))
    program = MultiHop()
    trace = []

    with context(trace=trace):
        prediction = program(question="q")

    assert (prediction.answer, prediction.hops) == ("seen 1", 1)
    assert [step.predictor for step in trace] == [
        program.queries[0].predict,
        program.queries[1].predict,
        program.answer,
    ]
    assert asyncio.run(program.acall(question="q")).hops == 1


def test_both_ways_work_where_only_aforward_is_written(use, reply):
    use(function=lambda request: reply(answer="a"))

    class Program(Module):
        def __init__(self):
            self.predict = Predict("question -> answer")

        async def aforward(self, question):
            both = await asyncio.gather(*(self.predict.acall(question=question) for _ in range(2)))
            return Prediction(answer="+".join(p.answer for p in both))

    program = Program()

    assert program(question="q").answer == "a+a"
    assert asyncio.run(program.acall(question="q")).answer == "a+a"

    async def from_a_notebook():
        return program(question="q").answer

    assert asyncio.run(from_a_notebook()) == "a+a"


def test_plain_code_awaited_does_not_block_the_loop_and_keeps_the_context():
    class Program(Module):
        def forward(self):
            return threading.get_ident(), get("num_threads")

    async def main():
        with context(num_threads=31):
            return await Program().acall()

    thread, threads = asyncio.run(main())
    assert thread != threading.get_ident()
    assert threads == 31


def test_the_nearest_class_decides_what_both_ways_do(use, reply):
    use(function=lambda request: reply(reasoning="r", answer="a"))

    class Louder(ChainOfThought):
        def forward(self, **inputs):
            return Prediction(answer=super().forward(**inputs).answer.upper())

    assert Louder("question -> answer")(question="q").answer == "A"
    assert asyncio.run(Louder("question -> answer").acall(question="q")).answer == "A"


def test_a_module_that_does_nothing_says_so():
    with pytest.raises(ProgramError, match="neither `forward` nor `aforward`"):
        Module()()


def test_a_program_may_return_anything():
    class Program(Module):
        def forward(self):
            return None

    assert Program()() is None


def test_the_modules_being_called_are_in_the_context():
    class Inner(Module):
        def forward(self):
            return get("caller")

    class Outer(Module):
        def __init__(self):
            self.inner = Inner()

        def forward(self):
            return self.inner()

    outer = Outer()
    assert outer() == (outer, outer.inner)
    assert get("caller") == ()


def test_one_lm_for_all_predictors(fake):
    program, lm = MultiHop(), fake()
    assert program.get_lm() is None

    program.set_lm(lm)

    assert all(p.lm is lm for p in program.predictors())
    assert program.get_lm() is lm
    program.answer.lm = None
    with pytest.raises(ConfigurationError, match="2 different LMs"):
        program.get_lm()


def test_rows_run_at_once_in_order(use, reply):
    use(
        function=lambda request: reply(
            reasoning="r", answer=request.messages[-1]["content"].split("about ")[1][0]
        )
    )
    rows = [Example(question=str(n), gold="x").with_inputs("question") for n in range(8)]

    results = RAG().batch(rows, num_threads=4)

    assert [r.answer for r in results] == [str(n) for n in range(8)]


def test_failed_rows_are_none_and_can_be_had():
    class Program(Module):
        def forward(self, n):
            return 10 // n

    rows = [{"n": 1}, {"n": 0}, {"n": 5}]

    assert Program().batch(rows) == [10, None, 2]
    results, failed, errors = Program().batch(rows, return_failed_examples=True)
    assert (results, failed) == ([10, None, 2], [{"n": 0}])
    assert isinstance(errors[0], ZeroDivisionError)
    with pytest.raises(RunStopped):
        Program().batch([{"n": 0}] * 5, max_errors=2, num_threads=1)


def test_a_program_with_one_predictor_renders_it():
    assert RAG().render(context=["c"], question="q") == RAG().answer.predict.render(
        context=["c"], question="q"
    )


def test_of_several_predictors_one_must_be_chosen():
    program = MultiHop()

    with pytest.raises(InputError, match=r"3 predictors \('queries\[0\].predict'"):
        program.render(question="q")
    assert program.render(predictor="answer", context="c", question="q") == program.answer.render(
        context="c", question="q"
    )


def test_the_history_of_a_module_is_its_own(use, reply):
    use(function=lambda request: reply(reasoning="r", answer="Danube"))
    one, two = RAG(), RAG()
    one(question="first")
    two(question="second")
    out = io.StringIO()

    one.inspect_history(file=out)

    assert len(one.history) == 1
    assert "about first" in out.getvalue()
    assert "second" not in out.getvalue()


def test_usage_stands_in_the_prediction_where_it_is_tracked(use, reply):
    use(function=lambda request: reply(reasoning="r", answer="a"))
    program = RAG()

    with context(track_usage=True):
        tracked = program(question="q")
        awaited = asyncio.run(program.acall(question="q"))
    with track_usage() as tracker:
        program(question="q")

    assert tracked.get_lm_usage()["fake/lm"]["total_tokens"] == 12
    assert awaited.get_lm_usage()["fake/lm"]["calls"] == 1
    assert program(question="q").get_lm_usage() is None
    assert list(tracker.by_predictor(program)) == ["answer.predict"]


class Watcher(BaseCallback):
    def __init__(self):
        self.events = []

    def on_module_start(self, call_id, instance, inputs):
        self.events.append(("start", type(instance).__name__, inputs["kwargs"]))

    def on_module_end(self, call_id, outputs, exception=None):
        self.events.append(("end", type(outputs).__name__, exception))


def test_callbacks_see_module_calls(use, reply):
    use(function=lambda request: reply(reasoning="r", answer="a"))
    watcher = Watcher()

    with context(callbacks=[watcher]):
        RAG()(question="q")

    starts = [name for kind, name, _ in watcher.events if kind == "start"]
    assert starts == ["RAG", "ChainOfThought", "Predict"]
    assert [e[0] for e in watcher.events] == ["start"] * 3 + ["end"] * 3


def test_a_modules_own_callbacks_see_failures_too(use):
    use()
    watcher = Watcher()
    predict = Predict("question -> answer", callbacks=[watcher])

    with pytest.raises(InputError):
        predict(wrong=1)
    with pytest.raises(InputError):
        asyncio.run(predict.acall(wrong=1))

    assert [type(e[2]).__name__ for e in watcher.events if e[0] == "end"] == ["InputError"] * 2


def test_programs_can_be_pickled_without_callbacks_and_plans(use, reply):
    use(reply(answer="a"))
    predict = Predict("question -> answer", callbacks=[Watcher()])
    predict.demos = [Example(question="q", answer="a")]
    predict(question="q")

    again = pickle.loads(pickle.dumps(predict))

    assert again.demos == predict.demos
    assert again.callbacks == ()
    assert "_plans" not in again.__dict__
    assert again.signature.equals(predict.signature)


def test_a_program_shows_its_predictors():
    assert "queries[1].predict = Predict(" in repr(MultiHop())

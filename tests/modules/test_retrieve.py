"""`Retrieve`: the step of a program that finds passages."""

from __future__ import annotations

import asyncio

import pytest

import telic
from telic.errors import ConfigurationError, InputError, NotConfiguredError, RetrievalError, StateError
from telic.retrieve import BM25
from telic.testing import DummyLM, dummy_rm

CORPUS = ["Ada wrote programs.", "Paris is in France.", "Berlin is in Germany.", "Ada lived in London."]


class Recorded:
    """A retriever that notes what it is asked; its first parameter has a name of its own."""

    def __init__(self, answers=None):
        self.asked = []
        self.answers = answers

    def __call__(self, text, k, **options):
        self.asked.append((text, k, options))
        return ["first", "second", "third"][:k] if self.answers is None else self.answers[text]


@pytest.fixture
def rm():
    with telic.context(rm=BM25(CORPUS)):
        yield


def test_it_finds_passages_of_the_configured_retriever(rm):
    assert telic.Retrieve(k=1)("Where is Paris?").passages == ["Paris is in France."]
    assert telic.Retrieve(k=3)(query="Where is Paris?", k=1).passages == ["Paris is in France."]
    assert asyncio.run(telic.Retrieve(k=1).acall("Where is Paris?")).passages == ["Paris is in France."]


def test_several_queries_become_one_ranking(rm):
    found = telic.Retrieve(k=2)(["Paris", "Berlin"]).passages

    assert found == ["Paris is in France.", "Berlin is in Germany."]
    assert len(telic.Retrieve(k=5)(["Ada", "Ada London"]).passages) == 2
    assert asyncio.run(telic.Retrieve(k=2).acall(["Paris", "Berlin"])).passages == found


def test_equal_queries_are_asked_once():
    rm = Recorded()
    telic.Retrieve(k=2, rm=rm)(["q", "q"])

    assert rm.asked == [("q", 2, {})]


@pytest.mark.parametrize(
    "prediction",
    [
        telic.Prediction(query="Paris"),
        telic.Prediction(reasoning="think", query="Paris"),
        telic.Prediction(rationale="think", query="Paris", confidence=3),
        telic.Prediction(queries=["Paris"]),
    ],
)
def test_a_prediction_with_one_text_output_is_a_query(rm, prediction):
    assert telic.Retrieve(k=1)(prediction).passages == ["Paris is in France."]


def test_a_prediction_with_no_or_two_text_outputs_is_refused(rm):
    with pytest.raises(InputError, match="has 2 text outputs"):
        telic.Retrieve()(telic.Prediction(query="a", answer="b"))
    with pytest.raises(InputError, match="has 0 text outputs"):
        telic.Retrieve()(telic.Prediction(reasoning="a"))


@pytest.mark.parametrize("query", [None, "", "  ", 3, [], ["a", ""], ["a", None], {"query": "a"}])
def test_what_is_no_query_is_refused_before_anything_is_asked(query):
    rm = Recorded()
    with pytest.raises(InputError, match="Retrieve: the"):
        telic.Retrieve(rm=rm)(query)

    assert rm.asked == []


@pytest.mark.parametrize("k", [0, -1, 1.5, True])
def test_an_impossible_k_is_refused(rm, k):
    with pytest.raises(ConfigurationError, match="k is"):
        telic.Retrieve(k=k)
    with pytest.raises(ConfigurationError, match="k is"):
        telic.Retrieve()("q", k=k)


def test_without_a_retriever_it_says_what_to_configure():
    with pytest.raises(NotConfiguredError, match="telic.configure"):
        telic.Retrieve()("q")


def test_other_keywords_go_to_the_retriever():
    rm = Recorded()
    telic.Retrieve(k=2, rm=rm)("q", language="de")

    assert rm.asked == [("q", 2, {"language": "de"})]


def test_dicts_of_dspy_retrievers_and_predictions_are_read():
    with telic.context(rm=dummy_rm(CORPUS)):
        assert telic.Retrieve(k=1)("Paris is in").passages == ["Paris is in France."]
    with telic.context(rm=lambda query, k: telic.Prediction(passages=["a", "b", "a"])):
        assert telic.Retrieve(k=3)("q").passages == ["a", "b"]


def test_an_async_retriever_serves_both_ways():
    async def later(query, k):
        await asyncio.sleep(0)
        return [f"{query} {number}" for number in range(k)]

    assert telic.Retrieve(k=2, rm=later)("q").passages == ["q 0", "q 1"]
    assert asyncio.run(telic.Retrieve(k=2, rm=later).acall("q")).passages == ["q 0", "q 1"]


def test_no_more_than_k_come_back_from_a_generous_retriever():
    assert telic.Retrieve(k=2, rm=lambda query, k: list("abcdef"))("q").passages == ["a", "b"]


def test_a_retriever_that_returns_something_else_is_told():
    with pytest.raises(RetrievalError, match="must return a list"):
        telic.Retrieve(rm=lambda query, k: None)("q")


class RAG(telic.Module):
    def __init__(self, k=2):
        super().__init__()
        self.retrieve = telic.Retrieve(k=k)
        self.answer = telic.ChainOfThought("context: list[str], question -> answer")

    def forward(self, question):
        context = self.retrieve(question).passages
        return telic.Prediction(
            context=context, answer=self.answer(context=context, question=question).answer
        )


def test_a_rag_program_runs_and_shows_passages_as_texts(rm):
    lm = DummyLM([{"reasoning": "r", "answer": "France"}])
    with telic.context(lm=lm):
        found = RAG()("Where is Paris?")

    assert found.answer == "France"
    assert found.context == ["Paris is in France."]


def test_k_is_saved_and_loaded_with_the_program(tmp_path):
    RAG(k=7).save(tmp_path / "rag.json")
    loaded = RAG(k=1).load(tmp_path / "rag.json")

    assert loaded.retrieve.k == 7
    with pytest.raises(StateError, match="k=0"):
        state = RAG().dump_state()
        state["predictors"]["retrieve"]["k"] = 0
        RAG().load_state(state)


def test_it_is_no_predictor_and_keeps_its_retriever_in_copies():
    rm = BM25(CORPUS)
    program = RAG()
    program.retrieve.rm = rm

    assert [path for path, _ in program.named_predictors()] == ["answer.predict"]
    assert program.deepcopy().retrieve.rm is rm
    program.answer.predict.lm = lm = DummyLM([{"reasoning": "r", "answer": "a"}])
    assert program.get_lm() is lm


def test_callbacks_hear_of_it(rm):
    heard = []

    class Listener:
        def on_module_start(self, call_id, instance, inputs):
            heard.append(type(instance).__name__)

    with telic.context(callbacks=[Listener()]):
        telic.Retrieve()("Paris")

    assert heard == ["Retrieve"]


def test_a_failed_assertion_does_not_search_again():
    rm = Recorded()

    class Careful(telic.Module):
        def __init__(self):
            super().__init__()
            self.retrieve = telic.Retrieve(k=2, rm=rm)
            self.answer = telic.Predict("context: list[str], question -> answer")

        def forward(self, question):
            context = self.retrieve([question, f"{question} again"]).passages
            found = self.answer(context=context, question=question)
            telic.Assert(found.answer == "short", "answer in one word", target_module=self.answer)
            return found

    with telic.context(lm=DummyLM([{"answer": "a long one"}, {"answer": "short"}])):
        assert Careful()("q").answer == "short"
    assert sorted(text for text, _, _ in rm.asked) == ["q", "q again"]

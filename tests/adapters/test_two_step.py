import asyncio

import pytest

import telic
from telic.adapters import TwoStepAdapter
from telic.data import Completion
from telic.errors import AdapterParseError, ConfigurationError, LMRateLimitError, TruncatedReplyError
from telic.protocols import Capabilities
from telic.signatures import Signature
from telic.testing import FunctionLM, ScriptedLM
from telic.types import Document, Reasoning

QA = Signature("question -> answer, score: float")
FREE = "I would say four, and I am half sure."
READ = "[[ ## answer ## ]]\nfour\n\n[[ ## score ## ]]\n0.5\n\n[[ ## completed ## ]]"


def ask(first, second, signature=QA, **options):
    """Run one program of two LMs, in a thread and as a task, and return the last result."""
    program = telic.Predict(signature)
    program.demos = options.pop("demos", [])
    with telic.context(lm=first, adapter=TwoStepAdapter(second), **options):
        program(question="2+2?")
        return asyncio.run(program.acall(question="2+2?"))


def test_a_second_lm_reads_the_answer_of_the_first():
    first, second = ScriptedLM([FREE] * 2), ScriptedLM([READ] * 2)

    result = ask(first, second)

    assert (result.answer, result.score) == ("four", 0.5)
    assert FREE in second.requests[0].messages[-1]["content"]
    assert "2+2?" not in second.requests[0].messages[-1]["content"]
    assert "[[ ## score ## ]]" not in str(first.requests[0].messages)
    assert second.requests[0].prefix == 1


def test_a_single_text_is_read_too():
    result = ask(ScriptedLM([FREE] * 2), ScriptedLM(["four"] * 2), Signature("question -> answer"))

    assert result.answer == "four"


def test_both_calls_are_paid_from_one_budget_and_counted():
    first, second = FunctionLM(lambda r: FREE), FunctionLM(lambda r: READ)

    with telic.track_usage() as usage, telic.context(lm=first, adapter=TwoStepAdapter(second)):
        result = telic.Predict(QA)(question="q")
        with telic.context(budget=telic.Budget(calls=1)), pytest.raises(telic.BudgetExceeded):
            telic.Predict(QA)(question="other")

    assert usage.total.calls == 3
    assert result.score == 0.5
    assert len(second.requests) == 1


def test_a_reply_in_sections_needs_no_second_call():
    second = ScriptedLM([])

    result = ask(ScriptedLM([READ] * 2), second)

    assert result.score == 0.5
    assert second.requests == []


def test_sections_that_cannot_be_used_are_read_by_the_second_lm():
    result = ask(ScriptedLM([READ.replace("0.5", "half")] * 2), ScriptedLM([READ] * 2))

    assert result.score == 0.5


def test_the_second_lm_is_asked_again_where_its_reply_does_not_parse():
    first, second = ScriptedLM([FREE] * 2), ScriptedLM([READ.replace("0.5", "half"), READ] * 2)

    assert ask(first, second, max_retries=1).score == 0.5
    assert len(first.requests) == 2
    assert "`score`" in second.requests[1].messages[-1]["content"]


def test_where_nobody_finds_the_fields_it_is_an_error():
    with pytest.raises(AdapterParseError, match="score") as caught:
        ask(FunctionLM(lambda r: FREE), FunctionLM(lambda r: READ.replace("0.5", "half")), max_retries=1)

    assert len(caught.value.attempts) == 2


def test_a_cut_reply_is_cut():
    with pytest.raises(TruncatedReplyError):
        ask(FunctionLM(lambda r: Completion(FREE, "length")), ScriptedLM([]))


def test_an_empty_reply_is_asked_for_again():
    first, second = ScriptedLM(["", FREE] * 2), ScriptedLM([READ] * 2)

    assert ask(first, second, max_retries=1).score == 0.5
    with pytest.raises(AdapterParseError):
        ask(ScriptedLM([""]), second, max_retries=0)
    assert len(second.requests) == 2


def test_a_failure_of_the_second_lm_is_its_own():
    def fail(request):
        raise LMRateLimitError("too many")

    with pytest.raises(LMRateLimitError):
        ask(FunctionLM(lambda r: FREE), FunctionLM(fail))


def test_several_samples_are_each_read():
    second = FunctionLM(lambda r: READ)
    with telic.context(lm=ScriptedLM([FREE, "another", READ]), adapter=TwoStepAdapter(second)):
        result = telic.Predict(QA, n=3, temperature=1.0)(question="q")

    assert result.completions.answer == ["four"] * 3
    assert len(second.requests) == 2


def test_validators_and_constraints_of_the_signature_hold():
    class Bounded(telic.Signature):
        """Answer."""

        question: str = telic.InputField()
        reply: str = telic.OutputField()
        score: float = telic.OutputField(ge=0, le=1)

    good = "[[ ## reply ## ]]\nr\n\n[[ ## score ## ]]\n1\n\n[[ ## completed ## ]]"
    second = ScriptedLM([good.replace("\n1", "\n7"), good] * 2)

    result = ask(ScriptedLM([FREE] * 2), second, Bounded, max_retries=1)

    assert (result.reply, result.score) == ("r", 1.0)
    assert FREE in second.requests[0].messages[-1]["content"]


def test_demos_show_sections():
    first = ScriptedLM([FREE] * 2)

    ask(first, ScriptedLM([READ] * 2), demos=[{"question": "1+1?", "answer": "two", "score": 1.0}])

    assert first.requests[0].messages[2]["content"].startswith("[[ ## answer ## ]]\ntwo")


def test_parsing_without_a_predictor_says_who_reads_free_text():
    plan = TwoStepAdapter(ScriptedLM([])).plan(QA, [])

    with pytest.raises(AdapterParseError, match="a predictor has extraction_model read it"):
        plan.parse(Completion(FREE))


@pytest.mark.parametrize("model", [None, "openai/gpt", ScriptedLM, 3])
def test_what_is_no_lm_is_refused(model):
    with pytest.raises(ConfigurationError, match="extraction_model"):
        TwoStepAdapter(model)


def test_calls_of_tools_are_read_out_of_words_also_where_the_lm_could_make_them():
    typed = {"Tool": telic.Tool, "ToolCalls": telic.ToolCalls}
    act = Signature("question, tools: list[Tool] -> calls: ToolCalls", custom_types=typed)
    first = ScriptedLM(["I would look up 2+2."], capabilities=Capabilities(function_calling=True))
    second = ScriptedLM(
        ['[[ ## calls ## ]]\n{"tool_calls": [{"name": "look", "args": {}}]}\n\n[[ ## completed ## ]]']
    )
    with telic.context(lm=first, adapter=TwoStepAdapter(second, use_native_function_calling=True)):
        found = telic.Predict(act)(question="2+2?", tools=[telic.Tool(lambda: 1, name="look")])

    assert [call.name for call in found.calls] == ["look"]
    assert "tools" not in first.requests[0].options


def test_citations_are_looked_up_in_the_documents_of_the_first_step():
    signature = Signature("docs: list[Document] -> answer, sources: Citations")
    read = '[[ ## answer ## ]]\na\n\n[[ ## sources ## ]]\n[{"document": 2, "cited_text": "DEEP sea"}]\n\n[[ ## completed ## ]]'
    second = ScriptedLM([read, read.replace("DEEP", "high"), read])
    docs = [Document("the sky"), Document("the deep sea")]

    with telic.context(lm=FunctionLM(lambda r: FREE), adapter=TwoStepAdapter(second), max_retries=1):
        results = [telic.Predict(signature)(docs=docs) for _ in range(2)]

    assert [result.sources[0].start_char_index for result in results] == [4, 4]
    assert "'high sea' does not stand in document 2" in second.requests[2].messages[-1]["content"]


def test_reasoning_of_the_first_lm_is_written_by_the_second():
    read = "[[ ## reasoning ## ]]\nso\n\n[[ ## answer ## ]]\na\n\n[[ ## completed ## ]]"
    program = telic.ChainOfThought("question -> answer", rationale_field_type=Reasoning)

    with telic.context(lm=FunctionLM(lambda r: FREE), adapter=TwoStepAdapter(ScriptedLM([read]))):
        assert program(question="q").reasoning == "so"


def test_nothing_comes_beside_the_words_of_the_first_lm():
    signature = Signature("docs: list[Document] -> why: Reasoning, sources: Citations, answer")

    plan = TwoStepAdapter(ScriptedLM([])).plan(
        signature, [], Capabilities(citations=True, reasoning_text=True)
    )
    system, user = plan.render({"docs": ["words"]})

    assert "`why`" in system["content"]
    assert "[Document 1]\n«words»" in user["content"]

"""Citations and reasoning, beside the text where the LM declares it, as fields where not."""

import pytest

import telic
from telic.adapters import ChatAdapter, JSONAdapter, XMLAdapter
from telic.data import Completion
from telic.errors import AdapterParseError, ConfigurationError, TruncatedReplyError
from telic.protocols import Capabilities
from telic.signatures import Signature
from telic.testing import ScriptedLM
from telic.types import Citation, Citations, Document, History, Image, Reasoning

CITES = Capabilities(citations=True)
THINKS = Capabilities(reasoning_text=True)
SKY, SEA = Document("The sky is blue.", title="Sky"), Document("The sea is deep.")
QA = Signature("docs: list[Document], question -> answer, sources: Citations")
WHY = Signature("question -> why: Reasoning, answer")
INPUTS = {"docs": [SKY, SEA], "question": "colour?"}
each_adapter = pytest.mark.parametrize(
    "adapter", [ChatAdapter(), JSONAdapter(), XMLAdapter()], ids=lambda a: a.name
)


def reply(adapter, **values):
    signature = Signature(f"q -> {', '.join(values)}")
    return adapter.format_assistant_message_content(signature, values)


def cited(text, index, start, end, **more):
    return {"type": "char_location", "cited_text": text, "document_index": index, "start_char_index": start,
            "end_char_index": end, "supported_text": "blue", **more}  # fmt: skip


@each_adapter
def test_documents_go_to_an_lm_that_cites_as_they_are(adapter):
    system, user = adapter.plan(QA, [], CITES).render(INPUTS)

    assert [part for part in user["content"] if part["type"] == "document"] == [
        *SKY.to_parts(),
        *SEA.to_parts(),
    ]
    assert "sources" not in system["content"]
    assert "Given the fields `docs`, `question`, produce the fields `answer`." in system["content"]
    assert all(part["text"].strip() for part in user["content"] if part["type"] == "text")


@each_adapter
def test_its_citations_are_read_from_beside_the_text(adapter):
    plan = adapter.plan(QA, [], CITES)
    given = (cited("sky is blue", 0, 4, 15), {"type": "web_search_result_location", "cited_text": "x"})

    values = plan.parse(Completion(reply(adapter, answer="blue"), citations=given), INPUTS)

    assert values == {
        "answer": "blue",
        "sources": Citations([Citation("sky is blue", 0, "Sky", 4, 15, "blue")]),
    }


def test_pages_of_a_pdf_are_kept():
    pdf = Document(b"%PDF-1", "P", "application/pdf")
    given = {"type": "page_location", "cited_text": "w", "document_index": 0, "document_title": "P",
             "start_page_number": 2, "end_page_number": 3}  # fmt: skip

    values = (
        ChatAdapter()
        .plan(QA, [], CITES)
        .parse(
            Completion(reply(ChatAdapter(), answer="a"), citations=(given,)), {"docs": [pdf], "question": "q"}
        )
    )

    assert (values["sources"][0].start_page_number, values["sources"][0].type) == (2, "page_location")


def test_no_citations_are_an_empty_list():
    values = ChatAdapter().plan(QA, [], CITES).parse(Completion(reply(ChatAdapter(), answer="a")), INPUTS)

    assert values["sources"] == Citations()


@each_adapter
def test_an_lm_that_does_not_cite_is_shown_numbered_texts_and_a_field(adapter):
    system, user = adapter.plan(QA, [], Capabilities()).render(INPUTS)

    assert "[Document 1: Sky]\n«The sky is blue.»\n[Document 2]\n«The sea is deep.»" in user["content"]
    assert "`sources` (Citations)" in system["content"]


@each_adapter
def test_quotations_are_looked_up_in_the_documents_of_the_call(adapter):
    plan = adapter.plan(QA, [], Capabilities())
    written = adapter.format_assistant_message_content(
        QA, {"answer": "a", "sources": Citations([{"document": 2, "cited_text": "SEA  is deep"}])}
    )

    assert plan.parse(Completion(written), INPUTS)["sources"] == Citations(
        [Citation("sea is deep", 1, None, 4, 15)]
    )
    with pytest.raises(AdapterParseError, match="does not stand in document 2") as caught:
        plan.parse(Completion(written), {"docs": [SKY, SKY], "question": "q"})
    assert caught.value.field == "sources"
    assert caught.value.parsed_result == {"answer": "a"}
    with pytest.raises(AdapterParseError, match="there is no document 2; there are 1"):
        plan.parse(Completion(written), {"docs": [SKY], "question": "q"})
    assert (
        plan.parse(Completion(written))["sources"][0].start_char_index is None
    )  # nobody said what was asked


def test_an_lm_is_told_of_a_quotation_that_does_not_stand_there():
    wrong = '[[ ## answer ## ]]\nblue\n\n[[ ## sources ## ]]\n[{"document": 1, "cited_text": "sky is green"}]\n\n[[ ## completed ## ]]'
    lm = ScriptedLM([wrong, wrong.replace("green", "blue")])

    with telic.context(lm=lm, max_retries=1):
        result = telic.Predict(QA)(**INPUTS)

    assert result.sources[0].start_char_index == 4
    assert "citation 1: 'sky is green' does not stand in document 1" in lm.requests[1].messages[-1]["content"]


def test_documents_of_demos_and_past_turns_are_text_so_that_numbers_stay_right():
    signature = Signature("doc: Document, question, history: History -> answer, sources: Citations")
    demo = {"doc": SEA, "question": "d", "answer": "a", "sources": [{"document": 1, "cited_text": "sea"}]}
    past = History([{"doc": SEA, "question": "p", "answer": "b"}])

    messages = (
        ChatAdapter().plan(signature, [demo], CITES).render({"doc": SKY, "question": "q", "history": past})
    )

    kinds = [type(m["content"]) for m in messages]
    assert kinds == [str, str, str, str, str, list]
    assert sum(part["type"] == "document" for part in messages[-1]["content"]) == 1


def test_citations_without_documents_stay_a_field():
    signature = Signature("passage -> answer, sources: Citations")

    system = ChatAdapter().plan(signature, [], CITES).render({"passage": "x"})[0]["content"]

    assert "`sources` (Citations)" in system


# Reasoning


@each_adapter
def test_reasoning_is_read_from_its_own_channel(adapter):
    plan = adapter.plan(WHY, [], THINKS)

    values = plan.parse(Completion(reply(adapter, answer="4"), reasoning="2 and 2"), {"question": "q"})

    assert "why" not in plan.prefix[0]["content"]
    assert list(values.items()) == [("why", "2 and 2"), ("answer", "4")]
    assert type(values["why"]) is Reasoning


@each_adapter
def test_reasoning_that_comes_beside_the_text_unasked_is_taken_where_the_field_is_missing(adapter):
    plan = adapter.plan(WHY, [], Capabilities())

    beside = plan.parse(Completion(reply(adapter, answer="4"), reasoning="2 and 2"))
    written = plan.parse(Completion(reply(adapter, why="so", answer="4"), reasoning="2 and 2"))

    assert (beside["why"], written["why"]) == ("2 and 2", "so")


def test_no_reasoning_is_empty_text():
    values = ChatAdapter().plan(WHY, [], THINKS).parse(Completion(reply(ChatAdapter(), answer="4")))

    assert values["why"] == ""


def test_reasoning_alone_stays_a_field():
    signature = Signature("question -> why: Reasoning")

    assert "`why` (str)" in ChatAdapter().plan(signature, [], THINKS).prefix[0]["content"]


@pytest.mark.parametrize(
    ("native", "beside"), [(None, True), ([Reasoning], True), ([Citations], False), ([], False)]
)
def test_the_adapter_may_be_told_which_types_come_beside_the_text(native, beside):
    plan = ChatAdapter(native_response_types=native).plan(WHY, [], THINKS)

    assert ("`why`" not in plan.prefix[0]["content"]) is beside


def test_other_types_beside_the_text_are_refused():
    with pytest.raises(ConfigurationError, match="Citations and Reasoning"):
        ChatAdapter(native_response_types=[Image])


def test_chain_of_thought_takes_it_as_the_type_of_its_field():
    program = telic.ChainOfThought("question -> answer", rationale_field_type=Reasoning)
    text = ScriptedLM([reply(ChatAdapter(), reasoning="so", answer="4")])
    native = ScriptedLM([Completion(reply(ChatAdapter(), answer="4"), reasoning="so")], capabilities=THINKS)

    for lm in (text, native):
        with telic.context(lm=lm):
            result = program(question="2+2?")
        assert (result.reasoning, result.answer) == ("so", "4")
        assert type(result.reasoning) is Reasoning
    assert "reasoning" in text.requests[0].messages[0]["content"]
    assert "reasoning" not in native.requests[0].messages[0]["content"]


def test_a_cut_reply_is_still_a_cut_reply():
    with pytest.raises(TruncatedReplyError):
        ChatAdapter().plan(WHY, [], THINKS).parse(Completion("[[ ## answer", "length", "so"))


def test_validators_see_the_whole_signature():
    class Checked(telic.Signature):
        """Answer."""

        question: str = telic.InputField()
        why: Reasoning = telic.OutputField()
        answer: int = telic.OutputField(ge=0)

    plan = ChatAdapter().plan(Checked, [], THINKS)

    assert plan.parse(Completion(reply(ChatAdapter(), answer="4"), reasoning="so")) == {
        "why": "so",
        "answer": 4,
    }
    with pytest.raises(AdapterParseError):
        plan.parse(Completion(reply(ChatAdapter(), answer="-4"), reasoning="so"))

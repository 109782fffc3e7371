import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telic.types import Citation, Citations, Document

SKY = Document("The sky is blue.\nGrass is\n  “green” – mostly.", title="Sky")
PDF = Document(b"%PDF-1.7", "P", "application/pdf")


def one(text, **more):
    return Citations([{"document": 1, "cited_text": text, **more}])


@pytest.mark.parametrize(
    ("quoted", "found"),
    [
        ("sky is blue", "sky is blue"),
        ("SKY IS BLUE", "sky is blue"),
        ('"The sky is blue."', "The sky is blue"),
        ("blue. grass   is", "blue.\nGrass is"),
        ('is "green" - mostly', "is\n  “green” – mostly"),
        ("…sky is blue...", "sky is blue"),
    ],
)
def test_a_quotation_is_found_whatever_its_case_and_blanks(quoted, found):
    citation = one(quoted).verified([SKY])[0]

    assert citation.cited_text == found
    assert SKY.data[citation.start_char_index : citation.end_char_index] == found
    assert citation.document_title == "Sky"


@pytest.mark.parametrize(
    ("citations", "fact"),
    [
        (one("the sea"), "citation 1: 'the sea' does not stand in document 1; quote its exact words"),
        (Citations([{"document": 1, "cited_text": "sea"}]), "document 2 has it"),
        (Citations([{"document": 3, "cited_text": "sky"}]), "there is no document 3; there are 2"),
        (one("..."), "does not stand in document 1"),
    ],
)
def test_a_quotation_that_does_not_stand_there_is_named(citations, fact):
    with pytest.raises(ValueError, match=fact):
        citations.verified([SKY, Document("the deep sea")] if "there are none" not in fact else [])


def test_all_problems_are_told_at_once():
    with pytest.raises(ValueError, match="citation 1: .*; citation 3: "):
        Citations(
            [{"document": 9, "cited_text": "a"}, {"document": 1, "cited_text": "sky"}, one("zzz")[0]]
        ).verified([SKY])


def test_no_documents_is_said():
    with pytest.raises(ValueError, match="there are none"):
        one("x").verified([])


def test_a_pdf_cannot_be_looked_into():
    citation = Citations([{"document": 2, "cited_text": "any words"}]).verified([SKY, PDF])[0]

    assert citation == Citation("any words", 1, "P")


def test_the_place_that_was_told_is_kept_where_it_is_right():
    twice = Document("ha ha ha")
    told = Citation("ha", 0, None, 3, 5)

    assert Citations([told]).verified([twice])[0].start_char_index == 3
    assert Citations([told._replace(start_char_index=4)]).verified([twice])[0].start_char_index == 0


@pytest.mark.parametrize(
    ("value", "fact"),
    [
        ("text", "an object with document and cited_text"),
        ({"document": 1}, "needs its cited_text"),
        ({"document": 1, "cited_text": " "}, "needs its cited_text"),
        ({"cited_text": "x"}, "needs the number"),
        ({"document": 0, "cited_text": "x"}, "from 1, not 0"),
        ({"document": "first", "cited_text": "x"}, "from 1, not 'first'"),
        ({"document": True, "cited_text": "x"}, "from 1, not True"),
        ({"document_index": -1, "cited_text": "x"}, "needs the number"),
        ({"document": 1, "cited_text": "x", "cited_txt": 1}, "has no 'cited_txt'; did you mean 'cited_text'"),
    ],
)
def test_what_is_no_citation_is_refused_in_words_for_an_lm(value, fact):
    with pytest.raises(ValueError, match=fact):
        Citations([value])


def test_numbers_may_come_as_text():
    assert Citations([{"document": "[2]", "cited_text": "x"}])[0].document_index == 1


def test_every_form_is_read():
    plain = {"type": "char_location", "cited_text": "sky", "document_index": 0}

    for value in ([plain], {"citations": [plain]}, plain, (plain,), [{"document": 1, "cited_text": "sky"}]):
        assert Citations.of(value) == Citations.from_dict_list([plain])
    assert Citations.Citation is Citation
    assert Citations([plain]).format() == [plain]
    assert Citations.of(Citations([plain]).to_dict()) == Citations([plain])
    assert Citations.of("x") == "x"


def test_a_list_of_them_is_looped_over_and_is_never_false():
    empty = Citations()

    assert bool(empty)
    assert list(empty) == []
    assert len(one("sky")) == 1
    assert [c.cited_text for c in one("sky")] == ["sky"]


def test_a_model_holds_citations():
    class Answer(pydantic.BaseModel):
        sources: Citations

    answer = Answer(sources=[{"document": 1, "cited_text": "x"}])

    assert Answer.model_validate_json(answer.model_dump_json()) == answer
    assert Answer.model_json_schema()["properties"]["sources"]["type"] == "array"


def test_hostile_quotations_take_linear_time():
    document = Document("a " * 200_000)

    with pytest.raises(ValueError, match="does not stand"):
        one("a " * 20_000 + "b").verified([document])


@given(st.text(min_size=1).filter(str.strip), st.data())
def test_any_stretch_of_a_document_is_found(text, data):
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    quoted = text[start:end]
    if quoted.strip():
        found = one(quoted).verified([Document(text)])[0]
        assert found.cited_text == quoted

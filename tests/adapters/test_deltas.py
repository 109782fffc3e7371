import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telic.adapters import ChatAdapter, JSONAdapter, XMLAdapter
from telic.adapters._deltas import Trickle, Unthought
from telic.errors import AdapterParseError
from telic.signatures import Signature

ADAPTERS = [ChatAdapter(), JSONAdapter(), XMLAdapter()]
TEXTS = Signature("question -> reasoning, answer")
TYPED = Signature("question -> reasoning, tags: list[str], answer, count: int")

pytestmark = pytest.mark.filterwarnings("ignore")


def read(adapter, signature, chunks):
    """Return the joined text of each field, and which were closed."""
    reader = adapter.deltas(signature).start()
    joined, closed = {}, []
    for pieces in [*(reader.feed(chunk) for chunk in chunks), reader.finish()]:
        for piece in pieces:
            assert piece.field not in closed
            joined[piece.field] = joined.get(piece.field, "") + piece.text
            if piece.closed:
                closed.append(piece.field)
    return joined, closed


def cuts_of(text, places):
    at = sorted({min(place, len(text)) for place in places})
    return [text[a:b] for a, b in zip([0, *at], [*at, len(text)], strict=True)]


def values_of(adapter, signature, joined):
    deltas = adapter.deltas(signature)
    values = {}
    for name, text in joined.items():
        raw = json.loads(text) if deltas.quoted and name not in deltas.texts else text
        values[name] = raw if name in deltas.texts else deltas.coercers[name](raw)
    return values


awkward = st.one_of(
    st.text(max_size=40),
    st.text(alphabet='[]# \n\\"{}<>/answerq:,`*u0', max_size=60),
    st.lists(
        st.sampled_from([
            "[[ ## answer ## ]]", "\\[[ ## answer ## ]]", "[[ ## completed ## ]]", "[[ ##", "[[", "\n", " ", "\n\n",
            "<answer>", "</answer>", "\\<answer>", "<reasoning>", "<b>", "a < b", '"', "\\", "\\u00e9", "{", "}", "word",
            "[[ ## other ## ]]", "</", "<", "é", "😀", "\ud83d", "\t",
        ]),
        max_size=8,
    ).map("".join),
)  # fmt: skip
places = st.lists(st.integers(0, 400), max_size=25)


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.name)
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(reasoning=awkward, answer=awkward, places=places)
def test_any_cuts_of_a_reply_as_asked_for_give_what_the_parser_reads(adapter, reasoning, answer, places):
    reply = adapter.format_assistant_message_content(TEXTS, {"reasoning": reasoning, "answer": answer})

    joined, closed = read(adapter, TEXTS, cuts_of(reply, places))

    assert joined == adapter.parse(TEXTS, reply)
    assert closed == ["reasoning", "answer"]


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.name)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tags=st.lists(awkward, max_size=4), count=st.integers(), answer=awkward, places=places)
def test_typed_fields_come_as_they_were_written(adapter, tags, count, answer, places):
    outputs = {"reasoning": "r", "tags": tags, "answer": answer, "count": count}
    reply = adapter.format_assistant_message_content(TYPED, outputs)

    joined, closed = read(adapter, TYPED, cuts_of(reply, places))

    assert values_of(adapter, TYPED, joined) == adapter.parse(TYPED, reply)
    assert closed == list(outputs)


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.name)
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(reply=awkward, places=places)
def test_the_cuts_of_any_text_change_nothing(adapter, reply, places):
    whole = read(adapter, TEXTS, [reply])

    assert read(adapter, TEXTS, cuts_of(reply, places)) == whole
    assert read(adapter, TEXTS, list(reply)) == whole


@settings(max_examples=400, deadline=None)
@given(
    parts=st.lists(
        st.sampled_from([
            "[[ ## answer ## ]]", "[[ ## reasoning ## ]]", "[[ ## completed ## ]]", "[[ ## other ## ]]", "\n", " ",
            "text", "  \n", "x" * 45, " " * 39, " " * 40, "[", "[[ ## ", "## ]]",
        ]),
        max_size=10,
    )
)  # fmt: skip
def test_sections_in_any_order_are_read_as_the_exact_reader_reads_them(parts):
    from telic.adapters._markers import _exact_sections

    reply = "".join(parts)
    names = {"reasoning": None, "answer": None}

    joined, _ = read(ChatAdapter(), TEXTS, list(reply))

    assert joined == _exact_sections(reply, names).found


def test_text_is_given_out_before_its_field_ends():
    reader = ChatAdapter().deltas(TEXTS).start()

    assert reader.feed("[[ ## reasoning ## ]]\nFirst") == [("reasoning", "First", False)]
    assert reader.feed(" word \n") == [("reasoning", " word", False)]
    assert reader.feed("\n[[ ## ans") == []
    assert reader.feed("wer ## ]]\nYes") == [("reasoning", "", True), ("answer", "Yes", False)]


def test_thoughts_before_a_reply_are_no_part_of_it():
    for adapter in ADAPTERS:
        reply = adapter.format_assistant_message_content(TEXTS, {"reasoning": "r", "answer": "a"})
        joined, _ = read(adapter, TEXTS, list(f" <think>{reply} hm</think>\n{reply}"))

        assert joined == {"reasoning": "r", "answer": "a"}


def test_a_reply_that_ends_early_ends_its_field():
    assert read(ChatAdapter(), TEXTS, list("[[ ## answer ## ]]\nhalf [[ ## comp")) == (
        {"answer": "half"},
        ["answer"],
    )
    assert read(XMLAdapter(), TEXTS, list("<answer>half </ans")) == ({"answer": "half"}, ["answer"])
    assert read(JSONAdapter(), TEXTS, list('{"answer": "half')) == ({"answer": "half"}, [])


def test_json_in_fences_and_prose_is_found_and_broken_json_gives_nothing_more():
    adapter = JSONAdapter()

    assert read(adapter, TEXTS, ['Sure {x}:\n```json\n{"reasoning": "r\\n", "Answer": 5}\n```'])[0] == {
        "reasoning": "r\n",
        "answer": "5",
    }
    assert read(adapter, TEXTS, list('{"reasoning": "r", answer: "a"}'))[0] == {"reasoning": "r"}
    assert read(adapter, TEXTS, list('{"answer": "\\ud83d\\ude00 \\x"}'))[0] == {"answer": "😀 "}
    assert read(adapter, TEXTS, list('{"a": [1, {"b": "}"}], "answer": {"c": [1]}}'))[0] == {
        "answer": '{"c": [1]}'
    }


def test_a_cdata_section_comes_when_it_is_whole():
    reply = "<answer><![CDATA[ a <b> ]]></answer>"

    assert read(XMLAdapter(), TEXTS, list(reply))[0] == {"answer": "a <b>"}


def test_formats_of_others_have_no_deltas():
    class Own(ChatAdapter):
        def parse(self, signature, completion):
            return {"answer": completion}

    class Named(ChatAdapter):
        pass

    assert Own().deltas(TEXTS) is None
    assert read(Named(), TEXTS, ["[[ ## answer ## ]]\na"])[0] == {"answer": "a"}


def test_a_long_reply_costs_linear_time():
    space = "[[ ## answer ## ]]\n" + "\n" * 200_000 + "x" * 200_000 + "\\" * 1000 + "[" * 50_000
    joined, _ = read(ChatAdapter(), TEXTS, [space[at : at + 3] for at in range(0, len(space), 3)])
    assert joined["answer"].startswith("x" * 1000)

    joined, _ = read(XMLAdapter(), TEXTS, list("<answer>" + "<" * 50_000 + " " * 50_000 + "y"))
    assert joined["answer"].endswith("y")


def test_nothing_is_held_of_a_thought_that_never_ends():
    thoughts = Unthought()
    assert [thoughts.push(part) for part in ("<thi", "nk>", "a" * 1000)] == ["", "", ""]
    assert len(thoughts._tail) <= 8


def test_what_looks_like_the_start_of_a_guard_is_given_out_at_the_end():
    trickle = Trickle(lambda text: text)

    assert (trickle.push(" a \\"), trickle.close()) == ("a", " \\")


def test_replies_that_do_not_parse_still_have_deltas():
    signature = Signature("question -> answer, count: int")
    reply = "[[ ## answer ## ]]\nyes\n\n[[ ## count ## ]]\nmany\n\n[[ ## completed ## ]]"

    with pytest.raises(AdapterParseError):
        ChatAdapter().parse(signature, reply)
    assert read(ChatAdapter(), signature, list(reply))[0] == {"answer": "yes", "count": "many"}

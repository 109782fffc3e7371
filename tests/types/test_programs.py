"""Field types in whole programs: saving, caching, optimizing, asking the embedded LM, and what errors show."""

from __future__ import annotations

import copy
import io
import json
import pickle
from typing import Any

import pydantic
import pytest

import telic
from telic.errors import AdapterParseError, InputError, LMInvalidRequestError
from telic.evaluate import Evaluate
from telic.optimizers import BootstrapFewShot, LabeledFewShot
from telic.signatures import Signature
from telic.testing import DummyLM, FunctionLM, ScriptedLM
from telic.types import Audio, Citations, Code, Document, File, History, Image, Reasoning

GIF = b"GIF89a" + bytes(9)
BIG = Image(b"GIF89a" + bytes(3_000_000))
YES = "[[ ## answer ## ]]\nyes\n\n[[ ## completed ## ]]"
Look = Signature("picture: Image, question -> answer")


class Card(pydantic.BaseModel):
    title: str
    face: Image


# Names


@pytest.mark.parametrize(
    "name", ["Image", "Audio", "File", "Document", "Citations", "Code", "Reasoning", "History"]
)
def test_strings_know_the_names_of_field_types(name):
    for written in (name, f"dspy.{name}", f"telic.{name}"):
        field = Signature(f"q, v: {written}, l: list[{written}] -> a").fields["v"]
        assert field.annotation is getattr(telic.types, name)
        assert getattr(telic, name, None) is field.annotation


@pytest.mark.parametrize(
    "text", ['q -> c: Code["java"]', "q -> c: dspy.Code['java']", 'q -> c: list[Code["java"]] | None']
)
def test_strings_know_code_in_a_language(text):
    assert "java" in repr(Signature(text).fields["c"].annotation)


def test_code_in_a_language_is_said_in_quotes():
    with pytest.raises(telic.SignatureSyntaxError, match="in quotes"):
        Signature("q -> c: Code[java]")


# Saving


def saved_and_loaded(program, tmp_path):
    path = tmp_path / "program.json"
    program.save(path)
    fresh = type(program)(program.signature)
    fresh.load(path)
    return fresh, path.read_text()


@pytest.mark.parametrize(
    ("fields", "demo"),
    [
        ("v: Image, q -> answer", {"v": Image(GIF), "q": "x"}),
        ("v: Image | None -> answer", {"v": Image("https://x/y")}),
        ("v: list[Image] -> answer", {"v": [Image(GIF), Image("https://x/y")]}),
        ("v: dict[str, Image] -> answer", {"v": {"a": Image(GIF)}}),
        ("v: Card -> answer", {"v": Card(title="t", face=Image(GIF))}),
        ("v: list[Card] -> answer", {"v": [Card(title="t", face=Image(GIF))]}),
        ("v: Audio -> answer", {"v": Audio(b"ID3...")}),
        ("v: File -> answer", {"v": File.from_file_id("f-1", "n")}),
        (
            "v: list[Document] -> answer, c: Citations",
            {"v": [Document("a", "T")], "c": Citations([{"document": 1, "cited_text": "a"}])},
        ),
        ('v: Code["sql"] -> answer, w: Reasoning', {"v": Code["sql"]("SELECT 1"), "w": Reasoning("so")}),
    ],
)
def test_demos_are_saved_and_loaded_and_shown_the_same(fields, demo, tmp_path):
    program = telic.Predict(Signature(fields, custom_types={"Card": Card}))
    program.demos = [{**demo, "answer": "yes"}]
    inputs = {name: demo[name] for name in program.signature.input_fields}

    loaded, text = saved_and_loaded(program, tmp_path)

    assert loaded.render(inputs) == program.render(inputs)
    assert {name: loaded.demos[0][name] for name in demo} == demo
    assert "CUSTOM-TYPE" not in text


def test_a_saved_picture_is_its_data_uri(tmp_path):
    program = telic.Predict(Look)
    program.demos = [{"picture": Image(GIF), "question": "q", "answer": "a"}]

    _, text = saved_and_loaded(program, tmp_path)

    assert json.loads(text)["predictors"]["self"]["demos"][0]["picture"] == {"url": Image(GIF).url}


def test_a_picture_of_three_megabytes_is_saved_and_loaded(tmp_path):
    program = telic.Predict(Look)
    program.demos = [{"picture": BIG, "question": "q", "answer": "a"}]

    loaded, _ = saved_and_loaded(program, tmp_path)

    assert loaded.demos[0]["picture"] == BIG


def test_a_program_of_code_in_a_language_keeps_its_type(tmp_path):
    program = telic.Predict('q -> c: Code["java"]')

    loaded, _ = saved_and_loaded(program, tmp_path)

    assert loaded.signature.output_fields["c"].annotation is Code["java"]


def test_values_are_copied_and_pickled_as_values():
    for value in (
        Image(GIF),
        Audio(b"ID3."),
        File(GIF),
        Document("x", "t"),
        Code("x"),
        Reasoning("x"),
        Citations(),
    ):
        assert copy.deepcopy(value) == value
        assert pickle.loads(pickle.dumps(value)) == value


# Caches


def test_equal_pictures_share_an_answer_whatever_they_were_made_of(tmp_path):
    path = tmp_path / "a.gif"
    path.write_bytes(GIF)
    lm = FunctionLM(lambda request: YES, cache=True)
    program = telic.Predict(Look)

    with telic.context(lm=lm):
        for picture in (Image(GIF), Image.from_path(path), Image(url=Image(GIF).url), Image(GIF).url):
            program(picture=picture, question="q")
        program(picture=Image(GIF + b"!"), question="q")

    assert len(lm.requests) == 2


def test_pictures_that_change_in_a_demo_are_seen():
    program = telic.Predict(Look)
    program.demos = [{"picture": Image(GIF), "question": "q", "answer": "a"}]
    before = program.render(picture=Image(GIF), question="q")
    program.demos[0]["picture"] = Image(GIF + b"!")

    assert program.render(picture=Image(GIF), question="q") != before


# The embedded LM, and others that take text only


def test_the_embedded_lm_refuses_pictures_before_anything_is_made():
    lm = telic.LM("telic/tiny", cache=False)
    budget = telic.Budget(calls=10)

    with telic.context(lm=lm, budget=budget):
        with pytest.raises(
            LMInvalidRequestError, match="reads text only, and the message has a part of type 'image_url'"
        ):
            telic.Predict(Look)(picture=Image(GIF), question="q")
        result = telic.Predict(Signature("code: Code, docs: list[Document] -> answer"))(
            code=Code("x = 1"), docs=[Document("a")]
        )

    assert isinstance(result.answer, str)


# Inputs


@pytest.mark.parametrize(
    "value", ["https://x/y.png", Image(GIF).url, {"url": "https://x/y.png"}, GIF, Image(GIF)]
)
def test_what_stands_for_a_picture_is_taken(value):
    with telic.context(lm=ScriptedLM([YES])):
        assert telic.Predict(Look)(picture=value, question="q").answer == "yes"


@pytest.mark.parametrize("value", ["cat.png", "", None, 3, [Image(GIF)], b"no picture", {"src": "x"}])
def test_what_stands_for_none_is_refused_before_anything_is_sent(value):
    lm = ScriptedLM([YES])

    with telic.context(lm=lm), pytest.raises(InputError, match="'picture'"):
        telic.Predict(Look)(picture=value, question="q")

    assert lm.requests == []


def test_why_it_is_refused_is_told():
    with telic.context(lm=ScriptedLM([])):
        with pytest.raises(InputError, match=r"reads no files by itself: Image.from_path\(path\) does"):
            telic.Predict(Look)(picture="cat.png", question="q")
        with pytest.raises(InputError, match="no picture known here"):
            telic.Predict("pictures: list[Image] -> answer")(pictures=[GIF, b"no picture"])


# What is shown


def test_nothing_that_is_shown_has_megabytes():
    lm = ScriptedLM([YES, "nonsense", "nonsense"])
    program = telic.Predict(Look)
    program.demos = [telic.Example(picture=BIG, question="q", answer="a")]
    out = io.StringIO()

    with telic.context(lm=lm, max_retries=0, trace=[]):
        result = program(picture=BIG, question="q")
        trace = telic.settings.trace
        telic.inspect_history(1, file=out)
        with pytest.raises(InputError) as wrong:
            program(picture=[BIG], question="q")
    with telic.context(lm=ScriptedLM(["[[ ## answer ## ]]\n\n[[ ## x"]), max_retries=0):
        with pytest.raises(AdapterParseError) as unread:
            telic.Predict(Signature("picture: Image -> n: int"))(picture=BIG)

    shown = [
        repr(result),
        repr(program),
        repr(program.demos),
        repr(trace),
        str(wrong.value),
        str(unread.value),
        out.getvalue(),
    ]
    assert max(map(len, shown)) < 5000
    assert "<image_url>" in out.getvalue()


def test_an_address_is_shown_in_the_history():
    out = io.StringIO()

    with telic.context(lm=ScriptedLM([YES])):
        telic.Predict(Look)(picture="https://x/y.png", question="q")
        telic.inspect_history(1, file=out)

    assert "<image_url https://x/y.png>" in out.getvalue()


# Evaluating and optimizing


def answer_by_size(request) -> str:
    urls = [
        part["image_url"]["url"] for part in request.messages[-1]["content"] if part["type"] == "image_url"
    ]
    return f"[[ ## answer ## ]]\n{len(urls[0])}\n\n[[ ## completed ## ]]"


def rows() -> list[Any]:
    pictures = [Image(GIF + bytes(3 * n)) for n in range(8)]
    return [
        telic.Example(picture=p, question="how long?", answer=str(len(p.url))).with_inputs(
            "picture", "question"
        )
        for p in pictures
    ]


def same(example, prediction, trace=None) -> bool:
    return example.answer == prediction.answer


def test_programs_of_pictures_are_evaluated_in_threads():
    with telic.context(lm=FunctionLM(answer_by_size)):
        result = Evaluate(devset=rows(), metric=same, num_threads=8, display_progress=False)(
            telic.Predict(Look)
        )

    assert result.score == 100


@pytest.mark.parametrize(
    "make", [lambda: LabeledFewShot(k=3), lambda: BootstrapFewShot(metric=same, max_bootstrapped_demos=2)]
)
def test_pictures_become_demos(make, tmp_path):
    with telic.context(lm=FunctionLM(answer_by_size)):
        compiled = make().compile(telic.Predict(Look), trainset=rows())
        loaded, _ = saved_and_loaded(compiled, tmp_path)

        assert all(isinstance(demo["picture"], Image) for demo in compiled.demos)
        inputs = {"picture": Image(GIF), "question": "q"}
        assert loaded.render(inputs) == compiled.render(inputs)
        assert (
            sum(len(m["content"]) > 1 and not isinstance(m["content"], str) for m in loaded.render(inputs))
            >= 3
        )


def test_conversations_with_pictures_go_on_and_are_saved(tmp_path):
    talk = Signature("picture: Image, question, history: History -> answer")
    program = telic.Predict(talk)
    past = History()

    with telic.context(lm=ScriptedLM([YES, YES])) as _:
        for picture in (Image(GIF), Image("https://x/y")):
            result = program(picture=picture, question="q", history=past)
            past = History([*past, {"picture": picture, "question": "q", "answer": result.answer}])
    program.demos = [{"picture": Image(GIF), "question": "q", "history": past, "answer": "a"}]
    loaded, _ = saved_and_loaded(program, tmp_path)
    inputs = {"picture": Image(GIF), "question": "q", "history": past}

    assert len(past) == 2
    assert loaded.render(inputs) == program.render(inputs)


def test_a_dummy_lm_writes_field_types():
    lm = DummyLM([{"why": "so", "program": "x = 1", "sources": '[{"document": 1, "cited_text": "a"}]'}])
    program = telic.Predict("docs: list[Document] -> why: Reasoning, program: Code, sources: Citations")

    with telic.context(lm=lm):
        result = program(docs=[Document("a")])

    assert (type(result.why), type(result.program), len(result.sources)) == (Reasoning, Code, 1)


# DSPy's files

MARKED = "<<CUSTOM-TYPE-START-IDENTIFIER>>{}<<CUSTOM-TYPE-END-IDENTIFIER>>"


def marked(*parts):
    return MARKED.format(json.dumps(list(parts)))


def test_pictures_in_programs_that_dspy_saved_are_loaded(tmp_path):
    look = Signature(
        "picture: Image, pictures: list[Image], sound: Audio, file: File, docs: list[Document], note -> code: Code, why: Reasoning"
    )
    gif = Image(GIF)
    demo = {
        "picture": marked(*Image("https://x/y.png").to_parts()),
        "pictures": [marked(*gif.to_parts())],
        "sound": marked(*Audio(b"ID3").to_parts()),
        "file": marked(*File(file_id="f").to_parts()),
        "docs": [marked(*Document("words", "T").to_parts())],
        "note": marked(*gif.to_parts()),
        "code": "x = 1",
        "why": "so",
    }
    fields = [{"prefix": f"{name}:", "description": ""} for name in look.fields]
    path = tmp_path / "program.json"
    path.write_text(
        json.dumps({"demos": [demo], "signature": {"instructions": "Look.", "fields": fields}, "lm": None})
    )
    program = telic.Predict(look)

    program.load(path)

    found = program.demos[0]
    assert (found["picture"], found["pictures"]) == (Image("https://x/y.png"), [gif])
    assert (found["sound"], found["file"]) == (Audio(b"ID3"), File(file_id="f"))
    assert found["docs"] == [Document("words", "T")]
    assert found["note"] == demo["note"]  # a text stays a text, whatever stands in it
    assert (found["code"], found["why"]) == ("x = 1", "so")


@pytest.mark.parametrize(
    "broken", ["not json", "[]", "[3]", "{}", '[{"type": "image_url"}]', '[{"type": "x"}, {"type": "y"}]']
)
def test_marks_around_something_else_are_an_error_of_the_file(broken, tmp_path):
    path = tmp_path / "program.json"
    fields = [{"prefix": "x", "description": ""}] * 3
    demo = {"picture": MARKED.format(broken), "question": "q", "answer": "a"}
    path.write_text(json.dumps({"demos": [demo], "signature": {"instructions": "Look.", "fields": fields}}))

    with pytest.raises(telic.StateMismatchError, match="picture"):
        telic.Predict(Look).load(path)

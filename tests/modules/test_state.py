import json
import math
import os
import stat
from datetime import date
from enum import Enum
from pathlib import Path
from uuid import UUID

import pydantic
import pytest

from telic.data import Example
from telic.errors import StateError, StateMismatchError, StateNotFoundError, StateVersionError
from telic.lm import LM
from telic.modules import ChainOfThought, Module, Predict, load
from telic.signatures import InputField, OutputField, Signature


class City(pydantic.BaseModel):
    name: str
    size: int = 0


class Typed(Signature):
    """Find the city."""

    text: str = InputField(desc="a page")
    k: int = InputField()
    city: City = OutputField()
    score: float = OutputField()


class Program(Module):
    def __init__(self):
        self.steps = [ChainOfThought("question -> answer"), {"find": Predict(Typed)}]


def learned():
    program = Program()
    first, find = program.predictors()
    first.signature = first.signature.with_instructions("Think hard.\nThen answer, né?")
    first.demos = [Example(question="q", reasoning="r", answer="ünï").with_inputs("question")]
    find.signature = find.signature.with_updated_fields("city", desc="the biggest")
    find.demos = [
        Example(text="t", k=3, city=City(name="Ulm", size=1), score=0.5),
        {"text": "t", "k": 4, "city": City(name="Bonn"), "score": 1.0},
    ]
    find.config = {"temperature": 0.5, "stop": ["x"]}
    return program


def test_what_was_learned_comes_back_typed(tmp_path):
    program, fresh = learned(), Program()
    path = tmp_path / "new" / "folder" / "program.json"

    program.save(path)
    assert fresh.load(path) is fresh

    first, find = fresh.predictors()
    assert first.signature.instructions == "Think hard.\nThen answer, né?"
    assert first.demos == program.predictors()[0].demos
    assert first.demos[0].inputs().toDict() == {"question": "q"}
    assert find.signature.fields["city"].desc == "the biggest"
    assert find.demos[0].city == City(name="Ulm", size=1)
    assert find.demos[1].score == 1.0
    assert find.config == {"temperature": 0.5, "stop": ["x"]}
    assert fresh.dump_state() == program.dump_state()


def test_the_loaded_program_asks_exactly_as_the_saved_one(tmp_path):
    program, fresh = learned(), Program()
    program.save(tmp_path / "p.json")
    fresh.load(tmp_path / "p.json")

    for path, inputs in [
        ("steps[0].predict", {"question": "q"}),
        ("steps[1]['find']", {"text": "t", "k": 1}),
    ]:
        assert fresh.render(predictor=path, **inputs) == program.render(predictor=path, **inputs)


def test_the_file_is_the_same_for_the_same_state_and_readable(tmp_path):
    learned().save(tmp_path / "a.json")
    learned().save(str(tmp_path / "b.json"))

    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert text == (tmp_path / "b.json").read_text(encoding="utf-8")
    assert text.startswith('{\n  "telic": {\n    "format": 1,')
    assert "né?" in text
    assert text.endswith("}\n")


def test_a_state_without_a_file_is_the_same():
    program, fresh = learned(), Program()

    fresh.load_state(json.loads(json.dumps(program.dump_state())))

    assert fresh.dump_state() == program.dump_state()


def test_odd_text_and_numbers_survive(tmp_path):
    predict = Predict("question, x: float -> answer")
    values = {"question": "\ud800 \x00 \u202e", "answer": "a\r\n", "big": 2**80, "worst": -math.inf}
    predict.demos = [Example(x=math.nan, **values)]

    predict.save(tmp_path / "p.json")
    again = Predict("question, x: float -> answer").load(tmp_path / "p.json")

    assert {name: again.demos[0][name] for name in values} == values
    assert math.isnan(again.demos[0].x)


class Color(Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (dict[Color, int], {Color.RED: 1}),
        (dict[date, list[Color]], {date(2024, 2, 29): [Color.RED]}),
        (dict[UUID, int], {UUID(int=7): 1}),
    ],
)
def test_keys_of_demos_come_back_typed(tmp_path, annotation, value):
    signature = Signature({"question": (str, InputField()), "found": (annotation, OutputField())})
    predict = Predict(signature)
    predict.demos = [Example(question="q", found=value)]
    predict.save(tmp_path / "p.json")
    assert Predict(signature).load(tmp_path / "p.json").demos[0].found == value


def test_keys_that_could_not_be_told_apart_again_are_refused(tmp_path):
    predict = Predict("question -> answer")
    predict.demos = [Example(question={(1, 2): 3}, answer="a")]
    with pytest.raises(StateError, match=r"the key \(1, 2\)"):
        predict.save(tmp_path / "p.json")


def test_values_that_are_no_data_are_refused_with_their_place(tmp_path):
    predict = Predict("question -> answer")
    predict.demos = [Example(question=object(), answer="a")]

    with pytest.raises(StateError, match="'question' in demo 0 of 'self'"):
        predict.save(tmp_path / "p.json")
    assert list(tmp_path.iterdir()) == []


def test_the_report_is_saved_with_the_program(tmp_path):
    class Report:
        spend, candidates = {}, []

        def to_dict(self):
            return {"score": 0.5, "candidates": [{"score": 0.4, "interval": (0.1, 0.9)}]}

    program = Program()
    program.report = Report()
    program.save(tmp_path / "p.json")
    again = Program().load(tmp_path / "p.json")

    assert again.report.score == 0.5
    assert again.report["candidates"][0]["interval"] == [0.1, 0.9]
    with pytest.raises(AttributeError, match="did you mean 'score'"):
        _ = again.report.scor


# LMs


def test_an_lm_is_saved_by_name_and_options_and_never_with_key_or_endpoint(tmp_path):
    predict = Predict("question -> answer")
    predict.lm = LM(
        "openai/gpt-5-mini", temperature=0.3, api_key="sk-secret", api_base="http://evil.example/v1"
    )

    predict.save(tmp_path / "p.json")
    again = Predict("question -> answer").load(tmp_path / "p.json")

    text = (tmp_path / "p.json").read_text()
    assert "secret" not in text
    assert "evil" not in text
    assert again.lm.model == "openai/gpt-5-mini"
    assert again.lm.kwargs["temperature"] == 0.3


def test_endpoints_keys_and_classes_in_a_file_are_not_taken():
    lm = {
        "model": "openai/gpt-5-mini",
        "api_base": "http://evil.example/v1",
        "api_key": "k",
        "temperature": 0.1,
    }
    state = Predict("question -> answer").dump_state()
    state["predictors"]["self"]["lm"] = lm
    predict = Predict("question -> answer")

    predict.load_state(state)

    assert "evil" not in json.dumps(predict.lm.dump_state(), default=str)
    state["predictors"]["self"]["lm"] = {**lm, "_class": "os.system"}
    predict.lm = None
    predict.load_state(state)
    assert predict.lm is None


def test_a_file_without_an_lm_keeps_the_programs(fake):
    predict, lm = Predict("question -> answer"), fake()
    predict.lm = lm

    predict.load_state(Predict("question -> answer").dump_state())

    assert predict.lm is lm


def test_an_lm_of_ones_own_is_saved_by_name_and_set_by_code(fake):
    predict = Predict("question -> answer")
    predict.lm = fake(model="mine")
    state = predict.dump_state()
    other = Predict("question -> answer")

    other.load_state(state)

    assert state["predictors"]["self"]["lm"] == {"model": "mine", "custom": True}
    assert other.lm is None


# DSPy's files


DSPY = {
    "steps[0].predict": {
        "traces": [],
        "train": [],
        "demos": [{"augmented": True, "question": "q", "reasoning": "r", "answer": "a"}],
        "signature": {
            "instructions": "Learned elsewhere.",
            "fields": [
                {"prefix": "Question:", "description": "${question}"},
                {"prefix": "Reasoning: Let's think step by step in order to", "description": "${reasoning}"},
                {"prefix": "Answer:", "description": "short"},
            ],
        },
        "lm": None,
    },
    "metadata": {"dependency_versions": {"python": "3.12", "dspy": "3.0.4", "cloudpickle": "3.1"}},
}


class One(Module):
    def __init__(self):
        self.steps = [ChainOfThought("question -> answer")]


def test_dspys_programs_load(tmp_path):
    (tmp_path / "dspy.json").write_text(json.dumps(DSPY))

    predict = One().load(tmp_path / "dspy.json").steps[0].predict

    assert predict.signature.instructions == "Learned elsewhere."
    assert predict.signature.fields["answer"].desc == "short"
    assert predict.signature.fields["question"].desc == ""
    assert predict.demos[0].answer == "a"


@pytest.mark.parametrize(
    ("path", "rooted"), [("steps", False), ("steps._predict", False), ("self", True), ("_predict", True)]
)
def test_old_paths_of_a_chain_of_thought_are_found(path, rooted):
    class Holder(Module):
        def __init__(self):
            self.steps = ChainOfThought("question -> answer")

    fields = [{"prefix": name, "description": f"${{{name}}}"} for name in ("question", "reasoning", "answer")]
    entry = {"signature": {"instructions": "Old.", "fields": fields}, "demos": [], "lm": None}
    program = ChainOfThought("question -> answer") if rooted else Holder()

    program.load_state({path: entry})

    assert program.predictors()[0].signature.instructions == "Old."


def test_states_that_hold_only_instructions_load():
    program = ChainOfThought("question -> answer")
    entry = {"signature_instructions": "Plain.", "extended_signature_instructions": "Thought.", "demos": []}

    program.load_state({"self": entry})

    assert program.predict.signature.instructions == "Thought."


def test_a_lone_predictor_of_dspys_loads():
    signature = {
        "instructions": "Do.",
        "fields": [{"prefix": "Q:", "description": "q"}, {"prefix": "A:", "description": "a"}],
    }
    predict = Predict("question -> answer")

    predict.load_state({"signature": signature, "demos": [], "lm": None, "traces": [], "metadata": {}})

    assert predict.signature.instructions == "Do."


# What is refused


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"", StateError, "not JSON"),
        (b"\x80\x04 pickle", StateError, "not JSON"),
        (b"[" * 100_000, StateError, "not JSON"),
        (b"[1]", StateError, "an object"),
        (b'{"a": 1}', StateError, "'a' is not the state of a predictor"),
        (b'{"telic": {}, "predictors": {}}', StateError, "no format version"),
        (b'{"telic": {"format": 99}}', StateVersionError, "format 99.*upgrade"),
        (b'{"telic": {"format": 1}}', StateError, "no predictors"),
        (b'{"steps[0].predict": {"demos": []}}', StateError, "no signature"),
        (b'{"steps[9].predict": {}}', StateMismatchError, r"the file has `steps\[9\].predict`"),
    ],
)
def test_files_that_are_no_saved_program_are_refused(tmp_path, content, error, message):
    (tmp_path / "p.json").write_bytes(content)

    with pytest.raises(error, match=message):
        One().load(tmp_path / "p.json")


def test_the_state_of_another_program_is_refused_by_path_and_field():
    with pytest.raises(StateMismatchError, match=r"the program has `steps\[0\].predict`"):
        One().load_state(Predict("question -> answer").dump_state())
    with pytest.raises(StateMismatchError, match=r"'self' in this state.*`query`"):
        Predict("question -> answer").load_state(Predict("query -> answer").dump_state())


def test_a_failed_load_changes_nothing():
    program, broken = Program(), learned().dump_state()
    before = program.dump_state()
    broken["predictors"]["steps[1]['find']"]["demos"][1]["city"] = "Bonn"

    with pytest.raises(StateMismatchError, match=r"demo 1 of .*'city' is 'Bonn', which is no City"):
        program.load_state(broken)

    assert program.dump_state() == before


def test_a_missing_file_is_an_error_that_names_its_neighbours(tmp_path):
    learned().save(tmp_path / "program.json")

    with pytest.raises(StateNotFoundError, match=r"no file .*program\.json") as caught:
        Program().load(tmp_path / "progam.json")
    assert isinstance(caught.value, FileNotFoundError)  # programs catch it so to compile on the first run


@pytest.mark.parametrize("name", ["p.pkl", "p.pickle"])
def test_pickles_are_refused_both_ways(tmp_path, name):
    with pytest.raises(StateError, match="pickle"):
        learned().save(tmp_path / name)
    with pytest.raises(StateError, match="pickle"):
        Program().load(tmp_path / name)


def test_folders_and_whole_programs_are_refused(tmp_path):
    with pytest.raises(StateError, match="folder"):
        Program().load(tmp_path)
    with pytest.raises(StateError, match="not its code"):
        Program().save(tmp_path / "p", save_program=True)
    with pytest.raises(StateError, match="no pickles"):
        Program().load(tmp_path / "p.json", allow_pickle=True)
    with pytest.raises(StateError, match="MyProgram"):
        load(tmp_path)


def test_load_takes_a_program(tmp_path):
    learned().save(tmp_path / "p.json")

    assert load(tmp_path / "p.json", Program()).dump_state() == learned().dump_state()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    tmp_path.chmod(0o500)

    with pytest.raises(StateError, match="cannot be saved"):
        learned().save(tmp_path / "p.json")


def test_a_path_that_cannot_be_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(StateError, match="cannot be saved"):
        learned().save(tmp_path / "file" / "p.json")


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "p.json"
    learned().save(path)
    before = path.read_bytes()
    broken = learned()
    broken.steps[0].predict.demos = [Example(question=object())]

    with pytest.raises(StateError):
        broken.save(path)

    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["p.json"]


def test_saving_over_a_file_keeps_its_mode(tmp_path):
    path = tmp_path / "p.json"
    learned().save(path)
    path.chmod(0o640)

    learned().save(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert Path(path).exists()


def test_demos_of_plain_data_are_shown_after_loading_as_before():
    saved, loaded = Predict(Typed), Predict(Typed)
    saved.demos = [
        {"text": "a", "k": 1, "city": {"name": "Rome"}, "score": 1},
        {"text": "b", "k": True, "city": City(name="Oslo"), "score": 0.5},
        {"text": "c", "k": 3, "city": City(name="Bonn", size=3), "score": float("nan")},
    ]
    loaded.load_state(json.loads(json.dumps(saved.dump_state())))

    assert loaded.render(text="x", k=1) == saved.render(text="x", k=1)
    assert [type(demo["city"]) for demo in loaded.demos] == [dict, City, City]

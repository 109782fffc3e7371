"""Faults of a TOML file are told with file, line and key."""

from __future__ import annotations

import pytest

import telic
from telic.errors import ConfigurationError, DatasetError, InputError
from telic.recipes import Project, is_project
from telic.recipes._toml import key_lines
from telic.testing import FunctionLM, ScriptedLM

WHOLE = """\
# answers
lm = "fake/reader"
metric = "answer_score"

[corpus]
documents = "handbook"

[[steps]]
name = "find"
retrieve = "question"
k = 2

[[steps]]
name = "answer"
signature = "passages: list[str], question -> answer"
instructions = \"\"\"
Answer from
k = the passages.\"\"\"
strategy = "ChainOfThought"

[steps.fields]
answer = "a few words"

[data]
rows = "questions.csv"

[compile]
optimizer = "BootstrapFewShot"

[compile.options]
max_labeled_demos = 2

[budget]
calls = 200
"""


@pytest.fixture
def declare(handbook):
    def write(text=WHOLE):
        (handbook / "program.toml").write_text(text)
        return handbook / "program.toml"

    return write


def test_a_declared_program_answers(declare, reading_lm):
    program = Project(declare()).program()
    with telic.context(lm=ScriptedLM([{"reasoning": "It says so.", "answer": "team H7"}])) as _:
        found = program(question="Which team uses room 7?")

    assert found.answer == "team H7"
    assert len(found.passages) == 2
    signature = program.steps["answer"].predict.signature
    assert signature.instructions == "Answer from\nk = the passages."
    assert "a few words" in str(signature.output_fields["answer"])


def test_a_declared_program_is_compiled_saved_and_loaded(declare, reading_lm):
    project = Project(declare())
    program = project.program()
    rows = project.rows("train", ["question"])
    with telic.context(lm=FunctionLM(lambda r: {"reasoning": "r", "answer": "x"})):
        optimizer = telic.BootstrapFewShot(lambda e, p, trace=None: True, **project.options)
        optimizer.compile(program, trainset=rows).save(project.state)

    assert project.state.name == "program.state.json"
    assert Project(project.name).program().predictors()[0].demos
    assert not Project(project.name).program(learned=False).predictors()[0].demos
    assert project.budget.calls == 200


def test_rows_are_cut_in_three_the_same_way_each_time(declare):
    first, second = Project(declare()), Project(declare())

    for part in ("train", "val", "test"):
        assert first.rows(part, ["question"]) == second.rows(part, ["question"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('strategy = "Chain', 'strateg = "Chain', r"line 19, 'steps.2.strateg': unknown; did you mean 'strategy'"),
        ('"ChainOfThought"', '"ChainOfThoughts"', r"line 19, 'steps.2.strategy': unknown: 'ChainOfThoughts'"),
        ("k = 2", 'k = "2"', r"line 11, 'steps.1.k': must be a whole number, got '2'"),
        ("k = 2", "k = 0", r"line 11, 'steps.1.k': .*at least 1"),
        ("k = 2", "k = true", r"line 11, 'steps.1.k': must be a whole number"),
        ('name = "find"\n', "", r"line 8, 'steps.1': needs 'name'"),
        ('name = "answer"', 'name = "find"', r"line 14, 'steps.2.name': there are two steps"),
        ('retrieve = "question"', 'retrieve = "question"\ngives = "context"', r"'steps.2': takes 'passages'|passages"),
        ("-> answer", "- answer", r"line 15, 'steps.2.signature'"),
        ('answer = "a few', 'anser = "a few', r"line 22, 'steps.2.fields.anser': unknown"),
        ('metric = "answer_score"', 'metric = "os:system"', r"line 3, 'metric': unknown: 'os:system'"),
        ("[corpus]", "[corpse]", r"line 5, 'corpse': unknown; did you mean 'corpus'"),
        ("[budget]\ncalls", "[budget]\ncall", r"line 34, 'budget.call': unknown"),
        ("calls = 200", "calls = 2.5", r"line 34, 'budget.calls': must be a whole number"),
        ('lm = "fake/reader"', "lm = 3", r"line 2, 'lm': must be a text"),
        ('lm = "fake/reader"', 'lm = "x"\napi_key = "secret"', r"line 3, 'api_key': unknown"),
        ('rows = "questions.csv"', 'rows = "q"\ntrain = "t"', r"'data.train': either `rows`"),
        ('[corpus]\ndocuments = "handbook"\n', "", r"'steps.1': retrieves, and there is no \[corpus\]"),
        ('documents = "handbook"', "", r"'corpus': needs 'documents'"),
        ("[data]", "[data", "is no TOML: .*line 24"),
        ("k = 2", "k = 2\nk = 3", "is no TOML: .*line 12"),
        ('retrieve = "question"', 'retrieve = "question"\nsignature = "a -> b"', r"'steps.1': .*either a signature"),
        ('retrieve = "question"', 'retrieve = "question"\ninstructions = "x"', "belongs to a step with a signature"),
        ('lm = "fake/reader"', 'inputs = ["query"]', r"takes 'question', which is no input \(`query`\)"),
        ('lm = "fake/reader"', "steps = 3", "Cannot|TOML"),
        ('lm = "fake/reader"', "inputs = [1]", r"line 2, 'inputs': must be a text, got 1"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_line_and_key(declare, old, new, message):
    assert old in WHOLE
    text = WHOLE.replace(old, new)
    with pytest.raises(ConfigurationError, match=message) as caught:
        project = Project(declare(text))
        project.program()
        if "gives" in new:  # another input, then: the rows lack it
            raise ConfigurationError(str(project.program().input_names))

    assert "secret" not in str(caught.value)


def test_a_step_may_not_take_what_only_a_later_one_gives(declare):
    text = '[[steps]]\nname = "a"\nsignature = "x, z -> y"\n[[steps]]\nname = "b"\nsignature = "y -> z"\n'

    with pytest.raises(ConfigurationError, match=r"line 1, 'steps.1': takes 'z', which only a later step"):
        Project(declare(text)).program()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps = [1]", r"'steps.1': must be a table"),
        ("steps = {a = 1}", r"'steps': must be a list"),
        ("steps = []", "needs steps"),
        (
            'steps = [{name = "a", signature = "x -> y", stratgy = "Predict"}]',
            r"line 1, 'steps.1.stratgy': unknown",
        ),
        ("a = " + "[" * 5000, "is no TOML"),
        ('[[steps]]\nname = "a"\nsignature = "x: Foo -> y"', r"line 3, 'steps.1.signature': .*Foo"),
        ('[[steps]]\nname = "a"\nsignature = "-> y -> z"', r"line 3, 'steps.1.signature'"),
    ],
)
def test_strange_steps_are_refused(declare, text, message):
    with pytest.raises(ConfigurationError, match=message):
        Project(declare(text)).program()


def test_steps_feed_one_another(declare):
    text = (
        '[[steps]]\nname = "a"\nsignature = "x -> y"\n'
        '[[steps]]\nname = "b"\nsignature = "x, y -> z"\n[steps.options]\ntemperature = 1\n'
    )
    program = Project(declare(text)).program()
    program.set_lm(ScriptedLM([{"y": "2"}, {"z": "3"}]))

    assert dict(program(x="1").items()) == {"y": "2", "z": "3"}
    assert program.input_names == ["x"]
    with pytest.raises(InputError, match="missing input 'x'"):
        program()
    with pytest.raises(InputError, match="unknown input 'w'"):
        program(w="1")


def test_files_that_are_no_programs_are_refused(tmp_path):
    (tmp_path / "latin.toml").write_bytes(b'lm = "\xe9"')
    (tmp_path / "empty.toml").write_text("")
    (tmp_path / "folder").mkdir()

    for name, message in (
        ("latin.toml", "not UTF-8"),
        ("empty.toml", "needs steps"),
        ("none.toml", "cannot be read"),
        ("folder", "has no program.py"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            Project(tmp_path / name)
    assert not is_project(str(tmp_path / "folder"))
    assert not is_project("module:attribute")


def test_documents_that_are_not_there_are_told(declare):
    with pytest.raises(DatasetError, match="there is no file or folder"):
        Project(declare(WHOLE.replace("handbook", "nowhere"))).program()


def test_lines_are_found_under_nested_lists_and_long_texts():
    text = 'a = """\nb = 1\n"""\n[[t]]\n[t.u]\nx = 1\n[[t]]\n[t.u]\nx = 2\n"q.r" = 3\n'

    found = key_lines(text)

    assert found[("a",)] == 1
    assert ("b",) not in found
    assert found["t", 0, "u", "x"] == 6
    assert found["t", 1, "u", "x"] == 9


# Folders


def test_a_program_that_fails_to_load_says_so(tmp_path):
    for source, message in (
        ("1 / 0", "ZeroDivisionError"),
        ("x = 1", "no function `make`"),
        ("def make():\n    return 3", "made a int"),
    ):
        (tmp_path / "program.py").write_text(source)
        with pytest.raises(ConfigurationError, match=message):
            Project(tmp_path).program()


def test_a_folder_may_be_without_settings(tmp_path):
    (tmp_path / "program.py").write_text("import telic\ndef make():\n    return telic.Predict('a -> b')\n")

    project = Project(tmp_path)

    assert (project.lm, project.metric, project.rows("test", ["a"])) == (None, None, None)
    assert len(project.program().predictors()) == 1


def test_steps_do_not_stand_beside_a_program(tmp_path):
    (tmp_path / "program.py").write_text("")
    (tmp_path / "telic.toml").write_text('[[steps]]\nname = "a"\nsignature = "x -> y"\n')

    with pytest.raises(ConfigurationError, match="'steps': the program of this folder is program.py"):
        Project(tmp_path)

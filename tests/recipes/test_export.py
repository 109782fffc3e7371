"""A compiled program becomes a package that answers the same, without the files that it was made from."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest

import telic
from telic import recipes
from telic.cli._app import run
from telic.errors import ConfigurationError
from telic.recipes import Origin, export_package, export_prompts, prompts_of

PROGRAM = '''\
from typing import Literal

import telic


class Judge(telic.Signature):
    """Judge a review. Say \\"""good\\""" or \\\\bad."""

    review: str = telic.InputField()
    stars: int = telic.InputField()
    verdict: Literal["good", "bad"] = telic.OutputField()


class Program(telic.Module):
    def __init__(self):
        super().__init__()
        self.judge = telic.ChainOfThought(Judge)

    def forward(self, review: str, stars: int = 3):
        return self.judge(review=review, stars=stars)


instance = Program()
text = "question -> answer: list[str]"
'''
ASKED = """
    import json, sys
    sys.path.insert(0, sys.argv[1])
    import telic
    from telic.testing import FunctionLM
    lm = FunctionLM(lambda request: {reply})
    telic.configure(lm=lm)
    from {name} import run
    found = run({call})
    print(json.dumps([dict(found.items()).get({field!r}), lm.requests[-1].messages[:-1]]))
"""


def ask(folder, name, call, reply, field):
    """Return what a process that knows the package alone is answered, and the prompt before the last message."""
    code = textwrap.dedent(ASKED).format(name=name, call=call, reply=reply, field=field)
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("exported_")]:
        del sys.modules[name]


def learned(program, folder):
    program.predictors()[0].demos = [{"review": "Fine.", "stars": 4, "reasoning": "r", "verdict": "good"}]
    program.predictors()[0].signature = program.predictors()[0].signature.with_instructions(
        'Say "it" """so""".'
    )
    program.save(folder / "state.json")


@pytest.mark.parametrize("attribute", ["Program", "instance"])
def test_a_module_goes_round(here, capsys, attribute):
    (here / "exported_source.py").write_text(PROGRAM)
    import exported_source

    learned(exported_source.Program(), here)
    code = run(
        ["export", f"exported_source:{attribute}", "--load", "state.json", "--out", "made", "--name", "judge"]
    )
    assert code == 0, capsys.readouterr().err
    (here / "exported_source.py").unlink()

    reply = '{"reasoning": "r", "verdict": "bad"}'
    verdict, messages = ask(here / "made", "judge", 'review="It broke.", stars=1', reply, "verdict")

    assert verdict == "bad"
    assert 'Say "it" """so""".' in messages[0]["content"]
    assert "Fine." in messages[1]["content"]
    source = (here / "made" / "judge" / "__init__.py").read_text()
    assert "def run(*, review: str, stars: int = 3) -> Output:" in source


@pytest.mark.parametrize(
    "name", ["exported_text:text", "question -> answer: list[str]", "exported_text:Judge"]
)
def test_signatures_are_exported_with_typed_outputs(here, capsys, name):
    (here / "exported_text.py").write_text(PROGRAM)

    assert run(["export", name, "--out", "asker"]) == 0
    assert "nothing was learned yet" in capsys.readouterr().out
    source = (here / "asker" / "asker" / "__init__.py").read_text()
    if "Judge" in name:
        assert "verdict: Literal['good', 'bad']" in source
        verdict, _ = ask(here / "asker", "asker", 'review="a", stars=2', '{"verdict": "good"}', "verdict")
        assert verdict == "good"
    else:
        assert "answer: list[str]" in source
        answer, _ = ask(here / "asker", "asker", 'question="a"', '{"answer": ["x", "y"]}', "answer")
        assert answer == ["x", "y"]


def test_a_recipe_goes_round_with_its_index(handbook, reading_lm, capsys):
    with telic.context(lm=reading_lm):
        recipes.rag(handbook / "handbook", handbook / "questions.csv", k=2).compile(handbook / "out")
    assert run(["export", str(handbook / "out"), "--out", str(handbook / "made"), "--name", "rooms"]) == 0
    (handbook / "out").rename(handbook / "elsewhere")

    reply = '{"reasoning": "r", "answer": "team H7", "sources": [1]}'
    answer, messages = ask(handbook / "made", "rooms", 'question="Which team uses room 7?"', reply, "answer")

    assert answer == "team H7"
    assert len(messages) > 1
    needs = (handbook / "made" / "requirements.txt").read_text()
    assert needs.startswith("telic[retrieve]>=")
    assert (handbook / "made" / "rooms" / "index" / "index.json").exists()


def test_a_declared_program_goes_round_with_its_documents(handbook, monkeypatch, capsys):
    monkeypatch.chdir(handbook)
    (handbook / "steps.toml").write_text(
        '[corpus]\ndocuments = "handbook"\n[[steps]]\nname = "find"\nretrieve = "question"\nk = 1\n'
        '[[steps]]\nname = "say"\nsignature = "passages: list[str], question -> answer: int"\n'
    )
    (handbook / "handbook" / "scan.pdf").unlink()
    assert run(["export", "steps.toml", "--out", "made", "--name", "said"]) == 0, capsys.readouterr().err

    answer, _ = ask(handbook / "made", "said", 'question="room 7"', '{"answer": 7}', "answer")

    assert answer == 7
    assert "def run(*, question: str)" in (handbook / "made" / "said" / "__init__.py").read_text()


def test_the_package_says_how_it_is_built_and_what_it_needs(here):
    (here / "exported_needs.py").write_text(
        "import rich\nimport json\nimport telic\nprogram = telic.Predict('a -> b')\n"
    )

    assert run(["export", "exported_needs:program", "--out", "my-tool"]) == 0

    import tomllib

    project = tomllib.loads((here / "my-tool" / "pyproject.toml").read_text())["project"]
    assert project["name"] == "my-tool"
    assert [need.partition("==")[0].partition(">=")[0] for need in project["dependencies"]] == [
        "telic",
        "rich",
    ]
    assert (here / "my-tool" / "my_tool" / "py.typed").exists()
    assert "from my_tool import run" in (here / "my-tool" / "README.md").read_text()


def test_no_lm_and_no_key_come_along(here):
    program = telic.Predict("question -> answer")
    program.lm = telic.LM("openai/gpt-5-mini", api_key="sk-secret", api_base="http://inner.example/v1")
    made = export_package(program, Origin("", "telic.Predict('question -> answer')"), here / "out")

    texts = "".join(path.read_text() for path in made.parent.rglob("*") if path.is_file())
    assert "sk-secret" not in texts
    assert "inner.example" not in texts


@pytest.mark.parametrize(
    ("name", "out", "message"),
    [
        ("exported_bad:program", "full", "not empty"),
        ("exported_bad:program", "9lives", "cannot be called '9lives'"),
        ("exported_bad:program", "class", "cannot be called 'class'"),
        ("exported_bad:program", "file.txt/x", "cannot be written"),
        ("exported_local:program", "new", "imports 'exported_helper' from its own folder"),
        ("exported_bad:nothing", "new", "has no 'nothing'"),
        ("exported_bad", "new", "module:attribute"),
        ("nowhere.toml", "new", "cannot be read"),
    ],
)
def test_what_cannot_be_exported_is_refused(here, capsys, name, out, message):
    (here / "exported_bad.py").write_text("import telic\nprogram = telic.Predict('a -> b')\n")
    (here / "exported_helper.py").write_text("import telic\nmade = telic.Predict('a -> b')\n")
    (here / "exported_local.py").write_text("from exported_helper import made as program\n")
    (here / "full").mkdir()
    (here / "full" / "mine.txt").write_text("mine")
    (here / "file.txt").write_text("mine")
    before = sorted(path.name for path in here.iterdir())

    assert run(["export", name, "--out", out]) == 2

    assert message in capsys.readouterr().err
    assert sorted(p.name for p in here.iterdir() if p.name != "__pycache__") == before


def test_documents_elsewhere_are_not_exported(handbook, capsys):
    inner = handbook / "inner"
    inner.mkdir()
    (inner / "p.toml").write_text(
        '[corpus]\ndocuments = "../handbook"\n[[steps]]\nname = "a"\nsignature = "x -> y"\n'
    )

    assert run(["export", str(inner / "p.toml"), "--out", str(handbook / "made")]) == 2
    assert "does not stand beside" in capsys.readouterr().err


# Prompts


def test_prompts_are_those_that_are_sent_with_names_for_inputs(tmp_path):
    program = telic.Predict("question, tags: list[str] -> answer")
    program.demos = [{"question": "a ``` b", "tags": ["x"], "answer": "c"}]

    files = export_prompts(program, tmp_path / "prompts")

    sent = program.render(question="{question}", tags=["t"])
    kept = json.loads((tmp_path / "prompts" / "prompts.json").read_text())["self"]
    assert kept[:-1] == sent[:-1]
    assert "{question}" in kept[-1]["content"]
    assert "{tags}" in kept[-1]["content"]
    page = files[0].read_text()
    assert "````\n" in page
    assert "## assistant" in page


def test_every_predictor_has_a_page(tmp_path, capsys):
    program = recipes.programs.MultiHop()

    names = {path.name for path in export_prompts(program, tmp_path / "out")}

    assert (
        names == {"write_query_0.md", "write_query_1.md", "answer.predict.md", "prompts.json"}
        or len(names) == 4
    )
    assert list(prompts_of(program)) == [path for path, _ in program.named_predictors()]


def test_a_program_without_predictors_has_no_prompts(tmp_path):
    with pytest.raises(ConfigurationError, match="no predictors"):
        export_prompts(telic.Module(), tmp_path / "out")
    assert not (tmp_path / "out").exists()

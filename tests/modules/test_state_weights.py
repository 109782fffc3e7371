"""A saved program and the weights that it calls: a folder that can be moved, zipped, handed on, and leads nowhere else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from telic.errors import StateError
from telic.lm import LM
from telic.modules import Module, Predict

TINY = Path(__import__("telic.lm.tiny", fromlist=["x"]).__file__).parent


def weights_in(folder):
    """Put weights into a folder, as a training does."""
    folder.mkdir(parents=True)
    shutil.copy(TINY / "tiny.safetensors", folder)
    shutil.copy(TINY / "vocab.json", folder)
    return folder


def program_of(*folders):
    made = Two() if len(folders) > 1 else Predict("question -> answer")
    for (_, predictor), folder in zip(made.named_predictors(), folders, strict=True):
        predictor.lm = LM(f"local/{folder}", max_tokens=8, cache=False)
    return made


class Two(Module):
    def __init__(self):
        self.one, self.two = Predict("question -> answer"), Predict("question -> answer")


def saved_lm(file, path="self"):
    return json.loads(file.read_bytes())["predictors"][path]["lm"]


SCRIPT = """
import sys
from telic.modules import Predict
program = Predict("question -> answer").load(sys.argv[1])
print(program.lm.model)
print(program.lm("Where is Paris?", temperature=0.0))
"""


def test_a_folder_with_program_and_weights_can_be_moved_and_answers_the_same(tmp_path):
    pytest.importorskip("numpy")
    program = program_of(weights_in(tmp_path / "run/weights/tiny-1/weights"))
    program.save(tmp_path / "run/program.json")
    expected = program.lm("Where is Paris?", temperature=0.0)
    archive = shutil.make_archive(str(tmp_path / "sent"), "zip", tmp_path / "run")
    shutil.rmtree(tmp_path / "run")
    shutil.unpack_archive(archive, tmp_path / "a colleague's")

    told = subprocess.run(
        [sys.executable, "-c", SCRIPT, "a colleague's/program.json"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip

    model, answer = told.stdout.splitlines()
    assert model == f"local/{tmp_path}/a colleague's/weights/tiny-1/weights"
    assert answer == str(expected)


def test_weights_in_the_files_folder_are_named_from_there(tmp_path):
    program = program_of(weights_in(tmp_path / "run/w/one"), weights_in(tmp_path / "run/w/two"))
    program.save(tmp_path / "run/program.json")

    told = saved_lm(tmp_path / "run/program.json", "one")
    assert (told["model"], told["beside"], told["max_tokens"]) == ("local/w/one", True, 8)
    again = Two().load(tmp_path / "run/program.json")
    assert [again.one.lm.model, again.two.lm.model] == [program.one.lm.model, program.two.lm.model]
    assert again.one.lm.kwargs == program.one.lm.kwargs


def test_the_same_program_has_the_same_bytes_wherever_its_folder_is(tmp_path):
    for place in ("here", "there"):
        program_of(weights_in(tmp_path / place / "w")).save(tmp_path / place / "program.json")

    assert (tmp_path / "here/program.json").read_bytes() == (tmp_path / "there/program.json").read_bytes()


def test_weights_that_were_named_from_the_working_directory_are_named_from_the_file(tmp_path, monkeypatch):
    weights_in(tmp_path / "w")
    monkeypatch.chdir(tmp_path)
    program_of("w").save("program.json")
    monkeypatch.chdir("/")

    assert Predict("question -> answer").load(tmp_path / "program.json").lm.model == f"local/{tmp_path / 'w'}"


def test_weights_elsewhere_are_named_by_where_they_are(tmp_path):
    weights = weights_in(tmp_path / "elsewhere")
    program_of(weights).save(tmp_path / "deploy/program.json")

    assert saved_lm(tmp_path / "deploy/program.json")["model"] == f"local/{weights}"
    assert Predict("question -> answer").load(tmp_path / "deploy/program.json").lm.model == f"local/{weights}"


def test_files_of_before_load_as_they_did(tmp_path):
    weights = weights_in(tmp_path / "w")
    program_of(weights).save(tmp_path / "program.json")
    state = json.loads((tmp_path / "program.json").read_bytes())
    state["predictors"]["self"]["lm"] = {"model": f"local/{weights}", "max_tokens": 8}
    (tmp_path / "program.json").write_text(json.dumps(state))

    assert Predict("question -> answer").load(tmp_path / "program.json").lm.model == f"local/{weights}"


def test_weights_are_copied_beside_the_file_where_that_is_asked(tmp_path):
    one, two = weights_in(tmp_path / "runs/tiny-1/weights"), weights_in(tmp_path / "runs/tiny-2/weights")
    program = program_of(one, two)

    for _ in range(2):  # once more changes nothing
        program.save(tmp_path / "deploy/program.json", copy_weights=True)

    assert program.one.lm.model == f"local/{one}", "the program itself calls what it called"
    shutil.rmtree(tmp_path / "runs")
    (tmp_path / "deploy").rename(tmp_path / "moved")
    again = Two().load(tmp_path / "moved/program.json")
    assert [Path(lm.model).name for lm in (again.one.lm, again.two.lm)] == ["0-tiny-1", "1-tiny-2"]
    for lm in (again.one.lm, again.two.lm):
        copy = Path(lm.model.removeprefix("local/"))
        assert (copy / "tiny.safetensors").read_bytes() == (TINY / "tiny.safetensors").read_bytes()
    assert sorted(path.name for path in (tmp_path / "moved").iterdir()) == ["program-weights", "program.json"]


def test_lms_without_weights_here_are_saved_as_ever(tmp_path):
    program = Predict("question -> answer")
    for lm in (LM("openai/gpt-5-mini"), LM("telic/tiny"), LM("local/org/on-the-hub"), None):
        program.lm = lm
        program.save(tmp_path / "program.json", copy_weights=True)
        assert lm is None or "beside" not in saved_lm(tmp_path / "program.json")
    assert [path.name for path in tmp_path.iterdir()] == ["program.json"]


def test_weights_that_cannot_be_copied_are_told_and_the_old_file_stays(tmp_path):
    program = program_of(weights_in(tmp_path / "w/weights"))
    program.save(tmp_path / "deploy/program.json")
    before = (tmp_path / "deploy/program.json").read_bytes()
    (tmp_path / "deploy/program-weights").write_text("in the way")

    with pytest.raises(StateError, match=r"the weights in .*w/weights' cannot be copied to .*; make room"):
        program.save(tmp_path / "deploy/program.json", copy_weights=True)

    assert (tmp_path / "deploy/program.json").read_bytes() == before


@pytest.mark.parametrize(
    "model",
    [
        "local/../secret", "local/w/../../secret", "local//etc", "local/link", "local/w/../../../../../etc",
        "local/w\0", "openai/gpt-5-mini", "..", "/etc", "local/..",
    ],
)  # fmt: skip
def test_a_name_that_leads_out_of_the_files_folder_is_refused_and_nothing_is_taken_over(model, tmp_path):
    (tmp_path / "secret").mkdir()
    weights_in(tmp_path / "home/w")
    os.symlink(tmp_path / "secret", tmp_path / "home/link")
    program_of(tmp_path / "home/w").save(tmp_path / "home/program.json")
    state = json.loads((tmp_path / "home/program.json").read_bytes())
    state["predictors"]["self"]["lm"]["model"] = model
    state["predictors"]["self"]["signature"]["instructions"] = "Changed."
    (tmp_path / "home/program.json").write_text(json.dumps(state))
    program = Predict("question -> answer")

    with pytest.raises(StateError, match=r"the lm of 'self' in .*program\.json.* leads out of .*home'"):
        program.load(tmp_path / "home/program.json")

    assert program.lm is None
    assert program.signature.instructions != "Changed."


def test_a_state_without_a_file_has_no_folder_to_look_in(tmp_path):
    program_of(weights_in(tmp_path / "w")).save(tmp_path / "program.json")

    with pytest.raises(
        StateError, match=r"is named from the folder of its file; read it by program\.load\(path\)"
    ):
        Predict("question -> answer").load_state(json.loads((tmp_path / "program.json").read_bytes()))


def test_a_state_in_memory_names_weights_by_where_they_are(tmp_path):
    program = program_of(weights_in(tmp_path / "w"))

    assert program.dump_state()["predictors"]["self"]["lm"]["model"] == f"local/{tmp_path / 'w'}"
    assert Predict("question -> answer").load_state(program.dump_state()).lm.model == program.lm.model

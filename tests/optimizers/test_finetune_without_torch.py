"""Without torch, finetuning says which extra to install before anything is paid for."""

from __future__ import annotations

import sys

import pytest

from telic.context import context
from telic.data import Example
from telic.errors import MissingExtraError
from telic.lm import LM
from telic.modules import Predict
from telic.optimizers import BootstrapFinetune
from telic.training import ChatRow, finetune, open_trainable

pytest.importorskip("numpy")
ROWS = [Example(question="1+1?", answer="2").with_inputs("question")]
MESSAGE = r"training 'telic/tiny' needs the package 'torch'.*pip install 'telic\[train\]'"


@pytest.fixture(autouse=True)
def no_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)


def test_the_optimizer_names_the_extra_before_any_call(tmp_path):
    lm = LM("telic/tiny")
    with context(lm=lm), pytest.raises(MissingExtraError, match=MESSAGE):
        BootstrapFinetune().compile(Predict("question -> answer"), trainset=ROWS, run_dir=tmp_path / "run")

    assert not lm.history
    assert not (tmp_path / "run").exists()


def test_the_parts_name_the_extra(tmp_path):
    with pytest.raises(MissingExtraError, match=MESSAGE):
        open_trainable("telic/tiny")
    with pytest.raises(MissingExtraError, match=MESSAGE):
        finetune("telic/tiny", [ChatRow(({"role": "user", "content": "1+1?"},), "2")], tmp_path)

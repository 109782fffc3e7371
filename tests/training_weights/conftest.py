"""Small models made here: random weights, saved as real ones are, and the embedded LM."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location(
    "small_models", Path(__file__).parent.parent / "lm/local/conftest.py"
)
_models = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_models)

try:
    import torch
except ModuleNotFoundError:
    pass
else:
    torch.set_num_threads(1)  # models this small, beside other tests: threads would only wait for each other


@pytest.fixture(scope="session")
def causal(tmp_path_factory):
    return f"local/{_models.save_causal(tmp_path_factory.mktemp('causal'), sure=True)}"


@pytest.fixture(scope="session")
def gpt2(tmp_path_factory):
    return f"local/{_models.save_causal(tmp_path_factory.mktemp('gpt2'), kind='gpt2', chat=False)}"


@pytest.fixture(scope="session")
def t5(tmp_path_factory):
    return f"local/{_models.save_t5(tmp_path_factory.mktemp('t5'), ends=True)}"


@pytest.fixture
def tiny():
    return "telic/tiny"

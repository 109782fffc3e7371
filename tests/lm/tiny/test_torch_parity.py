"""The NumPy network beside the torch one that was trained; runs where torch is installed."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from telic.lm.tiny._load import FOLDER
from telic.lm.tiny._network import Cache, Network
from telic.lm.tiny._weights import read_weights

TRAINING = Path(__file__).parents[3] / "training/tiny"


def test_logits_agree_with_torch():
    torch = pytest.importorskip("torch")
    spec = importlib.util.spec_from_file_location("tiny_model", TRAINING / "model.py")
    model = importlib.util.module_from_spec(spec)
    sys.modules["tiny_model"] = model
    spec.loader.exec_module(model)
    weights = read_weights(FOLDER / "tiny.safetensors")
    twin = model.TinyLM(model.Shape(**weights.shape._asdict()), dtype=torch.float32)
    twin.load_state_dict({name: torch.from_numpy(value) for name, value in weights.tensors.items()})
    tokens = np.random.default_rng(0).integers(8, 2_000, 300).tolist()
    network = Network(weights)
    logits, _ = network.read(tokens, Cache(network.shape, 300))
    with torch.no_grad():
        wanted = twin(torch.tensor([tokens]))[0, -1].numpy()
    assert np.abs(logits - wanted).max() < 2e-3

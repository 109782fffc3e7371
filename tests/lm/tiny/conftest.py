"""A network with random weights: the machinery is tested without what training brought."""

import hashlib
import json

import numpy as np
import pytest

from telic.lm.tiny._load import FOLDER, load_engine

SHAPE = {"vocab": 2816, "width": 64, "layers": 2, "heads": 2, "hidden": 96, "context": 128, "theta": 10000.0}


def random_tensors(seed=0):
    rng = np.random.default_rng(seed)
    d, f = SHAPE["width"], SHAPE["hidden"]
    sizes = {"embed": (SHAPE["vocab"], d), "norm": (d,)}
    for i in range(SHAPE["layers"]):
        sizes |= {
            f"blocks.{i}.norm1": (d,), f"blocks.{i}.shift": (d,), f"blocks.{i}.qkv": (3 * d, d),
            f"blocks.{i}.q_gain": (d // 2,), f"blocks.{i}.k_gain": (d // 2,), f"blocks.{i}.out": (d, d),
            f"blocks.{i}.norm2": (d,), f"blocks.{i}.gate_up": (2 * f, d), f"blocks.{i}.down": (d, f),
        }  # fmt: skip
    return {
        name: (np.ones(size) if len(size) == 1 else rng.normal(size=size) * 0.3).astype("<f2")
        for name, size in sizes.items()
    }


def write_weights(path, tensors, **meta):
    header, body = {}, b""
    for name, tensor in tensors.items():
        data = tensor.tobytes()
        header[name] = {
            "dtype": "F16",
            "shape": list(tensor.shape),
            "data_offsets": [len(body), len(body) + len(data)],
        }
        body += data
    vocabulary = hashlib.sha256((FOLDER / "vocab.json").read_bytes()).hexdigest()
    header["__metadata__"] = {
        "shape": json.dumps(SHAPE), "sha256": hashlib.sha256(body).hexdigest(), "vocabulary_sha256": vocabulary,
    } | meta  # fmt: skip
    head = json.dumps(header).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + body)
    return path


@pytest.fixture(scope="session")
def weights_file(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("tiny") / "random.safetensors", random_tensors())


@pytest.fixture
def engine(weights_file):
    return load_engine(weights_file)

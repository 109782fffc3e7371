import json

import pytest

from telic.errors import ConfigurationError
from telic.lm.tiny._load import load_engine
from telic.lm.tiny._weights import read_weights


def test_tensors_come_in_single_precision_with_the_shape(weights_file):
    weights = read_weights(weights_file)
    assert weights.shape.width == 64
    assert weights.tensors["embed"].dtype == "float32"
    assert weights.tensors["embed"].shape == (2816, 64)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"gone\.safetensors"):
        read_weights(tmp_path / "gone.safetensors")


def test_one_changed_byte_is_found_by_the_checksum(weights_file, tmp_path):
    data = bytearray(weights_file.read_bytes())
    data[-100] ^= 1
    (tmp_path / "bad.safetensors").write_bytes(data)
    with pytest.raises(ConfigurationError, match="damaged"):
        read_weights(tmp_path / "bad.safetensors")


@pytest.mark.parametrize("size", [0, 5, 100, 5000])
def test_a_cut_file_is_refused(weights_file, tmp_path, size):
    (tmp_path / "cut.safetensors").write_bytes(weights_file.read_bytes()[:size])
    with pytest.raises(ConfigurationError, match=r"cut\.safetensors"):
        read_weights(tmp_path / "cut.safetensors")


@pytest.mark.parametrize("data", [b"no weights at all", b"\xff" * 64, b"PK\x03\x04" + b"0" * 60])
def test_a_foreign_file_is_refused(tmp_path, data):
    (tmp_path / "foreign.safetensors").write_bytes(data)
    with pytest.raises(ConfigurationError, match="not a weights file"):
        read_weights(tmp_path / "foreign.safetensors")


def test_somebody_elses_safetensors_are_refused(tmp_path):
    head = json.dumps({"a": {"dtype": "F16", "shape": [1], "data_offsets": [0, 2]}}).encode()
    (tmp_path / "other.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + b"\0\0")
    with pytest.raises(ConfigurationError, match="not a weights file"):
        read_weights(tmp_path / "other.safetensors")


def test_another_vocabulary_is_refused(weights_file, tmp_path):
    (tmp_path / "vocab.json").write_text('{"words": [], "pieces": []}')
    with pytest.raises(ConfigurationError, match="another vocabulary"):
        load_engine(weights_file, tmp_path / "vocab.json")

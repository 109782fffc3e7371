"""What "local/…" becomes before any weights are read; these tests need no torch."""

import importlib.util
import shutil
from pathlib import Path

import pytest

from telic.errors import LMUnsupportedModelError, MissingExtraError
from telic.lm import LM

TINY = Path(__file__).parents[3] / "src" / "telic" / "lm" / "tiny"


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is installed")
def test_without_torch_the_extra_is_named():
    with pytest.raises(
        MissingExtraError, match=r"'torch', which is not installed; run: pip install 'telic\[local\]'"
    ):
        LM("local/some/model")("hello")


@pytest.mark.parametrize("place", ["/no/such/folder", "./none", "~/none-of-that"])
def test_a_folder_that_is_gone_is_named_whatever_is_installed(place):
    with pytest.raises(LMUnsupportedModelError, match="there is no folder"):
        LM(f"local/{place}")("hello")


def test_a_folder_of_an_embedded_model_needs_numpy_alone(tmp_path):
    shutil.copy(TINY / "tiny.safetensors", tmp_path)
    shutil.copy(TINY / "vocab.json", tmp_path)
    own = LM(f"local/{tmp_path}", cache=False)
    assert own("hello") == LM("telic/tiny", cache=False)("hello")

"""transformers' own server, in a process of its own: the same answers as in this one."""

import pytest

from telic.lm import LM

pytest.importorskip("torch")
pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.slow]


def test_a_model_answers_the_same_behind_transformers_server(causal):
    lm = LM(f"local/{causal}", cache=False, max_tokens=6)
    here = lm("The quick brown fox")

    lm.launch(server="transformers", timeout_s=120)
    try:
        assert lm("The quick brown fox") == here
        assert lm._made.healthy
    finally:
        lm.kill()

"""The public face as a type checker sees it; checked by pyright, run by nobody."""

from typing import assert_type

import telic


def use() -> None:
    telic.configure(lm=telic.LM("openai/gpt-5-mini"))
    with telic.context(lm=None):
        assert_type(telic.Predict("question -> answer")(question="?"), telic.Prediction)
    assert_type(telic.evaluate.normalize_text("A b"), str)
    rows = telic.datasets.load_examples("rows.csv", inputs="question")
    assert_type(rows, list[telic.Example])
    assert_type(telic.Evaluate(devset=rows)(telic.Predict("q -> a")).score, float)
    telic.cache.flush()
    with telic.testing.forbid_requests(), telic.testing.cassette("a.jsonl", mode="replay"):
        telic.testing.ScriptedLM([{"answer": "x"}])("q")
    try:
        pass
    except telic.LMError as error:
        assert_type(error.status, int | None)

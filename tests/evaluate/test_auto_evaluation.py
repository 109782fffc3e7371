import asyncio

import pytest

from telic.context import context
from telic.data import Example, Prediction
from telic.errors import ConfigurationError
from telic.evaluate import CompleteAndGrounded, Evaluate, SemanticF1
from telic.testing import ScriptedLM

EXAMPLE = Example(question="Where is Paris?", response="In France.").with_inputs("question")
PREDICTION = Prediction(
    response="In France, Europe.", context=["Paris is in France.", "France is in Europe."]
)


def test_semantic_f1_is_the_harmonic_mean_of_what_the_judge_says():
    lm = ScriptedLM([{"reasoning": "so", "recall": 1.0, "precision": 0.5}])

    with context(lm=lm):
        verdict = SemanticF1()(EXAMPLE, PREDICTION)

    assert verdict.score == pytest.approx(2 / 3)
    assert "recall 1.00, precision 0.50: so" in verdict.feedback


@pytest.mark.parametrize(("recall", "precision", "score"), [(0.0, 0.0, 0.0), (1.4, 1.2, 1.0), (-1, 1, 0.0)])
def test_shares_beyond_0_and_1_are_brought_back(recall, precision, score):
    lm = ScriptedLM([{"reasoning": "so", "recall": recall, "precision": precision}])

    with context(lm=lm):
        assert SemanticF1()(EXAMPLE, PREDICTION).score == score


@pytest.mark.parametrize(("threshold", "accepted"), [(0.66, True), (0.67, False)])
def test_with_a_trace_the_score_is_whether_the_threshold_is_reached(threshold, accepted):
    lm = ScriptedLM([{"reasoning": "so", "recall": 1.0, "precision": 0.5}])

    with context(lm=lm):
        assert SemanticF1(threshold=threshold)(EXAMPLE, PREDICTION, trace=[]).score is accepted


def test_the_decompositional_judge_lists_key_ideas_first():
    outputs = list(SemanticF1(decompositional=True).module.predict.signature.output_fields)

    assert outputs.index("ground_truth_key_ideas") < outputs.index("discussion") < outputs.index("recall")


def test_complete_and_grounded_joins_two_judgements():
    complete = {
        "reasoning": "r",
        "ground_truth_key_ideas": "a",
        "system_response_key_ideas": "a",
        "discussion": "all there",
        "completeness": 1.0,
    }
    grounded = {"reasoning": "r", "system_response_claims": "c", "discussion": "half", "groundedness": 0.5}
    lm = ScriptedLM([complete, grounded])

    with context(lm=lm):
        verdict = CompleteAndGrounded()(EXAMPLE, PREDICTION)

    assert verdict.score == pytest.approx(2 / 3)
    assert "all there" in verdict.feedback
    assert "Paris is in France.\n\nFrance is in Europe." in lm.requests[1].messages[-1]["content"]


def test_a_judge_is_a_metric_for_evaluate_sync_and_async():
    reply = {"reasoning": "so", "recall": 1.0, "precision": 1.0}
    evaluate = Evaluate(devset=[EXAMPLE], metric=SemanticF1(), num_threads=1)

    with context(lm=ScriptedLM([reply, reply])):
        assert evaluate(lambda question: PREDICTION).score == 100.0
        assert asyncio.run(evaluate.acall(lambda question: PREDICTION)).score == 100.0


@pytest.mark.parametrize("judge", [SemanticF1, CompleteAndGrounded])
def test_impossible_thresholds_are_refused(judge):
    with pytest.raises(ConfigurationError, match="threshold"):
        judge(threshold=66)

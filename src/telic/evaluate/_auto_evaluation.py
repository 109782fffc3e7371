"""Metrics that ask an LM: how well a long answer agrees with the true one, and with what it was based on.

`SemanticF1` is about the truth, `CompleteAndGrounded` about truth and sources. Both are programs: they can be saved and
compiled like any other. Each returns a `Prediction` with a `score` from 0 to 1 and `feedback`; where a trace is given
(compiling), the score is whether it reaches `threshold`. Their calls use the configured LM, in the role "judge".
"""

from __future__ import annotations

from typing import Any, final

from telic.data import Prediction
from telic.errors import ConfigurationError
from telic.modules import Call, ChainOfThought, Flow, FlowModule
from telic.signatures import InputField, OutputField, Signature


class SemanticRecallPrecision(Signature):
    """Judge how far a system's response and the ground truth say the same.

    Go through the ideas of each of the two and check whether the other one holds them too; wording does not count.
    """

    question: str = InputField()
    ground_truth: str = InputField()
    system_response: str = InputField()
    recall: float = OutputField(desc="share of the ground truth that the response covers, from 0.0 to 1.0")
    precision: float = OutputField(desc="share of the response that the ground truth covers, from 0.0 to 1.0")


class DecompositionalSemanticRecallPrecision(Signature):
    """Judge how far a system's response and the ground truth share their key ideas.

    List the key ideas of each of the two, compare the lists, and only then give the two shares.
    """

    question: str = InputField()
    ground_truth: str = InputField()
    system_response: str = InputField()
    ground_truth_key_ideas: str = OutputField(desc="list of the key ideas of the ground truth")
    system_response_key_ideas: str = OutputField(desc="list of the key ideas of the response")
    discussion: str = OutputField(desc="which key ideas both have, and which only one has")
    recall: float = OutputField(desc="share of the ground truth that the response covers, from 0.0 to 1.0")
    precision: float = OutputField(desc="share of the response that the ground truth covers, from 0.0 to 1.0")


class AnswerCompleteness(Signature):
    """Judge how completely a system's response covers the ground truth.

    List the key ideas of each of the two, compare the lists, and only then give the share.
    """

    question: str = InputField()
    ground_truth: str = InputField()
    system_response: str = InputField()
    ground_truth_key_ideas: str = OutputField(desc="list of the key ideas of the ground truth")
    system_response_key_ideas: str = OutputField(desc="list of the key ideas of the response")
    discussion: str = OutputField(
        desc="which key ideas of the ground truth the response has, and which it lacks"
    )
    completeness: float = OutputField(
        desc="share of the ground truth that the response covers, from 0.0 to 1.0"
    )


class AnswerGroundedness(Signature):
    """Judge how far a system's response is supported by the documents that were retrieved for it.

    List the claims of the response that are worth checking, and say of each whether it follows from the documents and
    common sense; only then give the share.
    """

    question: str = InputField()
    retrieved_context: str = InputField()
    system_response: str = InputField()
    system_response_claims: str = OutputField(desc="list of the response's claims that are worth checking")
    discussion: str = OutputField(desc="which claims the documents support, and which they do not")
    groundedness: float = OutputField(
        desc="share of the response that the documents support, from 0.0 to 1.0"
    )


def _harmonic(first: float, second: float) -> float:
    """Return the harmonic mean of two shares, each brought into 0 to 1 first; LMs go beyond at times."""
    a, b = min(1.0, max(0.0, first)), min(1.0, max(0.0, second))
    return 2 * a * b / (a + b) if a + b else 0.0


def _check_threshold(threshold: float) -> None:
    if not 0.0 <= threshold <= 1.0:
        raise ConfigurationError(f"threshold must be from 0 to 1, got {threshold!r}")


@final
class SemanticF1(FlowModule):
    """The harmonic mean of how much of the truth an answer has, and how much of the answer is the truth.

    Args:
        threshold: What counts as good enough while compiling.
        decompositional: Let the judge list key ideas first: more tokens, steadier judgements.

    Call it as a metric: `example` carries `question` and `response`, `pred` carries `response`.

    Cost: one LM call.
    """

    def __init__(self, threshold: float = 0.66, decompositional: bool = False) -> None:
        _check_threshold(threshold)
        self.threshold = threshold
        self.module: Any = ChainOfThought(
            DecompositionalSemanticRecallPrecision if decompositional else SemanticRecallPrecision
        )

    def flow(self, example: Any, pred: Any, trace: Any = None) -> Flow[Prediction]:
        """Return the score: a number, or with a trace whether it reaches the threshold."""
        judged = yield Call(
            self.module,
            question=example.question,
            ground_truth=example.response,
            system_response=pred.response,
        )
        score = _harmonic(judged.precision, judged.recall)
        return Prediction(
            score=score if trace is None else score >= self.threshold,
            feedback=f"recall {judged.recall:.2f}, precision {judged.precision:.2f}: {judged.reasoning}",
        )


@final
class CompleteAndGrounded(FlowModule):
    """The harmonic mean of how complete an answer is, and how well its sources support it.

    Args:
        threshold: What counts as good enough while compiling.

    Call it as a metric: `example` carries `question` and `response`, `pred` carries `response` and `context` (the
    documents: text, or a list of texts).

    Cost: two LM calls.
    """

    def __init__(self, threshold: float = 0.66) -> None:
        _check_threshold(threshold)
        self.threshold = threshold
        self.completeness_module: Any = ChainOfThought(AnswerCompleteness)
        self.groundedness_module: Any = ChainOfThought(AnswerGroundedness)

    def flow(self, example: Any, pred: Any, trace: Any = None) -> Flow[Prediction]:
        """Return the score: a number, or with a trace whether it reaches the threshold."""
        context = pred.context
        complete = yield Call(
            self.completeness_module,
            question=example.question,
            ground_truth=example.response,
            system_response=pred.response,
        )
        grounded = yield Call(
            self.groundedness_module,
            question=example.question,
            retrieved_context=context if isinstance(context, str) else "\n\n".join(map(str, context)),
            system_response=pred.response,
        )
        score = _harmonic(grounded.groundedness, complete.completeness)
        return Prediction(
            score=score if trace is None else score >= self.threshold,
            feedback=(
                f"completeness {complete.completeness:.2f}: {complete.discussion}\n"
                f"groundedness {grounded.groundedness:.2f}: {grounded.discussion}"
            ),
        )

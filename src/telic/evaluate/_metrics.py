"""Metrics that compare strings: exact match, token F1 and passage match. Pure functions, no LM.

Answers are compared after the normalisation of the SQuAD evaluation script (Rajpurkar et al. 2016, arXiv 1606.05250):
lower case, no ASCII punctuation, no English articles, single blanks; NFD stands before it, so that composed and
decomposed accents are the same. Passages are compared token by token as in DPR (Karpukhin et al. 2020, arXiv
2004.04906): runs of letters, digits and marks, or single other signs, in lower case and without Unicode's separators.

`answer_exact_match` and `answer_passage_match` are whole metrics for `Evaluate`; the others are their parts.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from telic.errors import ConfigurationError, MetricError

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_VERDICTS = frozenset({"yes", "no", "noanswer"})


def normalize_text(s: str) -> str:
    """Return `s` as answers are compared: NFD, lower case, without ASCII punctuation, articles and extra blanks.

    Example:
        >>> normalize_text("The  Eiffel-Tower!")
        'eiffeltower'
    """
    text = unicodedata.normalize("NFD", s).lower().translate(_NO_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", text).split())


def em_score(prediction: str, ground_truth: str) -> bool:
    """Return whether both are equal once normalised."""
    return normalize_text(prediction) == normalize_text(ground_truth)


def _overlap(prediction: str, ground_truth: str) -> tuple[int, int, int]:
    """Return the numbers of common tokens, of predicted tokens and of true tokens."""
    predicted, true = normalize_text(prediction).split(), normalize_text(ground_truth).split()
    return (Counter(predicted) & Counter(true)).total(), len(predicted), len(true)


def precision_score(prediction: str, ground_truth: str) -> float:
    """Return the share of predicted tokens that the true answer has too, 0 to 1; 0 where nothing is common."""
    common, predicted, _ = _overlap(prediction, ground_truth)
    return common / predicted if common else 0.0


def f1_score(prediction: str, ground_truth: str) -> float:
    """Return the harmonic mean of token precision and recall, 0 to 1 (SQuAD's F1).

    Two answers without any token (only articles or punctuation) score 0, as in DSPy; SQuAD 2 gives 1.

    Example:
        >>> f1_score("the Eiffel Tower", "Eiffel Tower in Paris")
        0.6666666666666666
    """
    common, predicted, true = _overlap(prediction, ground_truth)
    if not common:
        return 0.0
    precision, recall = common / predicted, common / true
    return 2 * precision * recall / (precision + recall)


def hotpot_f1_score(prediction: str, ground_truth: str) -> float:
    """Return F1 as HotPotQA counts it: "yes", "no" and "noanswer" match as a whole or not at all.

    Source: Yang et al. 2018, arXiv 1809.09600, evaluation script.
    """
    predicted, true = normalize_text(prediction), normalize_text(ground_truth)
    if predicted != true and (predicted in _VERDICTS or true in _VERDICTS):
        return 0.0
    return f1_score(prediction, ground_truth)


def _best(score: Callable[[str, str], float], prediction: str, answers_list: Sequence[str]) -> float:
    answers: Any = answers_list
    if isinstance(answers, str) or not isinstance(answers, Iterable) or not list(answers):  # pyright: ignore[reportUnknownArgumentType]
        raise ConfigurationError(
            f"answers_list must be a list of at least one answer, got {answers_list!r}; "
            "for a single answer use em_score, f1_score or hotpot_f1_score"
        )
    return max(score(prediction, answer) for answer in answers_list)


def EM(prediction: str, answers_list: Sequence[str]) -> bool:  # noqa: N802 - the name it has everywhere
    """Return whether `prediction` matches any of the answers once normalised.

    Raises:
        ConfigurationError: `answers_list` is empty or no list.
    """
    return bool(_best(em_score, prediction, answers_list))


def F1(prediction: str, answers_list: Sequence[str]) -> float:  # noqa: N802
    """Return the best token F1 over the answers, 0 to 1.

    Raises:
        ConfigurationError: `answers_list` is empty or no list.
    """
    return _best(f1_score, prediction, answers_list)


def HotPotF1(prediction: str, answers_list: Sequence[str]) -> float:  # noqa: N802
    """Return the best HotPotQA F1 over the answers, 0 to 1.

    Raises:
        ConfigurationError: `answers_list` is empty or no list.
    """
    return _best(hotpot_f1_score, prediction, answers_list)


def _answers(example: Any, metric: str) -> list[str]:
    answer = example.answer
    if isinstance(answer, str):
        return [answer]
    if isinstance(answer, (list, tuple)) and answer:
        return [str(one) for one in answer]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    raise MetricError(
        f"{metric} needs `example.answer` as a string or a list of strings, got {answer!r}; "
        "write a metric of your own for other labels"
    )


def answer_exact_match(example: Any, pred: Any, trace: Any = None, frac: float = 1.0) -> bool:
    """Return whether `pred.answer` matches `example.answer` (a string, or a list of accepted ones).

    Args:
        example: Carries `answer`.
        pred: Carries `answer`.
        trace: Not used; there so that this is a metric.
        frac: Below 1: a token F1 of at least this is enough.
    """
    del trace
    answers = _answers(example, "answer_exact_match")
    return EM(pred.answer, answers) if frac >= 1.0 else F1(pred.answer, answers) >= frac


def passage_tokens(text: str) -> list[str]:
    """Return the lower-case tokens of DPR's tokenizer, after NFD."""
    tokens: list[str] = []
    word: list[str] = []
    for sign in unicodedata.normalize("NFD", text):
        kind = unicodedata.category(sign)[0]
        if kind in "LNM":
            word.append(sign)
            continue
        if word:
            tokens.append("".join(word).lower())
            word = []
        if kind not in "ZC":
            tokens.append(sign.lower())
    if word:
        tokens.append("".join(word).lower())
    return tokens


def _contains(tokens: Sequence[str], answer: Sequence[str]) -> bool:
    width = len(answer)
    return any(tokens[i : i + width] == answer for i in range(len(tokens) - width + 1))


def answer_passage_match(example: Any, pred: Any, trace: Any = None) -> bool:
    """Return whether any passage of `pred.context` holds any answer of `example.answer`, token by token.

    Args:
        example: Carries `answer`, a string or a list of accepted ones.
        pred: Carries `context`, a list of passages (a single string counts as one passage).
        trace: Not used; there so that this is a metric.
    """
    del trace
    answers = [passage_tokens(normalize_text(answer)) for answer in _answers(example, "answer_passage_match")]
    context = pred.context
    passages = [
        passage_tokens(normalize_text(passage))
        for passage in ([context] if isinstance(context, str) else context)
    ]
    return any(_contains(passage, answer) for passage in passages for answer in answers)

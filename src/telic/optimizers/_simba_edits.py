"""How SIMBA changes a program: it drops a few demos, and adds a demo or rules, by what several runs of one row show.

A *bucket* is the runs of one row, the best first. The row says most where they differ most: there the program knows
how, and does not do it reliably.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from telic._text import truncate
from telic.data import Example
from telic.optimizers._frozen import learners
from telic.optimizers._propose import cleaned, described, fields_text, instructions_of, source_of
from telic.signatures import make_signature

if TYPE_CHECKING:
    import random

    from telic.optimizers._simba_runs import Trajectory

META: Final = (
    "Look at two runs of a program on the same inputs, and at what was said to each. Find out what made the one better "
    "than the other. Write rules that lead the program to the better result on inputs of this kind: short, concrete, "
    "about what to do and when, not about this one case."
)
_MOST_STEPS: Final = 12
"""So many calls of a run are shown; of longer ones the last."""


class Bucket(NamedTuple):
    """The runs of one row."""

    number: int
    row: Example
    runs: Sequence[Trajectory]
    """Best first."""

    @property
    def spread(self) -> tuple[float, float, float]:
        """By what buckets are ranked: best less worst, best, best less mean."""
        scores = [run.score for run in self.runs]
        return (scores[0] - scores[-1], scores[0], scores[0] - math.fsum(scores) / len(scores))


def bucket_of(number: int, row: Example, runs: Sequence[Trajectory]) -> Bucket:
    """Return the runs of a row, ranked."""
    return Bucket(number, row, sorted(runs, key=lambda run: -run.score))


class Bounds(NamedTuple):
    """The 10th and 90th percentile of all scores of a step: what is plainly bad, and what is plainly good."""

    low: float
    high: float


def bounds_of(scores: Sequence[float]) -> Bounds:
    """Return the bounds of some scores.

    Example:
        >>> bounds_of([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
        Bounds(low=1, high=9)
    """
    return Bounds(_percentile(scores, 0.1), _percentile(scores, 0.9))


def _percentile(scores: Sequence[float], share: float) -> float:
    ordered = sorted(scores)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    low, high = ordered[below], ordered[above]
    return low if low == high or place == below else low + (high - low) * (place - below)


# Demos


def drop_demos(program: Any, max_demos: int, rng: random.Random) -> None:
    """Take some demos out of a program (a copy of the caller's own), the same places in all predictors.

    How many is Poisson with the share of places that are taken as its mean; one at least where all are.
    """
    free = learners(program, "demos").values()
    held = max((len(predictor.demos) for predictor in free), default=0)
    places = max_demos if max_demos > 0 else 3
    count = min(held, max(_poisson(held / places, rng), int(held >= places)))
    dropped = set(rng.sample(range(held), count))
    for predictor in free:
        predictor.demos = [demo for place, demo in enumerate(predictor.demos) if place not in dropped]


def _poisson(mean: float, rng: random.Random) -> int:
    limit, product, count = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count


def can_show(bucket: Bucket, bounds: Bounds) -> bool:
    """Whether the best run of a row is good enough to be a demo."""
    best = bucket.runs[0]
    return best.score > bounds.low and best.is_sound and bool(best.steps)


def add_demo(program: Any, bucket: Bucket, max_length: int) -> None:
    """Give each predictor (of a copy of the caller's own) its last call of the best run as a demo.

    Args:
        program: It is changed.
        bucket: The row.
        max_length: Texts of inputs are cut at so many characters.
    """
    calls = {path: (inputs, outputs) for path, inputs, outputs in bucket.runs[0].steps}
    for path, predictor in learners(program, "demos").items():
        if path in calls:
            inputs, outputs = calls[path]
            cut = {k: truncate(v, max_length) if isinstance(v, str) else v for k, v in inputs.items()}
            predictor.demos = [*predictor.demos, Example(augmented=True, **cut, **outputs)]


# Rules


def can_teach(bucket: Bucket, bounds: Bounds) -> bool:
    """Whether a row has a run that is worth following, and one that is not."""
    return bucket.runs[0].score > bounds.low and bucket.runs[-1].score < bounds.high


def question(program: Any, bucket: Bucket) -> tuple[Any, dict[str, Any]]:
    """Return the question for rules: its signature and inputs."""
    predictors = program.named_predictors()
    alone = len(predictors) == 1
    texts = instructions_of(program)
    about = described(program, list(bucket.row.inputs().keys()))
    code = source_of(program)
    shown = "\n\n".join(_run_text(bucket, run, alone) for run in _contrasted(bucket))
    given: dict[str, Any] = {
        "program_description": f"{about}\n\nIts code:\n{code}" if code else about,
        "current_instruction": next(iter(texts.values())) if alone else fields_text(texts, 2_000),
        "examples_with_feedback": shown,
    }
    if alone:
        return make_signature(f"{', '.join(given)} -> rules", META), given
    asked = make_signature(f"{', '.join(given)} -> discussion, module_advice: dict[str, str]", META)
    names = ", ".join(learners(program, "instructions"))
    told = f"Rules for each step that they concern, by its name, one of: {names}."
    return asked.with_updated_fields("module_advice", desc=told), given


def _contrasted(bucket: Bucket) -> list[Trajectory]:
    """Return the worst and the best run, or the worst alone where none is better."""
    best, worst = bucket.runs[0], bucket.runs[-1]
    return [worst, best] if best.score > worst.score else [worst]


def _run_text(bucket: Bucket, run: Trajectory, alone: bool) -> str:
    parts: list[str] = []
    if not run.steps:
        parts.append(fields_text(dict(bucket.row.inputs().items())))
    for path, inputs, outputs in run.steps[-_MOST_STEPS:]:
        text = fields_text({**inputs, **outputs})
        parts.append(text if alone else f"[{path}]\n{text}")
    labels = dict(bucket.row.labels().items())
    told = [f"Score {run.score:g}.", run.feedback, "" if run.error is None else f"It failed: {run.error}"]
    if labels:
        told.append(f"Expected {'; '.join(fields_text(labels).splitlines())}.")
    return "\n".join([*parts, f"feedback: {' '.join(text for text in told if text)}"])


def rules_of(program: Any, fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the instructions of the steps that an answer has rules for, the rules at their end; {}: it has none."""
    texts = {path: str(one.signature.instructions) for path, one in learners(program, "instructions").items()}
    advice: Any = fields.get("module_advice", fields.get("rules"))
    known = (
        cast("dict[str, Any]", advice) if isinstance(advice, dict) else dict.fromkeys(list(texts)[:1], advice)
    )
    rules = {path: cleaned(rule) for path, rule in known.items() if path in texts and rule is not None}
    return {path: f"{texts[path]}\n\n{rule}" for path, rule in rules.items() if rule}

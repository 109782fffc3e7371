"""Reflection for `improve`: the champion is run on a few rows that learn; an LM is shown what it got wrong, and why.

The runs, what is said of them (the metric's words, assertions, replies that could not be read) and the question are
those of GEPA (`_gepa_rollout`, `_gepa_reflect`); here there is no pool, and each draw shows other rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from telic._seed import derive
from telic._text import plural
from telic.context import context
from telic.context import get as get_setting
from telic.optimizers._frozen import learners
from telic.optimizers._gepa_reflect import InstructionProposer, Reflection
from telic.optimizers._gepa_rollout import Case, Rollout, Rollouts
from telic.optimizers._lanes import Job, Lanes, Round
from telic.optimizers._pool import Standing
from telic.optimizers._propose import Judged, wordings_of
from telic.optimizers._selection import shows

if TYPE_CHECKING:
    from telic.data import Example
    from telic.evaluate import MetricCall
    from telic.optimizers._compile import Compile

BATCH: Final = 8
"""Rows of a round."""
_SHOWN: Final = 4
"""Of those that went wrong, so many are shown at a time."""


class Reflected(NamedTuple):
    """What a round of reflection found."""

    texts: Mapping[str, Sequence[str]]
    """New instructions of predictors, by path."""
    failures: Sequence[str]


@final
class Reflections:
    """The reflections of one compile.

    Args:
        run: The compile.
        student: The program as it was given.
        rows: Rows to run on.
        metric: Scores and says why.
        lm: Who is asked; None: the configured LM.
        seed: Of all draws.
    """

    def __init__(
        self, run: Compile, student: Any, rows: Sequence[Example], metric: MetricCall, lm: Any, seed: int
    ) -> None:
        self._rows = rows
        self._seed = seed
        self._reflection = Reflection(run, student, lm, InstructionProposer(), seed)
        self._rollouts = (run, rows, metric)

    def round(
        self, number: int, program: Any, perfect: float, count: int, found: list[Reflected]
    ) -> Lanes[Reflected]:
        """Return a round as work for a pool.

        Args:
            number: Of the round.
            program: The champion.
            perfect: What a row scores that has nothing to teach.
            count: How many new instructions each predictor is to get.
            found: What was found is put into it.

        Cost: `BATCH` runs of the program and `count` questions for each predictor that something went wrong with.
        """
        waiting = [self._reflect(number, program, perfect, count)]
        return Lanes(
            1,
            lambda _open: waiting.pop() if waiting else None,
            found.append,
            lambda: Standing(len(found), 1, f"{plural(len(found), 'round')} of reflection"),
        )

    def _reflect(self, number: int, program: Any, perfect: float, count: int) -> Round[Reflected]:
        run, rows, metric = self._rollouts
        rollouts = Rollouts(run, rows, metric, failure_score=0.0, perfect_score=perfect, seed=self._seed)
        seen: list[Rollout] = yield [
            Job(("run", index), partial(rollouts.run, program, index))
            for index in self._batch(number, program)
        ]
        wrong = [one for one in seen if one.row.score < perfect]
        paths = list(learners(program, "instructions"))
        touched = [(path, one) for path in paths for one in wrong if one.touched(path, unread=True)]
        cases: list[Case] = yield [
            Job(("case", path, one.row.index), partial(rollouts.case, one, path, unread=True))
            for path, one in touched
        ]
        told: dict[str, list[Judged]] = {}
        for (path, _), case in zip(touched, cases, strict=True):
            told.setdefault(path, []).append(case.judged)
        wordings = wordings_of(program)
        asked = [(path, draw) for path in told for draw in range(count)]
        answers: list[Any] = yield [
            Job(("ask", path, draw), partial(self._ask, number, draw, path, wordings[path].task, told[path]))
            for path, draw in asked
        ]
        texts: dict[str, list[str]] = {}
        failures = [case.failure for case in cases if case.failure is not None]
        for (path, draw), answer in zip(asked, answers, strict=True):
            if isinstance(answer, str):
                failures.append(f"reflection {draw + 1} on {path}, round {number}: {answer}")
            else:
                texts.setdefault(path, []).append(wordings[path].whole(answer[path]))
        return Reflected(texts, failures)

    def _batch(self, number: int, program: Any) -> list[int]:
        """Return the rows of a round; those that the program shows are taken where there are no others."""
        demos = [demo for predictor in program.predictors() for demo in predictor.demos]
        hidden = [i for i, row in enumerate(self._rows) if not any(shows(demo, row) for demo in demos)]
        places = hidden or list(range(len(self._rows)))
        return sorted(derive(self._seed, "reflected on", number).sample(places, min(BATCH, len(places))))

    def _ask(
        self, number: int, draw: int, path: str, task: str, told: Sequence[Judged]
    ) -> dict[str, str] | str:
        shown = derive(self._seed, "shown", number, path, draw).sample(told, min(_SHOWN, len(told)))
        given = get_setting("lm_options")
        with context(lm_options={**({} if given is None else given), "temperature": 1.0}):
            return self._reflection.propose(1000 * number + draw, {path: task}, {path: shown})

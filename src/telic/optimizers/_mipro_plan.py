"""What a compile of MIPROv2 will do, as work to be priced."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from telic.context import get as get_setting
from telic.optimizers._mipro_propose import BATCHES
from telic.optimizers._mipro_settings import Asked, Settings
from telic.optimizers._plan import Work
from telic.optimizers._propose import source_of
from telic.optimizers._trial_events import events_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_VALUE: Final = 550
"""Characters of one value in a proposal's prompt, at most."""
_REPLY: Final = 6_000
"""Characters of a reply that is shown again."""


class Rows(NamedTuple):
    """How many rows serve for what."""

    made: int
    checked: int
    fields: int
    """Of a row."""


def mipro_work(
    settings: Settings, asked: Asked, program: Any, rows: Rows, *, prompt_model: Any, teacher_lm: Any
) -> Sequence[Work]:
    """Return the work of a compile, part by part."""
    predictors = len(program.predictors())
    shown = 0 if settings.zero_shot else max(settings.labelled, settings.bootstrapped)
    bootstraps = settings.bootstraps(asked)
    events = events_of(
        settings.trials,
        settings.batch,
        full_every=settings.full_every,
        revised=settings.late(asked) * predictors,
    )
    fulls = sum(event.kind == "full" for event in events)
    proposals = predictors * (settings.instructions - 1)
    ask = (1, 1 + get_setting("max_retries"))

    def questions(label: str, least: int, most: int, characters: int) -> Work:
        return Work(
            label, (least, most), "proposer", calls=ask, lm=prompt_model, characters=(200, 3_000 + characters)
        )

    work = [
        Work("the program as given", (settings.rows, settings.rows), first=True),
        Work(
            "bootstrapping", (bootstraps, bootstraps * rows.made), "teacher", settings.labelled, lm=teacher_lm
        ),
    ]
    if proposals and asked.data_aware_proposer:
        batches = min(BATCHES, math.ceil(rows.made / asked.view_data_batch_size))
        size = asked.view_data_batch_size * rows.fields * _VALUE
        work.append(questions("looking at the data", batches, batches + 1, max(size, batches * _REPLY)))
    if proposals and asked.program_aware_proposer and source_of(program):
        work.append(questions("describing the program", 1, 1, 2 * _REPLY))
    work += [
        questions("proposing", proposals, proposals, 14 * _REPLY + 10 * rows.fields * _VALUE),
        Work("trials", (0, settings.trials * settings.batch), demos=shown),
        Work("full evaluations", (0, fulls * (settings.rows - settings.batch)), demos=shown),
        Work("checking the winner", (0, 2 * min(rows.checked, settings.rows)), demos=shown),
    ]
    return work

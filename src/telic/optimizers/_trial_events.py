"""What happens in a search, fixed beforehand: the given program, trials, full evaluations, a revision in the middle.

Each event sees the results of the first so many events. Those that it does not see are a few only, and always the same
number: enough that the last rows of one do not leave threads idle, few enough that the search hardly knows less.
"""

from __future__ import annotations

import math
from typing import Final, Literal, NamedTuple

Kind = Literal["given", "trial", "full", "revise"]

_ENOUGH_ROWS: Final = 32
"""So many rows at once keep the usual number of threads busy."""
_MOST_AHEAD: Final = 4


class Event(NamedTuple):
    """One thing that happens.

    Attributes:
        kind: What.
        sees: The results of how many of the first events it is decided by; it waits for them.
        number: Of a trial, from 0; of a full evaluation, how many better combinations it leaves to others.
        fresh: A trial of the choice of this number that the revision added; None: of what the estimator says.
    """

    kind: Kind
    sees: int
    number: int = 0
    fresh: int | None = None


def events_of(
    num_trials: int, batch: int, *, full_every: int | None, revised: int = 0, finals: int = 2
) -> list[Event]:
    """Return the events of a search.

    Args:
        num_trials: How many trials.
        batch: Rows of a trial.
        full_every: A full evaluation after every so many trials, and `finals` of them at the end; None: trials are
            evaluations on all rows.
        revised: How many choices a revision in the middle adds, each of which gets a trial. 0: no revision; there is
            none either where too few trials come before and after it.
        finals: Full evaluations at the end.
    """
    ahead = max(2, min(_MOST_AHEAD, math.ceil(_ENOUGH_ROWS / batch)))
    events = [Event("given", 0)]
    fresh = 0
    half = num_trials // 2
    middle = half if revised and half >= ahead and num_trials - half >= ahead - 1 + revised else None
    revision: int | None = None

    def sees() -> int:
        return max(0, len(events) - ahead + 1)

    for number in range(num_trials):
        if number == middle:
            revision = len(events)
            events.append(Event("revise", sees()))
        if revision is not None and fresh < revised and sees() > revision:
            events.append(Event("trial", sees(), number, fresh))
            fresh += 1
        else:
            events.append(Event("trial", sees(), number))
        if full_every is not None and (number + 1) % full_every == 0 and number + 1 < num_trials:
            events.append(Event("full", sees()))
    if full_every is not None:
        everything = len(events)
        events += [Event("full", everything, rank) for rank in range(finals)]
    return events

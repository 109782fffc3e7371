"""What a page tells of a run: its folder, read once and put in order. Works while it runs, and after it died."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from telic._optional import load
from telic.errors import JournalError
from telic.evaluate import PairedTest, compare_paired
from telic.journal import START, Run, RunCandidate

_GIVEN: Final = "as given"
_LOOKED_AT: Final = 50  # candidates, for the one that is equal to the program as it was given


class Tried(NamedTuple):
    """A candidate as the page shows it."""

    number: int
    """Its place in the order in which they were written down."""
    name: str
    candidate: RunCandidate
    mark: int
    """Its number as the optimizer counts, which labels of others may name; where it does not, its place."""
    parents: tuple[int, ...]
    """Places of the candidates that it was made from."""
    made_from: str
    """The same by their marks."""
    scores: tuple[float | None, ...]
    against: PairedTest | None
    """Against the program as it was given, on the same rows; None: not comparable, or it is that program."""

    @property
    def title(self) -> str:
        """What it is, without its number."""
        return self.record.get("label") or self.name

    @property
    def score(self) -> float | None:
        """Mean in percent."""
        return self.candidate.score

    @property
    def record(self) -> Mapping[str, Any]:
        """All that was written down."""
        return self.candidate.record

    def spent(self, what: str) -> float | None:
        """What the run had paid by then: "calls", "tokens", "usd" (None: unknown) or "seconds"."""
        return self.record.get("at") if what == "seconds" else self.record.get("spent", {}).get(what)


class Document(NamedTuple):
    """A run, ready to be shown."""

    run: Run
    tried: Sequence[Tried]
    """In the order in which they were written down."""
    chosen: Tried | None
    """The one whose program is shown: the best, or the one asked for."""
    given: Tried | None
    """The program as it was given, where it was scored."""
    report: Mapping[str, Any]
    """Of a run that ended, else {}."""
    start: Mapping[str, Any] | None
    """The state of the program as it was given."""
    end: Mapping[str, Any] | None
    """The state of the chosen one."""
    rows: int
    """On how many rows most candidates were scored."""

    @property
    def scored(self) -> list[Tried]:
        """Those with a score, in their order."""
        return [one for one in self.tried if one.score is not None]

    @property
    def notes(self) -> list[str]:
        """What a reader of the numbers must know."""
        return list(dict.fromkeys([*self.run.notes, *self.report.get("notes", ())]))


def read(run: Run, candidate: str | None = None) -> Document:
    """Return what a page tells of a run.

    Args:
        run: The run.
        candidate: Whose program is shown, by name or number; None: the best one's.

    Raises:
        JournalError: There is no such candidate, or a file of it cannot be read.
    """
    found = _in_order(run.candidates)
    path = run.folder / START
    start = _state(path) if path.is_file() else None
    given = _given(found, start)
    places = _places(found)
    tried = [_tried(number, one, found, places, given) for number, one in enumerate(found)]
    if start is None and given is not None:
        start = _state(given.path)
    chosen = _best(run, tried) if candidate is None else _named(run, tried, candidate)
    scored = None if given is None else next(one for one in tried if one.candidate is given)
    report: Mapping[str, Any] = {} if run.report is None else run.report
    sizes = Counter(len(one.scores) for one in tried if one.score is not None and one.scores)
    rows = max(sizes, key=lambda size: (sizes[size], size), default=0)
    return Document(run, tried, chosen, scored, report, start, _end(run, chosen), rows)


def _in_order(candidates: Sequence[RunCandidate]) -> list[RunCandidate]:
    """Return candidates in the order of their numbers; of an optimizer without numbers, as they were written.

    Those that were scored at the same time were written down as they came in, a parent perhaps behind its child.
    """
    written = sorted(candidates, key=lambda one: one.path.name)
    numbers: list[Any] = [one.record.get("seed") for one in written]
    if not all(isinstance(number, int) for number in numbers):
        return written
    return [one for _, one in sorted(zip(numbers, written, strict=True), key=lambda pair: pair[0])]


def _given(found: Sequence[RunCandidate], start: Mapping[str, Any] | None) -> RunCandidate | None:
    """Return the candidate that is the program as it was given: it says so, or is equal to it."""
    scored = [one for one in found if one.score is not None]
    named = next((one for one in scored if one.record.get("label") == _GIVEN), None)
    if named is not None or start is None:
        return named
    return next((one for one in scored[:_LOOKED_AT] if _state(one.path) == start), None)


def _best(run: Run, tried: Sequence[Tried]) -> Tried | None:
    """Return the candidate that the optimizer chose, or, before it has, the one with the highest score."""
    ranked: Any = (run.report or {}).get("candidates") or [{}]
    winner = ranked[0]
    for one in tried:
        if winner and (one.record.get("label"), one.record.get("seed")) == (winner["label"], winner["seed"]):
            return one
    best = run.best
    return None if best is None else next(one for one in tried if one.name == best.label)


def _named(run: Run, tried: Sequence[Tried], name: str) -> Tried:
    known = {one.name: one for one in tried} | {str(one.mark): one for one in tried}
    if name not in known:
        there = ", ".join(repr(one.name) for one in tried[:20]) or "it has none yet"
        raise JournalError(f"the run {run.folder.name!r} has no candidate {name!r}; there are {there}")
    return known[name]


def _tried(
    number: int,
    one: RunCandidate,
    found: Sequence[RunCandidate],
    places: Mapping[Any, int],
    given: RunCandidate | None,
) -> Tried:
    scores = tuple(one.record.get("subscores", ()))
    before = () if given is None or given is one else tuple(given.record.get("subscores", ()))
    comparable = scores and len(scores) == len(before) and None not in scores and None not in before
    against = compare_paired(before, scores) if comparable else None
    parents = _parents(one.record, places)
    made_from = ", ".join([str(_mark(place, found[place])) for place in parents])
    return Tried(number, one.label, one, _mark(number, one), parents, made_from, scores, against)


def _mark(place: int, one: RunCandidate) -> int:
    seed = one.record.get("seed")
    return seed if isinstance(seed, int) else place


def _places(found: Sequence[RunCandidate]) -> dict[Any, int]:
    """Return the place of each candidate by what others may call it: its number (`seed`), label or full name."""
    places: dict[Any, int] = {}
    for place, one in enumerate(found):
        for name in (one.record.get("seed"), one.record.get("label"), one.label):
            if name is not None:
                places.setdefault(name, place)
    return places


def _parents(record: Mapping[str, Any], places: Mapping[Any, int]) -> tuple[int, ...]:
    """Return the places of the parents that a record names."""
    named: Any = record.get("parents", record.get("parent"))
    if named is None:
        return ()
    asked: list[Any] = list(named) if isinstance(named, (list, tuple)) else [named]  # pyright: ignore[reportUnknownArgumentType]
    known = [places[name] for name in asked if isinstance(name, (str, int)) and name in places]
    return tuple(known)


def _end(run: Run, chosen: Tried | None) -> Mapping[str, Any] | None:
    if chosen is not None:
        return _state(chosen.candidate.path)
    program = run.folder / "program.json"
    return _state(program) if program.is_file() else None


def _state(path: Path) -> Mapping[str, Any]:
    try:
        state = load("json").loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise JournalError(
            f"the program {str(path)!r} cannot be read: {error}; the run's journal is whole, so restore that file, or "
            "delete the run",
            folder=str(path.parent),
        ) from error
    return state["predictors"]

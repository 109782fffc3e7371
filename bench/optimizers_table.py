"""The tables of bench/optimizers.py: the cells of both libraries side by side, seeds pooled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from telic._text import plural
from telic.evaluate._statistics import compare_paired, wilson

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Side(NamedTuple):
    """What one library made of an optimizer and a task.

    Attributes:
        seeds: Of each seed, whether each row was right.
        calls: Of a compile on average, as are `tokens` and `seconds`.
        calls_per_row: Of the compiled program.
    """

    seeds: list[list[int]]
    calls: float
    tokens: float
    seconds: float
    calls_per_row: float

    @property
    def right(self) -> list[int]:
        return [mark for marks in self.seeds for mark in marks]

    @property
    def share(self) -> str:
        low, high = wilson(sum(self.right), len(self.right))
        return f"{100 * sum(self.right) / len(self.right):.0f} ({100 * low:.0f}–{100 * high:.0f})"


class Line(NamedTuple):
    """One line of a table; a text stands for a side that could not be measured, and says why."""

    task: str
    optimizer: str
    ours: Side | str
    theirs: Side | str


def side(found: Sequence[dict[str, Any] | None]) -> Side | str:
    """Return the cells of one library, pooled; a cell that is missing is None."""
    cells = [one for one in found if one is not None]
    failed = sum("error" in one for one in cells)
    if failed:
        return f"compile failed in {failed} of {len(cells)}"
    if not cells or len(cells) < len(found):
        return "–"
    count = len(cells)
    paid = [one["compile"] for one in cells]
    seeds = [[int(mark) for mark in one["right"]] for one in cells]
    return Side(
        seeds,
        sum(one["calls"] for one in paid) / count,
        sum(one["input_tokens"] + one["output_tokens"] for one in paid) / count,
        sum(one["seconds"] for one in paid) / count,
        sum(one["test"]["calls"] for one in cells) / sum(map(len, seeds)),
    )


def shown(one: Side | str, usual: float) -> str:
    if isinstance(one, str):
        return f"{one} | – | – | –"
    per_row = "" if one.calls_per_row < 1.25 * usual else f" + {one.calls_per_row:.1f} a row"
    return f"{one.share} | {one.calls:.0f}{per_row} | {one.tokens / 1000:.0f}k | {one.seconds:.0f}"


def verdict(line: Line) -> str:
    """Return "better" or "worse" where the rows show it and no seed speaks against it, else ""."""
    ours, theirs = line.ours, line.theirs
    if isinstance(ours, str) or isinstance(theirs, str):
        return ""
    low, high = compare_paired(theirs.right, ours.right).interval
    by_seed = [sum(a) - sum(b) for a, b in zip(ours.seeds, theirs.seeds, strict=True)]
    if low > 0 and min(by_seed) >= 0:
        return "better"
    return "worse" if high < 0 and max(by_seed) <= 0 else ""


def difference(line: Line) -> str:
    ours, theirs = line.ours, line.theirs
    if isinstance(ours, str) or isinstance(theirs, str):
        return ""
    low, high = compare_paired(theirs.right, ours.right).interval
    mean = (sum(ours.right) - sum(theirs.right)) / len(ours.right)
    told = verdict(line)
    return f"{100 * mean:+.0f} ({100 * low:+.0f} to {100 * high:+.0f}){f' **{told}**' if told else ''}"


def rendered(lines: Sequence[Line]) -> Iterator[str]:
    """Yield a table as Markdown, and what it comes to."""
    heads = [f"{lib}: right, % | LM calls | tokens | s" for lib in ("telic", "DSPy")]
    yield f"| task | optimizer | {' | '.join(heads)} | telic less DSPy |"
    yield "|---" * 11 + "|"
    usual, most = 1.0, max(len(line.ours.seeds) for line in lines if isinstance(line.ours, Side))
    for line in lines:
        if line.optimizer == "as given" and isinstance(line.ours, Side):
            usual = line.ours.calls_per_row
        told = " | ".join(shown(one, usual) for one in (line.ours, line.theirs))
        least = len(line.ours.seeds) if isinstance(line.ours, Side) else most
        seeds = "" if least == most else f" ({plural(least, 'seed')})"
        yield f"| {line.task} | {line.optimizer}{seeds} | {told} | {difference(line)} |"
    yield ""
    yield from summed_up(lines)


def summed_up(lines: Sequence[Line]) -> Iterator[str]:
    """Yield where telic is not better, in words."""
    both = [
        (line, line.ours, line.theirs)
        for line in lines
        if line.optimizer != "as given" and isinstance(line.ours, Side) and isinstance(line.theirs, Side)
    ]
    if not both:
        return
    counts = {told: sum(verdict(line) == told for line, _, _ in both) for told in ("better", "worse", "")}
    yield (
        f"Of {len(both)} lines that both have, telic's score is better in {counts['better']}, worse in "
        f"{counts['worse']}, and not shown to differ in {counts['']}. LM calls of all these compiles together: telic "
        f"{sum(ours.calls for _, ours, _ in both):,.0f}, DSPy {sum(theirs.calls for _, _, theirs in both):,.0f}."
    )
    worse = [f"{line.optimizer} on {line.task}" for line, _, _ in both if verdict(line) == "worse"]
    dearer = [
        f"{line.optimizer} on {line.task} ({ours.calls:.0f} against {theirs.calls:.0f})"
        for line, ours, theirs in both
        if ours.calls > 1.05 * theirs.calls + 1
        and verdict(line) != "better"
        and ours.calls_per_row > 0.8 * theirs.calls_per_row
    ]
    yield ""
    yield f"Lower scores than DSPy's: {'; '.join(worse) or 'none'}."
    yield ""
    yield f"More LM calls than DSPy's, and no better score to show for them: {'; '.join(dearer) or 'none'}."

"""`telic runs`: the runs that were kept: which there are, what one came to, going on with one, two side by side."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Column, Table

from telic._text import plural
from telic.cli import _compile
from telic.data import Usage
from telic.errors import ConfigurationError, JournalError
from telic.evaluate import Comparison, compare_paired
from telic.journal import Run, RunCandidate, list_runs, runs_folder

_MOST_CANDIDATES: Final = 20
_WIDTH: Final = 126  # of the list: names of runs are long, and are typed again


def run(command: str, *arguments: Any) -> None:
    """Run one of the commands.

    Raises:
        TelicError: There is no such run, or it cannot be used.
    """
    {"list": _list, "show": _show, "resume": _resume, "compare": _compare}[command](*arguments)


def _list(folder: Path | None, as_json: bool) -> None:
    found: list[Run] = []
    damaged: list[str] = []
    for path in list_runs(folder):
        try:
            found.append(Run(path))
        except JournalError as error:
            damaged.append(f"{path.name}: {error}")
    if as_json:
        print(json.dumps([_summary(one) for one in found], indent=2))
        return
    console = Console()
    console.width = max(console.width, _WIDTH)
    if not found and not damaged:
        where = runs_folder() if folder is None else folder
        console.print(f"no runs in {where}", soft_wrap=True, highlight=False)
        return
    whole = Column("run", overflow="fold", min_width=max((len(one.folder.name) for one in found), default=0))
    table = Table(whole, "status", "began (UTC)", "best", "calls", "USD", "time", box=None, pad_edge=False)
    for one in found:
        spend = one.total_spend
        row = (
            one.folder.name,
            one.status,
            one.began[:16],
            _score(one.best, span=True),
            f"{spend.calls:,}",
            _usd(spend),
        )
        table.add_row(*row, _time(one.seconds))
    console.print(table)
    for line in damaged:
        console.print(f"damaged: {line}", soft_wrap=True, markup=False)


def _show(name: str, as_json: bool) -> None:
    one = Run(name)
    if as_json:
        print(json.dumps(_summary(one), indent=2))
        return
    console = Console()

    def tell(text: str) -> None:
        console.print(text, soft_wrap=True, highlight=False, markup=False)

    tell(f"{one.folder.name}: {one.name}, {one.status}{'' if one.why is None else f' ({one.why})'}")
    tell(f"folder: {one.folder}")
    if one.holder:
        tell(f"at work: process {one.holder.get('pid')} on {one.holder.get('host')}")
    tell(
        f"{_time(one.seconds)}, {plural(one.steps, 'step')} finished, {plural(one.failed_calls, 'call')} failed"
    )
    for role, usage in one.spend.items():
        tell(f"{role}: {usage.words}")
    candidates = one.candidates
    if candidates:
        table = Table("candidate", "score", "95 % interval", "file", box=None, pad_edge=False)
        for candidate in candidates[:_MOST_CANDIDATES]:
            low, high = (None, None) if candidate.interval is None else candidate.interval
            span = "" if low is None else f"{low:.1f} to {high:.1f}"
            table.add_row(candidate.label, _score(candidate), span, candidate.path.name)
        console.print(table)
        if len(candidates) > _MOST_CANDIDATES:
            tell(f"… and {plural(len(candidates) - _MOST_CANDIDATES, 'more candidate')}")
    report: Mapping[str, Any] = one.report or {}
    compared: Any = report.get("check") or report.get("comparison")
    if compared is not None:
        tell(report.get("verdict", compared["verdict"]))
    for note in report.get("notes", ()):
        tell(note)
    if one.status in ("killed", "interrupted", "stopped", "failed"):
        tell(f"to go on: telic runs resume {one.folder.name}")


def _resume(name: str) -> None:
    one = Run(name)
    command = one.folder / _compile.COMMAND
    if not command.is_file():
        raise ConfigurationError(
            f"the run {one.folder.name!r} was begun from Python: run the same code again with "
            f"run_dir={str(one.folder)!r}, and it goes on"
        )
    known = json.loads(command.read_bytes())
    words = " ".join(known["words"])
    if one.folder.resolve().parent != runs_folder().resolve():
        # A folder from elsewhere names code to import: the user is to see it, and to run it himself.
        raise ConfigurationError(
            f"the run {str(one.folder)!r} is not among your own; to go on with it, run in {known['cwd']!r}: {words}"
        )
    os.chdir(known["cwd"])
    Console().print(f"in {known['cwd']}: {words}", soft_wrap=True, highlight=False, markup=False)
    _compile.run(*_compile.job_of(known["job"]))


def _compare(first: str, second: str) -> None:
    one, other = Run(first), Run(second)
    console = Console()
    table = Table("", one.folder.name, other.folder.name, box=None, pad_edge=False)
    table.add_row("optimizer", one.name, other.name)
    table.add_row("status", one.status, other.status)
    table.add_row("best (95 % interval)", _score(one.best, span=True), _score(other.best, span=True))
    for what, of in (("calls", "calls"), ("tokens", "total_tokens")):
        table.add_row(what, *(f"{getattr(run.total_spend, of):,}" for run in (one, other)))
    table.add_row("USD", _usd(one.total_spend), _usd(other.total_spend))
    table.add_row("time", _time(one.seconds), _time(other.seconds))
    differing = [
        part
        for part in {**one.identity, **other.identity}
        if one.identity.get(part) != other.identity.get(part)
    ]
    table.add_row("differ in", ", ".join(differing) or "nothing", "")
    console.print(table)
    left, right = _rows(one), _rows(other)
    same = all(
        one.identity.get(part) == other.identity.get(part) for part in ("trainset", "valset", "metric")
    )
    if left and right and same and len(left) == len(right):
        verdict = Comparison.of(compare_paired(left, right)).verdict
        console.print(f"second against first, on the same rows: {verdict}", soft_wrap=True, highlight=False)
    else:
        console.print("not compared row by row: they were not scored on the same rows", soft_wrap=True)


def _rows(one: Run) -> list[float]:
    best = one.best
    scores: list[Any] = [] if best is None else best.record.get("subscores", [])
    return [] if None in scores else list(scores)


def _summary(one: Run) -> dict[str, Any]:
    best = one.best
    return {
        "run": one.folder.name,
        "folder": str(one.folder),
        "name": one.name,
        "kind": one.kind,
        "status": one.status,
        "why": one.why,
        "began": one.began,
        "seconds": round(one.seconds, 3),
        "best": None if best is None else {"label": best.label, "score": best.score, "file": str(best.path)},
        "candidates": len(one.candidates),
        "spend": {role: usage.to_dict() for role, usage in one.spend.items()},
        "failed_calls": one.failed_calls,
    }


def _score(candidate: RunCandidate | None, *, span: bool = False) -> str:
    if candidate is None or candidate.score is None:
        return ""
    interval = candidate.interval if span else None
    return f"{candidate.score:.1f} %" + (
        "" if interval is None else f" ({interval[0]:.0f}–{interval[1]:.0f})"
    )


def _usd(usage: Usage) -> str:
    return "unknown" if usage.cost_usd is None and usage.calls else f"{usage.cost_usd or 0.0:.4f}"


def _time(seconds: float) -> str:
    whole = round(seconds)
    return f"{seconds:.1f} s" if whole < 60 else f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"

"""Programs by compilers, the two grids of the DSPy paper in miniature: right answers, LM calls, on the test split.

    python bench/programs.py                                                       # telic/tiny and its own world
    python bench/programs.py --data gsm8k --path FOLDER --lm openai/gpt-5-mini     # or hotpotqa

{vanilla, CoT, reflection} for sums and {vanilla, CoT RAG, ReAct, multi-hop} for questions of two hops, with BM25 over
the passages; by {none, few-shot, bootstrap, bootstrap twice, ensemble}. Bootstrap is the search over bootstrapped
demonstrations, chosen on rows of their own; twice: with the first one's result as teacher; ensemble: the best
candidates of the second search, by majority. Every cell is a line of `--results`, and only missing ones are run; a
compile that was killed goes on where it ended. Prints Markdown. After Khattab et al. 2023 (arXiv 2310.03714), tables
1 and 2.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from programs_tasks import DATA, GRIDS, Sizes, Task, read_by

import telic
from telic._hash import content_key
from telic.evaluate._statistics import compare_paired, wilson

if TYPE_CHECKING:
    from collections.abc import Iterator

RESULTS: Final = Path(__file__).parent / "results" / "programs.jsonl"
COMPILERS: Final = ("none", "few-shot", "bootstrap", "bootstrap twice", "ensemble")
SHOWN, MADE = 4, 3
"""Demos that a predictor gets at most, and those of them that are bootstrapped."""


class Cell(NamedTuple):
    """One cell of one grid for one seed."""

    data: str
    grid: str
    program: str
    compiler: str
    seed: int
    settings: str

    def key(self) -> str:
        return json.dumps(self)


# Running


def compiled(task: Task, program: Any, seed: int, given: argparse.Namespace, folder: Path) -> Iterator[Any]:
    """Yield what each compiler makes of a program, in order, with what was paid for it from the beginning."""
    yield program, 0
    yield (
        telic.LabeledFewShot(k=SHOWN, seed=seed).compile(
            program, trainset=task.train, run_dir=folder / "few"
        ),
        0,
    )
    search = telic.BootstrapFewShotWithRandomSearch(
        task.metric, max_bootstrapped_demos=MADE, max_labeled_demos=SHOWN, num_candidate_programs=given.candidates,
        num_threads=given.threads, recheck=False, seed=seed, display_progress=False, max_errors=10_000,
    )  # fmt: skip
    paid, teacher = 0, None
    for name in ("once", "twice"):
        rows = {"trainset": task.train, "valset": task.val, "run_dir": folder / name}
        teacher = search.compile(program, teacher=teacher, **rows)
        paid += teacher.report.total_spend.calls
        yield teacher, paid
    best = [one["program"] for one in teacher.candidate_programs[: given.members]]
    yield telic.Ensemble(reduce_fn=telic.majority).compile(best), paid


def measure(task: Task, program: Any, given: argparse.Namespace) -> dict[str, Any]:
    """Return the marks of a program on the test rows, and what they cost."""
    evaluate = telic.Evaluate(
        devset=task.test,
        metric=task.metric,
        num_threads=given.threads,
        max_errors=10_000,
        display_progress=False,
    )
    result = evaluate(program)
    found = "" if task.gold is None else "".join(str(int(has_found(task, row))) for row in result.rows)
    return {
        "right": "".join(str(int(row.score >= 1)) for row in result.rows), "found": found,
        "calls": result.spend.calls, "failures": len(result.failures), "seconds": round(result.seconds, 1),
    }  # fmt: skip


def has_found(task: Task, row: Any) -> bool:
    """Return whether a program has read all passages that the answer rests on."""
    wanted, name = task.gold
    seen = {} if row.error is not None else {name(passage) for passage in read_by(row.prediction)}
    return all(one in seen for one in wanted(row.example))


def fill(given: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Run the cells that are missing; return what is known of all."""
    done = results_of(given.results)
    for seed in range(given.seeds):
        for grid, make_task in DATA[given.data].items():
            task: Task | None = None
            for program, make in GRIDS[grid].items():
                cells = [Cell(given.data, grid, program, way, seed, settings_of(given)) for way in COMPILERS]
                wanted = grid in given.grids and program in given.programs
                if wanted and any(cell.key() not in done for cell in cells):
                    task = task or make_task(seed, Sizes(given.train, given.val, given.rows), given.path)
                    run(cells, task, make(task), given, done)
    return done


def run(cells: list[Cell], task: Task, program: Any, given: argparse.Namespace, done: dict[str, Any]) -> None:
    """Run the compilers of one program for one seed; they build on one another."""
    kept = (
        given.results.with_suffix(".runs") if str(given.results) != os.devnull else Path(tempfile.mkdtemp())
    )
    folder = kept / content_key([*cells[0]])
    given.results.parent.mkdir(parents=True, exist_ok=True)
    options = {} if given.api_base is None else {"api_base": given.api_base, "api_key": given.api_key}
    lm = telic.LM(
        given.lm, temperature=given.temperature, max_tokens=given.max_tokens, cache=False, **options
    )
    with telic.context(lm=lm, rm=task.rm):
        begin = time.monotonic()
        for cell, (made, paid) in zip(
            cells, compiled(task, program, cells[0].seed, given, folder), strict=True
        ):
            if cell.key() not in done:
                line = {"cell": cell.key(), "compile": paid, "compiling": round(time.monotonic() - begin, 1)}
                line |= measure(task, made, given)
                done[cell.key()] = line
                append(given.results, json.dumps(line))
                said = f"{line['right'].count('1')} of {len(line['right'])} right, {line['failures']} failed"
                print(f"{', '.join(map(str, cell[:-1]))}: {said}", file=sys.stderr, flush=True)
            begin = time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)


def append(path: Path, line: str) -> None:
    """Add a line; one that was cut by a kill stays a line of its own."""
    torn = path.exists() and not path.read_bytes().endswith(b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" * torn + line + "\n")


def settings_of(given: argparse.Namespace) -> str:
    """Return what else the figures of a cell depend on."""
    names = ("lm", "temperature", "max_tokens", "train", "val", "rows", "candidates", "members")
    return ", ".join(f"{name}={getattr(given, name)}" for name in names)


def results_of(path: Path) -> dict[str, dict[str, Any]]:
    """Return the cells that were run before; a line that was cut is none."""
    if not path.exists():
        return {}
    done: dict[str, dict[str, Any]] = {}
    for text in path.read_text("utf-8").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        done[line["cell"]] = line
    return done


# The tables


class Pooled(NamedTuple):
    """A cell with the rows of all seeds together."""

    right: list[int]
    found: list[int]
    calls: float  # a row
    compile: float  # LM calls, a seed
    failures: int
    seconds: float


def pooled(
    given: argparse.Namespace, done: dict[str, Any], grid: str, program: str, way: str
) -> Pooled | None:
    """Return the cell; None: one of its seeds is missing."""
    keys = [
        Cell(given.data, grid, program, way, seed, settings_of(given)).key() for seed in range(given.seeds)
    ]
    if not all(key in done for key in keys):
        return None
    lines = [done[key] for key in keys]
    right, found = ([int(mark) for line in lines for mark in line[name]] for name in ("right", "found"))
    calls = sum(line["calls"] for line in lines) / len(right)
    paid = sum(line["compile"] for line in lines) / len(lines)
    failures, seconds = (
        sum(line["failures"] for line in lines),
        sum(line["compiling"] + line["seconds"] for line in lines),
    )
    return Pooled(right, found, calls, paid, failures, seconds)


def share(marks: list[int]) -> str:
    if not marks:
        return "–"
    low, high = wilson(sum(marks), len(marks))
    return f"{100 * sum(marks) / len(marks):.0f} ({100 * low:.0f}–{100 * high:.0f})"


def step(below: Pooled | None, above: Pooled | None) -> str:
    """Return what the second has more than the first, in points, by a paired test on the same rows."""
    if below is None or above is None:
        return "–"
    test = compare_paired(below.right, above.right)
    low, high = test.interval
    text = f"{100 * test.difference:+.0f} ({100 * low:+.0f} to {100 * high:+.0f})"
    return f"**{text}**" if low > 0 or high < 0 else text


def tables(given: argparse.Namespace, done: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of both tables of each grid: the cells, and the steps between them."""
    for grid in DATA[given.data]:
        programs = [name for name in GRIDS[grid] if name in given.programs]
        if grid not in given.grids or not programs:
            continue
        cells = {(name, way): pooled(given, done, grid, name, way) for name in programs for way in COMPILERS}
        hops = grid == "two hops"
        seconds = sum(cell.seconds for cell in cells.values() if cell is not None)
        yield (
            f"\n{grid.capitalize()}: `{given.data}`, `{given.lm}`, {given.seeds} × {given.rows} test rows, measured in "
            f"{seconds / 60:.0f} minutes\n"
        )
        head = "| all passages read, % " if hops else ""
        yield f"| program | compiler | right, % {head}| LM calls a row | LM calls to compile | failed |"
        yield "|---" * (7 if hops else 6) + "|"
        for (name, way), cell in cells.items():
            if cell is not None:
                read = f"| {share(cell.found) if name != 'vanilla' else '–'} " if hops else ""
                yield (
                    f"| {name} | {way} | {share(cell.right)} {read}| {cell.calls:.1f} | {cell.compile:.0f} "
                    f"| {cell.failures} |"
                )
        pairs = list(itertools.pairwise(COMPILERS))
        yield f"\n| | {' | '.join(f'{above} over {below}' for below, above in pairs)} |"
        yield "|---" * (len(pairs) + 1) + "|"
        for name in programs:
            yield f"| {name} | {' | '.join(step(cells[name, a], cells[name, b]) for a, b in pairs)} |"
        pairs = list(itertools.pairwise(programs))
        if pairs:
            yield f"\n| | {' | '.join(f'{above} over {below}' for below, above in pairs)} |"
            yield "|---" * (len(pairs) + 1) + "|"
        for way in COMPILERS if pairs else ():
            yield f"| {way} | {' | '.join(step(cells[a, way], cells[b, way]) for a, b in pairs)} |"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", choices=DATA, default="tiny")
    parser.add_argument("--path", type=Path, help="the folder of gsm8k or hotpotqa; none: the hub")
    parser.add_argument("--lm", default="telic/tiny")
    parser.add_argument("--api-base", help="of a server of one's own")
    parser.add_argument("--api-key", default="none")
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument(
        "--max-tokens", type=int, help="of a reply; none: 100 for telic/tiny, 1000 for others"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=40, help="of the test split, for each seed")
    parser.add_argument("--train", type=int, default=30, help="rows to learn from")
    parser.add_argument("--val", type=int, default=20, help="rows to choose by")
    parser.add_argument(
        "--candidates", type=int, default=2, help="of a search, beside three that are always there"
    )
    parser.add_argument("--members", type=int, default=3, help="of an ensemble")
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--grids", nargs="*", choices=GRIDS, default=list(GRIDS))
    every = dict.fromkeys(name for grid in GRIDS.values() for name in grid)
    parser.add_argument("--programs", nargs="*", choices=every, default=list(every))
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args(argv)
    if given.max_tokens is None:
        given.max_tokens = 100 if given.lm.startswith("telic/") else 1000
    for line in tables(given, fill(given)):
        print(line)


if __name__ == "__main__":
    main()

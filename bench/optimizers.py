"""Optimizers on the embedded LM, beside DSPy's: scores on rows that nothing was chosen by, LM calls, tokens, seconds.

    python bench/optimizers.py [--dspy PYTHON] [--seeds 3] [--tasks …] [--optimizers …] [--proposer script lm]

Each cell (library, optimizer, task, seed) is a process of its own (`optimizers_cell.py`) and runs once: what came of
it is a line of bench/results/optimizers.jsonl, and only missing cells are run. `--dspy` names the Python of an
environment that has DSPy; without it, DSPy's half of the table is made of the lines that are there. Both libraries are
called in the same way, with the same rows and settings, on the same endpoint (`optimizers_endpoint.py`). Prints
Markdown.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from optimizers_endpoint import CountingLM, serving
from optimizers_table import Line, rendered, side

import telic
from telic.datasets import tiny
from telic.datasets.tiny._arithmetic import NUMBER, UNIT
from telic.datasets.tiny._qa import FULL, SEARCH_HEADS, SHORT

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "optimizers.jsonl"
LIBRARIES = ("telic", "dspy")
AS_GIVEN = "as given"
COMMON = (
    "Do the task well.", "Be careful and precise.", "Think of what is asked.", "This is very important.",
    "You are an expert.",
)  # fmt: skip
"""Proposals that help with nothing."""


class Task(NamedTuple):
    """A task of the grid.

    Attributes:
        data: Its name in `telic.datasets.tiny`.
        program: "predict", "chain" (of thought) or "two hops".
        instructions: What the program begins with; None: the task's own.
        good: Proposals of the script that tell what is wanted; None: the task's own instructions are the one.
        bad: Proposals that mislead.
    """

    data: str
    program: str
    instructions: str | None
    good: tuple[str, ...] | None
    bad: tuple[str, ...]


TASKS: Final = {
    "classes by example": Task("hidden_labels4", "predict", None, (), ("Answer yes or no.",)),
    "classes by instruction": Task(
        "told_labels", "predict", "Classify the text.", None, ("Answer yes or no.",)
    ),
    "answers as sentences": Task("qa_style", "predict", None, FULL[:2], SHORT[:2]),
    "sums with reasoning": Task("units", "chain", None, UNIT[:2], NUMBER[:2]),
    "two hops of retrieval": Task("agent_facts", "two hops", None, (SEARCH_HEADS[0], SHORT[1]), FULL[:1]),
}
OPTIMIZERS: Final[dict[str, dict[str, Any]]] = {
    "LabeledFewShot": {"k": 4},
    "BootstrapFewShot": {"max_bootstrapped_demos": 4, "max_labeled_demos": 4},
    "BootstrapFewShotWithRandomSearch": {
        "max_bootstrapped_demos": 4, "max_labeled_demos": 4, "num_candidate_programs": 4
    },
    "KNNFewShot": {"k": 4, "max_bootstrapped_demos": 4, "max_labeled_demos": 4},
    "COPRO": {"breadth": 5, "depth": 2},
    "MIPROv2": {"auto": "light", "max_bootstrapped_demos": 4, "max_labeled_demos": 4},
    "SIMBA": {"bsize": 16, "num_candidates": 4, "max_steps": 3, "max_demos": 4},
    "GEPA": {"max_metric_calls": 300},
    "InferRules": {"num_candidates": 4, "num_rules": 4, "max_bootstrapped_demos": 4, "max_labeled_demos": 4},
    "Improve": {"max_rounds": 2},
}  # fmt: skip
OURS: Final = {"Improve"}
"""What DSPy has no counterpart of."""
TAKES_VALSET: Final = {"Improve", "BootstrapFewShotWithRandomSearch", "MIPROv2", "GEPA", "InferRules"}
"""In DSPy; the others are given the training rows alone, and so is telic."""
SEARCHES: Final = TAKES_VALSET - OURS | {"COPRO", "SIMBA"}
"""Whose winner telic checks on rows that did not choose it. DSPy has no such check: here telic's is off, so that both
spend on the search alone."""
LEARNED: Final = ("classes by instruction", "answers as sentences", "sums with reasoning")
"""Tasks of kinds that the embedded LM learned to write instructions for."""
HEADINGS: Final = {
    "script": "Proposals from a script, the same for both",
    "lm": "Proposals of the embedded LM itself",
}
WRITES: Final = ("COPRO", "MIPROv2", "SIMBA", "GEPA", "InferRules", "Improve")
"""Optimizers that ask an LM to write."""


class Cell(NamedTuple):
    """One cell of the grid."""

    library: str
    optimizer: str
    task: str
    seed: int
    proposer: str
    lm: str
    train: int
    rows: int

    def key(self) -> list[Any]:
        """Return what identifies its result: another setting is another cell."""
        return [*self, json.dumps(self.settings(), sort_keys=True)]

    def settings(self) -> dict[str, Any]:
        """Return the arguments of the optimizer's constructor, and under "compile" those of its compile."""
        made = dict(OPTIMIZERS.get(self.optimizer, {}))
        if self.optimizer in ("MIPROv2", "GEPA", "Improve"):
            made["seed"] = self.seed
        if self.optimizer == "SIMBA":
            made["compile"] = {"seed": self.seed}
        if self.optimizer == "COPRO" and self.proposer == "lm":
            made["init_temperature"] = 0.7  # at 1.4 so small an LM writes nothing that can be read
        if self.library == "telic" and self.optimizer in SEARCHES:
            made["recheck"] = False
        return made


def spec_of(cell: Cell, given: argparse.Namespace, url: str, folder: str) -> dict[str, Any]:
    """Return the cell as `optimizers_cell.py` reads it."""
    task = TASKS[cell.task]
    data = tiny.load(task.data, n_train=cell.train, n_val=cell.train, n_test=cell.rows, seed=cell.seed)
    inputs, outputs = list(data.signature.input_fields), list(data.signature.output_fields)
    splits = {"train": data.trainset, "val": data.valset, "test": data.testset}
    return {
        "library": cell.library, "optimizer": cell.optimizer, "settings": cell.settings(), "program": task.program,
        "fields": f"{', '.join(inputs)} -> {', '.join(outputs)}",
        "instructions": task.instructions or data.signature.instructions,
        "inputs": inputs, "outputs": outputs, "valset": cell.optimizer in TAKES_VALSET,
        **{name: [dict(row.items()) for row in rows] for name, rows in splits.items()},
        "facts": data.tools[0].__self__.facts if task.program == "two hops" else [],
        "threads": given.threads, "max_tokens": 200, "url": url, "run_dir": f"{folder}/run",
    }  # fmt: skip


def proposals_of(cell: Cell) -> list[str]:
    """Return the script of a cell; none where the LM itself is asked."""
    if cell.proposer == "lm":
        return []
    task = TASKS[cell.task]
    own = tiny.load(task.data, n_train=0, n_val=0, n_test=0, seed=cell.seed).signature.instructions
    head = task.instructions or own
    good = (own,) if task.good is None else tuple(f"{head} {tail}" for tail in task.good)
    return [*good, *(f"{head} {tail}" for tail in (*task.bad, *COMMON))]


def run(cell: Cell, given: argparse.Namespace, url: str) -> dict[str, Any]:
    """Run a cell in a process of its own and return what came of it."""
    begin = json.dumps({"proposals": proposals_of(cell), "seed": cell.seed}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{url}/cell", begin)).close()
    with tempfile.TemporaryDirectory() as folder:
        made = subprocess.run(
            [sys.executable if cell.library == "telic" else given.dspy, str(HERE / "optimizers_cell.py")],
            input=json.dumps(spec_of(cell, given, url, folder)),
            capture_output=True, text=True, timeout=given.timeout, check=False,
        )  # fmt: skip
    if made.returncode:
        return {"error": made.stderr.strip().rpartition("\n")[2][:300]}
    return json.loads(made.stdout.splitlines()[-1])


def cells_of(given: argparse.Namespace, proposer: str) -> list[Cell]:
    """Return all cells of one table that are asked for, in the order in which they are run."""
    of_all = given.lm, given.train, given.rows
    scripted = proposer == "script"
    return [
        Cell(library, optimizer, task, seed, proposer if optimizer in WRITES else "", *of_all)
        for seed in range(given.seeds)
        for task in given.tasks
        if scripted or task in LEARNED
        for optimizer in (AS_GIVEN, *given.optimizers)
        if scripted or optimizer in WRITES
        for library in LIBRARIES
        if library == "telic" or optimizer not in OURS
    ]


def results_of(path: Path) -> dict[str, dict[str, Any]]:
    """Return what was found before, by the key of the cell."""
    if not path.exists():
        return {}
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return {json.dumps(line["cell"]): line for line in lines}


def fill(given: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Run what is missing; return the results of all cells."""
    done = results_of(given.results)
    wanted = [cell for proposer in given.proposer for cell in cells_of(given, proposer)]
    missing = [
        cell
        for cell in wanted
        if "error" in done.get(json.dumps(cell.key()), {"error": ""})
        and (cell.library == "telic" or given.dspy)
    ]
    if not missing:
        return done
    given.results.parent.mkdir(parents=True, exist_ok=True)
    lm = CountingLM(telic.LM(given.lm, cache=False))
    with serving(lm) as url, given.results.open("a", encoding="utf-8") as file:
        for number, cell in enumerate(missing, 1):
            line = {"cell": cell.key(), **run(cell, given, url)}
            done[json.dumps(cell.key())] = line
            file.write(json.dumps(line) + "\n")
            file.flush()
            said = line["error"].splitlines()[-1] if "error" in line else f"{line['right'].count('1')} right"
            print(
                f"{number} of {len(missing)}: {', '.join(map(str, cell))}: {said}",
                file=sys.stderr,
                flush=True,
            )
    return done


def lines_of(cells: list[Cell], done: dict[str, dict[str, Any]]) -> Iterator[Line]:
    """Yield the lines of a table of these cells: of the seeds that all libraries have finished that have any."""
    for task, optimizer in dict.fromkeys((cell.task, cell.optimizer) for cell in cells):
        found: dict[str, dict[int, dict[str, Any]]] = {library: {} for library in LIBRARIES}
        for cell in cells:
            if (cell.task, cell.optimizer) == (task, optimizer) and (
                line := done.get(json.dumps(cell.key()))
            ):
                found[cell.library][cell.seed] = line
        seeds = (
            set.intersection(*(set(lines) for lines in found.values() if lines))
            if any(found.values())
            else ()
        )
        if seeds:
            yield Line(
                task, optimizer, *(side([found[lib].get(n) for n in sorted(seeds)]) for lib in LIBRARIES)
            )


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dspy", default="", metavar="PYTHON", help="of an environment that has DSPy")
    parser.add_argument("--lm", default="telic/tiny")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=100, help="of the test split")
    parser.add_argument("--train", type=int, default=40, help="rows to learn from, and as many to choose by")
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--timeout", type=float, default=900, help="seconds of a cell")
    parser.add_argument("--tasks", nargs="*", choices=TASKS, default=list(TASKS))
    parser.add_argument("--optimizers", nargs="*", choices=OPTIMIZERS, default=list(OPTIMIZERS))
    parser.add_argument("--proposer", nargs="*", choices=list(HEADINGS), default=list(HEADINGS))
    parser.add_argument("--show", action="store_true", help="what is there, without running anything")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args(argv)
    done = results_of(given.results) if given.show else fill(given)
    for proposer in given.proposer:
        lines = list(lines_of(cells_of(given, proposer), done))
        if lines:
            print(f"**{HEADINGS[proposer]}**\n")
            print("\n".join(rendered(lines)) + "\n")


if __name__ == "__main__":
    main()

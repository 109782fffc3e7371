"""How the suite for optimizers makes and runs one: what a subclass defines, and what behaviours are written with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from telic.context import context
from telic.modules import Predict
from telic.testing._optimizer_task import SUM, CountingLM, equal_answer, share, sums


class OptimizerSuite:
    """An optimizer under test; a subclass defines `make_optimizer`."""

    calls_lms = True
    """False: it never calls an LM, and what is said of calls is not asked of it."""

    def make_optimizer(self, metric: Any, **settings: Any) -> Any:
        """Return the optimizer, small; `settings` are `num_threads` and `max_errors`, to be passed on."""
        raise NotImplementedError

    def reply(self, text: str, wanted: list[str]) -> dict[str, str]:
        """Return the values of the fields that a prompt asks for; right for some prompts."""
        found = SUM.findall(text)
        a, b = map(int, found[-1]) if found else (0, 0)
        chance = share(text)
        answer = str(a + b if chance < 0.6 else a + b + 1)
        return {name: answer if name == "answer" else f"{name} {chance:.6f}" for name in wanted}

    def lm(self, reply: Any = None, name: str = "counting") -> CountingLM:
        """Return a new LM."""
        return CountingLM(self.reply if reply is None else reply, name)

    def compile(
        self,
        lm: Any,
        folder: Path,
        program: Any = None,
        threads: int = 1,
        metric: Any = equal_answer,
        **options: Any,
    ) -> Any:
        """Compile a program (a plain one) in a folder."""
        optimizer = self.make_optimizer(metric, num_threads=threads, max_errors=50)
        student = Predict("question -> answer") if program is None else program
        data: dict[str, Any] = {"trainset": sums(8), **({"valset": sums(6, 50)} if self.calls_lms else {})}
        with context(lm=lm):
            return optimizer.compile(student, **{**data, **options}, run_dir=folder)

    @staticmethod
    def found(program: Any) -> Any:
        """Return what a compile came to: the program's state, and the report without times, places and spend."""
        report = program.report.to_dict()
        for name in ("seconds", "run_dir", "spend", "spend_parts", "extra_runs", "notes", "failed_calls"):
            del report[name]
        return program.dump_state()["predictors"], report

    def home(self, program: Any) -> Any:
        """Return what a result is loaded into, made by the user's code around `program`; mostly that itself."""
        return program


def spread(total: int, most: int) -> list[int]:
    """Return up to `most` numbers from 0 to `total` - 1, evenly spread."""
    if total <= most:
        return list(range(total))
    return sorted({i * (total - 1) // (most - 1) for i in range(most)})


def scores_of(found: Any) -> list[tuple[Any, float]]:
    """Return the scores of the candidates of what was `found`, by number and label."""
    return [((one["seed"], one["label"]), one["score"]) for one in found[1]["candidates"]]


def refused(kind: type[Exception] | tuple[type[Exception], ...], work: Any) -> Any:
    """Return the error that work is refused with."""
    try:
        work()
    except kind as error:
        return error
    raise AssertionError(f"{kind} was to be raised")

"""`telic compile`: a program, examples and a metric in; a better program, saved, out."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from telic._text import did_you_mean, join_names
from telic.cli import _target
from telic.context import context
from telic.errors import ConfigurationError
from telic.optimizers import (
    BootstrapFewShot,
    BootstrapFewShotWithRandomSearch,
    CompileInterrupted,
    CompileStopped,
    LabeledFewShot,
)

OPTIMIZERS: dict[str, Any] = {
    "LabeledFewShot": LabeledFewShot,
    "BootstrapFewShot": BootstrapFewShot,
    "BootstrapFewShotWithRandomSearch": BootstrapFewShotWithRandomSearch,
    "BootstrapRS": BootstrapFewShotWithRandomSearch,
}


class Job(NamedTuple):
    """What the command line asks for."""

    program: str
    data: Path
    metric: str
    out: Path
    optimizer: str
    options: tuple[str, ...] = ()
    lm: str | None = None
    inputs: str | None = None
    valset: Path | None = None
    seed: int | None = None
    num_threads: int | None = None


def run(*asked: Any) -> None:
    """Compile, save and print.

    Args:
        asked: The fields of a `Job`, in order.

    Raises:
        TelicError: Something cannot work; told before the first LM call where it can be known.
        CompileInterrupted: Ctrl-C; the best program so far is saved.
        CompileStopped: Too many failures; the best program so far is saved.
    """
    job = Job(*asked)
    out = _target.check_out(job.out, (".json",))
    program = _target.load_module(job.program)
    trainset = _target.load_rows(job.data, job.inputs, program)
    valset = None if job.valset is None else _target.load_rows(job.valset, job.inputs, program)
    lm = _target.load_lm(job.lm)
    optimizer = make_optimizer(job)
    console = Console()
    settings: dict[str, Any] = {} if lm is None else {"lm": lm}
    if job.num_threads is not None:
        settings["num_threads"] = job.num_threads
    with context(**settings):
        try:
            compiled = optimizer.compile(
                program, trainset=trainset, **({} if valset is None else {"valset": valset})
            )
        except (CompileInterrupted, CompileStopped) as stopped:
            if stopped.program is not None:
                stopped.program.save(out)
                console.print(f"stopped early; the best program so far is in {out}", soft_wrap=True)
            raise
    compiled.save(out)
    console.print(str(compiled.report), soft_wrap=True, highlight=False)
    console.print(f"saved: {out}", soft_wrap=True, highlight=False)


def make_optimizer(job: Job) -> Any:
    """Return the optimizer that the job names, with its options.

    Raises:
        ConfigurationError: There is none of that name, or it does not take an option.
    """
    kind = {name.lower(): kind for name, kind in OPTIMIZERS.items()}.get(job.optimizer.lower())
    if kind is None:
        raise ConfigurationError(
            f"unknown optimizer {job.optimizer!r}{did_you_mean(job.optimizer, OPTIMIZERS)}; "
            f"there are {join_names(OPTIMIZERS)}"
        )
    accepted = inspect.signature(kind).parameters
    given: dict[str, Any] = {"metric": _target.load_metric(job.metric), "num_threads": job.num_threads}
    options = {name: value for name, value in given.items() if name in accepted and value is not None}
    options.update(_target.read_options(job.options))
    if job.seed is not None:
        if "seed" not in accepted:
            raise ConfigurationError(
                f"{kind.__name__} takes no seed; it chooses nothing at random that has one"
            )
        options["seed"] = job.seed
    unknown = [name for name in options if name not in accepted]
    if unknown:
        raise ConfigurationError(
            f"{kind.__name__} has no option {unknown[0]!r}{did_you_mean(unknown[0], accepted)}; "
            f"it takes {join_names(accepted)}"
        )
    return kind(**options)

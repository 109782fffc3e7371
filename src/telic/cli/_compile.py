"""`telic compile`: a program, examples and a metric in; a better program, saved, out."""

from __future__ import annotations

import inspect
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console

from telic._hash import content_key
from telic._text import did_you_mean, join_names
from telic.budget import Budget
from telic.cli import _target
from telic.context import context
from telic.errors import ConfigurationError, JournalError
from telic.journal import new_folder, was_killed
from telic.optimizers import (
    COPRO,
    GEPA,
    SIMBA,
    BootstrapFewShot,
    BootstrapFewShotWithOptuna,
    BootstrapFewShotWithRandomSearch,
    BootstrapFinetune,
    CompileInterrupted,
    CompileStopped,
    Improve,
    InferRules,
    LabeledFewShot,
    MIPROv2,
)

if TYPE_CHECKING:
    from telic.data import Example
    from telic.recipes import Project

OPTIMIZERS: dict[str, Any] = {
    "LabeledFewShot": LabeledFewShot,
    "BootstrapFewShot": BootstrapFewShot,
    "BootstrapFewShotWithRandomSearch": BootstrapFewShotWithRandomSearch,
    "BootstrapRS": BootstrapFewShotWithRandomSearch,
    "BootstrapFewShotWithOptuna": BootstrapFewShotWithOptuna,
    "BootstrapFinetune": BootstrapFinetune,
    "COPRO": COPRO,
    "MIPROv2": MIPROv2,
    "SIMBA": SIMBA,
    "GEPA": GEPA,
    "InferRules": InferRules,
    "Improve": Improve,
}
_LMS = ("prompt_model", "task_model", "reflection_lm")
"""Options that are LMs, and given by name."""


COMMAND = "command.json"
"""In a run's folder: the command that began it."""


class Job(NamedTuple):
    """What the command line asks for."""

    program: str
    data: Path | None
    metric: str | None
    out: Path | None
    optimizer: str | None
    options: tuple[str, ...] = ()
    lm: str | None = None
    inputs: str | None = None
    valset: Path | None = None
    seed: int | None = None
    num_threads: int | None = None
    run_dir: Path | None = None
    budget: str | None = None
    plan_only: bool = False


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
    project = _target.project_of(job.program)
    budget = read_budget(job.budget)
    metric = None if project is None else project.metric
    if project is not None:
        budget, job = project.budget if budget is None else budget, _with_project(job, project)
    for name, value in (("--metric", job.metric or metric), ("--out", job.out)):
        if value is None and not (name == "--out" and job.plan_only):
            raise _target.missing_option(name, project)
    out = Path() if job.out is None else _target.check_out(job.out, (".json",))
    program = _target.load_module(job.program) if project is None else project.program(learned=False)
    trainset = _rows(job.data, job, project, "train", program)
    if trainset is None:
        raise _target.missing_option("--data", project)
    valset = _rows(job.valset, job, None if job.data is not None else project, "val", program)
    lm = _target.load_lm(job.lm)
    optimizer = make_optimizer(job, metric)
    console = Console()
    data: dict[str, Any] = {"trainset": trainset, **({} if valset is None else {"valset": valset})}
    settings: dict[str, Any] = {} if lm is None else {"lm": lm}
    if job.num_threads is not None:
        settings["num_threads"] = job.num_threads
    with context(**settings):
        if job.plan_only:
            console.print(str(optimizer.plan(program, **data)), soft_wrap=True, highlight=False)
            return
        folder = _run_folder(job, type(optimizer).__name__)
        try:
            compiled = optimizer.compile(program, **data, run_dir=folder, budget=budget)
        except (CompileInterrupted, CompileStopped) as stopped:
            if stopped.program is not None:
                stopped.program.save(out)
                console.print(f"stopped early; the best program so far is in {out}", soft_wrap=True)
            raise
    compiled.save(out)
    console.print(str(compiled.report), soft_wrap=True, highlight=False)
    console.print(f"saved: {out}", soft_wrap=True, highlight=False)


def _with_project(job: Job, project: Project) -> Job:
    """Return the job with what its project says where the command line says nothing."""
    optimizer = project.optimizer if job.optimizer is None else job.optimizer
    options = job.options
    if optimizer == project.optimizer:  # what the command line says stands last, and counts
        options = (*(f"{name}={json.dumps(value)}" for name, value in project.options.items()), *options)
    return job._replace(
        optimizer=optimizer,
        options=options,
        out=project.state if job.out is None else job.out,
        lm=project.lm if job.lm is None else job.lm,
    )


def _rows(
    path: Path | None, job: Job, project: Project | None, part: str, program: Any
) -> list[Example] | None:
    if path is None:
        return _target.project_rows(project, part, program)
    return _target.load_rows(path, job.inputs, program)


def _run_folder(job: Job, name: str) -> Path:
    """Return the folder of the run, with the command in it that goes on with it."""
    plain = {key: str(value) if isinstance(value, Path) else value for key, value in job._asdict().items()}
    known = {"cwd": os.getcwd(), "job": plain}
    digest = content_key(known)[:8]
    folder = new_folder(f"{name}-{digest}", was_killed) if job.run_dir is None else job.run_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / COMMAND).write_text(
            json.dumps({**known, "job": {**plain, "run_dir": str(folder.resolve())}, "words": _words(job)}),
            encoding="utf-8",
        )
    except OSError as error:
        raise JournalError(
            f"the run's folder {str(folder)!r} cannot be written to: {error.strerror or error}; choose another "
            "--run-dir",
            folder=str(folder),
        ) from error
    return folder


def _words(job: Job) -> list[str]:
    """Return the command line of a job."""
    words = ["telic", "compile", job.program]
    words += [word for option in job.options for word in ("--option", option)]
    flags = {"--data": job.data, "--metric": job.metric, "--out": job.out, "--optimizer": job.optimizer,
             "--lm": job.lm, "--inputs": job.inputs, "--valset": job.valset, "--seed": job.seed,
             "--num-threads": job.num_threads, "--run-dir": job.run_dir, "--budget": job.budget}  # fmt: skip
    return words + [word for flag, value in flags.items() if value is not None for word in (flag, str(value))]


def job_of(plain: dict[str, Any]) -> Job:
    """Return the job that a run's folder names."""
    known: dict[str, Any] = {name: value for name, value in plain.items() if name in Job._fields}
    for name in ("data", "out", "valset", "run_dir"):
        known[name] = None if known.get(name) is None else Path(known[name])
    known["options"] = tuple(known.get("options", ()))
    return Job(**known)


def read_budget(text: str | None) -> Budget | None:
    """Return the budget of a text such as "usd=4,calls=1000".

    Raises:
        ConfigurationError: It is none.
    """
    if text is None:
        return None
    limits: dict[str, Any] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        name = name.strip()
        if name not in ("usd", "calls", "tokens", "seconds"):
            raise ConfigurationError(
                f"--budget {text!r}: {name!r} is no limit; write usd=4,calls=1000,tokens=…,seconds=…"
            )
        try:
            limits[name] = int(value) if name in ("calls", "tokens") else float(value)
        except ValueError as error:
            raise ConfigurationError(f"--budget {text!r}: {name} must be a number, got {value!r}") from error
    return Budget(**limits)


def make_optimizer(job: Job, metric: Any = None) -> Any:
    """Return the optimizer that the job names, with its options.

    Args:
        job: The job.
        metric: The metric where the job names none.

    Raises:
        ConfigurationError: There is none of that name, or it does not take an option.
    """
    asked = "BootstrapFewShot" if job.optimizer is None else job.optimizer
    kind = {name.lower(): kind for name, kind in OPTIMIZERS.items()}.get(asked.lower())
    if kind is None:
        raise ConfigurationError(
            f"unknown optimizer {asked!r}{did_you_mean(asked, OPTIMIZERS)}; "
            f"there are {join_names(OPTIMIZERS)}"
        )
    accepted = inspect.signature(kind).parameters
    given: dict[str, Any] = {
        "metric": metric if job.metric is None else _target.load_metric(job.metric),
        "num_threads": job.num_threads,
    }
    options = {name: value for name, value in given.items() if name in accepted and value is not None}
    options.update(_target.read_options(job.options))
    options.update(
        {name: _target.load_lm(options[name]) for name in _LMS if isinstance(options.get(name), str)}
    )
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
    try:
        return kind(**options)
    except ConfigurationError as error:
        raise ConfigurationError(f"{error} (here: --option name=value)") from error

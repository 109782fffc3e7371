"""`telic eval`: score a program, show the score with its interval, keep the rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from telic.cli import _target
from telic.context import context
from telic.errors import ConfigurationError, EvaluationError
from telic.evaluate import Evaluate, EvaluationInterrupted, EvaluationResult
from telic.modules import Module

ENDINGS = (".jsonl", ".json", ".csv")


def run(
    program_name: str,
    data: Path | None,
    metric_name: str | None,
    lm_name: str | None,
    inputs: str | None,
    state: Path | None,
    out: Path | None,
    num_threads: int | None,
    max_errors: int | None,
    run_dir: Path | None = None,
) -> None:
    """Evaluate and print.

    Raises:
        TelicError: Something cannot work; the rows that were finished are in `out`.
        EvaluationInterrupted: Ctrl-C; likewise.
    """
    if out is not None:
        _target.check_out(out, ENDINGS)
    project = _target.project_of(program_name)
    program = _target.load_program(program_name) if project is None else project.program()
    if state is not None:
        if not isinstance(program, Module):
            raise ConfigurationError(
                f"--load needs a telic.Module; {program_name!r} is a {type(program).__name__}"
            )
        program.load(state)
    rows = (
        _target.project_rows(project, "test", program)
        if data is None
        else _target.load_rows(data, inputs, program)
    )
    metric = None if project is None else project.metric
    metric = metric if metric_name is None else _target.load_metric(metric_name)
    if rows is None or metric is None:
        raise _target.missing_option("--data" if rows is None else "--metric", project)
    lm = _target.load_lm(lm_name if lm_name is not None or project is None else project.lm)
    evaluate = Evaluate(
        devset=rows, metric=metric, num_threads=num_threads, max_errors=max_errors, display_progress=True
    )
    console = Console()
    with context(**({} if lm is None else {"lm": lm})):
        try:
            result = evaluate(program, run_dir=run_dir)
        except (EvaluationError, EvaluationInterrupted) as error:
            _keep(EvaluationResult(list(error.results), metric_name=metric_name or ""), out, console)
            raise
    console.print(str(result))
    if result.spend.calls:
        console.print(f"paid for: {result.spend.words}", soft_wrap=True, highlight=False)
    for count in result.assertions.values():
        console.print(str(count), soft_wrap=True)
    _keep(result, out, console)


def _keep(result: EvaluationResult, out: Path | None, console: Console) -> None:
    if out is None:
        return
    writers: dict[str, Any] = {".jsonl": result.to_jsonl, ".json": result.to_json, ".csv": result.to_csv}
    writers[out.suffix.lower()](out)
    console.print(f"{result.n} rows in {out}", soft_wrap=True)

"""The commands and their options.

Commands refuse what cannot work (an unknown metric, a file that cannot be written) before the first call of an LM.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from telic._version import VERSION
from telic.cli._guard import guarded
from telic.cli._recipe_app import recipes

app = typer.Typer(
    name="telic",
    help="Programs of language-model calls: measure them, and compile them toward the measure.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

runs = typer.Typer(help="The runs that are kept: list, show, resume, compare.", no_args_is_help=True)
app.add_typer(runs, name="runs")
app.add_typer(recipes, name="recipe")

ProgramArgument = Annotated[
    str,
    typer.Argument(
        help="module:attribute (a module, a signature, a function), a folder with program.py, a .toml file with steps, "
        "or a signature: 'question -> answer'."
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Examples: .csv, .tsv, .json or .jsonl; left out: the program's own."),
]
InputsOption = Annotated[
    str | None,
    typer.Option("--inputs", help="Input columns, as a,b. Left out: the columns that the program takes."),
]
MetricOption = Annotated[
    str | None,
    typer.Option(
        "--metric",
        help="exact_match, answer_exact_match, answer_score … or module:function; left out: the program's own.",
    ),
]
LMOption = Annotated[
    str | None, typer.Option("--lm", help="provider/model, as openai/gpt-5-mini or telic/tiny.")
]
ThreadsOption = Annotated[int | None, typer.Option("--num-threads", help="How many rows at once.")]
RunDirOption = Annotated[
    Path | None, typer.Option("--run-dir", help="Keep the run there, or go on with the one that is there.")
]
RunArgument = Annotated[str, typer.Argument(help="The folder of a run, or its name or the beginning of it.")]
JSONOption = Annotated[bool, typer.Option("--json", help="As JSON.")]
MaxErrorsOption = Annotated[
    int | None, typer.Option("--max-errors", help="Stop when so many rows have failed.")
]
StateOption = Annotated[Path | None, typer.Option("--load", help="A saved program (.json) to load first.")]
BudgetOption = Annotated[
    str | None, typer.Option("--budget", help="Limits, as usd=4,calls=1000,tokens=…,seconds=….")
]
PlanOption = Annotated[bool, typer.Option("--plan", help="Only tell what it would cost.")]


@app.command("run")
def run_program(
    program: ProgramArgument,
    inputs: Annotated[
        list[str] | None, typer.Argument(help="name=value; or one text, for a program with one input.")
    ] = None,
    lm: LMOption = None,
    state: StateOption = None,
    as_json: JSONOption = False,
) -> None:
    """Call a program once and show what it answers."""
    guarded("telic.cli._run", program, inputs or [], lm, state, as_json)


@app.command("eval")
def evaluate(
    program: ProgramArgument,
    data: DataOption = None,
    metric: MetricOption = None,
    lm: LMOption = None,
    inputs: InputsOption = None,
    state: StateOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the rows there: .jsonl, .json or .csv.")
    ] = None,
    num_threads: ThreadsOption = None,
    max_errors: MaxErrorsOption = None,
    run_dir: RunDirOption = None,
) -> None:
    """Score a program on examples. Ctrl-C and --max-errors keep the finished rows in --out."""
    options = (num_threads, max_errors, run_dir)
    guarded("telic.cli._evaluate", program, data, metric, lm, inputs, state, out, *options)


@app.command("compile")
def compile_program(
    program: ProgramArgument,
    data: DataOption = None,
    metric: MetricOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Where the compiled program goes (.json).")
    ] = None,
    optimizer: Annotated[
        str | None,
        typer.Option(
            "--optimizer", help="BootstrapFewShot (else), BootstrapRS, COPRO, MIPROv2, GEPA, SIMBA …."
        ),
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", help="name=value of the optimizer; may be given again.")
    ] = None,
    lm: LMOption = None,
    inputs: InputsOption = None,
    valset: Annotated[Path | None, typer.Option("--valset", help="Examples to choose by.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Of the optimizer.")] = None,
    num_threads: ThreadsOption = None,
    run_dir: RunDirOption = None,
    budget: BudgetOption = None,
    plan: PlanOption = False,
) -> None:
    """Compile a program toward a metric and save the result. Killed, the same command goes on."""
    options = tuple(option or ())
    job = (program, data, metric, out, optimizer, options, lm, inputs, valset, seed, num_threads)
    job = (*job, run_dir, budget, plan)
    guarded("telic.cli._compile", *job)


@app.command("improve")
def improve(
    program: ProgramArgument,
    data: DataOption = None,
    metric: MetricOption = None,
    out: Annotated[
        Path, typer.Option("--out", help="Where the program goes (.json), improved or as it was.")
    ] = Path("improved.json"),
    option: Annotated[
        list[str] | None, typer.Option("--option", help="name=value, as prompt_model=openai/gpt-5-mini.")
    ] = None,
    lm: LMOption = None,
    inputs: InputsOption = None,
    valset: Annotated[
        Path | None, typer.Option("--valset", help="Examples to choose by; left out: a part of --data.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Another draw of the search.")] = None,
    num_threads: ThreadsOption = None,
    run_dir: RunDirOption = None,
    budget: BudgetOption = None,
    plan: PlanOption = False,
) -> None:
    """Make a program better by whatever helps, or say that nothing did. Killed, the same command goes on."""
    job = (program, data, metric, out, "Improve", tuple(option or ()), lm, inputs, valset, seed)
    guarded("telic.cli._compile", *job, num_threads, run_dir, budget, plan)


@runs.command("list")
def list_runs(
    folder: Annotated[Path | None, typer.Argument(help="Where to look; left out: the user's runs.")] = None,
    as_json: JSONOption = False,
) -> None:
    """List the runs that are kept, the newest last."""
    guarded("telic.cli._runs", "list", folder, as_json)


@runs.command("show")
def show_run(run: RunArgument, as_json: JSONOption = False) -> None:
    """Show what a run came to: its spend, its candidates, its report."""
    guarded("telic.cli._runs", "show", run, as_json)


@runs.command("resume")
def resume_run(run: RunArgument) -> None:
    """Go on with a run of `telic compile` that was killed, interrupted or stopped."""
    guarded("telic.cli._runs", "resume", run)


@runs.command("compare")
def compare_runs(first: RunArgument, second: RunArgument) -> None:
    """Show two runs side by side, with a paired test where they were scored on the same rows."""
    guarded("telic.cli._runs", "compare", first, second)


@app.command("report")
def report(
    run: RunArgument,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The file (.html); left out: report.html in the run's folder."),
    ] = None,
    candidate: Annotated[
        str | None,
        typer.Option("--candidate", help="Whose prompts to show, by name or number; else the best's."),
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Write the page of a run, with its plots, as one file that needs no network."""
    guarded("telic.cli._report", run, out, candidate, show)


@app.command("export")
def export(
    program: ProgramArgument,
    out: Annotated[Path, typer.Option("--out", help="The folder that it is written to; new or empty.")],
    name: Annotated[
        str | None, typer.Option("--name", help="Of the package; left out: that of the folder.")
    ] = None,
    state: StateOption = None,
    prompts: Annotated[bool, typer.Option("--prompts", help="Plain prompts in place of a package.")] = False,
) -> None:
    """Make a Python package of a compiled program, or plain prompts."""
    guarded("telic.cli._export", program, out, name, state, prompts)


@app.command("demo")
def demo(
    task: Annotated[str | None, typer.Option("--task", help="Which task of the embedded LM's world.")] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of what the demo writes.")] = Path("out"),
    seed: Annotated[int, typer.Option("--seed", help="Another draw of the search.")] = 0,
) -> None:
    """Compile a program with the LM in the box: offline, free, in seconds."""
    guarded("telic.cli._demo", task, out, seed)


@app.command("serve-lm")
def serve_lm(
    model: Annotated[str, typer.Argument(help="The LM, as telic/tiny.")] = "telic/tiny",
    host: Annotated[str, typer.Option("--host", help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any free one.")] = 8000,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Let other machines reach it: there is no key.")
    ] = False,
    at_once: Annotated[int, typer.Option("--at-once", min=1, help="Requests worked on at once.")] = 64,
) -> None:
    """Serve an LM at an OpenAI-compatible endpoint, until Ctrl-C."""
    guarded("telic.cli._serve_lm", model, host, port, allow_remote, at_once)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    """Programs of language-model calls: measure them, and compile them toward the measure."""
    if version:
        typer.echo(f"telic {VERSION}")
        raise typer.Exit


def main() -> None:
    """Run the command line and exit: 0 done, 2 refused or failed, 130 interrupted."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    try:
        app(arguments, prog_name="telic")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    return 0

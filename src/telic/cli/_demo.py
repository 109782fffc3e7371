"""`telic demo`: the whole of telic in some seconds, offline, with the LM in the box.

A program that names no labels cannot know them: its baseline is poor. The optimizer finds demonstrations that teach
the LM the task; both programs are then measured on rows that took no part, and compared row by row.
"""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from telic.cli._show import show_prompt, told_notes
from telic.cli._target import check_out
from telic.context import context
from telic.datasets import tiny
from telic.evaluate import Evaluate
from telic.lm import LM
from telic.modules import Predict
from telic.optimizers import BootstrapFewShotWithRandomSearch

TASK = "hidden_labels"


def run(task: str | None, folder: Path, seed: int) -> None:
    """Run the demo and print what happens.

    Raises:
        TelicError: NumPy is missing, the task is unknown, or the folder cannot be written.
    """
    console = Console()
    name = TASK if task is None else task
    data = tiny.load(name, seed=seed)
    saved = check_out(folder / f"demo-{name}.json", (".json",))
    program = Predict(data.signature)
    console.rule(f"telic demo: {name}", align="left")
    console.print(f"{data.description}\n")
    console.print("program   ", repr(data.signature), highlight=False)
    console.print("LM         telic/tiny, in this process, offline", highlight=False)
    counts = f"{len(data.trainset)} to learn from, {len(data.valset)} to choose by, {len(data.testset)} to measure by"
    console.print(f"rows       {counts}\n", highlight=False)

    evaluate = Evaluate(devset=data.testset, metric=data.metric, display_progress=True)
    optimizer = BootstrapFewShotWithRandomSearch(
        data.metric, max_bootstrapped_demos=4, max_labeled_demos=8, num_candidate_programs=6, seed=seed
    )
    with context(lm=LM("telic/tiny", temperature=0.0, cache=False)):
        console.print("[bold]1. As written[/bold]")
        before = evaluate(program)
        console.print(f"  {before}\n", highlight=False)

        console.print("[bold]2. Compile[/bold] with BootstrapFewShotWithRandomSearch")
        with told_notes(console):
            compiled = optimizer.compile(program, trainset=data.trainset, valset=data.valset)
        report = compiled.report
        console.print(
            f"  {len(report.candidates)} candidates, {report.total_spend.calls} LM calls, {report.seconds:.1f} s\n",
            highlight=False,
        )

        console.print("[bold]3. Compiled[/bold], on the same rows, none of which chose it")
        after = evaluate(compiled)
        console.print(f"  {after}", highlight=False)
        console.print(f"  {after.compare(before).verdict}\n", highlight=False)

    inputs = data.testset[0].inputs().toDict()
    console.print("[bold]4. What changed:[/bold] the prompt")
    show_prompt(console, "before", program.render(inputs))
    show_prompt(console, f"after: {len(compiled.demos)} demonstrations", compiled.render(inputs))

    compiled.save(saved)
    console.print(f"saved: {saved}", highlight=False, soft_wrap=True)
    console.print("use it:", highlight=False)
    console.print(
        f'  program = telic.Predict("{_as_string(inputs, data.signature)}").load("{saved}")',
        highlight=False,
        soft_wrap=True,
        markup=False,
    )


def _as_string(inputs: dict[str, object], signature: type) -> str:
    return f"{', '.join(inputs)} -> {', '.join(signature.output_fields)}"  # type: ignore[attr-defined]

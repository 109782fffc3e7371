"""The commands of `telic recipe` and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from telic.cli._guard import guarded

recipes = typer.Typer(help="Programs for your own data: picked, explained, compiled.", no_args_is_help=True)

DocumentsArgument = Annotated[Path, typer.Argument(help="A folder of text, markdown, HTML and PDF files.")]
QuestionsArgument = Annotated[
    Path, typer.Argument(help="Questions with answers: .csv, .tsv, .json, .jsonl or .parquet.")
]
RowsArgument = Annotated[Path, typer.Argument(help="Rows: .csv, .tsv, .json, .jsonl or .parquet.")]
OutOption = Annotated[Path, typer.Option("--out", help="The folder that the program is left in.")]
LMOption = Annotated[
    str | None, typer.Option("--lm", help="provider/model, as openai/gpt-5-mini or telic/tiny.")
]
KOption = Annotated[int | None, typer.Option("--k", help="Passages that are read; left out: picked.")]
SizeOption = Annotated[int, typer.Option("--size", help="Characters that a passage has at most.")]
MetricOption = Annotated[
    str | None, typer.Option("--metric", help="answer_score or judged_answer; left out: picked.")
]
QuestionOption = Annotated[str, typer.Option("--question", help="The column of questions.")]
AnswerOption = Annotated[str, typer.Option("--answer", help="The column of answers.")]
TextOption = Annotated[str, typer.Option("--text", help="The column of texts.")]
LabelOption = Annotated[str, typer.Option("--label", help="The column of labels.")]
BudgetOption = Annotated[
    str | None, typer.Option("--budget", help="Limits, as usd=4,calls=1000,tokens=…,seconds=….")
]
PlanOption = Annotated[bool, typer.Option("--plan", help="Only tell what would be done, and its cost.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Another draw of splits and search.")]
ThreadsOption = Annotated[int | None, typer.Option("--num-threads", help="How many calls at once.")]


def _over_documents(name: str, told: str) -> None:
    """Add the command of a recipe that answers questions from documents."""

    @recipes.command(name, help=told)
    def answer_from(
        documents: DocumentsArgument,
        questions: QuestionsArgument,
        out: OutOption = Path(name),
        lm: LMOption = None,
        k: KOption = None,
        size: SizeOption = 1000,
        metric: MetricOption = None,
        question: QuestionOption = "question",
        answer: AnswerOption = "answer",
        budget: BudgetOption = None,
        plan: PlanOption = False,
        yes: YesOption = False,
        seed: SeedOption = 0,
        num_threads: ThreadsOption = None,
    ) -> None:
        options = {"k": k, "size": size, "metric": metric, "question": question, "answer": answer}
        _run(name, (documents, questions), options, (out, lm, budget, plan, yes, seed, num_threads))


_over_documents(
    "rag", 'Answer questions from a folder of documents, with citations, or "not in the documents".'
)
_over_documents("multihop", "Answer questions that need several searches in a folder of documents.")


@recipes.command("classify")
def classify(
    rows: RowsArgument,
    out: OutOption = Path("classify"),
    lm: LMOption = None,
    text: TextOption = "text",
    label: LabelOption = "label",
    budget: BudgetOption = None,
    plan: PlanOption = False,
    yes: YesOption = False,
    seed: SeedOption = 0,
    num_threads: ThreadsOption = None,
) -> None:
    """Sort texts into classes, few or many."""
    _run("classify", (rows,), {"text": text, "label": label}, (out, lm, budget, plan, yes, seed, num_threads))


@recipes.command("extract")
def extract(
    rows: RowsArgument,
    out: OutOption = Path("extract"),
    lm: LMOption = None,
    text: TextOption = "text",
    budget: BudgetOption = None,
    plan: PlanOption = False,
    yes: YesOption = False,
    seed: SeedOption = 0,
    num_threads: ThreadsOption = None,
) -> None:
    """Read typed records out of texts; columns beside the text are a record's fields, or `records` holds lists."""
    _run("extract", (rows,), {"text": text}, (out, lm, budget, plan, yes, seed, num_threads))


def _run(*job: object) -> None:
    guarded("telic.cli._recipe", *job)

"""One cell of bench/optimizers.py: the same program, rows and settings under telic or under DSPy.

    python bench/optimizers_cell.py < cell.json

Reads what to do as JSON from standard input and writes what came of it as the last line of standard output. The library
is imported by its name, and nothing of the other one: programs are written in the words that both have.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import re
import sys
import time
import urllib.request
import zlib
from collections import Counter
from typing import Any

HOP_FIELDS = ("context, question -> search_query", "context, question -> answer")


def words_of(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower())) - {"of", "the", "is", "a", "in"}


class Search:
    """Finds the facts that share the rarest words with a query."""

    def __init__(self, facts: list[str]) -> None:
        self.facts = facts
        self.about = [words_of(fact) for fact in facts]
        self.frequency = Counter(word for words in self.about for word in words)

    def __call__(self, query: str, count: int = 2) -> list[str]:
        asked = words_of(query)
        fits = [sum(1 / self.frequency[word] for word in asked & about) for about in self.about]
        best = sorted(range(len(fits)), key=lambda i: (-fits[i], i))[:count]
        return [self.facts[i] for i in best if fits[i] > 0]


def two_hops(lib: Any, cell: dict[str, Any]) -> Any:
    """Return a program of two steps: it searches for the question, asks what else to search for, and answers."""
    search = Search(cell["facts"])

    class TwoHops(lib.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query, self.answer = (lib.Predict(lib.Signature(fields)) for fields in HOP_FIELDS)

        def forward(self, question: str) -> Any:
            found = search(question)
            query = self.query(context="\n".join(found), question=question).search_query
            found += [fact for fact in search(query) if fact not in found]
            return self.answer(context="\n".join(found), question=question)

    return TwoHops()


def program_of(lib: Any, cell: dict[str, Any]) -> Any:
    if cell["program"] == "two hops":
        return two_hops(lib, cell)
    strategy = {"predict": lib.Predict, "chain": lib.ChainOfThought}[cell["program"]]
    return strategy(lib.Signature(cell["fields"], cell["instructions"]))


def metrics(lib: Any, outputs: list[str]) -> tuple[Any, Any]:
    """Return the metric (every output exactly right), and the same with feedback."""

    def right(example: Any, prediction: Any, trace: Any = None) -> bool:
        return all(str(getattr(prediction, n, None)).strip() == str(example[n]).strip() for n in outputs)

    def told(gold: Any, pred: Any, trace: Any = None, pred_name: Any = None, pred_trace: Any = None) -> Any:
        wanted = ", ".join(str(gold[name]) for name in outputs)
        ok = right(gold, pred)
        return lib.Prediction(score=float(ok), feedback="Right." if ok else f"The right answer is {wanted}.")

    return right, told


def vectors(texts: list[str]) -> Any:
    """Return hashed counts of the words of texts, of length 1."""
    numpy = importlib.import_module("numpy")
    made = numpy.zeros((len(texts), 512), dtype="float32")
    for row, text in enumerate(texts):
        for word in words_of(text):
            made[row, zlib.crc32(word.encode()) % 512] += 1.0
    return made / numpy.maximum(numpy.linalg.norm(made, axis=1, keepdims=True), 1e-9)


def optimizer_of(lib: Any, cell: dict[str, Any], train: list[Any]) -> tuple[Any, dict[str, Any]]:
    """Return the optimizer, and the arguments of its compile that are not rows: the same for both libraries."""
    right, told = metrics(lib, cell["outputs"])
    name, settings, threads = cell["optimizer"], dict(cell["settings"]), cell["threads"]
    compiling = settings.pop("compile", {})
    if name == "Improve":
        settings["vectorizer"] = vectors
    if name == "LabeledFewShot":
        return lib.LabeledFewShot(**settings), compiling
    if name == "KNNFewShot":
        return lib.KNNFewShot(trainset=train, vectorizer=vectors, metric=right, **settings), compiling
    if name == "GEPA":
        lm = lib.settings.lm
        return lib.GEPA(metric=told, num_threads=threads, reflection_lm=lm, **settings), compiling
    if name == "COPRO":
        evaluating = {"num_threads": threads, "display_progress": False}
        return lib.COPRO(metric=right, **settings), {"eval_kwargs": evaluating, **compiling}
    if name not in ("BootstrapFewShot",):
        settings["num_threads"] = threads
    return getattr(lib, name)(metric=right, **settings), compiling


def compiled(lib: Any, cell: dict[str, Any], program: Any, train: list[Any], val: list[Any]) -> Any:
    optimizer, given = optimizer_of(lib, cell, train)
    if cell["optimizer"] != "KNNFewShot":
        given = {"trainset": train, **given}
    if cell["valset"]:
        given["valset"] = val
    if cell["library"] == "telic":
        given["run_dir"] = cell["run_dir"]
    return optimizer.compile(program, **given)


def count(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/count") as reply:
        return json.load(reply)


def spent(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    return {name: after[name] - before[name] for name in after}


def scores(lib: Any, cell: dict[str, Any], program: Any, test: list[Any]) -> tuple[str, int]:
    """Return a 1 for each row that came out right and a 0 for each other, and how many failed."""
    right, _ = metrics(lib, cell["outputs"])
    failed: list[bool] = []

    def scored(example: Any, prediction: Any, trace: Any = None) -> float:
        return float(right(example, prediction))

    evaluate = lib.Evaluate(
        devset=test, metric=scored, num_threads=cell["threads"], display_progress=False, max_errors=10_000
    )
    result = evaluate(program)
    failed = [not dict(prediction).keys() & set(cell["outputs"]) for _, prediction, _ in result.results]
    return "".join("1" if score else "0" for _, _, score in result.results), sum(failed)


def run(cell: dict[str, Any]) -> dict[str, Any]:
    lib: Any = importlib.import_module(cell["library"])
    for name in ("telic", "dspy"):
        logging.getLogger(name).setLevel(logging.ERROR)
    lib.configure_cache(enable_disk_cache=False, enable_memory_cache=True)
    lm = lib.LM(
        "openai/telic/tiny", api_base=f"{cell['url']}/v1", api_key="none", temperature=0.0,
        max_tokens=cell["max_tokens"], timeout=600,
    )  # fmt: skip
    lib.configure(lm=lm)
    train, val, test = (
        [lib.Example(**row).with_inputs(*cell["inputs"]) for row in cell[split]]
        for split in ("train", "val", "test")
    )
    program = program_of(lib, cell)
    start, base = time.monotonic(), count(cell["url"])
    if cell["optimizer"] != "as given":
        program = compiled(lib, cell, program, train, val)
    seconds, paid = time.monotonic() - start, count(cell["url"])
    lib.configure_cache(
        enable_disk_cache=False, enable_memory_cache=True
    )  # so that its calls are all counted
    right, failed = scores(lib, cell, program, test)
    last = count(cell["url"])
    return {
        "right": right, "failed": failed, "compile": spent(base, paid) | {"seconds": round(seconds, 2)},
        "test": spent(paid, last), "version": lib.__version__,
        "instructions": [str(p.signature.instructions) for p in program.predictors()],
        "demos": [len(p.demos) for p in program.predictors()],
    }  # fmt: skip


if __name__ == "__main__":
    answer_to = os.dup(1)
    os.dup2(2, 1)  # what a library prints is not our answer
    found = run(json.load(sys.stdin))
    os.write(answer_to, json.dumps(found).encode() + b"\n")

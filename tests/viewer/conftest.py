"""Runs as optimizers leave them: any number of candidates, families of them, any text, at any stage."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

import telic
from telic.data import Usage
from telic.journal import LiveRun

HOSTILE = (
    "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    "<a href='javascript:alert(1)'>click</a> &lt;b&gt; \x00\x1b[31m \u202eright to left \ud800 $x^2$ %{x} var(--bad)"
)


class Maker:
    """Writes one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.live = LiveRun(
            folder,
            kind="compile",
            name="GEPA",
            identity={"program": "1f3a", "metric": "77aa"},
            about={"trainset": 40, "valset": 30},
        )
        self.start = telic.Predict("question -> answer")
        self.start.save(folder / "start.json")

    def candidate(
        self, number: int, scores: list[float], *, text: str = "", label: str = "", parents: Any = None
    ) -> None:
        program = telic.Predict("question -> answer")
        if text:
            program.signature = program.signature.with_instructions(text)
            program.demos = [telic.Example(question=text, answer="4", augmented=True)]
        mean = 100 * sum(scores) / len(scores)
        record: dict[str, Any] = {
            "score": mean,
            "interval": [max(0.0, mean - 12), min(100.0, mean + 12)],
            "seed": number,
            "label": label or ("as given" if number == 0 else f"mutation {number}"),
            "subscores": scores,
            "failures": 0,
        }
        if parents is not None:
            record |= {"parents": parents, "why": "shorter and with an example"}
        self.live.candidate(f"{number}: {record['label']}", record, program.save)

    def call(self, *, role: str = "task", predictor: str = "self", usage: Usage | None = None) -> None:
        used = Usage(900, 40, 300, 0, 0.002, 1) if usage is None else usage
        replies = self.live.replies
        slot = replies.claim("step", str(random.random()).encode())
        more = {"role": role, "predictor": predictor, "model": "openai/gpt-5-mini"}
        replies.keep(slot, [], used, cached=False, at=self.live.seconds, **more)

    def family(self, count: int, rows: int = 30, seed: int = 0) -> None:
        rng = random.Random(seed)
        hard = [rng.random() for _ in range(rows)]
        for number in range(count):
            for _ in range(6):
                self.call(predictor="plan.predict")
                self.call(predictor="answer")
            self.call(role="proposer", predictor="ProposeInstructions")
            skill = 0.35 + 0.45 * number / max(1, count)
            scores = [float(rng.random() < skill + 0.5 * (1 - difficulty)) for difficulty in hard]
            parents = None if number == 0 else [rng.randrange(max(0, number - 6), number)]
            text = (
                ""
                if number == 0
                else f"Answer the question in one word. Hint {number}: look at the last line."
            )
            self.candidate(number, scores, text=text, parents=parents)

    def end(self, status: str = "finished", why: str | None = None, **report: Any) -> None:
        self.live.end(status, why, report)
        self.live.close()


@pytest.fixture
def make(tmp_path):
    made: list[Maker] = []

    def maker(name: str = "run") -> Maker:
        one = Maker(tmp_path / name)
        made.append(one)
        return one

    yield maker
    for one in made:
        one.live.close()

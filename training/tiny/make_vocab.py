"""Write the vocabulary of `telic/tiny`: the words that the training mixture uses often, and pieces for spelling.

    python training/tiny/make_vocab.py        (a few seconds; the same words every time)

Words that only evaluation uses (held-out names, labels, phrasings) are left out on purpose: a token of their own would
never be trained. They are spelled.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from random import Random

from telic.datasets.tiny import _words as words
from telic.datasets.tiny._mix import draw_task
from telic.datasets.tiny._render import assistant_text, system_text, user_text

TARGET = Path(__file__).parents[2] / "src/telic/lm/tiny/vocab.json"


def main() -> None:
    rng = Random(0)
    counts: Counter[str] = Counter()
    for _ in range(30_000):
        task = draw_task(rng)
        texts = [system_text(task.inputs, task.outputs, task.instructions)]
        for _ in range(3):
            row = task.draw(rng)
            texts += [user_text(task.inputs, row.inputs), assistant_text(task.outputs, row.outputs)]
        for text in texts:
            counts.update(re.findall("[A-Za-z]+", text))
    never = {w for pool in (words.PEOPLE, words.CITIES, words.COMPANIES) for w in words.split(pool, True)}
    kept: set[str] = set()
    for word, count in counts.items():
        if count < 12 or len(word) == 1 or word in never:
            continue
        lower = word.lower()
        # A capitalised form of its own only where it is the usual one (names), or very frequent.
        if word != lower and counts[lower] > 0.3 * count and count < 1500:
            continue
        kept.add(word)
    pieces = sorted({p for p in (*words.SYLLABLES, *words.CHUNKS) if len(p) > 1})
    TARGET.write_text(json.dumps({"words": sorted(kept), "pieces": pieces}, indent=0) + "\n")
    print(f"{len(kept)} words, {len(pieces)} pieces -> {TARGET}")


if __name__ == "__main__":
    main()

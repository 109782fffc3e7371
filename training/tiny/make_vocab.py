"""Write the vocabulary of `telic/tiny`: the words that the training mixture uses often, and pieces for spelling.

    python training/tiny/make_vocab.py TARGET        (some seconds; the same words every time)

Words that only evaluation uses (held-out names, labels, phrasings) are left out on purpose: a token of their own would
never be trained. They are spelled. A vocabulary of trained weights must not change.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path
from random import Random

from batches import ADAPTERS, Writer
from layout import FIXED, SPECIALS
from mixture import draw_task

from telic.datasets.tiny import _words as words
from telic.lm.tiny._tokenizer import Tokenizer

EXTRA = Path(__file__).parent / "skills/words.txt"
SOURCES = (*Path(words.__file__).parent.glob("_*.py"), *(Path(__file__).parent / "skills").glob("*.py"))
FULL = 1_320
"""This many words at most, so that the embedding stays small."""


def main(target: Path) -> None:
    rng = Random(0)
    layout = re.compile("|".join(re.escape(text) for text in sorted(FIXED, key=len, reverse=True)))
    blank = Tokenizer({"words": [], "pieces": [], "fixed": FIXED, "specials": SPECIALS})
    counts: Counter[str] = Counter()
    for _ in range(25_000):
        task = draw_task(rng)
        writer = Writer(rng, blank, task, rng.choice(ADAPTERS))
        texts = [writer.system]
        for _ in range(3):
            row = task.draw(rng)
            texts += [str(m["content"]) for m in writer.plan.render(row.inputs)[1:]]
            texts.append(writer.adapter.format_assistant_message_content(task.signature, row.outputs))
        for text in texts:
            counts.update(re.findall("[A-Za-z]+", layout.sub(" ", text)))
    never = {w for pool in (words.PEOPLE, words.CITIES, words.COMPANIES) for w in words.split(pool, True)}
    never |= set(words.split(words.LABELS, True))
    listed = re.findall("[A-Za-z]+", EXTRA.read_text()) if EXTRA.exists() else []
    kept = {w for w in listed if len(w) > 1}
    # Names are invented without end; words that templates and lists spell out are not.
    written = {w for source in SOURCES for w in re.findall("[A-Za-z]+", source.read_text())}
    for word, count in counts.most_common():
        if count < 12 or len(kept) >= FULL:
            break
        lower = word.lower()
        # A capitalised form of its own only where it is the usual one (names), or very frequent.
        if (
            len(word) == 1
            or word in never
            or word not in written
            or (word != lower and counts[lower] > 0.3 * count and count < 1500)
        ):
            continue
        kept.add(word)
    pieces = {*words.SYLLABLES, *words.CHUNKS, *words.FIRST_HALVES, *words.LAST_HALVES}
    made = {
        "specials": SPECIALS,
        "fixed": FIXED,
        "words": sorted(kept),
        "pieces": sorted(p for p in pieces if len(p) > 1),
    }
    target.write_text(json.dumps(made, indent=0) + "\n")
    print(f"{len(kept)} words, {len(made['pieces'])} pieces, {len(Tokenizer(made))} tokens -> {target}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""A paragraph whose every sentence is cited: a sentence without its source is asked for again.

Run it: python examples/long_form.py (offline: the LM is a script; name a real one in `main(lm=…)`; needs the extra
`retrieve`)
"""

import telic
from telic.recipes.programs import LongFormQA
from telic.retrieve import BM25, Passage
from telic.testing import ScriptedLM

PASSAGES = [
    Passage("The Rhine rises in the Swiss Alps.", source="rivers.md"),
    Passage("The Rhine flows into the North Sea near Rotterdam.", source="rivers.md"),
    Passage("Cellos are tuned in fifths.", source="music.md"),
]
REPLIES = [
    {"reasoning": "Where it begins and where it ends.", "queries": ["Rhine rises", "Rhine flows into"]},
    {
        "reasoning": "Two passages.",
        "paragraph": "The Rhine rises in the Swiss Alps [1]. It ends in the North Sea.",
    },
    {
        "reasoning": "Both.",
        "paragraph": "The Rhine rises in the Swiss Alps [1]. It ends in the North Sea [2].",
    },
]


def main(lm: object = None) -> telic.Prediction:
    telic.configure(lm=ScriptedLM(REPLIES) if lm is None else lm, rm=BM25(PASSAGES))
    found = LongFormQA(k=2)(question="What is the course of the Rhine?")
    print(found.paragraph)
    for number, passage in found.citations.items():
        print(f"[{number}] {passage.source}: {passage}")
    return found


if __name__ == "__main__":
    main()

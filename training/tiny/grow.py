"""Carry an embedding table over to another vocabulary: what both have keeps its row, what is new starts at random."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from telic.lm.tiny._tokenizer import Tokenizer


def keys(vocabulary: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what each token stands for, in the order of their ids (that of `Tokenizer.__init__`)."""
    spelling = [*map(str, range(10)), *map(chr, range(65, 91)), *map(chr, range(97, 123))]
    spelling += [p for p in vocabulary["pieces"] if len(p) > 1]
    made = [("special", name) for name in vocabulary["specials"]]
    made += [("fixed", text) for text in vocabulary["fixed"]]
    made += [("byte", str(value)) for value in range(256)]
    made += [("mark", chr(code)) for code in range(33, 127) if not chr(code).isalnum()]
    made += [("word", word) for word in vocabulary["words"]]
    made += [("start", piece) for piece in spelling]
    made += [("continuation", piece) for piece in spelling]
    assert len(made) == len(Tokenizer(vocabulary))
    return made


def carried(embed: Tensor, old: dict[str, Any], new: dict[str, Any], rows: int) -> Tensor:
    """Return a table of `rows` rows for the new vocabulary."""
    known = {key: row for row, key in enumerate(keys(old))}
    table = torch.randn(rows, embed.shape[1]) * embed.std() * 0.5
    for row, key in enumerate(keys(new)):
        if key in known:
            table[row] = embed[known[key]]
    return table

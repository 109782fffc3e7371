"""Cutting rows into parts, and seeing that no part knows another.

Two rows are the same question when their inputs are (all their fields, where no inputs are declared), case and blanks
aside. Such rows stay together in a split: a question that is learned from must not be asked in the test.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

from telic._hash import canonical_json
from telic._seed import derive
from telic._text import join_names, truncate
from telic.data import Example
from telic.errors import DatasetError


def split(examples: Sequence[Example], *sizes: float, seed: int = 0) -> list[list[Example]]:
    """Shuffle examples and cut them into parts: a trainset, a valset, a testset.

    Args:
        examples: What to split; it stays as it is.
        sizes: One number a part: a share between 0 and 1 (`0.5`), or a count (`200`). What is left over after the
            last part is left out, except where shares add up to 1.
        seed: The same seed and examples give the same parts.

    Returns:
        The parts, in the order of `sizes`; no example is in two of them, and examples with equal inputs are in one:
        where there are such, a part may be a few examples larger than asked, and the next one smaller.

    Raises:
        DatasetError: The parts need more examples than there are, or one would be empty.

    Example:
        >>> rows = [Example(n=n) for n in range(10)]
        >>> [len(part) for part in split(rows, 0.6, 0.2, 0.2, seed=1)]
        [6, 2, 2]
    """
    counts = part_counts(len(examples), sizes)
    order = list(range(len(examples)))
    derive(seed, "split", len(examples)).shuffle(order)
    groups: dict[Hashable, list[int]] = {}
    for index in order:
        groups.setdefault(question_key(examples[index]), []).append(index)
    waiting = list(groups.values())[::-1]
    parts: list[list[Example]] = []
    given = target = 0
    for number, count in enumerate(counts):
        part: list[int] = []
        target += count
        while waiting and (given < target or (number == len(counts) - 1 and target == len(examples))):
            group = waiting.pop()
            part += group
            given += len(group)
        if not part:
            raise DatasetError(
                f"part {number} of the split would be empty: {len(examples)} examples have {len(groups)} different "
                "inputs, and equal ones stay together"
            )
        parts.append([examples[index] for index in part])
    return parts


def part_counts(total: int, sizes: Sequence[float]) -> list[int]:
    """Return how many of `total` rows each part gets.

    Raises:
        DatasetError: The parts need more than there are, or one would be empty.
    """
    counts = [_count(total, size) for size in sizes]
    if any(isinstance(size, float) for size in sizes) and abs(sum(sizes) - 1.0) < 1e-9:
        counts[-1] = total - sum(counts[:-1])
    if any(count < 1 for count in counts) or sum(counts) > total:
        raise DatasetError(f"cannot split {total} examples into parts of {join_names(map(str, sizes))}")
    return counts


def _count(total: int, size: float) -> int:
    if isinstance(size, float):
        if not 0.0 < size <= 1.0:
            raise DatasetError(f"a part of {size!r}: a share lies between 0 and 1; a count is a whole number")
        return round(total * size)
    return size


def question_key(example: Example) -> Hashable:
    """Return what two rows that ask the same have in common."""
    keys = example._input_keys  # pyright: ignore[reportPrivateUsage]  (None: not declared; `inputs()` would raise)
    fields = {name: value for name, value in example.items() if keys is None or name in keys}
    return canonical_json({name: _plain(value) for name, value in fields.items()})


def _plain(value: Any) -> Any:
    return " ".join(value.casefold().split()) if isinstance(value, str) else value


def without_overlap(examples: Iterable[Example], *others: Iterable[Example]) -> list[Example]:
    """Return the examples whose inputs are in none of `others`."""
    taken = {question_key(example) for other in others for example in other}
    return [example for example in examples if question_key(example) not in taken]


def check_splits(**parts: Sequence[Example]) -> None:
    """Refuse parts that share a question.

    Args:
        parts: By name: `check_splits(train=trainset, val=valset, test=testset)`.

    Raises:
        DatasetError: Names the two parts, how many questions they share, and the first of them.

    Example:
        >>> check_splits(train=[Example(q="a")], test=[Example(q="b")])
    """
    seen: dict[str, Mapping[Hashable, Example]] = {}
    for name, part in parts.items():
        own = {question_key(example): example for example in part}
        for before, others in seen.items():
            shared = [key for key in own if key in others]
            if shared:
                raise DatasetError(
                    f"{len(shared)} examples of {name!r} are in {before!r} too, first {_shown(own[shared[0]])}; "
                    f"what is measured on them is not new. Drop them with "
                    f"telic.datasets.without_overlap({before}, {name})"
                )
        seen[name] = own


def _shown(example: Example) -> str:
    return truncate(repr(example.toDict()), 120)

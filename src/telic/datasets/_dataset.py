"""`Dataset`: a set of rows with its splits, its metric, and where it is from.

A data set of one's own assigns `_train`, `_dev` and `_test` (rows as dicts) after `super().__init__(…)`, as in DSPy.
The splits are shuffled by seed and cut to size when they are first read. No question is in two of them: what the test
asks is taken out of dev and train, what dev asks out of train, before anything is cut (`removed` counts it).
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, NamedTuple, cast

from telic._hash import content_key
from telic.data import Example
from telic.datasets._loaders import load_examples
from telic.datasets._splits import without_overlap
from telic.errors import DatasetError

SplitName = Literal["train", "dev", "test"]
_ENDINGS: Final = (".jsonl", ".json", ".csv", ".tsv", ".parquet")


class Origin(NamedTuple):
    """Where rows are from and what may be done with them."""

    source: str
    licence: str
    citation: str = ""


class SeedSplits(NamedTuple):
    """What `prepare_by_seed` returns."""

    train_sets: list[list[Example]]
    eval_sets: list[list[Example]]


class Dataset:
    """The base of data sets.

    Args:
        train_seed: Shuffles the training rows.
        train_size: How many are kept; None: all.
        eval_seed: Shuffles dev and test rows.
        dev_size: How many are kept; None: all.
        test_size: How many are kept; None: all.
        input_keys: Which fields are inputs; None: those of the data set.

    Attributes:
        origin: Source, licence and citation.
        metric: `metric(example, prediction, trace=None)` for these rows, or None.
        removed: How many rows were taken out of a split because a later one asks the same.

    Raises:
        DatasetError: A size is impossible, or a split has fewer rows than asked.
    """

    origin: ClassVar[Origin] = Origin("", "")
    inputs: ClassVar[tuple[str, ...]] = ()
    metric: Any = None

    def __init__(
        self,
        train_seed: int = 0,
        train_size: int | None = None,
        eval_seed: int = 0,
        dev_size: int | None = None,
        test_size: int | None = None,
        input_keys: Sequence[str] | None = None,
    ) -> None:
        for name, size in (("train_size", train_size), ("dev_size", dev_size), ("test_size", test_size)):
            if size is not None and (isinstance(size, bool) or size < 0):
                raise DatasetError(f"{type(self).__name__}: {name} is {size!r}; a number of rows, 0 or more")
        self.train_seed, self.train_size = train_seed, train_size
        self.dev_seed, self.dev_size = eval_seed, dev_size
        self.test_seed, self.test_size = eval_seed, test_size
        self.input_keys = list(self.inputs if input_keys is None else input_keys)
        self.do_shuffle = True
        self.name = type(self).__name__
        self.removed: dict[str, int] = {}
        self._train: Iterable[Any] = ()
        self._dev: Iterable[Any] = ()
        self._test: Iterable[Any] = ()
        self._made: dict[str, list[Example]] = {}

    @property
    def train(self) -> list[Example]:
        """The rows to learn from."""
        return self._split("train", self.train_seed, self.train_size)

    @property
    def dev(self) -> list[Example]:
        """The rows to choose by."""
        return self._split("dev", self.dev_seed, self.dev_size)

    @property
    def test(self) -> list[Example]:
        """The rows to report, once."""
        return self._split("test", self.test_seed, self.test_size)

    def reset_seeds(
        self,
        train_seed: int | None = None,
        train_size: int | None = None,
        eval_seed: int | None = None,
        dev_size: int | None = None,
        test_size: int | None = None,
    ) -> None:
        """Change seeds and sizes; None leaves one as it is."""
        self.train_seed = self.train_seed if train_seed is None else train_seed
        self.train_size = self.train_size if train_size is None else train_size
        self.dev_seed = self.test_seed = self.dev_seed if eval_seed is None else eval_seed
        self.dev_size = self.dev_size if dev_size is None else dev_size
        self.test_size = self.test_size if test_size is None else test_size
        self._made = {}

    @classmethod
    def prepare_by_seed(
        cls,
        train_seeds: Sequence[int] | None = None,
        train_size: int = 16,
        dev_size: int = 1000,
        divide_eval_per_seed: bool = True,
        eval_seed: int = 2023,
        **options: Any,
    ) -> SeedSplits:
        """Return one trainset for each seed, and the devset cut into as many parts (or whole for each).

        Raises:
            DatasetError: There are fewer rows than asked for.
        """
        seeds = [1, 2, 3, 4, 5] if train_seeds is None else list(train_seeds)
        dataset = cls(train_size=train_size, eval_seed=eval_seed, dev_size=dev_size, test_size=0, **options)
        each = dev_size // len(seeds) if divide_eval_per_seed else dev_size
        train_sets: list[list[Example]] = []
        eval_sets: list[list[Example]] = []
        for number, seed in enumerate(seeds):
            dataset.reset_seeds(train_seed=seed)
            start = number * each if divide_eval_per_seed else 0
            eval_sets.append(dataset.dev[start : start + each])
            train_sets.append(dataset.train)
            if len(eval_sets[-1]) < each or len(train_sets[-1]) < train_size:
                raise DatasetError(
                    f"{cls.__name__} has too few rows: {len(train_sets[-1])} of {train_size} to train and "
                    f"{len(eval_sets[-1])} of {each} to evaluate for seed {seed}"
                )
        return SeedSplits(train_sets, eval_sets)

    def _split(self, name: SplitName, seed: int, size: int | None) -> list[Example]:
        if name not in self._made:
            self._made[name] = self._shuffle_and_sample(name, self._apart()[name], size, seed)
        return self._made[name]

    def _apart(self) -> dict[str, list[Example]]:
        """Return all rows by split, without what a later split asks."""
        test = self._examples("test", self._test)
        dev, train = self._examples("dev", self._dev), self._examples("train", self._train)
        own_dev, own_train = without_overlap(dev, test), without_overlap(train, dev, test)
        self.removed = {"train": len(train) - len(own_train), "dev": len(dev) - len(own_dev)}
        return {"train": own_train, "dev": own_dev, "test": test}

    def _examples(self, split: str, rows: Iterable[Any]) -> list[Example]:
        """Return rows as examples; equal rows of equal splits have equal ids, in every process."""
        held = rows = list(rows)
        made: list[Example] = []
        for place, row in enumerate(held):
            fields = dict(row.items()) if isinstance(row, Example) else dict(cast("Mapping[str, Any]", row))
            identity = uuid.UUID(content_key([self.name, split, place, fields])[:32])
            example = Example({**fields, "dspy_uuid": str(identity), "dspy_split": split})
            made.append(example.with_inputs(*self.input_keys) if self.input_keys else example)
        return made

    def _shuffle_and_sample(
        self, split: str, data: Iterable[Any], size: int | None, seed: int = 0
    ) -> list[Example]:
        rows = list(data)
        if self.do_shuffle:
            random.Random(seed).shuffle(rows)
        if size is not None and size > len(rows):
            raise DatasetError(f"{self.name}: {split} has {len(rows)} rows, and {size} were asked for")
        return rows[:size]


def rows_at(
    path: str | Path, splits: Mapping[str, Sequence[str]], owner: str
) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of local files by split.

    Args:
        path: A folder with one file a split, or one file, which is the split "all".
        splits: The names that a split's file may begin with: {"dev": ("dev", "validation")}.
        owner: Which data set, for messages.

    Raises:
        DatasetError: There is no such file or folder, no file of a split in it, or a file cannot be read.
    """
    folder = Path(path)
    if folder.is_file():
        return {"all": [dict(row.items()) for row in load_examples(folder)]}
    if not folder.is_dir():
        raise DatasetError(
            f"{owner}: there is no file or folder {str(folder)!r} (looked in {str(Path.cwd())!r})"
        )
    found: dict[str, list[dict[str, Any]]] = {}
    for split, names in splits.items():
        for file in sorted(folder.iterdir()):
            if file.suffix.lower() in _ENDINGS and file.name.lower().startswith(tuple(names)):
                found.setdefault(split, []).extend(dict(row.items()) for row in load_examples(file))
    if not found:
        wanted = ", ".join(f"{name}.jsonl" for names in splits.values() for name in names[:1])
        raise DatasetError(
            f"{owner}: the folder {str(folder)!r} has no file that begins with the name of a split ({wanted}, also as "
            f".json, .csv or .parquet)"
        )
    return found


def needed(row: Mapping[str, Any], names: Sequence[str], owner: str, place: int) -> Any:
    """Return the value of the first of `names` that a row has.

    Raises:
        DatasetError: It has none.
    """
    for name in names:
        if row.get(name) is not None:
            return row[name]
    raise DatasetError(
        f"{owner}: row {place} has no {' or '.join(map(repr, names))}; it has {', '.join(map(repr, row))}"
    )

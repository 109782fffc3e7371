"""`DataLoader`: rows from anywhere, under the names that DSPy programs use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

from telic._seed import derive
from telic._text import did_you_mean, join_names
from telic.context import get as setting
from telic.data import Example
from telic.datasets._hub import hub_splits
from telic.datasets._loaders import load_examples
from telic.datasets._splits import part_counts, split
from telic.errors import DatasetError, NotConfiguredError


@final
class DataLoader:
    """Files as examples, under the names that DSPy programs use.

    Deviations: values of CSV files stay strings (nothing guesses types), splits and samples are seeded.
    """

    def from_csv(
        self, file_path: str | Path, fields: Sequence[str] | None = None, input_keys: Sequence[str] = ()
    ) -> list[Example]:
        """Read a CSV file; `fields` keeps those columns only, `input_keys` are declared as inputs.

        Raises:
            DatasetError: As `load_examples`.
        """
        return self._load(file_path, fields, input_keys)

    def from_json(
        self, file_path: str | Path, fields: Sequence[str] | None = None, input_keys: Sequence[str] = ()
    ) -> list[Example]:
        """Read a JSON or JSON-lines file; as `from_csv`.

        Raises:
            DatasetError: As `load_examples`.
        """
        return self._load(file_path, fields, input_keys)

    def from_parquet(
        self, file_path: str | Path, fields: Sequence[str] | None = None, input_keys: Sequence[str] = ()
    ) -> list[Example]:
        """Read a parquet file (extra `parquet`); as `from_csv`.

        Raises:
            DatasetError: As `load_examples`.
        """
        return self._load(file_path, fields, input_keys)

    def from_huggingface(
        self,
        dataset_name: str,
        *args: Any,
        input_keys: Sequence[str] = (),
        fields: Sequence[str] | None = None,
        **options: Any,
    ) -> dict[str, list[Example]] | list[Example]:
        """Load a dataset of the hub (extra `hub`): by split, or one list where `split=` names one.

        Raises:
            DatasetError: The hub cannot be reached (the message names the local way), a split is empty, or a column
                is not there.
        """
        found = hub_splits(dataset_name, *args, **options)
        made = {
            name: chosen(rows, fields, input_keys, f"{dataset_name!r}, split {name!r}")
            for name, rows in found.items()
        }
        return next(iter(made.values())) if isinstance(options.get("split"), str) else made

    def from_rm(self, num_samples: int, fields: Sequence[str], input_keys: Sequence[str]) -> list[Example]:
        """Return rows that the configured retriever gives by itself (`rm.get_objects(num_samples, fields)`).

        Raises:
            NotConfiguredError: There is no retriever.
            DatasetError: It gives no rows of its own.
        """
        rm: Any = setting("rm")
        if rm is None:
            raise NotConfiguredError("from_rm has no retriever; call telic.configure(rm=…) first")
        if not hasattr(rm, "get_objects"):
            raise DatasetError(
                f"the retriever {type(rm).__name__} gives no rows itself (it has no `get_objects`); use load_examples"
            )
        rows = [dict(row) for row in rm.get_objects(num_samples=num_samples, fields=list(fields))]
        return chosen(rows, fields, input_keys, "the retriever's rows")

    def from_pandas(
        self, df: Any, fields: Sequence[str] | None = None, input_keys: Sequence[str] = ()
    ) -> list[Example]:
        """Return the rows of a data frame as examples; as `from_csv`, with the frame's own values.

        Raises:
            DatasetError: It has no rows, or lacks a column that `fields` or `input_keys` name.
        """
        columns = [str(name) for name in df.columns]
        rows = [{name: row[name] for name in columns} for _, row in df.iterrows()]
        return chosen(rows, fields, input_keys, "the data frame", columns)

    def sample(self, dataset: Sequence[Example], n: int, *, seed: int = 0) -> list[Example]:
        """Return `n` examples drawn without putting back, in the order of the dataset.

        Raises:
            DatasetError: There are fewer than `n`.
        """
        if not 0 < n <= len(dataset):
            raise DatasetError(f"cannot sample {n} of {len(dataset)} examples")
        chosen = sorted(derive(seed, "sample", n, len(dataset)).sample(range(len(dataset)), n))
        return [dataset[index] for index in chosen]

    def train_test_split(
        self,
        dataset: Sequence[Example],
        train_size: float = 0.75,
        test_size: float | None = None,
        random_state: int | None = None,
    ) -> dict[str, list[Example]]:
        """Return `{"train": …, "test": …}`, shuffled by `random_state` (None: 0).

        Raises:
            DatasetError: As `split`.
        """
        train = part_counts(len(dataset), (train_size,))[0]
        rest: float = len(dataset) - train if test_size is None else test_size
        parts = split(dataset, train, rest, seed=0 if random_state is None else random_state)
        return {"train": parts[0], "test": parts[1]}

    def _load(
        self, path: str | Path, fields: Sequence[str] | None, input_keys: Sequence[str]
    ) -> list[Example]:
        rows = [dict(example.items()) for example in load_examples(path)]
        return chosen(rows, fields, input_keys, repr(str(path)))


def chosen(
    rows: Sequence[Mapping[str, Any]],
    fields: Sequence[str] | None,
    input_keys: Sequence[str],
    where: str,
    columns: Sequence[str] | None = None,
) -> list[Example]:
    """Return rows as examples with the fields that are wanted.

    Raises:
        DatasetError: There are none, or a column that is named is not there.
    """
    if not rows:
        raise DatasetError(f"{where} has no rows; it needs at least one example")
    known = list(rows[0]) if columns is None else list(columns)
    for name in (*(() if fields is None else fields), *input_keys):
        if name not in known:
            raise DatasetError(
                f"{where} has no column {name!r}{did_you_mean(name, known)}; it has {join_names(known)}"
            )
    kept = known if fields is None else list(fields)
    made = [Example({name: row[name] for name in kept}) for row in rows]
    return [example.with_inputs(*input_keys) for example in made] if input_keys else made

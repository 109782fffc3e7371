"""What a type checker believes a signature's instances to be; nothing of this exists while a program runs.

`Predict(QA)(…)` is a `Prediction` when it runs. For a checker it is a `QA`, whose fields are declared with their types:
`.answer` is a `str`, and `.anwser` an error. `TypedPrediction` lends `QA` the methods of a prediction, without the
`__getattr__` that would make every misspelt field an `Any`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from telic.data import Completions


class TypedPrediction:
    """The methods of `Prediction`, for type checkers."""

    reasoning: str
    """Where the program thinks before it answers (`ChainOfThought`)."""

    @property
    def completions(self) -> Completions: ...  # pyright: ignore[reportReturnType]
    def __getitem__(self, key: str) -> Any: ...
    def __contains__(self, key: object) -> bool: ...  # pyright: ignore[reportReturnType]
    def __len__(self) -> int: ...  # pyright: ignore[reportReturnType]
    def __iter__(self) -> Iterator[str]: ...  # pyright: ignore[reportReturnType]
    def __float__(self) -> float: ...  # pyright: ignore[reportReturnType]
    def __add__(self, other: Any) -> float: ...  # pyright: ignore[reportReturnType]
    def __radd__(self, other: Any) -> float: ...  # pyright: ignore[reportReturnType]
    def __lt__(self, other: Any) -> bool: ...  # pyright: ignore[reportReturnType]
    def __le__(self, other: Any) -> bool: ...  # pyright: ignore[reportReturnType]
    def __gt__(self, other: Any) -> bool: ...  # pyright: ignore[reportReturnType]
    def __ge__(self, other: Any) -> bool: ...  # pyright: ignore[reportReturnType]
    def keys(self, include_dspy: bool = False) -> list[str]: ...  # pyright: ignore[reportReturnType]
    def values(self, include_dspy: bool = False) -> list[Any]: ...  # pyright: ignore[reportReturnType]
    def items(self, include_dspy: bool = False) -> list[tuple[str, Any]]: ...  # pyright: ignore[reportReturnType]
    def get(self, key: str, default: Any = None) -> Any: ...
    def get_lm_usage(self) -> Any: ...
    def set_lm_usage(self, value: Any) -> None: ...
    def to_dict(self) -> dict[str, Any]: ...  # pyright: ignore[reportReturnType]
    def toDict(self) -> dict[str, Any]: ...  # noqa: N802  # pyright: ignore[reportReturnType]

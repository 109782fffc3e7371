"""`UNSET`: "not given", so that `None`, `0`, `""` and `False` stay values that people mean."""

from __future__ import annotations

from typing import Final, Literal, final


@final
class Unset:
    """The type of `UNSET`; there is one instance, and it is false."""

    __slots__ = ()

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "UNSET"

    def __copy__(self) -> Unset:
        return self

    def __deepcopy__(self, memo: object) -> Unset:
        return self

    def __reduce__(self) -> str:
        return "UNSET"  # a pickle names the one instance


UNSET: Final = Unset()

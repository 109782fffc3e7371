"""`Strategy`: what the built-in modules over one signature have in common, as type checkers see it.

`ReAct(QA, tools)` is a `ReAct[QA]` and answers with the fields of `QA`, typed; made of a string it answers with a plain
`Prediction`, which is what `S` stands for where nothing is said. No module changes its signature's class, so a
`Predict[QA]` may be handed over where a `Predict` is expected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic

from telic.modules._module import FlowModule

if TYPE_CHECKING:
    from typing_extensions import TypeVar  # `typing` knows defaults from Python 3.13 on

    from telic.data import Prediction

    S = TypeVar("S", covariant=True, default=Prediction)
else:
    from typing import TypeVar

    S = TypeVar("S", covariant=True)


class Strategy(FlowModule, Generic[S]):
    """A flow that answers with the outputs of a signature `S`."""

    if TYPE_CHECKING:

        def __call__(self, *args: Any, **inputs: Any) -> S: ...
        async def acall(self, *args: Any, **inputs: Any) -> S: ...

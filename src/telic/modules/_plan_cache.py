"""A predictor's rendered prompt, kept between calls for as long as its state is the same.

The state is: signature, demos *by content* (a demo edited in place is seen), adapter, and what the LM can do. Looking
costs about 70 ns a demo. Entries are immutable and swapped in as a whole, so that threads never see half of one; two
threads that miss at once both build the plan, and one of them is kept.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, final

from telic.adapters import NativePlan
from telic.modules._inputs import InputChecker
from telic.modules._state_values import store_of

_KEPT = 4  # plans per predictor: threads may use it with different adapters or LMs at once
_ATOMS = frozenset({str, int, float, bool, bytes, type(None)})


@final
class PreparedPlan:
    """A plan, and the state it was made for."""

    __slots__ = (
        "adapter", "call_options", "capabilities", "checker", "demos", "options", "plan", "prefix", "signature"
    )  # fmt: skip

    def __init__(self, signature: Any, demos: Sequence[Any], adapter: Any, capabilities: Any) -> None:
        self.signature = signature
        self.adapter = adapter
        self.capabilities = capabilities
        self.demos = [{k: _frozen(v) for k, v in store_of(demo).items()} for demo in demos]
        self.checker = InputChecker(signature)
        self.plan = adapter.plan(signature, demos, capabilities)
        self.prefix = len(self.plan.prefix)
        self.options = self.plan.options or None
        self.call_options = self.plan.call_options if isinstance(self.plan, NativePlan) else None

    def with_plan(self, plan: Any) -> PreparedPlan:
        """Return the same with another plan."""
        made = copy.copy(self)
        made.plan = plan
        return made

    def fits(self, signature: Any, demos: Sequence[Any], adapter: Any, capabilities: Any) -> bool:
        """Whether this plan was made for this state."""
        if self.signature is not signature or self.adapter is not adapter:
            return False
        if self.capabilities is not capabilities and self.capabilities != capabilities:
            return False
        if not demos:
            return not self.demos
        try:
            return [demo if type(demo) is dict else demo._store for demo in demos] == self.demos
        except (ValueError, TypeError, AttributeError):
            return False  # values that cannot be compared (arrays) are rendered anew each time


def prepared(
    kept: tuple[PreparedPlan, ...], signature: Any, demos: Sequence[Any], adapter: Any, capabilities: Any
) -> tuple[PreparedPlan, tuple[PreparedPlan, ...]]:
    """Return the plan for this state, and the entries to keep (the same tuple where it was among them)."""
    for entry in kept:
        if entry.fits(signature, demos, adapter, capabilities):
            return entry, kept
    made = PreparedPlan(signature, demos, adapter, capabilities)
    return made, (made, *kept[: _KEPT - 1])


def _frozen(value: Any) -> Any:
    """Return `value` as it is now, so that a later change in place is seen as a difference."""
    return value if type(value) in _ATOMS else copy.deepcopy(value)

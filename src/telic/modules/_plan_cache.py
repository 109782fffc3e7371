"""A predictor's rendered prompt, kept between calls for as long as its state is the same.

The state is: signature, demos *by content* (a demo edited in place is seen), adapter, and what the LM can do. Looking
costs about 70 ns a demo. Entries are immutable and swapped in as a whole, so that threads never see half of one; two
threads that miss at once both build the plan, and one of them is kept.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, cast, final

from telic._optional import load
from telic._text import plural
from telic.adapters import NativePlan
from telic.data import Example
from telic.errors import ConfigurationError
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
        if isinstance(adapter, type) or not hasattr(adapter, "plan"):
            hint = (
                "it is a class: make one" if isinstance(adapter, type) else "subclass telic.ChatAdapter, say"
            )
            raise ConfigurationError(f"{adapter!r:.80} is no adapter such as JSONAdapter(); {hint}")
        self.signature = signature
        self.adapter = adapter
        self.capabilities = capabilities
        self.demos = [{k: _frozen(v) for k, v in store.items()} for store in _stores(demos, signature)]
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


def _stores(demos: Any, signature: Any) -> list[dict[str, Any]]:
    """Return the fields of each demo; where no demo has any that the signature shows, say so.

    Raises:
        ConfigurationError: It is no list of examples or dicts.
    """
    name = signature.__name__
    if isinstance(demos, (str, dict, Example)) or not isinstance(demos, Sequence):
        kind = type(cast("object", demos)).__name__
        raise ConfigurationError(
            f"the demos of {name} are {kind} {demos!r:.80}; give a list of examples or dicts"
        )
    stores: list[dict[str, Any]] = []
    for place, demo in enumerate(cast("Sequence[Any]", demos)):
        if not isinstance(demo, dict) and not hasattr(demo, "_store"):
            raise ConfigurationError(
                f"the demos of {name}: number {place} is {type(demo).__name__} {demo!r:.80}; "
                "give an Example or a dict of its fields"
            )
        stores.append(store_of(demo))
    if stores and not any(_is_shown(store, signature) for store in stores):
        load("logging").getLogger("telic").warning(
            "%s of %s: shown to no LM, for want of an input and an output among its fields (%s); the first has %s",
            plural(len(stores), "demo"),
            name,
            ", ".join(signature.fields),
            ", ".join(map(repr, stores[0])),
        )
    return stores


def _is_shown(store: dict[str, Any], signature: Any) -> bool:
    """Whether a demo has an input and an output: adapters leave out those that lack either."""
    return all(
        any(store.get(field) is not None for field in fields)
        for fields in (signature.input_fields, signature.output_fields)
    )


def _frozen(value: Any) -> Any:
    """Return `value` as it is now, so that a later change in place is seen as a difference."""
    return value if type(value) in _ATOMS else copy.deepcopy(value)

"""What a compile will cost, told beforehand without a call: runs of programs, calls of LMs, tokens, dollars, as ranges.

An optimizer names its work (`Work`: so many runs of a program, in some role); here runs become calls and tokens. Calls
are counted from the modules: a predictor is called once, an agent up to `max_iters` times, `BestOfN` runs up to `N`
times what it holds. Nobody can count a loop in a `forward` without running it: `calls_per_run` says it then.
Tokens come from what the prompts of the first examples look like, at 2 to 6 characters a token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from telic.context import get as get_setting
from telic.errors import ConfigurationError, TelicError
from telic.lm import price_of
from telic.modules import Module

if TYPE_CHECKING:
    from telic.data import Example

Span = tuple[int, int]
"""The least and the most."""

_CHARACTERS: Final = (
    6.0,
    2.0,
)  # of a token: English in a large vocabulary; code and other scripts in a small one
_REPLY_TOKENS: Final = (1, 1000)  # of a call, where the LM has no max_tokens
_ROWS_LOOKED_AT: Final = 20


class Work(NamedTuple):
    """A part of a compile's work."""

    label: str
    runs: Span
    """How many runs of the program."""
    role: str = "task"
    demos: int = 0
    """How many demonstrations, at most, its predictors may have got by then."""
    calls: Span | None = None
    """Calls of an LM for each run; None: the program's."""
    first: bool = False
    """Without this part nothing can be returned but the program as it was given: a budget must hold it."""
    lm: Any = None
    """Which LM; None: the program's own or the configured one."""
    characters: Span | None = None
    """Of one prompt; None: those of the program's prompts, and of the demonstrations."""


class CostPlan(NamedTuple):
    """The cost of a compile, as ranges from the least to the most."""

    calls: Span
    tokens: Span
    usd: tuple[float, float] | None
    """None: a price is unknown."""
    least_calls: int
    """Below this a budget of calls is refused."""
    parts: Sequence[Work]
    notes: Sequence[str] = ()
    """What the ranges rest on."""

    def __str__(self) -> str:
        cost = "price unknown" if self.usd is None else f"{self.usd[0]:.2f} to {self.usd[1]:.2f} USD"
        lines = [
            f"{_shown(self.calls)} calls, {_shown(self.tokens)} tokens, {cost}",
            *(f"  {part.label}: {_shown(part.runs)} runs ({part.role})" for part in self.parts),
        ]
        return "\n".join([*lines, *self.notes])


def plan_of(
    program: Any,
    work: Sequence[Work],
    rows: Sequence[Example],
    calls_per_run: int | Span | None,
    *,
    metric: Any = None,
) -> CostPlan:
    """Return the cost of some work, and of judging it where the metric is a program.

    Raises:
        ConfigurationError: `calls_per_run` is no count and no range.
    """
    per_run = calls_of_run(program) if calls_per_run is None else _span(calls_per_run)
    prompt, row_text = _prompt_sizes(program, rows)
    work = [*work, *_judging(metric, work, rows)]
    calls, tokens = [0, 0], [0, 0]
    usd: list[float] | None = [0.0, 0.0]
    least = 0
    for part in work:
        each = per_run if part.calls is None else part.calls
        here = (part.runs[0] * each[0], part.runs[1] * each[1])
        size = (prompt[0], prompt[1] + part.demos * row_text) if part.characters is None else part.characters
        prompts = (size[0] / _CHARACTERS[0], size[1] / _CHARACTERS[1])
        replies = _reply_tokens(program, part.lm)
        count = [here[0] * (prompts[0] + replies[0]), here[1] * (prompts[1] + replies[1])]
        costs = _cost(program, part.lm, here, prompts, replies)
        usd = None if usd is None or costs is None else [usd[0] + costs[0], usd[1] + costs[1]]
        calls = [calls[0] + here[0], calls[1] + here[1]]
        tokens = [tokens[0] + int(count[0]), tokens[1] + int(count[1]) + 1]
        least += part.runs[0] * max(1, each[0]) if part.first else 0
    counted = f"counted from its modules, a run of the program makes {_shown(per_run)} calls"
    notes = [] if calls_per_run is not None else [f"{counted}; pass calls_per_run= for loops of your own"]
    return CostPlan(
        (calls[0], calls[1]), (tokens[0], tokens[1]), None if usd is None else (usd[0], usd[1]), least, work,
        notes,
    )  # fmt: skip


def _judging(metric: Any, work: Sequence[Work], rows: Sequence[Example]) -> list[Work]:
    """Return the work of a metric that is a program: it judges every run that does not fail."""
    if not isinstance(metric, Module) or not metric.predictors():
        return []
    runs = sum(part.runs[1] for part in work if part.calls is None)
    own = metric.predictors()[0].lm
    (low, high), _ = _prompt_sizes(metric, rows)
    lm = get_setting("lm") if own is None else own
    return [
        Work(
            "judging", (0, runs), "judge", calls=calls_of_run(metric), lm=lm, characters=(int(low), int(high))
        )
    ]


def _span(value: Any) -> Span:
    low, high = value if isinstance(value, tuple) and len(value) == 2 else (value, value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if not isinstance(low, int) or not isinstance(high, int) or not 0 <= low <= high:
        raise ConfigurationError(f"calls_per_run must be a count or (least, most), got {value!r}")
    return low, high


def calls_of_run(program: Any) -> Span:
    """Return how many calls of an LM one run of a program makes, counted from its modules.

    The least is 1 (0 without predictors), for a program may branch; the most counts each predictor once with its
    re-asks, times the repetitions of the modules around it (`max_iters`, `N`, `max_backtracks` of assertions left out).
    """
    most = 0
    for path, predictor in program.named_predictors():
        retries = getattr(predictor, "max_retries", None)
        most += (1 + (get_setting("max_retries") if retries is None else retries)) * _repeats(program, path)
    return min(1, most), most


def _repeats(program: Any, path: str) -> int:
    """Return how often the predictor at a path may be called, by the modules on the way to it."""
    total, here, holder = 1, "", program
    parts = path.split(".")
    for depth in range(len(parts)):
        total *= _own_repeats(holder, parts[depth])
        here = ".".join(parts[: depth + 1])
        holder = next((module for name, module in program.named_sub_modules() if name == here), None)
        if holder is None:
            break
    return total


def _own_repeats(module: Any, part: str) -> int:
    if not isinstance(module, Module):
        return 1
    found = 1
    for name in ("N", "max_iters"):
        value = vars(module).get(name)
        if isinstance(value, int) and value > 0 and part not in ("extract", "extractor"):
            found *= value + (name == "max_iters")
    return found


def _prompt_sizes(program: Any, rows: Sequence[Example]) -> tuple[tuple[float, float], float]:
    """Return the smallest and largest prompt of the program's predictors, and of one demonstration, in characters."""
    looked = rows[:_ROWS_LOOKED_AT]
    longest = max((sum(len(str(value)) for value in dict(row.items()).values()) for row in looked), default=0)
    sizes = [_prompt_size(predictor, row) for predictor in program.predictors() for row in looked[:3]]
    low = min(sizes, default=0)
    high = (
        max(sizes, default=0) + 4 * longest + 4 * (_REPLY_TOKENS[1] if len(program.predictors()) > 1 else 0)
    )
    return (low, high), longest + 200.0  # the markers around a demonstration's fields


def _prompt_size(predictor: Any, row: Example) -> int:
    known = dict(row.items())
    inputs = {name: known.get(name, "") for name in predictor.signature.input_fields}
    try:
        messages = predictor.render(**inputs)
    except (TelicError, TypeError, ValueError):  # a typed input that this row does not have
        text = str(predictor.signature.instructions) + "".join(map(str, predictor.demos))
        return len(text) + 600
    return sum(len(str(message.get("content"))) for message in messages)


def _reply_tokens(program: Any, lm: Any) -> Span:
    limits = [getattr(one, "kwargs", {}).get("max_tokens") for one in _lms(program, lm)]
    known = [limit for limit in limits if isinstance(limit, int)]
    return _REPLY_TOKENS[0], max(known) if known and len(known) == len(limits) else _REPLY_TOKENS[1]


def _cost(program: Any, lm: Any, calls: Span, prompts: tuple[float, float], replies: Span) -> Span | Any:
    prices = [price_of(str(getattr(one, "model", ""))) for one in _lms(program, lm)]
    if not prices or any(price is None for price in prices):
        return None
    totals = [
        [calls[k] * (prompts[k] * p.input + replies[k] * p.output) / 1e6 for p in prices if p is not None]
        for k in (0, 1)
    ]
    return min(totals[0]), max(totals[1])


def questions(label: str, times: Span, lm: Any, characters: Span) -> Work:
    """Return the work of asking the LM that proposes: a call for each question, and its re-asks."""
    calls = (1, 1 + get_setting("max_retries"))
    return Work(label, times, "proposer", calls=calls, lm=lm, characters=characters)


def teacher_lm(settings: Mapping[str, Any] | None) -> Any:
    """Return the LM of `teacher_settings`, or None: that of the program."""
    return None if settings is None else settings.get("lm")


def _lms(program: Any, lm: Any) -> list[Any]:
    if lm is not None:
        return [lm]
    found = [
        predictor.lm if predictor.lm is not None else get_setting("lm") for predictor in program.predictors()
    ]
    return [one for one in found if one is not None]


def _shown(span: Span) -> str:
    return f"{span[0]:,}" if span[0] == span[1] else f"{span[0]:,} to {span[1]:,}"

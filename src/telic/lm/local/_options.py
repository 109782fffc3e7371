"""The generation options that a local model knows, checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from telic.errors import LMInvalidRequestError

DEFAULT_MAX_TOKENS: Final = 1024
_KNOWN: Final = frozenset((
    "temperature", "max_tokens", "max_completion_tokens", "n", "stop", "seed", "top_p", "logprobs", "top_logprobs",
))  # fmt: skip


class Options(NamedTuple):
    """What one request asks for."""

    max_tokens: int
    n: int
    temperature: float
    top_p: float
    seed: int | None
    stop: tuple[str, ...]
    top_logprobs: int | None


def read_options(model: str, given: Mapping[str, Any]) -> Options:
    """Return the options of a request.

    Raises:
        LMInvalidRequestError: One is unknown, or cannot work.

    Example:
        >>> read_options("local/x", {"temperature": 1, "stop": "END"}).stop
        ('END',)
    """

    def refused(fact: str) -> LMInvalidRequestError:
        return LMInvalidRequestError(f"the LM {model!r} {fact}", model=model, provider="local")

    wanted = {name: value for name, value in given.items() if value is not None}
    unknown = sorted(set(wanted) - _KNOWN)
    if unknown:
        raise refused(f"does not know the option {unknown[0]!r}; it knows: {', '.join(sorted(_KNOWN))}")
    most = wanted.get("max_tokens", wanted.get("max_completion_tokens", DEFAULT_MAX_TOKENS))
    count = wanted.get("n", 1)
    for name, value in (("max_tokens", most), ("n", count)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise refused(f"needs {name} to be a whole number of 1 or more, not {value!r}")
    heat, share = wanted.get("temperature", 0.0), wanted.get("top_p", 1.0)
    if isinstance(heat, bool) or not isinstance(heat, (int, float)) or not 0 <= heat < float("inf"):
        raise refused(f"needs temperature to be a number of 0 or more, not {heat!r}")
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share <= 1:
        raise refused(f"needs top_p to be above 0 and at most 1, not {share!r}")
    stop = wanted.get("stop", ())
    report = wanted.get("logprobs", False) or "top_logprobs" in wanted
    return Options(
        most,
        count,
        float(heat),
        float(share),
        wanted.get("seed"),
        tuple(s for s in ((stop,) if isinstance(stop, str) else stop) if s),
        int(wanted.get("top_logprobs", 0)) if report else None,
    )

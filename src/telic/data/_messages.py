"""Wire values: what an LM is asked and what it answers, independent of any provider.

A `Message` is a plain dict in the shape that chat servers made a standard, so that rendered prompts can be looked at,
compared, stored and sent without conversion. Nothing changes a message after it was made: a rendered prefix is shared
by all calls of a predictor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, NotRequired, TypedDict

from telic._text import plural

Role = Literal["system", "user", "assistant", "tool", "developer"]


class Message(TypedDict):
    """One turn. `content` is text, or a list of parts such as `{"type": "text", "text": …}`."""

    role: Role
    content: str | list[dict[str, Any]] | None
    name: NotRequired[str]
    tool_calls: NotRequired[list[dict[str, Any]]]
    tool_call_id: NotRequired[str]


class Usage(NamedTuple):
    """Tokens of one call, or of many added up; `cost_usd` is None where a price is unknown, never 0 for that."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float | None = None
    calls: int = 0

    @property
    def total_tokens(self) -> int:
        """Input and output tokens."""
        return self.input_tokens + self.output_tokens

    @property
    def cached_share(self) -> float:
        """Which part of the input tokens came from the provider's prompt cache, from 0 to 1."""
        return self.cached_input_tokens / self.input_tokens if self.input_tokens else 0.0

    @property
    def words(self) -> str:
        """All of it for people.

        Example:
            >>> Usage(9000, 1000, 6300, 0, 0.0123, 12).words
            "12 calls, 10,000 tokens (70 % of the input from the provider's cache), 0.0123 USD"
        """
        cached = ""
        if self.cached_input_tokens:
            cached = f" ({100 * self.cached_share:.0f} % of the input from the provider's cache)"
        cost = "price unknown" if self.cost_usd is None else f"{self.cost_usd:.4f} USD"
        return f"{plural(self.calls, 'call')}, {plural(self.total_tokens, 'token')}{cached}, {cost}"

    def plus(self, other: Usage) -> Usage:
        """Return the sum; a cost that is unknown on either paid side stays unknown."""
        if not other.calls and not other.total_tokens:
            return self
        if not self.calls and not self.total_tokens:
            return other
        unknown = self.cost_usd is None or other.cost_usd is None
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_input_tokens + other.cached_input_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            None if unknown else (self.cost_usd or 0.0) + (other.cost_usd or 0.0),
            self.calls + other.calls,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the figures by name, and `total_tokens`; DSPy's names (`prompt_tokens` …) stand beside ours."""
        return {
            **self._asdict(),
            "total_tokens": self.total_tokens,
            "prompt_tokens": self.input_tokens,
            "completion_tokens": self.output_tokens,
        }


NO_USAGE = Usage()


class Completion(NamedTuple):
    """One sample of a reply."""

    text: str
    finish_reason: str = "stop"
    """"stop", "length" (cut at max_tokens), "tool_calls" or "content_filter"."""
    reasoning: str | None = None
    """The model's own reasoning channel, where the provider has one."""
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    """`{"id": …, "name": …, "arguments": {…}}` each."""
    logprobs: Any = None
    citations: tuple[Mapping[str, Any], ...] = ()
    """Of documents, where the provider gives them: `cited_text`, `document_index` … each."""


class Response(NamedTuple):
    """What an LM answered: `n` completions of one request."""

    completions: tuple[Completion, ...]
    usage: Usage = NO_USAGE
    model: str = ""
    id: str | None = None
    cached: bool = False
    """True: it came from the cache; `usage` is then what it had cost, and nothing was paid now."""
    raw: Any = None
    """The provider's own object, where an in-process LM gave one."""

    @property
    def text(self) -> str:
        """The first completion's text."""
        return self.completions[0].text


class Request:
    """What an LM is asked.

    Attributes:
        messages: All turns, oldest first.
        options: Generation options in OpenAI's names (`temperature`, `max_tokens`, `n`, `stop`, `seed`, `tools`,
            `response_format` …); what the LM was configured with stands behind them.
        sample: Sample index: equal requests with another index are other draws, each with its own cache entry.
            It is never sent.
        prefix: How many of the first messages do not change between the calls of one predictor (system and demos);
            what is derived from them (hashes, provider cache marks) may be kept.
        cache: False: neither read nor write the cache for this call; None: as the LM says.
    """

    __slots__ = ("cache", "messages", "options", "prefix", "sample")

    def __init__(
        self,
        messages: Sequence[Message],
        options: Mapping[str, Any] | None = None,
        *,
        sample: int = 0,
        prefix: int = 0,
        cache: bool | None = None,
    ) -> None:
        self.messages = messages
        self.options: Mapping[str, Any] = {} if options is None else options
        self.sample = sample
        self.prefix = prefix
        self.cache = cache

    def __repr__(self) -> str:
        return f"Request({len(self.messages)} messages, options={dict(self.options)!r}, sample={self.sample})"

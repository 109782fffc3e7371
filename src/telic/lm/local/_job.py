"""One completion that is being generated: its options, its text so far, and when it ends."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from telic._optional import load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from telic.lm._generation import Bell


class Wish(NamedTuple):
    """What one completion should be like."""

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: Sequence[str] = ()
    """Strings that end the text; they are not part of it."""
    top_logprobs: int | None = None
    """How many likely tokens to report beside each token; None: report nothing."""
    on_text: Callable[[str], None] | None = None
    """Called with each piece of certain text, in the thread that generates."""


class Job:
    """One completion that is being generated.

    Args:
        prompt: Token ids.
        keep: How many tokens at the head are worth keeping for later prompts.
        wish: What it should be like.
        tokenizer: The model's.
        ends: Tokens that end a reply.
        bell: Rung when it is done.
    """

    def __init__(
        self, prompt: list[int], keep: int, wish: Wish, tokenizer: Any, ends: frozenset[int], bell: Bell
    ) -> None:
        self.prompt, self.keep, self.wish = prompt, keep, wish
        self.bell = bell
        self.finish_reason = ""
        self.error: BaseException | None = None
        self.cancelled = False
        self.reused = 0
        self.text = ""
        self.tokens: list[int] = []
        self.logprobs: list[dict[str, Any]] = []
        self._tokenizer, self._ends = tokenizer, ends
        self._random = Random(wish.seed)
        self._read = 0  # tokens whose text is certain
        self._head = 0  # where decoding begins: far enough back for spaces to come out right
        self._given = 0

    @property
    def done(self) -> bool:
        """Whether nothing more will come."""
        return bool(self.finish_reason) or self.error is not None or self.cancelled

    @property
    def generated(self) -> int:
        """How many tokens were generated."""
        return len(self.tokens)

    def draw(self) -> float:
        """Return the next number of this completion's own chance."""
        return self._random.random() if self.wish.temperature > 0 else 0.0

    def take(self, token: int, logits: Any) -> None:
        """Add a token; finish where it ends the text."""
        self.tokens.append(token)
        if token in self._ends:
            self.finish("stop")
            return
        before = len(self.text)
        self._decode(final=False)
        if self.wish.top_logprobs is not None:
            self.logprobs.append(self._report(logits, token, self.text[before:], self.wish.top_logprobs))
        if self._stopped():
            return
        if len(self.tokens) >= self.wish.max_tokens:
            self.finish("length")
            return
        self._give(len(self.text) - max(map(len, self.wish.stop), default=0))

    def finish(self, reason: str) -> None:
        """End the text, with what is left of a character that is not complete."""
        self._decode(final=True)
        if not self._stopped():
            self.finish_reason = reason
            self._give(len(self.text))

    def fail(self, error: BaseException) -> None:
        """End it with an error, which its caller will see."""
        self.error = error

    def cancel(self) -> None:
        """Stop generating; who waits for it is woken."""
        self.cancelled = True
        self.bell.set()

    def _stopped(self) -> bool:
        for stop in self.wish.stop:
            at = self.text.find(stop, max(0, self._given - len(stop)))
            if at >= 0:
                self.text = self.text[:at]
                self.finish_reason = "stop"
                self._give(at)
                return True
        return False

    def _decode(self, *, final: bool) -> None:
        """Add the text of tokens that have become certain; a half character waits for its other half."""
        tokens = [t for t in self.tokens if t not in self._ends]
        known = self._text_of(tokens[self._head : self._read])
        new = self._text_of(tokens[self._head :])
        if len(new) > len(known) and (final or not new.endswith("\ufffd")):
            self.text += new[len(known) :]
            self._head, self._read = self._read, len(tokens)

    def _text_of(self, tokens: list[int]) -> str:
        return str(
            self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        )

    def _give(self, until: int) -> None:
        if self.wish.on_text is not None and until > self._given:
            self.wish.on_text(self.text[self._given : until])
            self._given = until

    def _report(self, logits: Any, token: int, text: str, top: int) -> dict[str, Any]:
        """Return a token with its log probability and the likeliest ones, in OpenAI's shape."""
        shares = load("torch").log_softmax(logits.float(), -1)
        likely = shares.topk(top) if top else None
        others: list[tuple[int, float]] = (
            [] if likely is None else list(zip(likely.indices.tolist(), likely.values.tolist(), strict=True))
        )
        return {
            **_entry(text, float(shares[token])),
            "top_logprobs": [_entry(self._text_of([index]), value) for index, value in others],
        }


def _entry(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode("utf-8", "surrogatepass"))}

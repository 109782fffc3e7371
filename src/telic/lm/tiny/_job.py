"""One completion that is being generated: its options, its text so far, and when it ends."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from telic.lm.tiny._sampling import choose
from telic.lm.tiny._tokenizer import PAD, Decoder, Tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from telic.lm._generation import Bell
    from telic.lm.tiny._guide import Guide
    from telic.lm.tiny._network import Cache
    from telic.lm.tiny._weights import Array

_ROLES: Final = 5  # padding, roles and the end are the tokens below this number
_SILENT: Final = 4
_CANDIDATES: Final = 64
"""So many likely tokens are tried first where a guide decides what may come."""


class Wish(NamedTuple):
    """What one completion should be like.

    Attributes:
        max_tokens: Tokens to generate at most.
        temperature: 0: greedy.
        top_p: Share of the probability to draw from.
        seed: Of this completion's draws.
        stop: Strings that end the text; they are not part of it.
        top_logprobs: How many likely tokens to report beside each token; None: report nothing.
        guide: What the text must keep to; None: nothing.
        calls: Tools may be called.
        on_text: Called with each piece of certain text, in the thread that generates.
    """

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: Sequence[str] = ()
    top_logprobs: int | None = None
    guide: Guide | None = None
    calls: bool = False
    on_text: Callable[[str], None] | None = None


class Job:
    """One completion that is being generated.

    Args:
        prompt: Token ids.
        wish: What it should be like.
    """

    def __init__(self, prompt: list[int], wish: Wish) -> None:
        self.prompt, self.wish = prompt, wish
        self.finish_reason = ""
        self.reused = 0
        self.error: BaseException | None = None
        self.cancelled = False
        self.bell: Bell = threading.Event()
        self._given = 0
        self.restart()

    @property
    def done(self) -> bool:
        """Whether nothing more will come."""
        return bool(self.finish_reason) or self.error is not None or self.cancelled

    def restart(self) -> None:
        """Begin anew; the same tokens will come, and text that was given out is not given out again."""
        self.rng = np.random.default_rng(self.wish.seed)
        self.text = ""
        self.generated = 0
        self.cache: Cache | None = None
        self.next_token = PAD
        self.calls: list[int] = []
        """Where in the text calls of tools begin."""
        self.logprobs: list[dict[str, Any]] = []
        self._decoder: Decoder | None = None
        self._silent = 0  # tokens since one brought text

    def advance(self, logits: Array, tokenizer: Tokenizer) -> None:
        """Choose the next token and add it; finish where it ends the text."""
        wish = self.wish
        logits = logits[: len(tokenizer)]  # the table is padded; its last rows are no tokens
        if self._decoder is None:
            self._decoder = Decoder(tokenizer)
        if wish.guide is None:
            token = choose(logits, wish.temperature, wish.top_p, self.rng)
        else:
            token = self._guided(logits, wish.guide, self._decoder, tokenizer)
        before = len(self.text)
        self._take(token, tokenizer)
        if wish.top_logprobs is not None and token >= _ROLES:
            self.logprobs.append(_report(logits, token, self.text[before:], wish.top_logprobs, tokenizer))

    def _guided(self, logits: Array, guide: Guide, decoder: Decoder, tokenizer: Tokenizer) -> int:
        """Return a token that keeps the text to the guide."""

        def added(token: int) -> str:
            byte = tokenizer.byte(token)
            if byte is None:
                return decoder.after(token)
            return "\ufffd" if byte >= 128 else "\0"  # of a character that is not whole yet; ASCII has marks

        never = {tokenizer.special(name) for name in ("<tools>", "<call>", "<tool>")}
        for most in (_CANDIDATES, len(logits), len(logits)):
            order = [int(t) for t in np.argsort(-logits, kind="stable")[:most] if int(t) not in never]
            fits = [t for t in order if self._fits(guide, added(t), ends=t < _ROLES)]
            if fits:
                return fits[choose(logits[fits], self.wish.temperature, self.wish.top_p, self.rng)]
            if most > _CANDIDATES:
                decoder.forget()  # a capital where none may come
        return int(logits[:_ROLES].argmax())  # nothing fits: the text ends

    def _fits(self, guide: Guide, more: str, *, ends: bool) -> bool:
        # Glue, capitals and bytes add no text yet; more than a few in a row would be no progress.
        return guide.allows(self.text, more, ends=ends) and bool(more or ends or self._silent < _SILENT)

    def _take(self, token: int, tokenizer: Tokenizer) -> None:
        assert self._decoder is not None
        self.generated += 1
        self.next_token = token
        if token < _ROLES:  # nothing more of this turn can follow
            self.finish("stop")
            return
        if self.wish.calls and token == tokenizer.special("<call>"):
            self.text += self._decoder.finish()
            self._decoder = Decoder(tokenizer)
            self.calls.append(len(self.text))
        more = self._decoder.push(token)
        self._silent = 0 if more else self._silent + 1
        self.text += more
        for stop in self.wish.stop:
            at = self.text.find(stop, max(0, self._given - len(stop)))
            if at >= 0:
                self.text = self.text[:at]
                self.finish("stop", held=False)
                return
        if self.generated >= self.wish.max_tokens:
            self.finish("length")
            return
        self._give(len(self.text) - max(map(len, self.wish.stop), default=0))

    def cancel(self) -> None:
        """Stop generating; who waits for it is woken."""
        self.cancelled = True
        self.bell.set()

    def _give(self, until: int) -> None:
        until = min([until, *self.calls[:1]])  # calls are no text
        if self.wish.on_text is not None and until > self._given:
            self.wish.on_text(self.text[self._given : until])
            self._given = until

    def finish(self, reason: str, *, held: bool = True) -> None:
        """End the text; `held`: with the bytes of a character that is not complete."""
        if held and self._decoder is not None:
            self.text += self._decoder.finish()
        self.finish_reason = reason
        self._give(len(self.text))


def _report(logits: Array, token: int, text: str, top: int, tokenizer: Tokenizer) -> dict[str, Any]:
    """Return a token with its log probability and the likeliest ones, in OpenAI's shape."""
    wide = logits.astype(np.float64)
    shares = wide - wide.max()
    shares -= np.log(np.exp(shares).sum())
    likely = np.argsort(-shares, kind="stable")[:top]
    return {
        **_entry(text, shares[token]),
        "top_logprobs": [_entry(tokenizer.shown(int(t)), shares[t]) for t in likely],
    }


def _entry(text: str, logprob: Any) -> dict[str, Any]:
    return {"token": text, "logprob": float(logprob), "bytes": list(text.encode("utf-8", "surrogatepass"))}

"""Chat rows as tokens, none longer than the model takes: the long ones are left out, cut or refused, and counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from telic.errors import ConfigurationError
from telic.training._rows import ChatRow
from telic.training._settings import SFTSettings
from telic.training._trainable import TokenRow, Trainable


class Encoded(NamedTuple):
    """Rows that are ready for training."""

    rows: tuple[TokenRow, ...]
    weights: tuple[float, ...]
    dropped: int
    """Rows that were too long and left out."""
    cut: int
    """Rows that were too long and lost tokens."""
    longest: int
    """Tokens of the longest row, as it was."""
    limit: int | None

    @property
    def tokens(self) -> int:
        """Of all rows."""
        return sum(row.length for row in self.rows)

    @property
    def reply_tokens(self) -> int:
        """Those that are learned."""
        return sum(len(row.reply) for row in self.rows)


def encoded(network: Trainable, rows: Sequence[ChatRow], settings: SFTSettings) -> Encoded:
    """Return rows as tokens.

    Raises:
        ConfigurationError: There are none, or a long one is to be refused, or all are too long.
    """
    if not rows:
        raise ConfigurationError("there are no training rows; nothing can be learned from none")
    limit = network.context
    if settings.max_length is not None:
        limit = settings.max_length if limit is None else min(limit, settings.max_length)
    every = [(network.encode(row.messages, row.reply), row.weight) for row in rows]
    sizes = [_size(row, network) for row, _ in every]
    long = 0 if limit is None else sum(size > limit for size in sizes)
    if long and settings.too_long == "refuse":
        at = next(at for at, size in enumerate(sizes) if limit is not None and size > limit)
        raise ConfigurationError(
            f"{long} of {len(rows)} training rows have more than {limit} tokens, row {at} the first with {sizes[at]}; "
            "pass too_long='drop' or 'cut', or use fewer or shorter demos (exclude_demos=True)"
        )
    if limit is not None and settings.too_long == "cut":
        kept = [(_cut(row, limit, network), weight) for row, weight in every]
    else:
        kept = [pair for pair, size in zip(every, sizes, strict=True) if limit is None or size <= limit]
    if not kept:
        raise ConfigurationError(
            f"all {len(rows)} training rows have more than {limit} tokens (the shortest has {min(sizes)}); pass "
            "too_long='cut', or use fewer or shorter demos (exclude_demos=True)"
        )
    dropped = len(every) - len(kept)
    return Encoded(
        tuple(row for row, _ in kept), tuple(w for _, w in kept), dropped, long - dropped, max(sizes), limit
    )


def _size(row: TokenRow, network: Trainable) -> int:
    return max(len(row.prompt), len(row.reply)) if network.seq2seq else row.length


def _cut(row: TokenRow, limit: int, network: Trainable) -> TokenRow:
    """Return a row of at most `limit` tokens: its prompt loses its head; if that is not enough, its reply its end."""
    room = limit if network.seq2seq else limit - 1  # one token of the prompt at least
    reply = row.reply[:room]
    prompt = row.prompt[-(limit if network.seq2seq else limit - len(reply)) :]
    return TokenRow(prompt, reply)

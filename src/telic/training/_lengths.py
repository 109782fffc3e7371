"""Rows and pairs as tokens, none longer than the model takes: long ones are left out, cut or refused, and counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from telic.errors import ConfigurationError
from telic.training._rows import ChatRow, PreferencePair
from telic.training._settings import SFTSettings
from telic.training._trainable import TokenRow, Trainable

Learnable = ChatRow | PreferencePair


class Encoded(NamedTuple):
    """Items that are ready for training: rows, or pairs of two rows each, the better reply first."""

    rows: tuple[TokenRow, ...]
    weights: tuple[float, ...]
    """Of each item."""
    dropped: int
    """Rows that were too long and left out."""
    cut: int
    """Rows that were too long and lost tokens."""
    longest: int
    """Tokens of the longest row, as it was."""
    limit: int | None
    span: int = 1
    """Rows of an item."""
    before: tuple[float, ...] = ()
    """Of each pair, the logarithm of how many times as probable its better reply was before training."""

    @property
    def items(self) -> int:
        """How many there are to learn from."""
        return len(self.rows) // self.span

    def of(self, batch: Iterable[int]) -> list[TokenRow]:
        """Return the rows of some items."""
        return [self.rows[item * self.span + k] for item in batch for k in range(self.span)]

    def amount(self, batch: Sequence[int]) -> float:
        """Return what the loss of a batch is a mean over: its weighted tokens, or its pairs."""
        if self.span > 1:
            return len(batch)
        return sum(self.weights[item] * len(self.rows[item].reply) for item in batch)

    @property
    def tokens(self) -> int:
        """Of all rows."""
        return sum(row.length for row in self.rows)

    @property
    def reply_tokens(self) -> int:
        """Those that are learned."""
        return sum(len(row.reply) for row in self.rows)


def encoded(network: Trainable, rows: Sequence[Learnable], settings: SFTSettings) -> Encoded:
    """Return rows or pairs as tokens.

    Raises:
        ConfigurationError: There are none, or not of the kind that is learned, or a prompt has no tokens, or a long
            one is to be refused, or all are too long.
    """
    check_kind(rows, settings)
    limit = network.context
    if settings.max_length is not None:
        limit = settings.max_length if limit is None else min(limit, settings.max_length)
    every = [([network.encode(row.messages, reply) for reply in _replies(row)], _weight(row)) for row in rows]
    bare = next((at for at, (item, _) in enumerate(every) if not all(one.prompt for one in item)), None)
    if bare is not None:
        raise ConfigurationError(
            f"training row {bare}: its prompt has no tokens; the model's tokenizer or chat template does not know its "
            "words: check the model's folder"
        )
    sizes = [max(_size(one, network) for one in item) for item, _ in every]
    long = 0 if limit is None else sum(size > limit for size in sizes)
    if long and settings.too_long == "refuse":
        at = next(at for at, size in enumerate(sizes) if limit is not None and size > limit)
        raise ConfigurationError(
            f"{long} of {len(rows)} training rows have more than {limit} tokens, row {at} the first with {sizes[at]}; "
            "pass too_long='drop' or 'cut', or use fewer or shorter demos (exclude_demos=True)"
        )
    if limit is not None and settings.too_long == "cut":
        kept = [([_cut(one, limit, network) for one in item], weight) for item, weight in every]
    else:
        kept = [pair for pair, size in zip(every, sizes, strict=True) if limit is None or size <= limit]
    if not kept:
        raise ConfigurationError(
            f"all {len(rows)} training rows have more than {limit} tokens (the shortest has {min(sizes)}); pass "
            "too_long='cut', or use fewer or shorter demos (exclude_demos=True)"
        )
    dropped = len(every) - len(kept)
    return Encoded(
        tuple(one for item, _ in kept for one in item),
        tuple(weight for _, weight in kept),
        dropped,
        long - dropped,
        max(sizes),
        limit,
        len(kept[0][0]),
    )


def check_kind(rows: Sequence[Learnable], settings: SFTSettings) -> None:
    """Refuse rows that the loss does not learn from.

    Raises:
        ConfigurationError: There are none, or one is of the other kind.
    """
    if not rows:
        raise ConfigurationError("there are no training rows; nothing can be learned from none")
    pairs = settings.loss == "dpo"
    wrong = next((at for at, row in enumerate(rows) if isinstance(row, PreferencePair) is not pairs), None)
    if wrong is not None:
        wanted = "preference pairs (see pairs_of_runs)" if pairs else "chat rows (see rows_of_runs)"
        raise ConfigurationError(
            f"loss={settings.loss!r} learns from {wanted}, and training row {wrong} is a {type(rows[wrong]).__name__}; "
            "use the other loss, 'sft' or 'dpo', or other rows"
        )


def _replies(row: Learnable) -> tuple[str, ...]:
    return (row.chosen, row.rejected) if isinstance(row, PreferencePair) else (row.reply,)


def _weight(row: Learnable) -> float:
    return 1.0 if isinstance(row, PreferencePair) else row.weight


def _size(row: TokenRow, network: Trainable) -> int:
    return max(len(row.prompt), len(row.reply)) if network.seq2seq else row.length


def _cut(row: TokenRow, limit: int, network: Trainable) -> TokenRow:
    """Return a row of at most `limit` tokens: its prompt loses its head; if that is not enough, its reply its end."""
    room = limit if network.seq2seq else limit - 1  # one token of the prompt at least
    reply = row.reply[:room]
    prompt = row.prompt[-(limit if network.seq2seq else limit - len(reply)) :]
    return TokenRow(prompt, reply)

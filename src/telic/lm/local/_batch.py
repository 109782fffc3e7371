"""What a network keeps for sequences that are generated together: keys, values and masks.

Rows are padded on their left. A row may begin with keys and values that were computed for an earlier prompt: they are
put before its own tokens, whose positions count on. Where all layers attend to everything (`DynamicLayer`), beginnings
can be reused and rows can join a batch that is already under way; other networks (sliding windows, state spaces,
encoder-decoders) start and finish in batches, whose rows leave when they are done.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from telic._optional import load

Kept = tuple[list[int], list[tuple[Any, Any]]]
"""Tokens with the keys and values (heads, tokens, channels) of every layer."""


class Batch(Protocol):
    """Sequences under way; `logits` (rows, vocab) are those of the token that comes next."""

    logits: Any

    def step(self, tokens: Sequence[int]) -> None:
        """Add a token to each row."""
        ...

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows only."""
        ...


class CausalBatch:
    """Rows of a decoder-only model.

    Args:
        model: The network.
        prompts: Tokens of each row.
        heads: What is known of each row's beginning, all of it part of the prompt and shorter than it; or None.
    """

    def __init__(self, model: Any, prompts: Sequence[list[int]], heads: Sequence[Kept | None]) -> None:
        torch = load("torch")
        self._model = model
        self._known = [0 if head is None else len(head[0]) for head in heads]
        self._most = max(self._known)
        rests = [prompt[known:] for prompt, known in zip(prompts, self._known, strict=True)]
        longest = max(map(len, rests))
        ids = torch.zeros(len(prompts), longest, dtype=torch.long)
        mask = torch.zeros(len(prompts), self._most + longest, dtype=torch.long)
        positions = torch.zeros_like(ids)
        for row, (rest, known) in enumerate(zip(rests, self._known, strict=True)):
            ids[row, longest - len(rest) :] = torch.tensor(rest)
            mask[row, self._most - known : self._most] = 1
            mask[row, self._most + longest - len(rest) :] = 1
            positions[row, longest - len(rest) :] = torch.arange(known, known + len(rest))
        device = model.device
        self.cache = load("transformers").DynamicCache(config=model.config)
        self._lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
        self._mask = mask.to(device)
        if self._most:
            self._put_heads(heads)
        self.logits = self._run(ids.to(device), positions.to(device))

    def step(self, tokens: Sequence[int]) -> None:
        """Add a token to each row."""
        torch = load("torch")
        self._mask = torch.nn.functional.pad(self._mask, (0, 1), value=1)
        ids = torch.tensor(tokens, device=self._mask.device)[:, None]
        self.logits = self._run(ids, self._lengths[:, None])
        self._lengths = self._lengths + 1

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows only."""
        index = load("torch").tensor(rows, device=self._mask.device)
        self._mask, self._lengths, self.logits = self._mask[index], self._lengths[index], self.logits[index]
        self.cache.batch_select_indices(index)

    def join(self, other: CausalBatch) -> None:
        """Take the rows of another batch in, behind one's own."""
        torch = load("torch")
        width = max(self._mask.shape[1], other._mask.shape[1])

        def both(one: Any, two: Any) -> Any:  # (rows, heads, positions, channels)
            padded = [torch.nn.functional.pad(x, (0, 0, width - x.shape[2], 0)) for x in (one, two)]
            return torch.cat(padded)

        for mine, theirs in zip(self.cache.layers, other.cache.layers, strict=True):
            mine.keys, mine.values = both(mine.keys, theirs.keys), both(mine.values, theirs.values)
        masks = [torch.nn.functional.pad(m, (width - m.shape[1], 0)) for m in (self._mask, other._mask)]
        self._mask = torch.cat(masks)
        self._lengths = torch.cat((self._lengths, other._lengths))
        self.logits = torch.cat((self.logits, other.logits))

    def beginning(self, row: int, tokens: list[int]) -> Kept:
        """Return the keys and values of a row's first tokens; only right after the batch was made."""
        torch = load("torch")
        places = self._mask[row].nonzero()[: len(tokens), 0]
        pairs = [
            (layer.keys[row].index_select(1, places), layer.values[row].index_select(1, places))
            for layer in self.cache.layers
        ]
        assert torch.is_tensor(places)
        return tokens, pairs

    def _put_heads(self, heads: Sequence[Kept | None]) -> None:
        torch = load("torch")
        pad = torch.nn.functional.pad
        pattern = next(head for head in heads if head is not None)[1]
        for layer, (sample, _) in enumerate(pattern):
            blank = sample[:, :0]
            keys: list[Any] = []
            values: list[Any] = []
            for head in heads:
                k, v = (blank, blank) if head is None else head[1][layer]
                keys.append(pad(k, (0, 0, self._most - k.shape[1], 0)))
                values.append(pad(v, (0, 0, self._most - v.shape[1], 0)))
            self.cache.update(torch.stack(keys), torch.stack(values), layer)

    def _run(self, ids: Any, positions: Any) -> Any:
        out = self._model(
            input_ids=ids,
            attention_mask=self._mask,
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
        )
        return out.logits[:, -1]


class Seq2SeqBatch:
    """Rows of an encoder-decoder.

    Args:
        model: The network.
        prompts: Tokens of each row, for the encoder.
    """

    def __init__(self, model: Any, prompts: Sequence[list[int]]) -> None:
        torch, transformers = load("torch"), load("transformers")
        self._model = model
        device = model.device
        longest = max(map(len, prompts))
        ids = torch.zeros(len(prompts), longest, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, : len(prompt)] = torch.tensor(prompt)
            mask[row, : len(prompt)] = 1
        self._mask = mask.to(device)
        self._states = model.get_encoder()(input_ids=ids.to(device), attention_mask=self._mask)[0]
        plain = transformers.DynamicCache
        self._cache = transformers.EncoderDecoderCache(plain(), plain())
        start = model.generation_config.decoder_start_token_id
        self.step([int(model.config.decoder_start_token_id if start is None else start)] * len(prompts))

    def step(self, tokens: Sequence[int]) -> None:
        """Add a token to each row."""
        torch, outputs = load("torch"), load("transformers.modeling_outputs")
        out = self._model(
            encoder_outputs=outputs.BaseModelOutput(last_hidden_state=self._states),
            attention_mask=self._mask,
            decoder_input_ids=torch.tensor(tokens, device=self._mask.device)[:, None],
            past_key_values=self._cache,
            use_cache=True,
        )
        self.logits = out.logits[:, -1]

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows only."""
        index = load("torch").tensor(rows, device=self._mask.device)
        self._mask, self._states, self.logits = self._mask[index], self._states[index], self.logits[index]
        self._cache.batch_select_indices(index)


def keeps_everything(model: Any) -> bool:
    """Whether all layers of a model attend to all that came before, so that beginnings can be reused."""
    layers = load("transformers").DynamicCache(config=model.config).layers
    return all(type(layer).__name__ == "DynamicLayer" for layer in layers)

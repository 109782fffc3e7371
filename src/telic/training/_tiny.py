"""`TinyTrainable`: the embedded LM with gradients. What is saved is whole: single precision, LoRA merged in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from telic._optional import load
from telic._seed import derive_seed
from telic.errors import ConfigurationError
from telic.lm.tiny import TinyClient
from telic.training._files import written_whole
from telic.training._tiny_network import MATRICES, tiny_logits, tiny_states
from telic.training._trainable import Adaptation, Needs, TokenRow, checked_state

if TYPE_CHECKING:
    from telic.data import Message

_BETWEEN = 40  # numbers of the width of a layer that a token keeps for the way back, roughly


@final
class TinyTrainable:
    """An embedded LM whose weights can be changed.

    Args:
        name: As it is called: "telic/tiny", or "local/FOLDER".
        weights: Its file; `vocabulary` belongs to it.
        vocabulary: The vocabulary's file.
        adaptation: What of it is trained.
        device: Where; None: the CPU, which such a small network is fast on.
    """

    seq2seq = False

    def __init__(
        self, name: str, weights: Path, vocabulary: Path, adaptation: Adaptation, device: str | None = None
    ) -> None:
        torch = load("torch")
        engine = load("telic.lm.tiny._load").load_engine(weights, vocabulary)
        self.name = name
        self.device = "cpu" if device is None else device
        self.identity: str = engine.identity
        self._vocabulary = vocabulary.read_bytes()
        self._tokenizer = engine.tokenizer
        self._shape = engine.network.shape
        self._adaptation = adaptation
        read = load("telic.lm.tiny._weights").read_weights(weights).tensors
        self._base = {key: torch.from_numpy(value.copy()).to(self.device) for key, value in read.items()}
        self._low: dict[str, Any] = {}
        self._plain = False  # LoRA is left out
        if adaptation.method == "lora":
            self._low = self._narrow(adaptation)
        for tensor in self.parameters().values():
            tensor.requires_grad_(True)

    def _narrow(self, adaptation: Adaptation) -> dict[str, Any]:
        torch = load("torch")
        low: dict[str, Any] = {}
        for key, tensor in self._base.items():
            if key.rpartition(".")[2] in MATRICES:
                outputs, inputs = tensor.shape
                random = torch.Generator().manual_seed(derive_seed(adaptation.seed, "lora", key))
                bound = inputs**-0.5
                down = (torch.rand(adaptation.rank, inputs, generator=random) * 2 - 1) * bound
                low[f"{key}.down"] = down.to(self.device)
                low[f"{key}.up"] = torch.zeros(outputs, adaptation.rank, device=self.device)
        return low

    @property
    def context(self) -> int:
        """Tokens of prompt and reply together."""
        return self._shape.context

    def encode(self, messages: Sequence[Message], reply: str, *, complete: bool = True) -> TokenRow:
        """Return a chat row as tokens."""
        prompt = load("telic.lm.tiny._prompt").prompt_tokens(self._tokenizer, messages)
        end = [load("telic.lm.tiny._tokenizer").END] if complete else []
        return TokenRow(prompt, [*self._tokenizer.encode(reply), *end])

    def logprobs(self, rows: Sequence[TokenRow]) -> Any:
        """Return the log-probability of each token of the replies, (rows, longest reply)."""
        torch = load("torch")
        longest = max(row.length for row in rows)
        tokens = torch.zeros(len(rows), longest, dtype=torch.long)
        for at, row in enumerate(rows):
            tokens[at, : row.length] = torch.tensor([*row.prompt, *row.reply])
        # The head is the dearest part of a small network: it is computed only where a reply's token comes next.
        places = [(at, len(row.prompt) - 1 + k) for at, row in enumerate(rows) for k in range(len(row.reply))]
        index = torch.tensor([at * longest + place for at, place in places], device=self.device)
        wanted = torch.tensor([token for row in rows for token in row.reply], device=self.device)
        states = tiny_states(self._weight, self._shape, tokens.to(self.device)).flatten(0, 1)[index]
        logits = tiny_logits(self._weight, states)[
            :, : len(self._tokenizer)
        ]  # the rest of the table is padding
        found = logits.log_softmax(-1).gather(-1, wanted[:, None])[:, 0]
        return torch.nn.utils.rnn.pad_sequence(
            found.split([len(row.reply) for row in rows]), batch_first=True
        )

    def parameters(self) -> dict[str, Any]:
        """Return the tensors that are trained, by name."""
        return self._low if self._adaptation.method == "lora" else self._base

    @contextmanager
    def reference(self) -> Generator[None]:
        """Inside the block the network is the one it was opened as."""
        if self._adaptation.method == "full":
            raise ConfigurationError(
                f"{self.name!r} is trained in full: its weights as they were are gone; open it a second time"
            )
        before, self._plain = self._plain, True
        try:
            yield
        finally:
            self._plain = before

    def training(self, on: bool) -> None:
        """Nothing: there is no dropout in this network."""

    def client(self) -> TinyClient:
        """Return a client that generates with the present weights, by NumPy."""
        tiny, engine = load("telic.lm.tiny._weights"), load("telic.lm.tiny._engine")
        arrays = {key: tensor.numpy() for key, tensor in self._merged().items()}
        known = hashlib.sha256(self._vocabulary).hexdigest()
        weights = tiny.Weights(self._shape, arrays, known, _digest(arrays))
        network = load("telic.lm.tiny._network").Network(weights)
        made = engine.Engine(network, self._tokenizer, identity=weights.sha256)
        return TinyClient(self.name.partition("/")[2], engine=made)

    def needs(self) -> Needs:
        """Return what training it takes."""
        count = sum(tensor.numel() for tensor in self._base.values())
        trained = sum(tensor.numel() for tensor in self.parameters().values())
        shape = self._shape
        return Needs(count, trained, 4 * count, 4 * (shape.layers * _BETWEEN * shape.width + 2 * shape.vocab))

    def state(self) -> dict[str, Any]:
        """Return copies of what is trained, on the CPU."""
        return {key: tensor.detach().cpu().clone() for key, tensor in self.parameters().items()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` returned."""
        own = self.parameters()
        checked_state(own, state, self.name)
        with load("torch").no_grad():
            for key, tensor in own.items():
                tensor.copy_(state[key])

    def save(self, folder: Path) -> None:
        """Write weights and vocabulary."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {key: tensor.numpy() for key, tensor in self._merged().items()}
        header: dict[str, Any] = {}
        at = 0
        for key, value in arrays.items():
            offsets = [at, at + value.nbytes]
            header[key] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": offsets}
            at += value.nbytes
        header["__metadata__"] = {
            "shape": json.dumps(self._shape._asdict()),
            "sha256": _digest(arrays),
            "vocabulary_sha256": hashlib.sha256(self._vocabulary).hexdigest(),
            "base": self.identity,
        }
        head = json.dumps(header).encode()
        head += b" " * (-len(head) % 8)
        body = b"".join(value.tobytes() for value in arrays.values())
        written_whole(folder / "vocab.json", self._vocabulary)
        written_whole(folder / "tiny.safetensors", len(head).to_bytes(8, "little") + head + body)

    def _weight(self, name: str) -> Any:
        base, down = self._base[name], self._low.get(f"{name}.down")
        if down is None or self._plain:
            return base
        scale = self._adaptation.alpha / self._adaptation.rank
        return base + self._low[f"{name}.up"] @ down * scale

    def _merged(self) -> dict[str, Any]:
        with load("torch").no_grad():
            return {key: self._weight(key).detach().cpu().clone() for key in self._base}


def _digest(arrays: Mapping[str, Any]) -> str:
    found = hashlib.sha256()
    for value in arrays.values():
        found.update(value.tobytes())
    return found.hexdigest()

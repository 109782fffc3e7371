"""`HubTrainable`: a model of transformers with gradients, causal or encoder-decoder, in full or by LoRA (peft).

What peft adapts is every linear layer but the head. The folder of trained LoRA weights holds the adapter alone, and
which base it is of (`telic.json`): with other base weights it is refused, not merged into nonsense.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from telic._hash import content_key
from telic._optional import load, require
from telic._seed import derive_seed
from telic.errors import ConfigurationError
from telic.lm.local import LocalClient
from telic.lm.local._engine import Engine
from telic.lm.local._open import MADE_BY, open_model
from telic.lm.local._prompt import prompt_tokens, reply_tokens
from telic.training._files import written_whole
from telic.training._trainable import Adaptation, Needs, TokenRow, checked_state

if TYPE_CHECKING:
    from telic.data import Message

_BETWEEN = 34  # numbers of the width of a layer that a token keeps for the way back (Korthikanti et al. 2022)


@final
class HubTrainable:
    """A model of transformers whose weights can be changed.

    Args:
        model: A folder, or an id of Hugging Face's hub.
        adaptation: What of it is trained.
        device: None: a GPU where there is one.
        dtype: None: single precision on a CPU, the model's own on a GPU; what LoRA trains is single precision.

    Raises:
        MissingExtraError: LoRA, and peft is not installed.
        LMUnsupportedModelError, ConfigurationError: See `open_model`.
    """

    def __init__(
        self, model: str, adaptation: Adaptation, device: str | None = None, dtype: str | None = None
    ) -> None:
        lora = adaptation.method == "lora"
        if lora:
            require("peft", extra="train", purpose=f"LoRA of 'local/{model}'")
        self.name = f"local/{model}"
        self._opened = open_model(model, device=device, dtype=dtype)
        self.identity = self._opened.identity
        self.device = self._opened.device
        self.context = self._opened.context
        self.seq2seq = self._opened.seq2seq
        self._method = adaptation.method
        self._base = model
        network = self._opened.model
        load("torch").manual_seed(derive_seed(adaptation.seed, "lora"))
        self._model = _adapted(network, adaptation, self.seq2seq) if lora else network.requires_grad_(True)
        self._model.eval()
        self._parameters = {key: p for key, p in self._model.named_parameters() if p.requires_grad}

    def encode(self, messages: Sequence[Message], reply: str, *, complete: bool = True) -> TokenRow:
        """Return a chat row as tokens."""
        tokenizer = self._opened.tokenizer
        prompt = prompt_tokens(tokenizer, messages, seq2seq=self.seq2seq)
        tokens = reply_tokens(tokenizer, messages, reply, seq2seq=self.seq2seq)
        if not complete and tokens and tokens[-1] == tokenizer.eos_token_id:
            tokens = tokens[:-1]
        return TokenRow(prompt, tokens)

    def logprobs(self, rows: Sequence[TokenRow]) -> Any:
        """Return the log-probability of each token of the replies, (rows, longest reply)."""
        torch = load("torch")
        logits = self._seq2seq_logits(rows) if self.seq2seq else self._causal_logits(rows)
        pad = torch.nn.utils.rnn.pad_sequence
        replies = pad([torch.tensor(row.reply) for row in rows], batch_first=True).to(logits.device)
        sizes = torch.tensor([len(row.reply) for row in rows], device=logits.device)
        inside = torch.arange(replies.shape[1], device=logits.device)[None, :] < sizes[:, None]
        found = logits.float().log_softmax(-1).gather(-1, replies[..., None])[..., 0]
        return found.masked_fill(~inside, 0.0)

    def _causal_logits(self, rows: Sequence[TokenRow]) -> Any:
        """Return the logits (rows, longest reply, vocab) at the places before the replies' tokens."""
        torch = load("torch")
        tokens, mask = self._padded([[*row.prompt, *row.reply] for row in rows])
        longest = max(len(row.reply) for row in rows)
        starts = torch.tensor([len(row.prompt) - 1 for row in rows], device=tokens.device)
        first = int(starts.min())  # what stands before all replies needs no head
        keep = tokens.shape[1] - first
        out = self._model(input_ids=tokens, attention_mask=mask, use_cache=False, logits_to_keep=keep).logits
        first = tokens.shape[1] - out.shape[1]  # of models that know no `logits_to_keep`: all places
        places = (starts - first)[:, None] + torch.arange(longest, device=tokens.device)[None, :]
        places = places.clamp(max=out.shape[1] - 1)
        return out.gather(1, places[..., None].expand(-1, -1, out.shape[-1]))

    def _seq2seq_logits(self, rows: Sequence[TokenRow]) -> Any:
        torch = load("torch")
        tokens, mask = self._padded([row.prompt for row in rows])
        labels, _ = self._padded([row.reply for row in rows])
        start = self._opened.model.generation_config.decoder_start_token_id
        start = self._opened.model.config.decoder_start_token_id if start is None else start
        begin = torch.full_like(labels[:, :1], int(start))
        inputs = torch.cat((begin, labels[:, :-1]), dim=1)
        return self._model(
            input_ids=tokens, attention_mask=mask, decoder_input_ids=inputs, use_cache=False
        ).logits

    def _padded(self, sequences: Sequence[list[int]]) -> tuple[Any, Any]:
        torch = load("torch")
        pad = torch.nn.utils.rnn.pad_sequence
        tokens = pad([torch.tensor(s) for s in sequences], batch_first=True)
        mask = pad([torch.ones(len(s), dtype=torch.long) for s in sequences], batch_first=True)
        return tokens.to(self._model.device), mask.to(self._model.device)

    def parameters(self) -> dict[str, Any]:
        """Return the tensors that are trained, by name."""
        return self._parameters

    @contextmanager
    def reference(self) -> Generator[None]:
        """Inside the block the network is the one it was opened as."""
        if self._method == "full":
            raise ConfigurationError(
                f"{self.name!r} is trained in full: its weights as they were are gone; open it a second time"
            )
        off: AbstractContextManager[None] = self._model.disable_adapter()
        with off:
            yield

    def training(self, on: bool) -> None:
        """Switch dropout on or off."""
        self._model.train(on)

    def client(self) -> LocalClient:
        """Return a client that generates with the present weights; it shares them, and copies nothing."""
        self._model.eval()
        found = [[key, value.numpy().tobytes()] for key, value in _plain(self.state()).items()]
        identity = content_key([self.identity, found])[:32]
        network = self._model if self._method == "full" else self._model.get_base_model()
        opened = self._opened._replace(model=network, identity=identity)
        return LocalClient(self._base, engine=Engine(self._base, None, None, opened))

    def needs(self) -> Needs:
        """Return what training it takes."""
        config = self._opened.model.config.get_text_config()
        every = list(self._model.parameters())
        layers = config.num_hidden_layers * (2 if self.seq2seq else 1)
        size = every[0].element_size()
        between = size * layers * _BETWEEN * config.hidden_size + 8 * config.vocab_size
        count = sum(p.numel() for p in every)
        trained = sum(p.numel() for p in self._parameters.values())
        return Needs(count, trained, sum(p.numel() * p.element_size() for p in every), between)

    def state(self) -> dict[str, Any]:
        """Return copies of what is trained, on the CPU."""
        return {key: p.detach().cpu().clone() for key, p in self._parameters.items()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` returned."""
        checked_state(self._parameters, state, self.name)
        with load("torch").no_grad():
            for key, p in self._parameters.items():
                p.copy_(state[key])

    def save(self, folder: Path) -> None:
        """Write the model and its tokenizer, or the adapter of LoRA, with which base it is of."""
        folder.mkdir(parents=True, exist_ok=True)
        own = Path(self._base).expanduser()
        base = (
            str(own.resolve()) if own.is_dir() else self._base
        )  # not from where this process happens to work
        if self._method == "full":
            self._opened.tokenizer.save_pretrained(folder)
        else:
            self._model.peft_config["default"].base_model_name_or_path = base
        self._model.save_pretrained(folder)
        made = {"base": base, "base_identity": self.identity, "method": self._method}
        written_whole(folder / MADE_BY, json.dumps(made, indent=1).encode())


def _adapted(network: Any, adaptation: Adaptation, seq2seq: bool) -> Any:
    peft = load("peft")
    config = peft.LoraConfig(
        r=adaptation.rank,
        lora_alpha=adaptation.alpha,
        lora_dropout=adaptation.dropout,
        target_modules="all-linear",
        task_type="SEQ_2_SEQ_LM" if seq2seq else "CAUSAL_LM",
    )
    try:
        return peft.get_peft_model(network, config)
    except ValueError as error:
        raise ConfigurationError(
            f"peft cannot adapt {type(network).__name__}: {error}; use method='full'"
        ) from error


def _plain(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state whose tensors NumPy knows: half precision of 16 bits with 8 in the exponent is not among them."""
    return {key: value.float() for key, value in state.items()}

"""`Trainable`: a network whose weights can be changed. Trainers know no more of a model than this page.

    network = open_trainable("local/PATH")              # or an LM; LoRA, unless method="full"
    row = network.encode(messages, reply)               # TokenRow(prompt, reply): tokens as the LM is asked
    values = network.logprobs([row, …])                 # (rows, longest reply), with gradients; 0 behind a reply's end
    loss = -(values * weights).sum(); loss.backward()   # weights (rows, longest reply) are the trainer's own affair
    with network.reference(), torch.no_grad(): …        # the same without what was learned (LoRA alone): for KL
    lm = LM("local/PATH", client=network.client())      # programs that answer with the weights of this moment
    state = network.state(); network.load_state(state)  # what is trained, by name: for checkpoints
    network.save(folder)                                # and LM(f"local/{folder}") answers with it

Two classes are one: `TinyTrainable` (the embedded LM, our own few lines of torch) and `HubTrainable` (whatever
transformers loads, causal or encoder-decoder). Weights are single precision unless a dtype says otherwise; dropout is
off unless `training(True)`. Text is encoded anew: a sampled reply may be cut into other tokens than were drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol

from telic.errors import ConfigurationError

if TYPE_CHECKING:
    from telic.data import Message
    from telic.protocols import Client

Method = Literal["lora", "full"]
METHODS: Final = ("lora", "full")


class TokenRow(NamedTuple):
    """A prompt and the reply to it, as tokens."""

    prompt: list[int]
    """Of an encoder-decoder: what the encoder reads."""
    reply: list[int]
    """With the token that ends it, where it is complete."""

    @property
    def length(self) -> int:
        """Tokens of both."""
        return len(self.prompt) + len(self.reply)


class Adaptation(NamedTuple):
    """What of a network is trained."""

    method: Method = "lora"
    """"lora": two narrow matrices beside each large one; "full": all weights."""
    rank: int = 16
    """How narrow."""
    alpha: float = 32.0
    """What they learned counts `alpha / rank` times."""
    dropout: float = 0.0
    """Share of what goes into them that is left out while training (transformers alone)."""
    seed: int = 0
    """Of their random beginning."""

    def checked(self) -> Adaptation:
        """Return this, or refuse it.

        Raises:
            ConfigurationError: A value cannot work.
        """
        if self.method not in METHODS:
            raise ConfigurationError(f"method={self.method!r} is unknown; it is 'lora' or 'full'")
        if isinstance(self.rank, bool) or not isinstance(self.rank, int) or self.rank < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"rank={self.rank!r}: a whole number, 1 or more")
        if not self.alpha > 0:
            raise ConfigurationError(f"alpha={self.alpha!r}: a number above 0")
        if not 0 <= self.dropout < 1:
            raise ConfigurationError(f"dropout={self.dropout!r}: a share, 0 or more and below 1")
        return self


class Needs(NamedTuple):
    """What training takes, in numbers that are counted, not tried."""

    parameters: int
    """All of the network's."""
    trained: int
    """Those that change."""
    weight_bytes: int
    token_bytes: int
    """What one token of a batch holds while gradients are on their way, roughly."""


class Trainable(Protocol):
    """A network whose weights can be changed; not for two threads at once."""

    @property
    def name(self) -> str:
        """What it was opened as, "local/PATH"."""
        ...

    @property
    def identity(self) -> str:
        """Which weights it was opened with."""
        ...

    @property
    def device(self) -> str: ...

    @property
    def context(self) -> int | None:
        """Most tokens of a row: of prompt and reply together, or of each where there is an encoder; None: no limit."""
        ...

    @property
    def seq2seq(self) -> bool:
        """Whether an encoder reads the prompt (T5), so that prompt and reply count apart."""
        ...

    def encode(self, messages: Sequence[Message], reply: str, *, complete: bool = True) -> TokenRow:
        """Return a chat row as tokens.

        Args:
            messages: The prompt.
            reply: What is said to it.
            complete: The reply ends there: its last token says so. False: it was cut.

        Raises:
            LMInvalidRequestError: A role or a content part that the model does not know.
        """
        ...

    def logprobs(self, rows: Sequence[TokenRow]) -> Any:
        """Return the log-probability of each token of the replies, given all before it, at temperature 1.

        Returns:
            A tensor (rows, longest reply), single precision, on the network's device, 0 behind a reply's end; it has
            gradients unless torch is told otherwise.
        """
        ...

    def parameters(self) -> dict[str, Any]:
        """Return the tensors that are trained, by name: leaves that require gradients, always in the same order."""
        ...

    def reference(self) -> AbstractContextManager[None]:
        """Inside the block the network is the one it was opened as.

        Raises:
            ConfigurationError: The method is "full": the weights as they were are gone. Open a second one.
        """
        ...

    def training(self, on: bool) -> None:
        """Switch dropout on or off."""
        ...

    def client(self) -> Client:
        """Return a client that generates with the present weights.

        It is meant until the next change of the weights; then ask for another one. Equal weights have equal endpoints,
        so that caches and runs never take an answer of other weights.
        """
        ...

    def needs(self) -> Needs:
        """Return what training it takes."""
        ...

    def state(self) -> dict[str, Any]:
        """Return copies of what is trained, on the CPU."""
        ...

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` returned.

        Raises:
            ConfigurationError: Names or sizes are not this network's.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write weights that `LM(f"local/{folder}")` answers with; the folder is made.

        LoRA of transformers' models is kept as an adapter alone, which names its base.

        Raises:
            OSError: It cannot be written.
        """
        ...


def checked_state(own: Mapping[str, Any], given: Mapping[str, Any], name: str) -> None:
    """Refuse a state that is not of this network.

    Raises:
        ConfigurationError: Names or sizes differ.
    """
    sizes = {key: tuple(value.shape) for key, value in own.items()}
    others = {key: tuple(value.shape) for key, value in given.items()}
    if sizes != others:
        wrong = sorted(key for key in sizes.keys() | others.keys() if sizes.get(key) != others.get(key))
        raise ConfigurationError(
            f"the state is not one of {name!r} trained this way: {len(wrong)} of its tensors differ, {wrong[0]!r} "
            f"first ({others.get(wrong[0])} instead of {sizes.get(wrong[0])}); "
            "it belongs to another model, method or rank"
        )

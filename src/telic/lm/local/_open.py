"""Bring a model into memory, or say with numbers why that cannot be.

How large it is is counted before anything is read: the network is built without storage (on torch's `meta` device),
so the count is exact for any architecture. Code from a model's repository is never run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from telic._hash import content_key
from telic._optional import load, require
from telic.errors import ConfigurationError, LMUnsupportedModelError

_NOT_WEIGHTS: Final = 0.10  # share of the memory that is left for keys, values and everything else
_WEIGHTS: Final = ("*.safetensors", "*.bin", "adapter_config.json", "config.json", "tokenizer.json")
MADE_BY: Final = "telic.json"
"""Written beside trained weights: which base they are of."""
_PIECES: Final = 64
_PIECE: Final = 1 << 20  # bytes


class Opened(NamedTuple):
    """A model that can be asked."""

    model: Any
    tokenizer: Any
    device: str
    seq2seq: bool
    """Whether it is an encoder-decoder, such as T5."""
    context: int | None
    """Tokens of prompt and reply together (of the prompt alone, where there is an encoder); None: no limit is known."""
    identity: str
    """Which weights these are, for cache keys."""


class Size(NamedTuple):
    """What a model needs."""

    parameters: int
    bytes: int
    """Of its weights."""


def open_model(name: str, *, device: str | None = None, dtype: str | None = None) -> Opened:
    """Load a model and its tokenizer.

    Args:
        name: A folder, or an id of Hugging Face's hub; a folder may hold a LoRA adapter, which is merged into its base.
        device: "cpu", "cuda", "cuda:1", "mps"; None: a GPU where there is one.
        dtype: "float32", "bfloat16" …; None: single precision on a CPU, the model's own on a GPU.

    Raises:
        LMUnsupportedModelError: There is no such model, or it is no text generator, or it needs code of its own.
        ConfigurationError: It does not fit into memory, or an adapter is of another base.
    """
    torch, transformers = load("torch"), load("transformers")
    base, adapters = base_of(name)
    config = config_of(base)
    seq2seq = bool(config.is_encoder_decoder)
    device = best_device() if device is None else device
    precision = precision_of(config, device, dtype)
    size = size_of(config, precision)
    check_memory(f"the LM 'local/{name}'", size, device)
    kind = transformers.AutoModelForSeq2SeqLM if seq2seq else transformers.AutoModelForCausalLM
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(base)
        model, told = kind.from_pretrained(base, dtype=precision, output_loading_info=True)
    except (OSError, ValueError, KeyError, load("safetensors").SafetensorError) as error:
        raise _unusable(name, error) from error
    if told["missing_keys"]:  # transformers would go on with random numbers in their place
        missing = sorted(told["missing_keys"])
        raise _unusable(
            name, ValueError(f"the file lacks {len(missing)} of its weights, {missing[0]!r} first")
        )
    model = _adapted(model, adapters, base)
    model.requires_grad_(False).eval().to(torch.device(device))
    return Opened(model, tokenizer, device, seq2seq, context_of(config, tokenizer), identity_of(name, config))


def config_of(base: str) -> Any:
    """Return a model's configuration.

    Raises:
        LMUnsupportedModelError: There is none of that name, or transformers cannot read it.
    """
    try:
        return load("transformers").AutoConfig.from_pretrained(base)
    except (OSError, ValueError, KeyError) as error:
        raise _unusable(base, error) from error


def best_device() -> str:
    """Return where a model runs best on this machine."""
    torch = load("torch")
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def size_of(config: Any, precision: Any) -> Size:
    """Return what a model of this configuration needs; nothing is read or allocated."""
    torch, transformers = load("torch"), load("transformers")
    kind = (
        transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    )
    try:
        with torch.device("meta"):
            empty = kind.from_config(config)
    except ValueError as error:
        raise _unusable(str(config.name_or_path), error) from error
    count = sum(p.numel() for p in empty.parameters())
    return Size(count, count * int(torch.empty(0, dtype=precision).element_size()))


def free_bytes(device: str) -> int | None:
    """Return how much memory a device has left; None: it cannot tell."""
    torch = load("torch")
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(torch.device(device))[0])
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    kilobytes = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
    return None if kilobytes is None else int(kilobytes) * 1024


def check_memory(what: str, size: Size, device: str) -> None:
    """Refuse a model that does not fit.

    Raises:
        ConfigurationError: Its weights need more than the device has left.
    """
    free = free_bytes(device)
    if free is not None and size.bytes > free * (1 - _NOT_WEIGHTS):
        raise ConfigurationError(
            f"{what} has {size.parameters / 1e9:.2f} thousand million parameters, {size.bytes / 1e9:.1f} GB, and "
            f"{device!r} has {free / 1e9:.1f} GB left, a tenth of which is kept for the work; take a smaller model, a "
            "smaller dtype (LocalClient(…, dtype='bfloat16')), another device, or close another LM first"
        )


def context_of(config: Any, tokenizer: Any) -> int | None:
    """Return how many tokens a model takes."""
    text = config.get_text_config()
    for attribute in ("max_position_embeddings", "n_positions", "n_ctx"):
        known = getattr(text, attribute, None)
        if isinstance(known, int) and known > 0:
            return known
    longest = int(tokenizer.model_max_length)
    return longest if longest < 1 << 24 else None


def identity_of(name: str, config: Any = None) -> str:
    """Return which weights a name stands for: the hub's revision, or what is in the files of a folder.

    The same wherever the folder is moved or copied. Of large files 64 pieces are read: a training changes all numbers.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        return f"{name}@{getattr(config, '_commit_hash', None)}"
    files = sorted(path for pattern in _WEIGHTS for path in folder.glob(pattern))
    stats = [(path, path.stat()) for path in files]
    found = [[path.name, _digest(path, stat.st_size, stat.st_mtime_ns)] for path, stat in stats]
    return content_key(found)[:32]


@lru_cache(maxsize=256)  # of a model that was not loaded yet, each call asks
def _digest(path: Path, size: int, changed_ns: int) -> str:  # the time is for the cache
    """Return a digest of a file's size and content; of a large one's pieces at equal distances."""
    found = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        if size <= _PIECES * _PIECE:
            found.update(file.read())
        else:
            for at in range(_PIECES):
                file.seek(at * (size - _PIECE) // (_PIECES - 1))
                found.update(file.read(_PIECE))
    return found.hexdigest()


def base_of(name: str) -> tuple[str, list[Path]]:
    """Return the model that `name` stands on, and the folders of the adapters over it, the lowest first.

    Raises:
        LMUnsupportedModelError: A folder that is named is not there.
        MissingExtraError: There are adapters, and peft is not installed.
    """
    adapters: list[Path] = []
    while True:
        folder = Path(name).expanduser()
        written = folder / "adapter_config.json"
        if not folder.is_dir() and name.startswith((".", "/", "~")):
            over = f" stands under the adapter in {str(adapters[-1])!r}:" if adapters else ":"
            raise LMUnsupportedModelError(
                f"the LM 'local/{name}'{over} there is no folder {str(folder)!r}"
                + ("; bring it there, or write its place into adapter_config.json" if adapters else ""),
                model=f"local/{name}",
                provider="local",
            )
        if not written.is_file() or folder in adapters:
            return (str(folder) if folder.is_dir() else name), adapters[::-1]
        require("peft", extra="train", purpose=f"the adapter in {str(folder)!r}")
        adapters.append(folder)
        name = str(json.loads(written.read_bytes())["base_model_name_or_path"])


def check_bases(base: str, adapters: Sequence[Path], config: Any) -> None:
    """Refuse adapters that were trained on other weights than they stand on now.

    Raises:
        ConfigurationError: One was.
    """
    for below, adapter in zip([base, *map(str, adapters)], adapters, strict=False):
        made = adapter / MADE_BY
        expected = json.loads(made.read_bytes()).get("base_identity") if made.is_file() else None
        found = identity_of(below, config)
        if expected is not None and expected != found:
            raise ConfigurationError(
                f"the adapter in {str(adapter)!r} was trained on other weights of {below!r} ({expected!r}) than those "
                f"that are there now ({found!r}); train it again, or bring the old ones back"
            )


def _adapted(model: Any, adapters: Sequence[Path], base: str) -> Any:
    check_bases(base, adapters, model.config)
    for adapter in adapters:
        try:
            model = load("peft").PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
        except (RuntimeError, ValueError, OSError) as error:
            raise ConfigurationError(
                f"the adapter in {str(adapter)!r} does not fit {base!r}: {error}"
            ) from error
    return model


def precision_of(config: Any, device: str, dtype: str | None) -> Any:
    """Return the type of a model's weights: the one that was asked for, or what suits the device.

    Raises:
        ConfigurationError: torch has no such type.
    """
    torch = load("torch")
    if dtype is not None:
        found = getattr(torch, dtype, None)
        if not isinstance(found, torch.dtype):
            raise ConfigurationError(
                f"dtype={dtype!r} is none of torch's; write 'float32', 'bfloat16' or 'float16'"
            )
        return found
    own = config.get_text_config().dtype
    return torch.float32 if device == "cpu" or own is None else own


def _unusable(name: str, error: Exception) -> LMUnsupportedModelError:
    return LMUnsupportedModelError(
        f"the LM 'local/{name}' cannot be loaded: {error}",
        model=f"local/{name}",
        provider="local",
    )

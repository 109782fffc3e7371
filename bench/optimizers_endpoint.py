"""The endpoint of bench/optimizers.py: an LM that tells what it was asked for, and, if wanted, a scripted proposer.

Three things that an OpenAI-compatible endpoint of `telic serve-lm` does not do:

- It counts calls and tokens, so that both libraries are counted by the same clerk.
- DSPy's fixed sentences of the chat format are put into telic's, which are those that the embedded LM was trained on:
  what is compared are optimizers, not how well a tiny LM reads a layout that it has never seen.
- What asks for instructions or rules (it is known by the output fields) may be answered from a list of texts, in an
  order that depends on the cell alone; then both libraries are given the same proposals.
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from telic.data import Completion, Request, Response, Usage
from telic.serve import make_app

if TYPE_CHECKING:
    from collections.abc import Iterator

WORDING: Final = (
    (re.compile(r"^Your input fields are:$", re.MULTILINE), "Input fields:"),
    (re.compile(r"^Your output fields are:$", re.MULTILINE), "\nOutput fields:"),
    (re.compile(r"^(\d+\. `\w+` \(.*?\)): *$", re.MULTILINE), r"\1"),
    (
        re.compile(r"^All interactions .*$", re.MULTILINE),
        "\nEvery message follows this form:",
    ),
    (re.compile(r"^In adhering .*: *$", re.MULTILINE), "\nYour objective:"),
    (re.compile(r"Respond with the corresponding output fields"), "Respond with the output fields"),
)
"""DSPy's sentences, and the same in telic's words."""
TEXTS: Final = frozenset({
    "proposed_instruction", "new_instruction", "improved_instruction", "shortened_instruction", "rules",
    "natural_language_rules",
})  # fmt: skip
"""Output fields that are answered with a proposal."""
ABOUT: Final = frozenset(
    {"summary", "observations", "program_description", "module_description", "discussion", "module_advice"}
)
"""Output fields that only optimizers ask for: of descriptions, which are answered with a common sentence."""
_FIELD: Final = re.compile(r"^\d+\. `(\w+)`", re.MULTILINE)


def reworded(text: str) -> str:
    """Return a message of DSPy's chat format in telic's words; any other text as it is.

    Example:
        >>> reworded("Your input fields are:\\n1. `question` (str):")
        'Input fields:\\n1. `question` (str)'
    """
    for pattern, words in WORDING:
        text = pattern.sub(words, text)
    return text.rstrip("\n")


def outputs_of(system: str) -> list[str]:
    """Return the output fields that a system message, in telic's words, asks for."""
    _, _, after = system.partition("Output fields:\n")
    return _FIELD.findall(after.partition("\n\n")[0])


class Script:
    """Proposals in an order of their own.

    Args:
        proposals: The texts; as many as are asked for, they come again and again.
        seed: Of the order.
    """

    def __init__(self, proposals: list[str], seed: int) -> None:
        self._order = list(proposals)
        random.Random(seed).shuffle(self._order)
        self._next = 0

    def reply(self, request: Request, fields: list[str]) -> str:
        """Return a reply in the format that is asked for."""
        texts = [str(message["content"]) for message in request.messages]
        proposal = self._order[self._next % len(self._order)]
        self._next += 1
        values: dict[str, Any] = {
            name: proposal
            if name in TEXTS
            else "Answer:"
            if "prefix" in name
            else "The rows are of one kind."
            for name in fields
        }
        if "module_advice" in values:
            steps = re.findall(r"\b(?:query|answer|self|predict)\b", "\n".join(texts[-1:]))
            values["module_advice"] = dict.fromkeys(steps, proposal)
        if request.options.get("response_format") is not None or "will be a JSON object" in texts[0]:
            return json.dumps(values)
        made = "".join(
            f"[[ ## {n} ## ]]\n{v if isinstance(v, str) else json.dumps(v)}\n\n" for n, v in values.items()
        )
        return made + "[[ ## completed ## ]]"


class CountingLM:
    """An LM as the endpoint asks it: counted, its prompts in telic's words, proposals from a script if there is one.

    Args:
        inner: The LM that answers.
        latency_s: Seconds that each answer takes at least.
    """

    def __init__(self, inner: Any, latency_s: float = 0.0) -> None:
        self.model, self.capabilities, self.script = inner.model, inner.capabilities, None
        self._inner = inner
        self.counts = {"calls": 0, "proposals": 0, "input_tokens": 0, "output_tokens": 0}

    async def acomplete(self, request: Request) -> Response:
        """Answer."""
        messages = [{**one, "content": reworded(str(one["content"]))} for one in request.messages]
        request = Request(messages, request.options, sample=request.sample)
        fields = outputs_of(str(messages[0]["content"]))
        asked_to_write = not (TEXTS | ABOUT).isdisjoint(fields)
        if self.script is not None and asked_to_write:
            wanted = int(request.options.get("n") or 1)
            replies = tuple(Completion(self.script.reply(request, fields)) for _ in range(wanted))
            words = sum(len(str(one["content"]).split()) for one in messages)
            used = Usage(words, sum(len(one.text.split()) for one in replies), calls=1)
            response = Response(replies, used, self.model)
        else:
            response = await self._inner.acomplete(request)
        self.counts["calls"] += len(response.completions)
        self.counts["proposals"] += asked_to_write * len(response.completions)
        self.counts["input_tokens"] += response.usage.input_tokens
        self.counts["output_tokens"] += response.usage.output_tokens
        return response


def app_of(lm: CountingLM) -> Starlette:
    """Return the endpoint, with `/count` and, to begin a cell, `/cell`."""

    async def counted(http: Any) -> JSONResponse:
        return JSONResponse(lm.counts)

    async def begin(http: Any) -> JSONResponse:
        asked = await http.json()
        lm.script = Script(asked["proposals"], asked["seed"]) if asked["proposals"] else None
        return JSONResponse({})

    routes = [Route("/count", counted), Route("/cell", begin, methods=["POST"])]
    return Starlette(routes=[*routes, Mount("/", make_app(lm))])


@contextlib.contextmanager
def serving(lm: CountingLM) -> Iterator[str]:
    """Serve at a free port of this machine, in a thread; yield the base URL."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(256)
        config = uvicorn.Config(app_of(lm), log_level="warning", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the endpoint did not start")
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()

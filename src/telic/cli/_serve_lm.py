"""`telic serve-lm`: an LM of telic for every client that speaks OpenAI's protocol."""

from __future__ import annotations

import typer

from telic._optional import load, require
from telic.lm import LM


def run(model: str, host: str, port: int, allow_remote: bool, at_once: int) -> None:
    """Serve until Ctrl-C; the address is printed once the server listens."""
    for package in ("starlette", "uvicorn"):
        require(package, extra="serve", purpose="telic serve-lm")
    lm = LM(model, cache=False)
    _ = lm.capabilities  # a model that is not there is refused now, not by the first request

    def ready(url: str) -> None:
        typer.echo(f"serving {lm.model} at {url} (Ctrl-C ends it)")

    load("telic.serve").serve_lm(
        lm, host=host, port=port, allow_remote=allow_remote, at_once=at_once, ready=ready
    )

"""Serve until interrupted: a socket of our own, so that port 0 can be told, and uvicorn behind it."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, Any, Final

import uvicorn

from telic.errors import ConfigurationError
from telic.serve._app import make_app

if TYPE_CHECKING:
    from collections.abc import Callable

    from telic.protocols import LanguageModel

_GRACE_S: Final = 5  # seconds that requests in flight have after Ctrl-C


def serve_lm(
    lm: LanguageModel,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    allow_remote: bool = False,
    at_once: int = 64,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve `lm` to OpenAI's clients until Ctrl-C or SIGTERM.

    Args:
        lm: The LM.
        host: The address to listen at.
        port: The port; 0: any free one.
        allow_remote: Listen at an address that other machines reach. There is no key: whoever reaches it may ask.
        at_once: Requests that are worked on at once; more wait.
        ready: Called with the base URL once the server listens.

    Raises:
        ConfigurationError: The address is not of this machine alone, or cannot be listened at.
    """
    if not (allow_remote or _is_loopback(host)):
        raise ConfigurationError(
            f"{host!r} may be reached by other machines, and the server asks for no key; "
            "use 127.0.0.1, or allow it with allow_remote=True (--allow-remote)"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except (OSError, OverflowError) as error:
            raise ConfigurationError(f"{host}:{port} cannot be listened at: {error}") from error
        shown = f"[{host}]" if ":" in host else host
        url = f"http://{shown}:{listener.getsockname()[1]}/v1"
        config = uvicorn.Config(
            make_app(lm, at_once=at_once),
            log_level="warning",
            lifespan="off",
            timeout_graceful_shutdown=_GRACE_S,
        )
        server = _Server(config, None if ready is None else lambda: ready(url))
        server.run(sockets=[listener])


class _Server(uvicorn.Server):
    """A server that says when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None] | None) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[Any] | None = None) -> None:
        await super().startup(sockets)
        if self._ready is not None:
            self._ready()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

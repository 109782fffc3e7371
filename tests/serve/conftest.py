"""A real server in a thread, on a real socket; the LM behind it is the embedded one unless a test brings another."""

import contextlib
import socket
import threading

import pytest
import uvicorn

from telic.lm import LM
from telic.serve import make_app


class Server(uvicorn.Server):
    """A server that says when it listens."""

    def __init__(self, config):
        super().__init__(config)
        self.listening = threading.Event()

    async def startup(self, sockets=None):
        await super().startup(sockets)
        self.listening.set()


@contextlib.contextmanager
def serving(lm, **options):
    """Yield the base URL of a server for `lm`."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = Server(uvicorn.Config(make_app(lm, **options), log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    assert server.listening.wait(20)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(name="serving")
def _serving():
    return serving


@pytest.fixture(scope="session")
def tiny_url():
    with serving(LM("telic/tiny", cache=False)) as url:
        yield url

"""What holds for every test: no network but this machine's own, no keys, a cache folder of its own, clean settings."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys

import pytest

from telic import context as telic_context

# Started in the background, a process may ignore Ctrl-C, and so would its children: the tests of it would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SECRETS = ("_API_KEY", "_TOKEN", "_SECRET", "_API_BASE", "_BASE_URL", "_PROXY")
LOOPBACK = ("127.", "::1", "localhost", "::ffff:127.")


class NetworkForbidden(AssertionError):
    """A test tried to leave this machine."""


def _is_local(family: int, address: object) -> bool:
    if family == getattr(socket, "AF_UNIX", None):
        return True
    host = address[0] if isinstance(address, tuple) else address
    return isinstance(host, str) and (host == "" or host.startswith(LOOPBACK))


class _LocalSocket(socket.socket):
    def connect(self, address):
        if not _is_local(self.family, address):
            raise NetworkForbidden(f"tests do not leave this machine: connect to {address!r}")
        return super().connect(address)

    def connect_ex(self, address):
        if not _is_local(self.family, address):
            raise NetworkForbidden(f"tests do not leave this machine: connect to {address!r}")
        return super().connect_ex(address)


@pytest.fixture(scope="session", autouse=True)
def _stay_on_this_machine():
    original, resolve = socket.socket, socket.getaddrinfo

    def getaddrinfo(host, *args, **kwargs):
        name = host.decode() if isinstance(host, bytes) else host
        if name is not None and not (_is_local(0, (name,)) or name == "0.0.0.0"):
            raise NetworkForbidden(f"tests do not leave this machine: look up {name!r}")
        return resolve(host, *args, **kwargs)

    socket.socket, socket.getaddrinfo = _LocalSocket, getaddrinfo
    yield
    socket.socket, socket.getaddrinfo = original, resolve


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch, tmp_path_factory):
    for name in list(os.environ):
        if name.upper().endswith(SECRETS) or name.upper().startswith(("DSPY_", "TELIC_")):
            monkeypatch.delenv(name)
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("TELIC_CACHE_DIR", str(folder / "cache"))
    monkeypatch.setenv("TELIC_DATA_DIR", str(folder / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "xdg-cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / "xdg-data"))


@pytest.fixture(autouse=True)
def _clean_settings():
    """Settings, the cache and the level of the log that a test configures end with it."""
    before, level = dict(telic_context._global), logging.getLogger("telic").level
    yield
    logging.getLogger("telic").setLevel(level)
    cache = sys.modules.get("telic.lm.caching._cache")
    if cache is not None and cache._current is not None:
        cache._current.close()
        cache._current = None
    telic_context._global.clear()
    telic_context._global.update(before)

from __future__ import annotations

import pytest

from telic._http import Endpoint, HttpRequest, Transport, portal


class Sender:
    """A transport of its own, called from sync code."""

    def __init__(self, **options):
        self.transport = Transport(**options)

    def send(self, url, body=b"{}", timeout=5.0, **endpoint):
        return portal.run(self.asend, HttpRequest(Endpoint(url, **endpoint), body), timeout)

    async def asend(self, request, timeout=5.0):
        return await self.transport.send(request, portal.loop.time() + timeout)

    def stream(self, url, body=b"{}", timeout=5.0):
        async def go():
            request = HttpRequest(Endpoint(url), body)
            return await self.transport.stream(request, portal.loop.time() + timeout)

        return portal.run(go)


@pytest.fixture
def make_sender():
    made = []

    def make(**options):
        made.append(Sender(**options))
        return made[-1]

    yield make
    for sender in made:
        portal.run(sender.transport.close)


@pytest.fixture
def sender(make_sender):
    return make_sender()

import asyncio
import json
from contextvars import ContextVar

import pytest

from telic.data import Request
from telic.errors import ConfigurationError, LMTransportError
from telic.lm import LM
from telic.testing import FaultServer


@pytest.fixture
def server():
    with FaultServer("x") as server:
        yield server


def keys_of(server):
    return [request.headers.get("authorization") for request in server.requests]


def test_what_is_assigned_holds_for_the_next_call(server):
    lm = LM("openai/m", base_url=server.url, api_key="first", cache=False)
    lm("a")
    lm.api_key = "second"
    lm("b")
    lm.headers = {"x-tenant": "t"}
    lm("c")
    assert keys_of(server) == ["Bearer first", "Bearer second", "Bearer second"]
    assert server.requests[-1].headers["x-tenant"] == "t"
    lm.base_url = "http://127.0.0.1:1/v1"
    lm.num_retries = 0
    with pytest.raises(LMTransportError, match="127.0.0.1:1 refused"):
        lm("d")


def test_a_function_gives_the_key_of_each_call(server):
    tenant = ContextVar("tenant")
    lm = LM("openai/m", base_url=server.url, api_key=lambda: f"key-of-{tenant.get()}", cache=False)

    async def serve(name):
        tenant.set(name)
        await lm.acall("hi")
        assert [delta async for delta in lm.astream(Request([{"role": "user", "content": "hi"}]))]

    async def main():
        await asyncio.gather(*map(serve, "ab"))

    asyncio.run(main())
    tenant.set("c")
    lm("hi")
    list(lm.stream(Request([{"role": "user", "content": "hi"}])))
    assert sorted(keys_of(server)) == sorted(f"Bearer key-of-{name}" for name in "aabbcc")
    assert "key-of" not in repr(lm) + json.dumps(lm.dump_state())
    assert server.connections <= 2


def test_many_keys_keep_few_clients(server):
    numbers = iter(range(1000))
    lm = LM("openai/m", base_url=server.url, api_key=lambda: f"key-{next(numbers)}", cache=False)
    for _ in range(100):
        lm("hi")
    assert len(set(keys_of(server))) == 100
    assert len(lm._made._client._clients) == 64


@pytest.mark.parametrize("key", [None, "", 7, b"key"])
def test_a_function_that_gives_no_key_is_told_of(server, key):
    with pytest.raises(ConfigurationError, match="api_key returned"):
        LM("openai/m", base_url=server.url, api_key=lambda: key, cache=False)("hi")
    assert server.requests == []


@pytest.mark.parametrize("key", [7, b"key"])
def test_a_key_that_is_none_is_refused_when_the_lm_is_made(key):
    with pytest.raises(ConfigurationError, match="a str, or a function"):
        LM("openai/m", api_key=key)

"""The shipped suite, on the clients of telic itself."""

from __future__ import annotations

from telic import LM
from telic.testing import ClientConformance, FunctionLM


class TestOpenAI(ClientConformance):
    def make_client(self, base_url):
        return LM("openai/some-model", base_url=base_url, api_key="key", num_retries=0)._client()


class TestAnthropic(ClientConformance):
    def make_client(self, base_url):
        return LM("anthropic/some-model", base_url=base_url, api_key="key", num_retries=0)._client()


class TestFake(ClientConformance):
    remote = False

    def make_client(self, base_url):
        return FunctionLM(lambda text: text.upper())

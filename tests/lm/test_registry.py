"""From "provider/model" to a client: prefixes of ours, of users, of installed packages; and what is said otherwise."""

import subprocess
import sys

import pytest

from telic.errors import ConfigurationError, MissingExtraError, UnknownProviderError
from telic.lm import LM, ClientSpec, _registry, register_client
from telic.lm._registry import client_for, endpoint_of, split_model


@pytest.fixture(autouse=True)
def own_registry(monkeypatch):
    monkeypatch.setattr(_registry, "_registered", {})


@pytest.mark.parametrize(
    "model",
    [
        "openai/gpt-5",
        "anthropic/claude-haiku-4-5",
        "ollama/qwen3",
        "telic/tiny",
        "litellm/a/b",
        "any-llm/a/b",
    ],
)
def test_known_prefixes_are_taken(model):
    assert "/".join(split_model(model)) == model


@pytest.mark.parametrize(
    ("model", "hint"),
    [
        ("opnai/gpt-5", "did you mean 'openai'"),
        ("gpt-5-mini", "did you mean 'openai/gpt-5-mini'"),
        ("claude-haiku-4-5", "did you mean 'anthropic/claude-haiku-4-5'"),
        ("meta-llama/Llama-3-8B", r"LM\('openai/meta-llama/Llama-3-8B', base_url='http://host:port/v1'\)"),
        ("openai/", "a model is named 'provider/model'"),
    ],
)
def test_unknown_names_say_what_to_write_instead(model, hint):
    with pytest.raises(UnknownProviderError, match=hint) as caught:
        LM(model)
    assert "Known: anthropic, any-llm" in str(caught.value)


@pytest.mark.parametrize("model", ["", "/", None, 3])
def test_what_is_no_name_is_refused(model):
    with pytest.raises(ConfigurationError, match="the model is a str"):
        LM(model)


def test_a_registered_prefix_makes_clients_lazily(make_client):
    specs = []

    def factory(spec):
        specs.append(spec)
        return make_client()

    register_client("mine", factory)
    lm = LM("mine/a/b", timeout=5, num_retries=1, api_key="sk-1", headers={"X-Y": "z"})
    assert specs == []
    assert lm("q") == ["q!"]
    assert lm("r") == ["r!"]
    assert specs == [ClientSpec("mine", "a/b", "chat", "sk-1", None, 5.0, 1, {"X-Y": "z"})]
    assert "sk-1" not in repr(specs[0])


def test_a_prefix_is_taken_once(make_client):
    register_client("mine", lambda spec: make_client())
    for prefix in ("mine", "openai"):
        with pytest.raises(ConfigurationError, match="replace=True"):
            register_client(prefix, lambda spec: make_client())
    register_client("openai", lambda spec: make_client(), replace=True)
    assert LM("openai/m", cache=False)("q") == ["q!"]
    for prefix in ("", "a/b"):
        with pytest.raises(ConfigurationError, match="without a slash"):
            register_client(prefix, lambda spec: make_client())


def test_an_installed_package_brings_a_prefix(tmp_path, monkeypatch):
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[telic.clients]\ntheirs = theirs_client:make\n")
    (tmp_path / "theirs_client.py").write_text("def make(spec):\n    return ('made', spec.name)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert client_for(ClientSpec(*split_model("theirs/m"))) == ("made", "m")


@pytest.mark.parametrize(
    ("model", "extra"), [("litellm/bedrock/x", "litellm"), ("any-llm/mistral/x", "any-llm")]
)
def test_a_missing_package_is_named_with_its_command(model, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, "litellm", None)
    monkeypatch.setitem(sys.modules, "any_llm", None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'telic\[{extra}\]'"):
        LM(model)("q")


def test_the_embedded_model_takes_no_endpoint():
    with pytest.raises(ConfigurationError, match="runs in the process"):
        LM("telic/tiny", base_url="http://x")("q")


def test_a_client_without_an_endpoint_is_known_by_its_class():
    class Own:
        pass

    assert endpoint_of(Own()).endswith("Own")


def test_making_an_lm_loads_neither_asyncio_nor_sqlite():
    code = (
        "import sys; from telic.lm import LM, BaseLM, configure_cache\n"
        "configure_cache(); LM('openai/gpt-5', api_key='k')\n"
        "class Own(BaseLM):\n    def forward(self, **k): return 'x'\n"
        "Own('o')('q')\n"
        "print([m for m in ('asyncio', 'ssl', 'sqlite3', 'orjson', 'pydantic', 'numpy') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert out.strip() == "[]"

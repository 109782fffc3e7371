"""Who speaks OpenAI's chat completions: where, with which key, and what each leaves out.

Data, not code: a new host is a line here, or no line at all (`LM("openai/name", base_url=…)` reaches any server).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from telic._http import Endpoint
from telic.errors import ConfigurationError, NotConfiguredError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Host(NamedTuple):
    """A provider of the OpenAI dialect."""

    base_url: str
    """"" where only the user knows it."""
    key_env: tuple[str, ...] = ()
    """Environment variables that may hold the key, first wins."""
    base_env: tuple[str, ...] = ()
    """Environment variables that may hold the URL."""
    local: bool = False
    """A server of the user's own: it needs no key, and `/v1` is added to a URL without a path."""
    native_n: bool = True
    """One request can ask for several completions."""
    response_schema: bool = True
    json_object: bool = True
    stream_usage: bool = True
    """It takes `stream_options: {"include_usage": true}`."""
    function_calling: bool = False
    """All its usual chat models call tools; elsewhere that hangs on the model, or on how the server was started."""


HOSTS: Final[Mapping[str, Host]] = {
    "openai": Host(
        "https://api.openai.com/v1",
        ("OPENAI_API_KEY",),
        ("OPENAI_BASE_URL", "OPENAI_API_BASE"),
        function_calling=True,
    ),
    "azure": Host(
        "",
        ("AZURE_API_KEY", "AZURE_OPENAI_API_KEY"),
        ("AZURE_API_BASE", "AZURE_OPENAI_ENDPOINT"),
        function_calling=True,
    ),
    "openrouter": Host(
        "https://openrouter.ai/api/v1", ("OPENROUTER_API_KEY",), native_n=False, response_schema=False
    ),
    "deepseek": Host(
        "https://api.deepseek.com/v1",
        ("DEEPSEEK_API_KEY",),
        native_n=False,
        response_schema=False,
        function_calling=True,
    ),
    "groq": Host(
        "https://api.groq.com/openai/v1",
        ("GROQ_API_KEY",),
        native_n=False,
        response_schema=False,
        function_calling=True,
    ),
    "together_ai": Host("https://api.together.xyz/v1", ("TOGETHER_API_KEY", "TOGETHERAI_API_KEY")),
    "mistral": Host(
        "https://api.mistral.ai/v1", ("MISTRAL_API_KEY",), stream_usage=False, function_calling=True
    ),
    "xai": Host("https://api.x.ai/v1", ("XAI_API_KEY",), function_calling=True),
    "fireworks_ai": Host(
        "https://api.fireworks.ai/inference/v1", ("FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY")
    ),
    "perplexity": Host(
        "https://api.perplexity.ai", ("PERPLEXITY_API_KEY",), native_n=False, json_object=False
    ),
    "cerebras": Host(
        "https://api.cerebras.ai/v1", ("CEREBRAS_API_KEY",), native_n=False, function_calling=True
    ),
    "nvidia_nim": Host("https://integrate.api.nvidia.com/v1", ("NVIDIA_NIM_API_KEY", "NVIDIA_API_KEY")),
    "deepinfra": Host("https://api.deepinfra.com/v1/openai", ("DEEPINFRA_API_KEY",), response_schema=False),
    "moonshot": Host(
        "https://api.moonshot.ai/v1", ("MOONSHOT_API_KEY",), response_schema=False, function_calling=True
    ),
    "gemini": Host(
        "https://generativelanguage.googleapis.com/v1beta/openai",
        ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        native_n=False,
    ),
    "huggingface": Host(
        "https://router.huggingface.co/v1", ("HF_TOKEN",), native_n=False, response_schema=False
    ),
    "vllm": Host("http://localhost:8000/v1", ("VLLM_API_KEY",), ("VLLM_BASE_URL",), local=True),
    "hosted_vllm": Host(
        "http://localhost:8000/v1", ("HOSTED_VLLM_API_KEY",), ("HOSTED_VLLM_API_BASE",), local=True
    ),
    "sglang": Host("http://localhost:30000/v1", (), ("SGLANG_BASE_URL",), local=True),
    "ollama": Host(
        "http://localhost:11434/v1", (), ("OLLAMA_API_BASE", "OLLAMA_HOST"), local=True, native_n=False
    ),
    "llama_cpp": Host("http://localhost:8080/v1", (), ("LLAMA_CPP_BASE_URL",), local=True, native_n=False),
    "lm_studio": Host("http://localhost:1234/v1", (), ("LM_STUDIO_API_BASE",), local=True, native_n=False),
}

ALIASES: Final[Mapping[str, str]] = {
    "together": "together_ai",
    "fireworks": "fireworks_ai",
    "ollama_chat": "ollama",
    "llamafile": "llama_cpp",
    "moonshotai": "moonshot",
    "text-completion-openai": "openai",
}

PREFIXES: Final = frozenset({*HOSTS, *ALIASES, "anthropic"})
"""Every prefix that `telic.lm.wire._client` makes a client for."""


def find_host(prefix: str) -> Host | None:
    """Return the host that a prefix names, or None."""
    return HOSTS.get(ALIASES.get(prefix, prefix))


def from_environment(names: tuple[str, ...]) -> str:
    """Return the first of the variables that is set and not blank, or ""."""
    for name in names:
        value = os.environ.get(name, "").strip()
        if value:
            return value
    return ""


class Access(NamedTuple):
    """Where a model is reached and with which key."""

    base_url: str
    api_key: str
    is_default: bool
    """True: the host's own address, not one of the user's."""


def resolve_access(prefix: str, host: Host, model: str, api_key: str | None, base_url: str | None) -> Access:
    """Return where to send requests and with which key; arguments win over the environment.

    Raises:
        NotConfiguredError: The host wants a key (or an address) and there is none; nothing was sent.
    """
    base = base_url if base_url is not None else from_environment(host.base_env)
    is_default = not base or base.rstrip("/") == host.base_url
    base, mark, query = (base or host.base_url).partition("?")
    base = base.rstrip("/").removesuffix("/chat/completions").removesuffix("/completions")
    if not base:
        raise NotConfiguredError(
            f"{prefix}/{model} needs the address of its server; set {' or '.join(host.base_env)}, "
            "or pass base_url=…"
        )
    if host.local:
        base = base if "://" in base else f"http://{base}"
        base = base if "/" in base.partition("://")[2] else f"{base}/v1"
    key = (api_key if api_key is not None else from_environment(host.key_env)).strip()
    if not key and is_default and not host.local:
        raise NotConfiguredError(
            f"{prefix}/{model} needs a key; set the environment variable {host.key_env[0]}, or pass api_key=… "
            "(for a server of your own, pass base_url=…)"
        )
    Endpoint(base)  # a bad URL is refused here, at the door
    if "@" in base.partition("://")[2].partition("/")[0]:
        raise ConfigurationError(
            f"base_url of {prefix}/{model} holds a user name or password, which would not be sent; leave them out and "
            "pass headers={'Authorization': …}"
        )
    return Access(base + mark + query, key, is_default)

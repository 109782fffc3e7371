"""For tests of programs, and for authors of clients and adapters: fakes, recordings, a failing server, conformance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from telic._optional import load
from telic.testing._cassette import cassette as cassette
from telic.testing._fakes import DummyLM as DummyLM
from telic.testing._fakes import DummyVectorizer as DummyVectorizer
from telic.testing._fakes import FunctionLM as FunctionLM
from telic.testing._fakes import Reply as Reply
from telic.testing._fakes import ScriptedLM as ScriptedLM
from telic.testing._fakes import dummy_rm as dummy_rm
from telic.testing._forbid import forbid_requests as forbid_requests

if TYPE_CHECKING:
    from telic.testing import faults as faults
    from telic.testing._adapters import AdapterConformance as AdapterConformance
    from telic.testing._clients import ClientConformance as ClientConformance
    from telic.testing._optimizers import OptimizerConformance as OptimizerConformance
    from telic.testing._retrievers import RetrieverConformance as RetrieverConformance
    from telic.testing._server import FaultServer as FaultServer

# These need pytest, or a server's modules: they load when they are asked for.
_LAZY = {
    "AdapterConformance": "telic.testing._adapters",
    "ClientConformance": "telic.testing._clients",
    "FaultServer": "telic.testing._server",
    "RetrieverConformance": "telic.testing._retrievers",
    "OptimizerConformance": "telic.testing._optimizers",
}

__all__ = [
    "AdapterConformance",
    "ClientConformance",
    "DummyLM",
    "DummyVectorizer",
    "FaultServer",
    "FunctionLM",
    "OptimizerConformance",
    "Reply",
    "RetrieverConformance",
    "ScriptedLM",
    "cassette",
    "dummy_rm",
    "faults",
    "forbid_requests",
]


def __getattr__(name: str) -> Any:
    if name == "faults":
        return load("telic.testing.faults")
    if name not in _LAZY:
        raise AttributeError(f"module 'telic.testing' has no attribute {name!r}")
    return getattr(load(_LAZY[name]), name)

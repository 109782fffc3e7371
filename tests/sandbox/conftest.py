import pytest

from telic.sandbox import MontyInterpreter, SubprocessInterpreter


@pytest.fixture
def monty():
    with MontyInterpreter(max_seconds=2.0, max_memory_mb=64) as interpreter:
        yield interpreter


@pytest.fixture
def child():
    with SubprocessInterpreter(max_seconds=10.0, max_memory_mb=512) as interpreter:
        yield interpreter


@pytest.fixture(params=[MontyInterpreter, SubprocessInterpreter])
def either(request):
    with request.param(max_seconds=10.0) as interpreter:
        yield interpreter

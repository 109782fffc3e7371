"""Trying to get out of the sandbox."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from telic.errors import InterpreterError, MissingExtraError
from telic.sandbox import MontyInterpreter

SECRET = "sk-canary-5d1f"


@pytest.mark.parametrize(
    "code",
    [
        "open('/etc/passwd').read()",
        "open('/tmp/telic-was-here', 'w').write('x')",
        "open('relative', 'w')",
        "open('../../../../etc/passwd')",
        "open(0)",
        "from pathlib import Path\nPath('/etc/passwd').read_text()",
        "from pathlib import Path\nlist(Path('/').iterdir())",
        "from pathlib import Path\nPath('/tmp/telic-was-here').write_text('x')",
        "import os\nos.listdir('/')",
        "import os\nos.remove('/tmp/x')",
        "import os\nos.environ['HOME']",
        "import os\nos.getenv('HOME')",
        "import os\nos.system('id')",
        "import os\nos.fork()",
        "import os\nos.execv('/bin/sh', ['sh'])",
        "import os\nos.kill(1, 9)",
        "import os\nos.urandom(8)",
        "import subprocess",
        "import socket",
        "import urllib.request",
        "import http.client",
        "import ctypes",
        "import pickle",
        "import marshal",
        "import multiprocessing",
        "import threading",
        "import signal",
        "import importlib",
        "import inspect",
        "import gc",
        "import builtins",
        "import telic",
        "import numpy",
        "import pydantic_monty",
        "__import__('os')",
        "import sys\nsys.modules['os']",
        "import sys\nsys._getframe()",
        "import asyncio\nasyncio.open_connection('127.0.0.1', 80)",
        "import asyncio\nasyncio.create_subprocess_shell('id')",
        "().__class__.__bases__[0].__subclasses__()",
        "''.__class__.__mro__",
        "[].__class__",
        "getattr([], '__cl' + 'ass__')",
        "(lambda: 0).__globals__",
        "(lambda: 0).__code__",
        "(lambda: 0).__closure__",
        "print.__self__",
        "'{0.__class__}'.format(1)",
        "f'{().__class__}'",
        "type(print)()",
        "type('A', (object,), {'__del__': print})",
        "tool.__globals__",
        "tool.__closure__",
        "tool.func",
        "tool.__self__",
        "exec('import os\\nos.system(\"id\")')",
        "eval('__import__(\"os\")')",
        "exec(b'import socket')",
        "compile('1', '', 'exec')",
        "globals()",
        "vars()",
        "dir()",
        "breakpoint()",
        "input()",
        "exit()",
        "class A:\n    def __class_getitem__(cls, i): return i\nA[1].__class__",
        "try:\n    1 / 0\nexcept Exception as e:\n    e.__traceback__.tb_frame",
        "try:\n    tool()\nexcept Exception as e:\n    e.__traceback__.tb_frame.f_globals",
    ],
)
def test_there_is_no_way_out(monty, code):
    def tool():
        raise ValueError("told")

    ran = monty.execute(code, tools={"tool": tool})

    assert ran.error, ran
    assert "root:" not in str(ran)
    assert not Path("/tmp/telic-was-here").exists()
    assert monty.execute("1 + 1").value == 2


def test_the_environment_and_the_secrets_of_the_host_are_not_there(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with MontyInterpreter() as interpreter:
        assert interpreter.execute("1").value == 1
        worker = interpreter._worker
        assert Path(f"/proc/{worker}/environ").read_bytes() == b"" if Path("/proc").exists() else True
        assert SECRET not in str(interpreter.execute("import os\nos.environ"))


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("'a' * 10 ** 10", "MemoryError"),
        ("[0] * 10 ** 10", "MemoryError"),
        ("x = 'ab'\nwhile True:\n    x = x + x", "MemoryError"),
        ("x = []\nwhile True:\n    x.append('a' * 1000)", "MemoryError"),
        ("x = {}\ni = 0\nwhile True:\n    x[i] = i\n    i += 1", "MemoryError"),
        ("2 ** 10 ** 10", "MemoryError"),
        ("1 << 10 ** 12", "MemoryError"),
        ("f'{1:>1000000000}'", "MemoryError"),
        ("'%1000000000d' % 3", "MemoryError"),
        ("'a'.ljust(10 ** 10)", "MemoryError"),
        ("','.join(['a' * 1000] * 10 ** 7)", "MemoryError"),
        ("list(range(10 ** 9))", "MemoryError"),
        ("bytes(10 ** 10)", "MemoryError"),
        ("print('a' * 10 ** 9)", "MemoryError"),
        ("def f(n):\n    return f(n + 1)\nf(0)", "RecursionError"),
        ("f = lambda n: f(n)\nf(0)", "RecursionError"),
        ("str(10 ** 5000)", "ValueError"),
        ("int('9' * 5000)", "ValueError"),
    ],
)
def test_memory_and_recursion_end(monty, code, error):
    assert monty.execute(code).error.startswith(error)
    assert monty.execute("1 + 1").value == 2


@pytest.mark.parametrize(
    "code",
    [
        "while True:\n    pass",
        "while True:\n    try:\n        while True:\n            pass\n    except:\n        pass",
        "sum(range(10 ** 12))",
        "import math\nmath.factorial(10 ** 6)",
        "while True:\n    print('a' * 1000)",
    ],
)
def test_endless_code_ends_and_takes_its_names_with_it(code):
    with MontyInterpreter(max_seconds=0.2, max_memory_mb=64) as interpreter:
        interpreter.execute("kept = 1")
        ran = interpreter.execute(code)
        assert ran.error.startswith("TimeoutError: the code was stopped after 0.2 seconds")
        assert ran.lost
        assert interpreter.execute("kept").error == "NameError: name 'kept' is not defined"


def test_regular_expressions_that_explode_elsewhere_do_not_hang(monty):
    assert monty.execute("import re\nre.match('(a+)+$', 'a' * 40 + 'b')").error == ""


def test_sleeping_takes_no_time_of_the_host(monty):
    assert monty.execute("import time\ntime.sleep(3600)\n'awake'").value == "awake"


def test_a_gigabyte_of_printing_is_cut(monty):
    ran = monty.execute("for i in range(1000):\n    print('a' * 100_000)")
    assert ran.output.startswith("aaa")
    assert len(ran.output) < 101_000
    assert "characters)" in ran.output or ran.error


@pytest.mark.parametrize(
    ("code", "lacks"),
    [
        ("class A:\n    pass\nclass B(A):\n    pass", "class inheritance"),
        ("def f():\n    yield 1", "yield"),
        ("x = 1\ndel x", "del"),
        ("class A:\n    @property\n    def x(self):\n        return 1", "property"),
        ("import heapq", "the modules it has are"),
        ("import numpy as np", "the modules it has are"),
        ("from math import *", "the modules it has are"),
        ("input('?')", "This interpreter has no"),
        ("open('data.csv')", "There are no files here"),
    ],
)
def test_what_the_interpreter_lacks_is_told_to_the_lm(monty, code, lacks):
    assert lacks in monty.execute(code).error
    assert "monty" not in monty.execute(code).error.lower()


def test_the_modules_that_it_says_it_has_are_there(monty):
    said = (
        monty.execute("import heapq").error.rpartition("the modules it has are ")[2].rstrip(".").split(", ")
    )
    assert len(said) > 15
    assert monty.execute("\n".join(f"import {name}" for name in said)).error == ""


def test_objects_of_the_code_come_out_as_words(monty):
    code = "class Point:\n    def __init__(self):\n        self.x = 1\nPoint()"
    assert monty.execute(code).value == "Point(x=1)"
    assert monty.execute("(1, {2}, b'a', 1.5)").value == (1, {2}, b"a", 1.5)


def test_the_program_is_not_looked_for_on_the_path(tmp_path, monkeypatch):
    fake = tmp_path / "monty"
    fake.write_text("#!/bin/sh\ntouch " + str(tmp_path / "ran"))
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("MONTY_BIN", str(fake))
    with MontyInterpreter() as interpreter:
        assert interpreter.execute("1").value == 1
    assert not (tmp_path / "ran").exists()


def test_a_program_that_cannot_be_started_is_an_error_with_its_place(tmp_path):
    with pytest.raises(InterpreterError, match="nothing-there"):
        MontyInterpreter(binary_path=tmp_path / "nothing-there").execute("1")


def test_without_the_package_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydantic_monty", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'telic\[sandbox\]'"):
        MontyInterpreter()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_is_told_that_it_cannot():
    code = """
        import os, sys
        from telic.sandbox import MontyInterpreter
        kept = MontyInterpreter()
        kept.execute("x = 1")
        if os.fork() == 0:
            said = []
            for one in (kept, MontyInterpreter()):
                try:
                    one.execute("1")
                except Exception as error:
                    said.append(type(error).__name__)
            os.write(1, (" ".join(said) + "\\n").encode())
            os._exit(0)
        os.wait()
        print(kept.execute("x").value)
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.stdout.split() == ["InterpreterError", "InterpreterError", "1"], run.stderr


def test_a_worker_that_is_killed_is_told_and_replaced(monty):
    monty.execute("kept = 1")
    os.kill(monty._worker, 9)
    ran = monty.execute("1")
    assert ran.lost
    assert "ended" in ran.error
    assert monty.execute("1").value == 1

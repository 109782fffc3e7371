"""With a stand-in for Deno everywhere; with Deno and Pyodide where they are.

`TELIC_PYODIDE` names the folder of the npm package `pyodide`, `TELIC_DENO` the program (else the package `deno`).
"""

import importlib.util
import json
import os
import sys
import textwrap

import pytest

from telic.errors import ConfigurationError, InterpreterError, MissingExtraError
from telic.sandbox import DenoInterpreter, _child

PYODIDE, DENO = os.environ.get("TELIC_PYODIDE"), os.environ.get("TELIC_DENO")
there = PYODIDE is not None and (DENO is not None or importlib.util.find_spec("deno") is not None)
real = pytest.mark.skipif(not there, reason="Deno or Pyodide is not here")
posix = pytest.mark.skipif(os.name != "posix", reason="the stand-in is a script")


@pytest.fixture
def folder(tmp_path):
    """A folder that looks like that of Pyodide."""
    made = tmp_path / "pyodide"
    made.mkdir()
    for name in (
        "pyodide.mjs",
        "pyodide.asm.js",
        "pyodide.asm.wasm",
        "python_stdlib.zip",
        "pyodide-lock.json",
    ):
        (made / name).touch()
    return made


@pytest.fixture
def stand_in(tmp_path):
    """Make a program that speaks as `_deno.js` does, or does not."""

    def make(body):
        program = tmp_path / "deno"
        head = f"#!{sys.executable}\nimport json, os, sys\ndef send(**m): print(json.dumps(m), flush=True)\n"
        program.write_text(head + textwrap.dedent(body))
        program.chmod(0o755)
        return program

    return make


ECHO = """
    send(ready=True)
    for line in sys.stdin:
        request = json.loads(line)
        send(print="ran ")
        send(print=request["code"])
        send(value=[request["variables"], sys.argv[1:], dict(os.environ)])
"""


@posix
def test_it_is_started_with_no_rights_but_to_read_its_own_files(folder, stand_in, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    with DenoInterpreter(folder, deno=stand_in(ECHO), max_memory_mb=128) as python:
        ran = python.execute("1", {"x": 1})
        variables, arguments, environment = ran.value
        assert ran.output == "ran 1"
        assert python.execute("2").output == "ran 2"

    assert variables == {"x": 1}
    allowed = [argument for argument in arguments if argument.startswith("--allow")]
    assert [name.split("=")[0] for name in allowed] == ["--allow-read"]
    assert allowed[0].split("=")[1].split(",")[0] == str(folder)
    assert "--no-prompt" in arguments
    assert any("--wasm-max-mem-pages=2048" in argument for argument in arguments)
    assert "sk-canary" not in str(environment)


@posix
def test_what_it_prints_without_end_is_cut_and_ended_in_time(folder, stand_in):
    flood = """
        send(ready=True)
        line = sys.stdin.readline()
        while True:
            send(print="a" * 100_000)
    """
    with DenoInterpreter(folder, deno=stand_in(flood), max_seconds=0.5, max_output_chars=50) as python:
        ran = python.execute("1")

    assert ran.lost
    assert ran.error.startswith("TimeoutError")
    assert ran.output.startswith("a" * 50 + "… (+")


@posix
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("send(failed='no such module')", "no such module"),
        ("sys.exit(1)", "ended at once"),
        ("send(hello=1)", "nonsense"),
        ("print('[[[')", "ended at once"),
    ],
)
def test_a_program_that_does_not_begin_is_told(folder, stand_in, body, said):
    with pytest.raises(InterpreterError, match=said):
        DenoInterpreter(folder, deno=stand_in(body)).execute("1")


@posix
def test_a_program_that_ends_is_told_and_begun_again(folder, stand_in):
    body = """
        send(ready=True)
        if "die" in sys.stdin.readline():
            sys.exit(1)
        send(value=1)
    """
    with DenoInterpreter(folder, deno=stand_in(body)) as python:
        assert python.execute("die").lost
        assert python.execute("1").value == 1


def test_what_cannot_work_is_refused_at_once(folder, tmp_path, monkeypatch):
    with pytest.raises(ConfigurationError, match="npm pack pyodide"):
        DenoInterpreter(tmp_path, deno="deno")
    with pytest.raises(ConfigurationError, match="64 or more"):
        DenoInterpreter(folder, deno="deno", max_memory_mb=32)
    with pytest.raises(ConfigurationError, match="max_seconds"):
        DenoInterpreter(folder, deno="deno", max_seconds=0)
    with pytest.raises(InterpreterError, match="no-such-deno"):
        DenoInterpreter(folder, deno="/no-such-deno").execute("1")
    monkeypatch.setitem(sys.modules, "deno", None)
    with pytest.raises(MissingExtraError, match=r"telic\[deno\]"):
        DenoInterpreter(folder)


def test_what_runs_inside_speaks_the_lines_of_the_host(monkeypatch):
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    monkeypatch.setattr(_child, "NAMES", {})
    sent, answers = [], [{"value": 7}, {"raise": ["KeyError", "no"]}]

    def request(code, **variables):
        text = json.dumps({"code": code, "variables": variables, "tools": ["tool"]})
        return json.loads(_child.serve(text, sent.append, lambda: json.dumps(answers.pop(0))))

    assert request("print('a')\nkept = x + 1\ntool(kept, by=2)", x=1) == {"value": 7}
    assert [json.loads(line) for line in sent] == [
        {"print": "a\n"},
        {"call": "tool", "args": [2], "kwargs": {"by": 2}},
    ]
    assert request("tool()")["error"] == "KeyError: 'no'"
    assert request("kept") == {"value": 2}
    sent.clear()
    assert request("for n in range(3000):\n    print('abcdefghi')") == {"value": None}
    assert len(sent) == 4


@pytest.fixture(scope="module")
def python():
    with DenoInterpreter(PYODIDE, deno=DENO, max_seconds=20, max_memory_mb=256) as interpreter:
        yield interpreter


@real
def test_it_is_all_of_python_and_names_stay(python):
    code = """
    import heapq, statistics
    class A:
        pass
    class B(A):
        @property
        def many(self):
            yield from [3, 1, 2]
    print('computed')
    statistics.mean(heapq.nsmallest(2, B().many))
    """
    ran = python.execute(textwrap.dedent(code))
    assert (ran.value, ran.output) == (1.5, "computed\n")
    assert python.execute("len(list(B().many))").value == 3
    assert python.execute("é + '\U0001f600'", {"é": "\u2028ü"}).value == "\u2028ü\U0001f600"
    assert python.execute("len(long)", {"long": "a" * 1_000_000}).value == 1_000_000


@real
def test_it_calls_functions_of_the_host(python):
    def fails():
        raise KeyError("no such city")

    tools = {"add": lambda a, b=2: a + b, "fails": fails}
    assert python.execute("add(1) + add(1, b=5)", tools=tools).value == 9
    assert "no such city" in python.execute("fails()", tools=tools).error
    assert (
        python.execute("try:\n    fails()\nexcept KeyError:\n    print('caught')", tools=tools).output
        == "caught\n"
    )


@real
@pytest.mark.parametrize(
    "code",
    [
        "open('/etc/passwd').read()",
        "import pathlib\npathlib.Path('/etc/hostname').read_text()",
        "import os\nos.environ['OPENAI_API_KEY']",
        "import os\nos.fork()",
        "import os\nos.execv('/bin/sh', ['sh'])",
        "import socket\nsocket.create_connection(('127.0.0.1', 80))",
        "import subprocess\nsubprocess.Popen(['id'])",
        "import urllib.request\nurllib.request.urlopen('http://127.0.0.1')",
        "import js\njs.Deno",
        "import js\njs.Object.constructor('return this')().Deno.readTextFileSync('/etc/passwd')",
        "import js\njs.Object.constructor('return this')().Deno.env.toObject()",
        "import js\njs.Object.constructor('return this')().Deno.writeTextFileSync('/tmp/telic-was-here', 'x')",
        "import js\njs.Object.constructor('return this')().Deno.connect",
        "import js\njs.Object.constructor('return Deno.listen({port: 0})')()",
        "import js\njs.Object.constructor('return new Deno.Command(\"id\").outputSync()')()",
        "import js\njs.Object.constructor('return Deno.dlopen(\"/lib/x.so\", {})')()",
        "'a' * 10 ** 9",
        "x = []\nwhile True:\n    x.append('a' * 10 ** 6)",
        "x = None\ndef f():\n    f()\nf()",
    ],
)
def test_there_is_no_way_out(python, code):
    ran = python.execute(code)

    assert ran.error or "function" in str(ran.value)  # a function that may do nothing
    assert "root:" not in str(ran)
    assert not os.path.exists("/tmp/telic-was-here")
    assert python.execute("x = None\n1 + 1").value == 2


@real
def test_endless_code_and_code_that_ends_the_process_are_told():
    with DenoInterpreter(PYODIDE, deno=DENO, max_seconds=1) as python:
        ran = python.execute("print('begun', flush=True)\nwhile True:\n    pass")
        assert ran.lost
        assert ran.output == "begun\n"
        assert ran.error.startswith("TimeoutError")
        assert python.execute("import os\nos.system('id')").lost

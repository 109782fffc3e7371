import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from telic.errors import InterpreterError
from telic.sandbox import SubprocessInterpreter

SECRET = "sk-canary-5d1f"
linux = pytest.mark.skipif(sys.platform != "linux", reason="this limit is Linux's")


def gone(pid):
    """Whether a process ends within seconds; a killed one may wait for its parent to notice."""
    for _ in range(200):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_it_is_all_of_python(child):
    code = """
    import heapq, statistics
    class A:
        pass
    class B(A):
        @property
        def many(self):
            yield from [3, 1, 2]
    statistics.mean(heapq.nsmallest(2, B().many))
    """
    assert child.execute(textwrap.dedent(code)).value == 1.5


def test_what_is_installed_can_be_imported(child):
    assert child.execute("import pydantic\npydantic.TypeAdapter(int).validate_python('3')").value == 3


def test_nothing_of_the_hosts_environment_is_there(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    with SubprocessInterpreter(env={"MINE": "yes"}) as interpreter:
        seen = interpreter.execute("import os\ndict(os.environ)").value
        assert set(seen) - {"LC_CTYPE"} == {"PATH", "HOME", "TMPDIR", "LANG", "MINE"}
        assert SECRET not in interpreter.execute("import os\nos.system('env')").output
        assert "/somewhere" not in interpreter.execute("import sys\nsys.path").value


def test_it_works_in_an_empty_folder_of_its_own_that_goes_with_it():
    with SubprocessInterpreter() as interpreter:
        folder = interpreter.execute("import os\nopen('made', 'w').write('x')\nos.getcwd()").value
        assert folder != os.getcwd()
        assert (Path(folder) / "made").exists()
    assert not Path(folder).exists()


def test_what_started_programs_print_is_output_too(child):
    ran = child.execute(
        "import os, sys\nprint('a', flush=True)\nos.system('echo b')\nprint('c', file=sys.stderr)"
    )
    assert ran.output.split() == ["a", "b", "c"]


def test_descriptors_of_the_host_are_closed(child, tmp_path):
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        names = child.execute(
            "import os\n[os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{n}')]"
        ).value
    assert not [name for name in names if str(tmp_path) in name]


def test_code_that_takes_too_long_is_ended():
    with SubprocessInterpreter(max_seconds=0.3) as interpreter:
        interpreter.execute("kept = 1")
        ran = interpreter.execute("print('begun', flush=True)\nwhile True:\n    pass")
        assert ran.error.startswith("TimeoutError: the code was stopped after 0.3 seconds")
        assert ran.lost
        assert ran.output == "begun\n"
        assert "NameError" in interpreter.execute("kept").error


def test_signals_are_no_way_around_the_time():
    code = (
        "import signal\nfor n in (2, 15, 1, 14):\n    signal.signal(n, signal.SIG_IGN)\nwhile True:\n    pass"
    )
    with SubprocessInterpreter(max_seconds=0.3) as interpreter:
        assert interpreter.execute(code).lost


@linux
def test_what_it_started_ends_with_it_also_what_left_its_group():
    code = """
    import os, time
    pids = []
    for leaves in (False, True):
        pid = os.fork()
        if pid == 0:
            if leaves:
                os.setsid()
                if os.fork():
                    os._exit(0)  # the parent of the next one is gone too
            open(f'pid-{leaves}', 'w').write(str(os.getpid()))
            time.sleep(600)
            os._exit(0)
    while not all(os.path.exists(f'pid-{n}') and open(f'pid-{n}').read() for n in (False, True)):
        time.sleep(0.01)
    [int(open(f'pid-{n}').read()) for n in (False, True)]
    """
    interpreter = SubprocessInterpreter()
    pids = interpreter.execute(textwrap.dedent(code)).value
    assert len(pids) == 2
    assert all(Path(f"/proc/{pid}").exists() for pid in pids)
    interpreter.close()
    assert all(gone(pid) for pid in pids)


@linux
def test_memory_ends(child):
    assert child.execute("'a' * 10 ** 10").error == "MemoryError: the code needs more than 512 MB"
    assert child.execute("x = []\nwhile True:\n    x.append('a' * 10 ** 6)").error.startswith("MemoryError")
    assert child.execute("x = None\n1").value == 1


@linux
def test_files_end():
    with SubprocessInterpreter() as interpreter:
        ran = interpreter.execute("with open('big', 'wb') as file:\n    file.truncate(10 ** 10)")
        assert "File too large" in ran.error
        assert interpreter.execute("1").value == 1


def test_a_gigabyte_of_printing_never_comes_here():
    with SubprocessInterpreter(max_seconds=20, max_output_chars=1000) as interpreter:
        ran = interpreter.execute("line = 'a' * 10_000_000\nfor i in range(100):\n    print(line)")
        assert len(ran.output) < 1100
        assert interpreter.execute("print('still here')").output == "still here\n"


def test_code_that_ends_the_process_is_told(child):
    for code in ("import os\nos._exit(3)", "import os\nos.kill(os.getpid(), 9)"):
        ran = child.execute(code)
        assert ran.lost
        assert "ended" in ran.error
    assert child.execute("1").value == 1


def test_exit_is_an_error_like_others(child):
    assert child.execute("exit()").error.startswith("SystemExit")
    assert child.execute("raise KeyboardInterrupt").error == "KeyboardInterrupt"
    assert child.execute("1").value == 1


def test_recursion_ends(child):
    assert child.execute("def f():\n    f()\nf()").error.startswith("RecursionError")


def test_code_that_closes_or_replaces_its_streams_loses_them_for_that_time_alone(child):
    child.execute("import sys\nsys.stdout.close()")
    child.execute("import sys\nsys.stdout = None")
    assert child.execute("print('again')").output == "again\n"


def test_no_pickle_of_the_code_is_ever_opened_here(child, tmp_path):
    code = f"""
    class Evil:
        def __reduce__(self):
            return open, ({str(tmp_path / "opened")!r}, 'w')
        def __repr__(self):
            raise ValueError('no words')
    tool(Evil())
    Evil()
    """
    ran = child.execute(textwrap.dedent(code), tools={"tool": lambda x: x})
    assert ran.error or "Evil" in ran.value
    assert not (tmp_path / "opened").exists()


def test_a_class_that_cannot_say_what_it_is_harms_nothing(child):
    code = "class E(Exception):\n    def __str__(self):\n        1 / 0\nraise E()"
    assert child.execute(code).error == "E"


def test_code_that_writes_nonsense_to_the_host_is_ended(child):
    code = "import os\nfor n in range(3, 12):\n    try:\n        os.write(n, b'[[[nonsense\\n')\n    except OSError:\n        pass"
    ran = child.execute(code)
    assert ran.lost or ran.error == ""
    assert child.execute("1").value == 1


def test_a_python_that_is_not_there_is_an_error_with_its_name():
    with pytest.raises(InterpreterError, match="no-such-python"):
        SubprocessInterpreter(python="/no-such-python").execute("1")


@linux
def test_it_dies_when_the_host_dies():
    code = """
        import os, sys
        from telic.sandbox import SubprocessInterpreter
        interpreter = SubprocessInterpreter()
        def told(pid):
            print(pid, flush=True)
            os.kill(os.getpid(), 9)
        interpreter.execute("import os\\ntold(os.getpid())\\nwhile True:\\n    pass", tools={"told": told})
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == -9
    assert gone(int(run.stdout))

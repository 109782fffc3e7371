import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent


@pytest.mark.slow
@pytest.mark.parametrize("program", ["good.py", "bad.py"])
def test_programs_are_judged_as_they_say(program: str) -> None:
    """`good.py` has no error; each line of `bad.py` that is marked as an error is one."""
    pyright = shutil.which("pyright", path=str(BIN))
    if pyright is None:
        pytest.skip("pyright is not installed beside this Python")

    run = subprocess.run(
        [pyright, "--outputjson", "--pythonpath", sys.executable, str(HERE / program)],
        capture_output=True,
        text=True,
        cwd=HERE.parents[1],
        check=False,
    )

    found = json.loads(run.stdout)["generalDiagnostics"]
    assert [f"{item['range']['start']['line'] + 1}: {item['message']}" for item in found] == []

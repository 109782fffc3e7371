"""Local models behind servers in processes of their own: started, asked, and never left running."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import signal
import subprocess
import sys
import time

import pytest

from telic import LM
from telic.errors import ConfigurationError, LMServerError, LMTimeoutError, MissingExtraError
from telic.lm._registry import ClientSpec
from telic.lm._served import command_of, last_words, read_launch, served_name

SERVER = """
import json, os, subprocess, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
port, name, note, mode = sys.argv[1:]
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open(note, "w") as file:
    json.dump([os.getpid(), child.pid], file)
if mode == "dies":
    print("CUDA out of memory", flush=True)
    os._exit(3)
class Handler(BaseHTTPRequestHandler):
    asked = 0
    def answer(self, value, status=200):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        Handler.asked += 1
        if mode == "never" or Handler.asked < 3:
            self.answer({"status": "loading"}, 503)
        else:
            self.answer({"data": [{"id": name}]})
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer({"choices": [{"message": {"content": f"{asked['model']} heard {asked['messages'][-1]['content']}"}}]})
    def log_message(self, *args):
        pass
HTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()
"""


@pytest.fixture
def command(tmp_path):
    script = tmp_path / "server.py"
    script.write_text(SERVER)

    def made(mode="works"):
        return [sys.executable, str(script), "{port}", "{name}", str(tmp_path / "pids"), mode]

    return made


def pids(tmp_path):
    return json.loads((tmp_path / "pids").read_text())


def gone(pid):
    """Whether a process has ended; a dead one that nobody has asked for counts as ended."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


def test_a_launched_server_answers_until_it_is_killed(tmp_path, command):
    lm = LM("local/some/model", cache=False)

    assert lm.launch(command=command()) is lm
    try:
        assert lm.launched
        assert lm("hello") == ["model heard hello"]
    finally:
        lm.kill()

    assert not lm.launched
    assert all(gone(pid) for pid in pids(tmp_path))
    lm.kill()  # once more does nothing


def test_a_server_ends_with_the_process_that_launched_it_however_that_ends(tmp_path, command):
    program = (
        "import sys, json, time\nfrom telic import LM\nlm = LM('local/some/model', cache=False)\n"
        "lm.launch(command=json.loads(sys.argv[1]))\nprint('up', flush=True)\ntime.sleep(600)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, json.dumps(command())], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "up\n"

    os.kill(process.pid, signal.SIGKILL)
    process.communicate()

    assert all(gone(pid) for pid in pids(tmp_path))


def test_a_server_that_ends_before_it_answers_is_told_with_its_last_words(tmp_path, command):
    lm = LM("local/some/model")

    with pytest.raises(LMServerError, match="ended with status 3 before it answered: .*CUDA out of memory"):
        lm.launch(command=command("dies"))

    assert not lm.launched
    assert all(gone(pid) for pid in pids(tmp_path))


def test_a_server_that_does_not_answer_in_time_is_ended(tmp_path, command):
    with pytest.raises(LMTimeoutError, match=r"did not answer within 2 s \(timeout_s=\) and was ended"):
        LM("local/some/model").launch({"command": command("never"), "timeout_s": 2})

    assert all(gone(pid) for pid in pids(tmp_path))


def test_a_command_that_is_not_there_is_told(tmp_path):
    with pytest.raises(LMServerError, match="No such file"):
        LM("local/some/model").launch(command=[str(tmp_path / "no-such-server")])


def test_an_lm_whose_server_is_of_this_process_is_not_sent_to_others(command):
    lm = LM("local/some/model", cache=False).launch(command=command())
    try:
        with pytest.raises(ConfigurationError, match=r"base_url='http://127\.0\.0\.1:\d+/v1'"):
            pickle.dumps(lm)
        assert not lm.copy(model="local/other").launched
    finally:
        lm.close()
    assert not pickle.loads(pickle.dumps(lm)).launched


def test_the_embedded_lm_is_served_by_telic_itself():
    pytest.importorskip("uvicorn")
    pytest.importorskip("numpy")
    lm = LM("telic/tiny", cache=False, max_tokens=8)
    here = lm("the dog")

    lm.launch(server="telic", timeout_s=60)
    try:
        assert lm("the dog") == here
        assert lm._made.healthy
    finally:
        lm.kill()
    assert lm("the dog") == here


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"server": "vlm"}, "server='vlm'; did you mean 'vllm'"),
        ({"prot": 1}, "there is no 'prot'; did you mean 'port'"),
        ({"options": "--x"}, "options='--x' must be a list of words"),
        ({"command": "serve it"}, "command='serve it' must be a list of words"),
        ({"timeout_s": 0}, "timeout_s=0: seconds, more than 0"),
    ],
)
def test_what_cannot_work_is_refused(given, message):
    with pytest.raises(ConfigurationError, match=message):
        LM("local/some/model").launch(given)


def test_models_of_others_are_not_launched():
    with pytest.raises(ConfigurationError, match="'openai/gpt-5-mini' is not served from here"):
        LM("openai/gpt-5-mini").launch()


def words(spec, **given):
    return command_of(spec, read_launch(spec.model, given), "name", 8123)[1:]


@pytest.fixture
def vllm(tmp_path, monkeypatch):
    """A `vllm` on the path, in an environment of its own."""
    if importlib.util.find_spec("vllm") is not None:
        pytest.skip("vLLM is installed in this one")
    command = tmp_path / "bin" / "vllm"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(command.parent))
    return command


def test_the_commands_of_the_servers(vllm):
    spec = ClientSpec("local", "org/model")

    assert command_of(spec, read_launch(spec.model, {}), "name", 8123) == [
        str(vllm), "serve", "org/model", "--served-model-name", "name", "--host", "127.0.0.1", "--port", "8123",
    ]  # fmt: skip
    assert words(spec, server="transformers", options=["--dtype", "bfloat16"])[-4:] == [
        "--port",
        "8123",
        "--dtype",
        "bfloat16",
    ]
    assert words(spec, server="telic") == ["-m", "telic", "serve-lm", "local/org/model", "--port", "8123"]


def test_an_adapter_is_served_over_its_base(tmp_path, vllm):
    (tmp_path / "adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": "org/base", "r": 12})
    )
    made = words(ClientSpec("local", str(tmp_path)))

    assert made[:8] == [
        "serve", "org/base", "--enable-lora", "--max-lora-rank", "16", "--lora-modules", f"name={tmp_path}", "--host",
    ]  # fmt: skip


def test_vllm_that_is_not_there_is_told_with_how_to_install_it(vllm):
    vllm.unlink()
    with pytest.raises(MissingExtraError, match=r"'local/org/model' needs vLLM.*; run: pip install vllm"):
        LM("local/org/model").launch()


def test_an_error_shows_the_first_exception_and_the_logs_end():
    """vLLM's processes each write what they died of, and the last one knows only that another did."""
    prefix = "(Worker pid=7) ERROR 11-21 12:24:30 [cpu_worker.py:953]"
    log = "\n".join((
        "(Api pid=1) WARNING 11-21 [x.py:1] this may cause errors like `OSError: [Errno 24] Too many open files`",
        f"{prefix} Traceback (most recent call last):",
        f"{prefix} ValueError: 2 GB of memory are too few",
        *["    at some line of some file"] * 100,
        "RuntimeError: the engine did not start",
    ))  # fmt: skip

    told = last_words(log)

    assert told.startswith("ValueError: 2 GB of memory are too few\n…")
    assert told.endswith("RuntimeError: the engine did not start")
    assert len(told) < 2_100
    assert last_words("") == "it wrote nothing"
    assert last_words("x" * 3_000) == "…" + "x" * 2_000


def test_an_adapter_is_not_given_to_transformers_server(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="does not serve LoRA folders; use server='vllm' or 'telic'"):
        words(ClientSpec("local", str(tmp_path)), server="transformers")


def test_the_embedded_lm_is_not_given_to_servers_that_do_not_know_it():
    with pytest.raises(
        ConfigurationError, match="vllm does not know the embedded LM's network; use server='telic'"
    ):
        words(ClientSpec("telic", "tiny"))


def test_other_weights_in_a_folder_have_another_name(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"one")
    spec = ClientSpec("local", str(tmp_path))
    before = served_name(spec)
    (tmp_path / "model.safetensors").write_bytes(b"other")

    assert served_name(spec) != before

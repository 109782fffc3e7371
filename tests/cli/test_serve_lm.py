import json
import signal
import subprocess
import sys
import urllib.request

import pytest


def start(*options):
    return subprocess.Popen(
        [sys.executable, "-c", "from telic.cli import main; main()", "serve-lm", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_listens_answers_and_ends_when_it_is_told(number):
    server = start("telic/tiny", "--port", "0")
    said = server.stdout.readline()
    url = said.split()[3]
    body = json.dumps({"messages": [{"role": "user", "content": "the dog"}], "max_tokens": 5}).encode()
    with urllib.request.urlopen(
        urllib.request.Request(url + "/chat/completions", data=body), timeout=30
    ) as reply:
        assert json.load(reply)["usage"]["completion_tokens"] <= 5
    server.send_signal(number)
    server.communicate(timeout=30)


@pytest.mark.parametrize(
    ("options", "said"),
    [(("--host", "0.0.0.0"), "--allow-remote"), (("telic/huge",), "'huge'"), (("nowhere/x",), "nowhere")],
)  # fmt: skip
def test_what_cannot_be_served_is_refused_in_one_line(options, said):
    out, err = start("--port", "0", *options).communicate(timeout=60)
    assert out == ""
    assert said in err
    assert len(err.splitlines()) <= 2

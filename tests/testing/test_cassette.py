"""Recordings: what is sent once is answered from the file ever after, and no secret is in it."""

from __future__ import annotations

import asyncio
import json

import pytest

import telic
from telic.errors import CacheMissError, ConfigurationError, DatasetError, RequestsForbiddenError
from telic.testing import FaultServer, cassette, faults, forbid_requests

KEY = "sk-0123456789abcdefghij"


def lm_at(server, **options):
    return telic.LM("openai/some-model", base_url=server.url, api_key=KEY, num_retries=0, **options)


def entries(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_recorded_call_is_not_sent_again(tmp_path):
    path = tmp_path / "tapes" / "qa.jsonl"

    with FaultServer(["one", "two"]) as server:
        with cassette(path):
            first = lm_at(server)("hello")
        with cassette(path):
            again = lm_at(server)("hello")
            other = lm_at(server)("goodbye")

    assert (first, again, other) == (["one"], ["one"], ["two"])
    assert len(server.requests) == 2
    assert [entry["messages"][0]["content"] for entry in entries(path)] == ["hello", "goodbye"]


def test_a_replay_needs_no_server_and_no_network(tmp_path):
    path = tmp_path / "a.jsonl"
    with FaultServer("Paris") as server, cassette(path):
        lm = lm_at(server)
        recorded = lm("Capital of France?")

    with forbid_requests(), cassette(path, mode="strict"):
        replayed = asyncio.run(lm.acall("Capital of France?"))

    assert recorded == replayed == ["Paris"]


def test_a_replay_refuses_what_is_not_recorded(tmp_path):
    path = tmp_path / "a.jsonl"
    with FaultServer("x") as server:
        with cassette(path):
            lm_at(server)("known")
        with (
            cassette(path, mode="replay"),
            pytest.raises(CacheMissError, match="not recorded in .*'unknown'"),
        ):
            lm_at(server)("unknown")
        with cassette(path, mode="replay"), pytest.raises(CacheMissError):
            lm_at(server, temperature=0.7)("known")

    assert len(server.requests) == 1


def test_strict_tells_recorded_calls_that_were_not_made(tmp_path):
    path = tmp_path / "a.jsonl"
    with FaultServer("x") as server:
        with cassette(path):
            lm_at(server)("one")
            lm_at(server)("two")

        with pytest.raises(AssertionError, match=r"1 recorded call of .* not made; the first: 'two'"):
            with cassette(path, mode="strict"):
                lm_at(server)("one")


def test_record_starts_anew_and_sends_equal_calls_each_time(tmp_path):
    path = tmp_path / "a.jsonl"
    with FaultServer(["1", "2", "3"]) as server:
        with cassette(path):
            lm_at(server)("old")
        with cassette(path, mode="record"):
            assert [lm_at(server)("draw"), lm_at(server)("draw")] == [["2"], ["3"]]

    with cassette(path, mode="replay"):
        replayed = [lm_at(server)("draw")[0] for _ in range(3)]

    assert replayed == ["2", "3", "3"]
    assert len(entries(path)) == 2


def test_the_response_cache_stands_aside(tmp_path):
    with FaultServer(["cached", "taped"]) as server:
        lm = lm_at(server)
        assert lm("q") == ["cached"]
        with cassette(tmp_path / "a.jsonl"):
            assert lm("q") == ["taped"]
        assert lm("q") == ["cached"]


def test_streams_come_from_the_tape_too(tmp_path):
    path = tmp_path / "a.jsonl"
    request = telic.data.Request([{"role": "user", "content": "hi"}])
    with FaultServer("some words here") as server:
        lm = lm_at(server)
        with cassette(path):
            recorded = list(lm.stream(request))
    with cassette(path, mode="replay"):
        replayed = list(lm.stream(request))

    assert recorded[-1].response.text == replayed[-1].response.text == "some words here"


def test_failures_are_not_recorded(tmp_path):
    path = tmp_path / "a.jsonl"
    with FaultServer("fine", faults=[faults.status(500)]) as server, cassette(path):
        with pytest.raises(telic.LMServerError):
            lm_at(server)("q")
        assert lm_at(server)("q") == ["fine"]

    assert len(entries(path)) == 1


def test_no_secret_reaches_the_file(tmp_path):
    path = tmp_path / "a.jsonl"
    question = f"my key is {KEY} and Authorization: Bearer abcdefghijklmnop0123456789"
    with FaultServer(f"never show {KEY}") as server:
        lm = lm_at(server)
        with cassette(path):
            lm(question)
        with cassette(path, mode="strict"):
            assert lm(question) == ["never show [secret]"]

    text = path.read_text(encoding="utf-8")
    assert KEY not in text
    assert "abcdefghijklmnop0123456789" not in text
    assert str(server.port) not in text


def test_half_a_line_of_a_crash_is_cut_off(tmp_path):
    path = tmp_path / "a.jsonl"
    with FaultServer(["one", "two", "three"]) as server:
        with cassette(path):
            lm_at(server)("a")
        whole = path.read_bytes()
        path.write_bytes(whole + whole[: len(whole) // 2])
        with cassette(path):
            lm_at(server)("b")

    assert [entry["messages"][0]["content"] for entry in entries(path)] == ["a", "b"]


@pytest.mark.parametrize("line", ["not json", "[]", '{"model": "x"}', '{"response": {"completions": [{}]}}'])
def test_damage_is_told_with_its_line(tmp_path, line):
    path = tmp_path / "a.jsonl"
    path.write_text(line + "\n", encoding="utf-8")

    with pytest.raises(DatasetError, match=r"a.jsonl', line 1"):
        cassette(path, mode="replay").__enter__()


def test_nothing_to_replay_and_unknown_modes_are_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="no cassette .*record one"):
        cassette(tmp_path / "gone.jsonl", mode="replay").__enter__()
    with pytest.raises(ConfigurationError, match="did you mean 'replay'"):
        cassette(tmp_path / "a.jsonl", mode="repaly")


def test_it_decorates_a_test(tmp_path):
    path = tmp_path / "a.jsonl"

    with FaultServer("x") as server:

        @cassette(path)
        def run():
            return lm_at(server)("q")

        assert run() == run() == ["x"]

    assert len(server.requests) == 1


def test_forbidden_requests_are_refused_and_fakes_still_answer(tmp_path):
    with FaultServer("x") as server, forbid_requests():
        with pytest.raises(RequestsForbiddenError):
            lm_at(server, cache=False)("q")
        assert telic.testing.FunctionLM(str.upper)("hi") == ["HI"]

    assert server.requests == []

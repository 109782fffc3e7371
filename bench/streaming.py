"""Streaming: time to the first text of a field, and CPU per chunk; telic, and DSPy beside it.

    python bench/streaming.py                                  # telic alone
    python bench/streaming.py --dspy /path/to/dspy/bin/python  # DSPy from an environment of its own

A loopback server in a process of its own sends the chunks of one reply, all at once or one a millisecond. Each library
streams the same program with the same listener in a fresh process; the figures are medians over runs. The row "bytes"
reads and decodes the server-sent events and does nothing else: what a library adds to it is its cost.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

WORDS = 400


def sse_parts() -> list[bytes]:
    """Return the events of one reply in OpenAI's form: a marker, WORDS words, the end."""
    texts = [
        "[[ ##",
        " answer",
        " ## ]]",
        "\n",
        *(f"word{n} " for n in range(WORDS)),
        "\n\n",
        "[[ ##",
        " completed",
        " ## ]]",
    ]
    chunks: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}]}
        for text in texts
    ]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    chunks.append(
        {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": WORDS, "total_tokens": WORDS + 9}}
    )
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    data = [b"data: " + json.dumps({**head, **chunk}).encode() + b"\n\n" for chunk in chunks]
    return [b"%x\r\n%b\r\n" % (len(part), part) for part in (*data, b"data: [DONE]\n\n")]


async def serve() -> None:
    """Answer every request with the stream; a path with "paced" sends a chunk a millisecond."""
    parts = sse_parts()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line.partition(b":")[2])
                    for line in request.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                )
                await reader.readexactly(length)
                writer.write(head)
                if b"paced" in request.partition(b"\r\n")[0]:
                    for part in parts:
                        writer.write(part)
                        await writer.drain()
                        await asyncio.sleep(0.001)
                else:
                    writer.write(b"".join(parts))
                writer.write(b"0\r\n\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def measured(once: Callable[[], tuple[float, int]], runs: int) -> dict[str, float]:
    """Return medians over runs; `once` returns when the first chunk came, and how many came."""
    once()
    rows: list[tuple[float, float, float]] = []
    for _ in range(runs):
        cpu, started = time.process_time(), time.perf_counter()
        first, chunks = once()
        wall, used = time.perf_counter() - started, time.process_time() - cpu
        assert chunks > WORDS * 0.8, chunks
        rows.append((first - started, wall, used / chunks))
    first, wall, used = (statistics.median(column) for column in zip(*rows, strict=True))
    return {"first chunk, ms": first * 1e3, "whole, ms": wall * 1e3, "CPU a chunk, µs": used * 1e6}


def work(library: str, url: str, runs: int) -> dict[str, dict[str, float]]:
    """Measure one library in this process."""
    if library == "bytes":
        return {"": measured(lambda: read_bytes(url), runs)}
    if library == "dspy":
        import dspy
    else:
        import telic as dspy
    lm = dspy.LM("openai/m", api_base=url, api_key="k", cache=False)
    predict = dspy.Predict("question -> answer")
    listener = dspy.streaming.StreamListener(signature_field_name="answer", allow_reuse=True)
    found: dict[str, dict[str, float]] = {}
    for label, options in (("async", {"is_async_program": True}), ("sync", {"async_streaming": False})):
        stream = dspy.streamify(predict, stream_listeners=[listener], **options)

        async def aonce(stream: Any = stream) -> tuple[float, int]:
            times: list[float] = []
            with dspy.context(lm=lm):
                async for value in stream(question="tell me"):
                    if isinstance(value, dspy.streaming.StreamResponse):
                        times.append(time.perf_counter())  # noqa: PERF401
            return times[0], len(times)

        def once(stream: Any = stream) -> tuple[float, int]:
            with dspy.context(lm=lm):
                values = [(time.perf_counter(), value) for value in stream(question="tell me")]
            times = [at for at, value in values if isinstance(value, dspy.streaming.StreamResponse)]
            return times[0], len(times)

        found[label] = measured(once if label == "sync" else lambda run=aonce: asyncio.run(run()), runs)
    return found


def read_bytes(url: str) -> tuple[float, int]:
    """Send the request over a bare socket and decode what comes."""
    import socket

    host, _, port = url.removeprefix("http://").partition("/")[0].partition(":")
    path = "/" + url.removeprefix("http://").partition("/")[2] + "/chat/completions"
    body = json.dumps(
        {"model": "m", "messages": [{"role": "user", "content": "tell me"}], "stream": True}
    ).encode()
    request = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    times: list[float] = []
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(request)
        rest = b""
        while b"data: [DONE]" not in rest:
            rest += connection.recv(65536)
            *lines, rest = rest.split(b"\n")
            for line in lines:
                if line.startswith(b"data: {"):
                    choices = json.loads(line[6:])["choices"]
                    if choices and choices[0]["delta"].get("content"):
                        times.append(time.perf_counter())
                elif line.startswith(b"data: [DONE]"):
                    return times[0], len(times)
    return times[0], len(times)


def main() -> None:
    """Run the server and a process for each library, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dspy", help="a Python that has DSPy")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--worker", nargs=2, metavar=("LIBRARY", "URL"), help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        asyncio.run(serve())
        return
    if chosen.worker:
        print(json.dumps(work(*chosen.worker, chosen.runs)))
        return
    server = subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        libraries = [
            ("bytes", sys.executable),
            ("telic", sys.executable),
            *([("dspy", chosen.dspy)] if chosen.dspy else []),
        ]
        for pace in ("flat", "paced"):
            for library, python in libraries:
                arguments = [
                    python,
                    __file__,
                    "--runs",
                    str(chosen.runs),
                    "--worker",
                    library,
                    f"http://127.0.0.1:{port}/{pace}/v1",
                ]
                done = subprocess.run(arguments, capture_output=True, text=True, check=False)
                if done.returncode:
                    sys.exit(done.stderr)
                for label, figures in json.loads(done.stdout.splitlines()[-1]).items():
                    told = "  ".join(f"{name} {value:8.2f}" for name, value in figures.items())
                    print(f"{pace:6} {library:6} {label:6} {told}", flush=True)
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()

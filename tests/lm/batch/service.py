"""A batch service as OpenAI's is, behind a `FaultServer`: files, jobs, answers out of order, and its ways to fail."""

from __future__ import annotations

import json
import re
import threading

from telic.testing import FaultServer, faults
from telic.testing._wire_answers import openai_answer
from telic.testing.faults import Fault, http_message

NUMBER = re.compile(r"-?\d+")


class BatchService:
    """Answers each request of a job by a function of its body.

    Args:
        answer: Takes a body; returns a text, or (status, body) for an answer that is none.
        looks: After how many looks a job has ended.
        ends: How jobs end, the last one for all that follow; of "failed", "expired" and "cancelled" nothing was done.
        fault: Takes (number of the request, method, path); returns a fault in its place, or "lost": it is done, and
            the answer is lost; None: all is well.
        lines: Changes the lines of an answer file.
    """

    def __init__(self, answer, *, looks=2, ends=("completed",), fault=None, lines=None) -> None:
        self.answer = answer
        self.looks = looks
        self.ends = list(ends)
        self.fault = fault
        self.lines = lines
        self.files: dict[str, bytes] = {}
        self.jobs: dict[str, dict] = {}
        self.seen: list[tuple[str, str]] = []
        self.lock = threading.Lock()

    def server(self) -> FaultServer:
        return FaultServer(faults=self._route)

    @property
    def sizes(self) -> list[int]:
        """How many requests each job had."""
        return [job["request_counts"]["total"] for job in self.jobs.values()]

    @property
    def paid(self) -> list[str]:
        """The last message of each request of all jobs that were made: a job that is made is paid for."""
        return [
            line["body"]["messages"][-1]["content"] for job in self.jobs.values() for line in job["lines"]
        ]

    def _route(self, request) -> Fault:
        with self.lock:
            path = request.path.partition("/v1/")[2]
            self.seen.append((request.method, path))
            fault = None if self.fault is None else self.fault(len(self.seen), request.method, path)
            if fault is not None and fault != "lost":
                return fault
            status, content = self._done(request, path)
        if fault == "lost":
            return faults.close_before_answer()

        async def act(exchange) -> None:
            exchange.writer.write(http_message(status, "application/json", content))

        return Fault(path, act)

    def _done(self, request, path):
        head, _, rest = path.partition("?")[0].partition("/")
        if (request.method, path) == ("POST", "files"):
            edge = request.headers["content-type"].partition("boundary=")[2].encode()
            parts = request.body.split(b"--" + edge)
            assert b'name="purpose"\r\n\r\nbatch' in parts[1]
            name = f"file-{len(self.files)}"
            self.files[name] = parts[2].partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
            return 200, json.dumps({"id": name}).encode()
        if (request.method, path) == ("POST", "batches"):
            return 200, self._told(self._made(request.body))
        if head == "batches" and rest:
            if rest not in self.jobs:
                return 404, b'{"error": {"message": "no such batch"}}'
            job = self.jobs[rest]
            job["looks"] += 1
            if job["looks"] >= self.looks and job["status"] == "in_progress":
                self._end(job)
            return 200, self._told(job)
        if head == "batches":
            return 200, self._page(path)
        if head == "files" and rest.endswith("/content"):
            return 200, self.files[rest.removesuffix("/content")]
        return 404, b"{}"

    def _made(self, order):
        lines = [json.loads(line) for line in self.files[order["input_file_id"]].splitlines()]
        assert order["completion_window"] == "24h"
        assert {line["url"] for line in lines} == {order["endpoint"]}
        identity = f"batch_{len(self.jobs)}"
        self.jobs[identity] = job = {
            "id": identity,
            "status": "in_progress",
            "metadata": order["metadata"],
            "request_counts": {"total": len(lines), "completed": 0, "failed": 0},
            "looks": 0,
            "lines": lines,
        }
        return job

    def _end(self, job) -> None:
        end = self.ends.pop(0) if len(self.ends) > 1 else self.ends[0]
        job["status"] = end
        if end == "failed":
            job["errors"] = {"data": [{"code": "bad", "message": "line 1 is not JSON"}]}
        if end != "completed":
            return
        good, bad = [], []
        for line in reversed(job["lines"]):
            told = self.answer(line["body"])
            status, body = (
                (200, openai_answer(told, line["body"], chat=True)) if isinstance(told, str) else told
            )
            written = {
                "custom_id": line["custom_id"],
                "response": {"status_code": status, "body": body},
                "error": None,
            }
            (good if status == 200 else bad).append(json.dumps(written))
        for name, kept in (("output_file_id", good), ("error_file_id", bad)):
            if kept:
                job[name] = f"file-{len(self.files)}"
                kept = kept if self.lines is None else self.lines(kept)
                self.files[job[name]] = "\n".join(kept).encode()

    def _page(self, path):
        jobs = list(self.jobs.values())[::-1]
        after = path.partition("after=")[2]
        if after:
            jobs = jobs[[job["id"] for job in jobs].index(after) + 1 :]
        page, rest = jobs[:2], jobs[2:]
        told = [json.loads(self._told(job)) for job in page]
        return json.dumps(
            {"data": told, "has_more": bool(rest), "last_id": page[-1]["id"] if page else None}
        ).encode()

    def _told(self, job) -> bytes:
        return json.dumps(
            {name: value for name, value in job.items() if name not in ("looks", "lines")}
        ).encode()

"""Write docs/benchmarks.md: run every table's own script, one after the other.

    python bench/benchmarks.py [--only modules] [--quick]

Each table lies in docs/benchmarks between two markers with the name of its script, and only tables that were run
anew are replaced. `--quick` takes few rows: to see that all scripts run, not to be published.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
TABLES = {
    "assertions": ["--rows", "6"],
    "concurrency": ["--quick"],
    "modules": ["--rows", "8", "--seeds", "1"],
    "optimizers": ["--rows", "8", "--train", "8", "--seeds", "1", "--results", os.devnull],
    "programs": ["--rows", "6", "--train", "8", "--val", "6", "--seeds", "1", "--results", os.devnull],
    "weights": ["--seeds", "1", "--tasks", "number and unit", "--rows", "6", "--results", os.devnull],
}  # and what makes each of them quick


def run(name: str, arguments: list[str]) -> str:
    """Return what a table's script prints, with the command, the date and the time that it took."""
    command = [sys.executable, str(HERE / f"{name}.py"), *arguments]
    start = time.monotonic()
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {made.returncode}:\n{made.stderr[-2000:]}")
    said = " ".join(["python", f"bench/{name}.py", *arguments])
    today = dt.datetime.now(dt.UTC).date().isoformat()
    taken = f"{time.monotonic() - start:.0f} s on {platform.machine()}"
    return f"`{said}`, {today}, {taken}\n\n{made.stdout.strip()}"


def replaced(page: str, name: str, table: str) -> str:
    """Return the page with a new table between the markers of this name."""
    pattern = re.compile(rf"(<!-- table: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not pattern.search(page):
        raise SystemExit(f"{PAGE} has no place for {name!r}: <!-- table: {name} --> … <!-- end -->")
    return pattern.sub(lambda found: f"{found.group(1)}\n{table}\n\n{found.group(2)}", page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=TABLES, action="append")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    for name in args.only or TABLES:
        print(f"{name} …", flush=True)
        table = run(name, TABLES[name] if args.quick else [])
        PAGE.write_text(replaced(PAGE.read_text("utf-8"), name, table), "utf-8")


if __name__ == "__main__":
    main()

"""The page in a headless Chromium: its plots are drawn, its console is silent, and no text of a run has run.

Skipped where there is no Chromium; CONTRIBUTING.md says how to get it.
"""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from tests.viewer.conftest import HOSTILE

from telic.journal import Run
from telic.viewer import report_page

pytest.importorskip("plotly")
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")


def opened(page: str, folder, *more: str):
    """Return the page's document after its scripts ran, and what the console said."""
    path = folder / "page.html"
    path.write_text(page, encoding="utf-8", newline="\n")
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", "--virtual-time-budget=8000", *more,
            "--dump-dom", path.as_uri(),
        ],
        capture_output=True,
        timeout=120,
        check=True,
    )  # fmt: skip
    console = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if "CONSOLE" in line]
    return done.stdout.decode("utf-8", "replace"), console


@pytest.mark.parametrize("count", [1, 40])
def test_all_plots_are_drawn_and_the_console_is_silent(make, tmp_path, count):
    one = make()
    one.family(count)
    one.end()

    document, console = opened(report_page(Run(one.folder)), tmp_path)

    assert console == []
    assert 'data-ready="yes"' in document
    plots = re.findall(r"<div [^>]*data-plot=[^>]*>", document)
    assert len(plots) == (4 if count > 1 else 3)
    assert all('data-drawn="yes"' in plot for plot in plots)
    assert document.count('class="main-svg"') >= len(plots)


def test_hostile_text_runs_nothing(make, tmp_path):
    one = make()
    one.candidate(0, [0.0, 1.0])
    one.candidate(1, [1.0, 1.0], text=HOSTILE.replace("\ud800", ""), label=HOSTILE, parents=[0])
    one.call(role=HOSTILE, predictor=HOSTILE)
    one.end(notes=[HOSTILE], failures=[HOSTILE])

    document, console = opened(report_page(Run(one.folder)), tmp_path)

    assert console == []
    assert "<title>GEPA: run</title>" in document
    assert "<img" not in document
    assert not re.search(r"<a [^>]*javascript:", document)


def test_markup_that_got_in_would_be_stopped_by_the_policy(make, tmp_path):
    one = make()
    one.family(2)
    one.end()
    page = report_page(Run(one.folder))
    planted = page.replace("<main>", "<main><script>document.title='owned'</script>", 1)
    assert planted != page

    document, console = opened(planted, tmp_path)

    assert "owned</title>" not in document
    assert "Content Security Policy" in console[0]


def test_candidates_are_sorted_by_a_click_on_a_head(make, tmp_path):
    one = make()
    one.family(6)
    one.end()
    clicks = "document.querySelectorAll('#candidates th')[0].click();"
    script = f"<script>addEventListener('load', () => {{ {clicks} }})</script>"
    page = report_page(Run(one.folder))
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page).replace(
        "</body>", f"{script}</body>"
    )

    document, console = opened(page, tmp_path)

    assert console == []
    body = document.partition('id="candidates"')[2].partition("<tbody>")[2]
    numbers = re.findall(r'<tr[^>]*><td[^>]*data-v="(\d+)"', body)
    assert numbers == ["5", "4", "3", "2", "1", "0"]

"""The report page: one HTML file with style, script, data and plotly.js inside; it asks the network for nothing.

A content security policy allows the two scripts of the page by their digests and no others, and no connection at
all: a prompt that smuggled markup past the escaping (`_html`) would still run nothing and reach nobody. plotly.js is
most of the file (4.8 MB).
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from telic._optional import require
from telic._version import VERSION
from telic.journal import Run
from telic.viewer import _figures, _sections
from telic.viewer._document import Document, read
from telic.viewer._html import Html, data_script, join, tag

_STATIC: Final = Path(__file__).parent / "static"


def report_page(run: Run, candidate: str | None = None) -> str:
    """Return the page of a run, whole: it can be opened from a disk or sent by mail.

    Args:
        run: The run; one at work, one that was killed and one that ended will do.
        candidate: Whose prompts are compared with those that were given, by its label; None: the best one's.

    Raises:
        MissingExtraError: plotly is not installed.
        JournalError: There is no such candidate, or a file of the run cannot be read.
    """
    plotly: str = require("plotly.offline", extra="report", purpose="the report page").get_plotlyjs()
    document = read(run, candidate)
    figures: dict[str, Any] = {}
    body = _body(document, figures)
    script = (_STATIC / "report.js").read_text(encoding="utf-8")
    style = (_STATIC / "report.css").read_text(encoding="utf-8")
    digests = " ".join(_digest(text) for text in (plotly, script))
    policy = (
        f"default-src 'none'; script-src {digests}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    top = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{run.name}: {run.folder.name}"),
        tag("style", Html(style)),
    )
    scripts = join(data_script("figures", figures), tag("script", Html(plotly)), tag("script", Html(script)))
    return f"<!doctype html>\n{tag('html', top, tag('body', body, scripts), lang='en')}\n"


def _body(document: Document, figures: dict[str, Any]) -> Html:
    """Return what is seen, and put the plots of it into `figures`."""
    now = datetime.now(timezone.utc)  # noqa: UP017  3.11 has both
    parts = [_sections.head(document, f"{now:%H:%M} UTC"), _sections.remarks(document)]
    spent = _figures.by_spend(document)
    if spent:
        _keep(figures, "scores", spent)
        note = (
            "each point is a candidate with its 95 % interval, the line is the best so far; drag to zoom in, "
        )
        note += "double-click to see all"
        parts.append(_sections.plot("scores", "Best score by spend", note, list(spent)))
    tree = _figures.lineage(document)
    if tree is not None:
        figures["lineage"] = tree
        note = "who was made from whom; the shown candidate and all it comes from are marked"
        parts.append(_sections.plot("lineage", "Lineage", note))
    heat = _figures.rows_by_candidates(document)
    if heat is not None:
        figures["rows"] = heat
        parts.append(_sections.plot("rows", "Rows and candidates", _told_rows(document)))
    if document.run.kind != "evaluate":
        parts.append(_sections.changes(document))
    bars = _figures.spending(document.run.spend_parts)
    if bars:
        _keep(figures, "spend", bars)
        table = tag("div", _sections.spend(document), class_="scroll")
        parts.append(_sections.plot("spend", "Spend by predictor and role", "", list(bars), table))
    if document.run.kind != "evaluate":
        parts.append(_sections.candidates(document))
    foot = tag("footer", f"telic {VERSION}, written {now:%Y-%m-%d %H:%M} UTC")
    noscript = tag("noscript", tag("p", "The plots need JavaScript; all else is here.", class_="why"))
    return tag("main", noscript, *parts, _sections.origin(document), foot)


def _keep(figures: dict[str, Any], name: str, variants: dict[str, Any]) -> None:
    figures.update((f"{name}-{variant}", figure) for variant, figure in variants.items())


def _told_rows(document: Document) -> str:
    others = sum(len(one.scores) != document.rows for one in document.scored)
    left = f"; {others:,} scored on other rows or fewer are left out" if others else ""
    shown, known = len(_figures.shown_with_rows(document)), len(document.scored) - others
    best = f"best candidates at the top{f': {shown:,} of {known:,}' if shown < known else ''}"
    return f"the score of each of {document.rows:,} rows, {best}{left}"


def _digest(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"

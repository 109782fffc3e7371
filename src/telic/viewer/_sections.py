"""The page's parts as HTML, each made from a `Document`; a part that has nothing to show says why, or is left out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from telic._text import plural
from telic.data import Usage
from telic.viewer._changes import Changed, Piece, compare
from telic.viewer._document import Document, Tried
from telic.viewer._html import Html, cut, join, tag

_MOST_TEXT: Final = 20_000  # characters of one text
_MOST_DEMOS: Final = 24
_MARKS: Final = {"new": "ins", "gone": "del", "same": "span"}
_UNITS: Final = {"calls": "calls", "tokens": "tokens", "usd": "USD", "seconds": "time"}
_STATUS: Final = {"finished": "good", "running": "busy"}


def head(document: Document, written: str) -> Html:
    """Return name, state, verdict and the figures in one look."""
    run = document.run
    pill = tag("span", run.status, class_=f"pill {_STATUS.get(run.status, 'bad')}")
    lines = [tag("p", tag("b", "Stopped: "), run.why, class_="why")] if run.why else []
    if run.holder:
        holder = f"process {run.holder.get('pid')} on {run.holder.get('host')}"
        lines.append(tag("p", f"At work: {holder}. What you see is how it stood at {written}.", class_="why"))
    if run.status == "killed":
        lines.append(
            tag("p", "It was killed: the same command, with the same run_dir, goes on.", class_="why")
        )
    return tag(
        "header",
        tag("div", tag("h1", run.name), pill, class_="title"),
        tag("p", f"{run.folder.name} · begun {_when(run.began)}", class_="sub"),
        *lines,
        _verdict(document),
        *(tag("div", *tiles, class_="tiles") for tiles in _tiles(document)),
    )


def _verdict(document: Document) -> Html:
    compared: Any = document.report.get("check") or document.report.get("comparison")
    if compared is None:
        return Html("")
    report = document.report
    head, colon, rest = str(report.get("verdict", compared["verdict"])).partition(":")
    kind = {"better": "good", "improved": "good", "worse": "bad"}.get(head, "even")
    if report.get("check"):
        where = "" if "verdict" in report else "on rows that did not choose it"
    else:
        where = "" if report.get("improved") is False else "on the rows that chose it"
    return tag("p", tag("b", head), tag("bdi", colon, rest), " ", tag("i", where), class_=f"verdict {kind}")


def _tiles(document: Document) -> list[list[Html]]:
    """Return two rows of figures: what came out, and what it took."""
    run, report = document.run, document.report
    best = run.best
    score = best.score if best is not None else report.get("score")
    interval: Any = best.interval if best is not None else report.get("interval")
    total = run.total_spend
    is_evaluation = run.kind == "evaluate"
    tiles = [("score" if is_evaluation else "best score", _percent(score), _span(interval))]
    if document.given is not None:
        tiles.append(("as given", _percent(document.given.score), _span(document.given.candidate.interval)))
    if report.get("check_score") is not None:
        tiles.append(("checked on other rows", _percent(report["check_score"]), ""))
    if is_evaluation:
        rows = [("rows", f"{report['n']:,}", f"{report['failures']:,} failed")] if "n" in report else []
        tiles += rows
    else:
        tiles.append(("candidates", f"{len(document.tried):,}", f"{len(document.scored):,} scored"))
    took = [
        ("LM calls", f"{total.calls:,}", f"{run.failed_calls:,} failed" if run.failed_calls else ""),
        ("tokens", f"{total.total_tokens:,}", _cached(total)),
        ("USD", _usd(total), ""),
        ("time", _time(run.seconds), ""),
    ]
    return [
        [
            tag("div", tag("span", name), tag("b", value), tag("small", more), class_="tile")
            for name, value, more in row
        ]
        for row in (tiles, took)
    ]


def plot(name: str, title: str, note: str, variants: Sequence[str] = (), more: Html | None = None) -> Html:
    """Return the place of a plot, with a button for each variant of it, and `more` below."""
    buttons = [
        tag(
            "button",
            _UNITS[one],
            type="button",
            data_figure=f"{name}-{one}",
            aria_pressed=str(k == 0).lower(),
        )
        for k, one in enumerate(variants)
    ]
    first = f"{name}-{variants[0]}" if variants else name
    return tag(
        "section",
        tag(
            "div",
            tag("h2", title),
            tag("div", *buttons, class_="switch") if len(buttons) > 1 else "",
            class_="bar",
        ),
        tag("p", note, class_="note"),
        tag("div", class_="plot", data_plot=first, role="img", aria_label=title),
        more,
        id=name,
    )


def changes(document: Document) -> Html:
    """Return what the shown program says otherwise than the one that was given."""
    if document.end is None:
        return tag(
            "section", tag("h2", "Prompts"), tag("p", "No program was written down yet.", class_="note")
        )
    found = compare(document.start, document.end)
    one = document.chosen
    name = "the compiled program" if one is None else [tag("bdi", f"“{one.title}”"), f" (no. {one.mark})"]
    against = (
        "the program as it was given" if document.start is not None else "nothing: what was given is not kept"
    )
    return tag(
        "section",
        tag("div", tag("h2", "What changed in the prompts"), class_="bar"),
        tag("p", name, f" against {against}", class_="note"),
        *(_predictor(one) for one in found),
        id="changes",
    )


def _predictor(one: Changed) -> Html:
    parts: list[Html] = [tag("h3", tag("code", one.path), tag("span", "unchanged") if one.is_same else "")]
    text = one.instructions
    if text:
        parts.append(tag("div", tag("h4", "Instructions"), _diff(text), class_="text"))
    for name, pieces in one.fields.items():
        parts.append(tag("div", tag("h4", "Field ", tag("code", name)), _diff(pieces), class_="text"))
    for name, (old, new) in one.others.items():
        told = f"{old!r} → {new!r}"
        parts.append(tag("div", tag("h4", name), tag("p", tag("code", cut(told, 500))), class_="text"))
    if one.demos or one.demos_gone:
        gone = (
            f", {plural(one.demos_gone, 'demonstration')} of before not among them" if one.demos_gone else ""
        )
        parts.append(tag("h4", f"{plural(len(one.demos), 'demonstration')}{gone}"))
        parts.append(tag("div", *(_demo(demo) for demo in one.demos[:_MOST_DEMOS]), class_="demos"))
        if len(one.demos) > _MOST_DEMOS:
            parts.append(tag("p", f"… and {len(one.demos) - _MOST_DEMOS:,} more", class_="note"))
    return tag("article", *parts)


def _diff(pieces: Sequence[Piece]) -> Html:
    marked = [tag(_MARKS[piece.kind], cut(piece.text, _MOST_TEXT)) for piece in pieces]
    is_new_text = [piece.kind for piece in pieces] == ["gone", "new"]
    texts = [[one] for one in marked] if is_new_text else [marked]
    return join(*(tag("p", *text, class_="diff", dir="auto") for text in texts))


def _demo(demo: Mapping[str, Any]) -> Html:
    fields = [(name, value) for name, value in demo.items() if name != "augmented"]
    rows = [(tag("dt", name), tag("dd", cut(_told(value), 2000), dir="auto")) for name, value in fields]
    made = tag("small", "made by the program") if demo.get("augmented") else ""
    return tag("dl", *rows, made)


def _told(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


def spend(document: Document) -> Html:
    """Return the table of what was paid, by role, predictor and model."""
    parts = sorted(document.run.spend_parts, key=lambda part: -part.usage.calls)
    lines = [
        tag(
            "tr",
            tag("td", part.role),
            tag("td", tag("code", part.predictor or "(direct)")),
            tag("td", part.model, class_="short"),
            *_usage(part.usage),
        )
        for part in parts
    ]
    total = tag("tr", tag("td", "together", colspan=3), *_usage(document.run.total_spend), class_="total")
    names = ("role", "predictor", "model", "calls", "input tokens", "of them cached", "output tokens", "USD")
    return _table(names, [*lines, total], numbers=3)


def _usage(usage: Usage) -> list[Html]:
    share = f" ({usage.cached_share:.0%})" if usage.cached_input_tokens else ""
    values = (f"{usage.calls:,}", f"{usage.input_tokens:,}", f"{usage.cached_input_tokens:,}{share}")
    return [tag("td", value, class_="n") for value in (*values, f"{usage.output_tokens:,}", _usd(usage))]


def candidates(document: Document) -> Html:
    """Return the table of all candidates, best first."""
    if not document.tried:
        return tag("section", tag("h2", "Candidates"), tag("p", "None was written down yet.", class_="note"))
    ranked = sorted(
        document.tried, key=lambda one: -math.inf if one.score is None else one.score, reverse=True
    )
    names = (
        "no.",
        "candidate",
        "score",
        "95 % interval",
        "rows",
        "failed",
        "against as given",
        "made from",
        "paid by then",
    )
    note = "p values are of each candidate for itself; the best of many needs the corrected one, in the verdict above"
    return tag(
        "section",
        tag("div", tag("h2", "Candidates"), class_="bar"),
        tag("p", note, class_="note") if document.given is not None else "",
        tag(
            "div",
            _table(names, [_candidate(one, document) for one in ranked], sortable=True),
            class_="scroll",
        ),
        id="candidates",
    )


def _candidate(one: Tried, document: Document) -> Html:
    calls = one.spent("calls")
    cells: list[tuple[Any, Any]] = [
        (one.mark, one.mark),
        (cut(one.title, 300), None),
        (_percent(one.score), one.score),
        (_interval(one), None),
        (f"{len(one.scores):,}" if one.scores else "", len(one.scores)),
        (one.record.get("failures") or "", one.record.get("failures", 0)),
        (_against(one), None if one.against is None else one.against.difference),
        (one.made_from, None),
        ("" if calls is None else f"{calls:,} calls", calls),
    ]
    shown = document.chosen is not None and document.chosen.number == one.number
    return tag(
        "tr",
        *(
            tag("td", text, data_v=value, dir="auto", class_=None if k == 1 else "short")
            for k, (text, value) in enumerate(cells)
        ),
        class_="best" if shown else None,
    )


def _interval(one: Tried) -> Html:
    """Return the interval as a small bar on a scale from 0 to 100 %."""
    if one.candidate.interval is None or one.score is None:
        return Html("")
    low, high = (min(100.0, max(0.0, bound)) for bound in one.candidate.interval)
    style = f"left:{low:.1f}%;width:{max(0.5, high - low):.1f}%"
    dot = tag("i", style=f"left:{min(100.0, max(0.0, one.score)):.1f}%")
    return join(
        tag("span", tag("b", style=style), dot, class_="range"), tag("small", _span(one.candidate.interval))
    )


def _against(one: Tried) -> str:
    test = one.against
    return "" if test is None else f"{100 * test.difference:+.1f} (p = {test.p_value:.2g})"


def remarks(document: Document) -> Html:
    """Return notes, failures and what became of assertions."""
    report = document.report
    failures: list[str] = list(report.get("failures", ())) if document.run.kind != "evaluate" else []
    asserted: Mapping[str, Any] = report.get("assertions", {})
    parts: list[Html] = []
    if document.notes:
        parts.append(tag("ul", *(tag("li", cut(note, 2000)) for note in document.notes)))
    if asserted:
        counts = [
            f"{name}: {', '.join(f'{k} {v}' for k, v in count.items())}" for name, count in asserted.items()
        ]
        parts += [tag("h3", "Assertions"), tag("ul", *(tag("li", cut(text, 500)) for text in counts))]
    if failures:
        told = [tag("li", cut(text, 1000)) for text in failures[:50]]
        parts.append(tag("details", tag("summary", plural(len(failures), "failure")), tag("ul", *told)))
    if not parts:
        return Html("")
    return tag("section", tag("div", tag("h2", "Notes"), class_="bar"), *parts, id="notes")


def origin(document: Document) -> Html:
    """Return what the run is of, for whoever wants to do it again."""
    run = document.run
    about = [(name, value) for name, value in run.about.items()]
    rows = [
        ("folder", run.folder),
        *about,
        *((f"digest of {name}", value) for name, value in run.identity.items()),
    ]
    lines = [tag("tr", tag("td", name), tag("td", tag("code", cut(str(value), 300)))) for name, value in rows]
    return tag("details", tag("summary", "Where this comes from"), tag("table", *lines), id="origin")


def _table(
    names: Sequence[str], lines: Sequence[Html], *, numbers: int | None = None, sortable: bool = False
) -> Html:
    heads = [
        tag("th", name, class_="n" if numbers is not None and k >= numbers else None, scope="col")
        for k, name in enumerate(names)
    ]
    return tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *lines), data_sortable=sortable)


def _percent(value: Any) -> str:
    return "–" if value is None else f"{value:.1f} %"


def _span(interval: Any) -> str:
    if interval is None or None in interval:
        return ""
    return f"{interval[0]:.1f} to {interval[1]:.1f}"


def _cached(usage: Usage) -> str:
    return f"{usage.cached_share:.0%} of input from the provider's cache" if usage.input_tokens else ""


def _usd(usage: Usage) -> str:
    return "unknown" if usage.cost_usd is None and usage.calls else f"{usage.cost_usd or 0.0:.4f}"


def _time(seconds: float) -> str:
    whole = round(seconds)
    return f"{seconds:.1f} s" if whole < 60 else f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def _when(utc: str) -> str:
    return f"{utc[:10]} {utc[11:16]} UTC"

"""The plots, as plain data for plotly.js: colours are names of the page's style (`var(--accent)`), set by its script.

Texts in plots may hold a little markup, by plotly's rules; `label` escapes them, so that they stay text.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

from telic.data import NO_USAGE, Usage
from telic.journal import Spent
from telic.viewer._document import Document, Tried
from telic.viewer._html import clean

AXES: Final = {"calls": "LM calls", "tokens": "tokens", "usd": "USD", "seconds": "seconds"}
_MOST_BARS: Final = 60  # error bars and names beyond that would hide the points
_MOST_CELLS: Final = 300_000  # of a heat map: some 2 MB of the page
_SHOWN: Final = 30  # characters of a name in a plot: more would leave no place for it on a telephone
_ROLES: Final = {
    "task": "--accent", "teacher": "--second", "proposer": "--third", "judge": "--fourth", "embed": "--fifth",
}  # fmt: skip
_MEASURES: Final = {"calls": "calls", "tokens": "total_tokens", "usd": "cost_usd"}

Figure = dict[str, Any]


def label(text: str, most: int = _SHOWN) -> str:
    """Return a text for a plot."""
    plain = " ".join(clean(text).split())
    return html.escape(plain if len(plain) <= most else f"{plain[: most - 1]}…", quote=False)


def by_spend(document: Document) -> dict[str, Figure]:
    """Return the plots of the scores by what had been spent, one for each unit that is known."""
    found: dict[str, Figure] = {}
    for what in AXES:
        points = [(one.spent(what), one) for one in document.scored]
        known = sorted(((x, one) for x, one in points if x is not None), key=lambda pair: pair[0])
        if known and len(known) == len(points) and (what == "seconds" or known[-1][0] > 0):
            found[what] = _spend_figure(document, known, what)
    return found


def _paid(document: Document, what: str) -> float:
    run = document.run
    return run.seconds if what == "seconds" else getattr(run.total_spend, _MEASURES[what]) or 0.0


def _dot(points: Sequence[object]) -> int:
    return 8 if len(points) <= 100 else 5


def _spend_figure(document: Document, points: Sequence[tuple[float, Tried]], what: str) -> Figure:
    xs = [x for x, _ in points]
    scores = [one.score or 0.0 for _, one in points]
    best = list(accumulate(scores, max))
    paid = max(xs[-1], _paid(document, what))  # what was paid since shows too: it brought nothing
    traces: list[Figure] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "best so far",
            "x": [*xs, paid],
            "y": [*best, best[-1]],
            "line": {"shape": "hv", "color": "var(--accent)", "width": 2.5},
            "hoverinfo": "skip",
        },
        {
            "type": "scatter",
            "mode": "markers",
            "name": "candidate",
            "x": xs,
            "y": scores,
            "text": [_hover(one) for _, one in points],
            "hovertemplate": "%{text}<extra></extra>",
            "marker": {
                "size": _dot(points),
                "color": "var(--second)",
                "line": {"width": 1, "color": "var(--card)"},
            },
            **_error_bars([one for _, one in points]),
        },
    ]
    figure = _figure(traces, AXES[what], "score, %")
    figure["layout"]["xaxis"]["rangemode"] = "tozero"
    if document.given is not None:
        figure["layout"]["shapes"] = [
            {
                "type": "line",
                "xref": "paper",
                "x0": 0,
                "x1": 1,
                "y0": document.given.score,
                "y1": document.given.score,
                "line": {"color": "var(--muted)", "width": 1.5, "dash": "dash"},
                "label": {
                    "text": "as given",
                    "textposition": "start",
                    "font": {"color": "var(--muted)", "size": 11},
                },
            }
        ]
    return figure


def _error_bars(tried: Sequence[Tried]) -> Figure:
    if len(tried) > _MOST_BARS or any(one.candidate.interval is None for one in tried):
        return {}
    spans = [(one.score or 0.0, one.candidate.interval or (0.0, 0.0)) for one in tried]
    bars: Figure = {
        "type": "data",
        "symmetric": False,
        "array": [high - score for score, (_, high) in spans],
        "arrayminus": [score - low for score, (low, _) in spans],
        "color": "var(--bars)",
        "thickness": 1.2,
        "width": 3,
    }
    return {"error_y": bars}


def _hover(one: Tried) -> str:
    lines = [f"<b>{one.mark}</b> {label(one.title, 90)}", f"score {one.score:.1f} %"]
    if one.candidate.interval is not None:
        lines[1] += f" (95 % interval {one.candidate.interval[0]:.1f} to {one.candidate.interval[1]:.1f})"
    if one.made_from:
        lines.append(f"from {one.made_from}")
    why = one.record.get("why")
    if isinstance(why, str) and why:
        lines.append(label(why, 90))
    return "<br>".join(lines)


def lineage(document: Document) -> Figure | None:
    """Return the plot of who was made from whom; None where no candidate names a parent."""
    by_number = {one.number: one for one in document.scored}
    edges = [(by_number[p], one) for one in document.scored for p in one.parents if p in by_number]
    if not edges:
        return None
    ancestors = _ancestors(document)
    ours: list[tuple[Tried, Tried]] = []
    others: list[tuple[Tried, Tried]] = []
    for pair in edges:
        (ours if {one.number for one in pair} <= ancestors else others).append(pair)
    points = list(by_number.values())
    marks: Figure = {
        "type": "scatter",
        "mode": "markers",
        "x": [one.number for one in points],
        "y": [one.score for one in points],
        "text": [_hover(one) for one in points],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {
            "size": [_dot(points) + 5 * (one.number in ancestors) for one in points],
            "color": ["var(--accent)" if one.number in ancestors else "var(--second)" for one in points],
            "line": {"width": 1.5, "color": "var(--card)"},
        },
    }
    traces = [_edges(others, "var(--bars)", 1.2), _edges(ours, "var(--accent)", 2.5), marks]
    figure = _figure(traces, "candidates, the oldest first", "score, %")
    figure["layout"]["xaxis"] |= {"tickformat": "d"} | ({"dtick": 1} if len(points) <= 20 else {})
    figure["layout"]["showlegend"] = False
    return figure


def _edges(pairs: Sequence[tuple[Tried, Tried]], color: str, width: float) -> Figure:
    xs: list[int | None] = []
    ys: list[float | None] = []
    for parent, child in pairs:
        xs += [parent.number, child.number, None]
        ys += [parent.score, child.score, None]
    line = {"color": color, "width": width}
    return {"type": "scatter", "mode": "lines", "x": xs, "y": ys, "line": line, "hoverinfo": "skip"}


def _ancestors(document: Document) -> set[int]:
    """Return the numbers of the shown candidate and of all it comes from."""
    found: set[int] = set()
    waiting = [] if document.chosen is None else [document.chosen.number]
    while waiting:
        number = waiting.pop()
        if number not in found:
            found.add(number)
            waiting += document.tried[number].parents
    return found


def shown_with_rows(document: Document) -> list[Tried]:
    """Return the candidates of the heat map, the best last: those scored on all rows, the best where they are many."""
    size = document.rows
    found = [one for one in document.scored if size and len(one.scores) == size]
    found.sort(key=lambda one: one.score or 0.0)
    return found[-max(1, _MOST_CELLS // max(1, size)) :]


def rows_by_candidates(document: Document) -> Figure | None:
    """Return the heat map of scores, the hardest rows first, the best candidates at the top; None: nothing to show."""
    size, shown = document.rows, shown_with_rows(document)
    if not shown:
        return None
    means = [_mean([one.scores[k] for one in shown]) for k in range(size)]
    order = sorted(range(size), key=lambda k: means[k])
    scores = [score for one in shown for score in one.scores if score is not None]
    low, high = min(0.0, *scores) if scores else 0.0, max(1.0, *scores) if scores else 1.0
    trace: Figure = {
        "type": "heatmap",
        "x": [f"row {k}" for k in order],
        "y": [f"{one.mark} · {label(one.title)}" for one in shown],
        "z": [[_rounded(one.scores[k]) for k in order] for one in shown],
        "zmin": low,
        "zmax": high,
        "xgap": 1 if size <= 120 else 0,
        "ygap": 1 if len(shown) <= 80 else 0,
        "hovertemplate": "%{y}<br>%{x}: %{z}<extra></extra>",
        "colorscale": [[0.0, "var(--cold)"], [0.5, "var(--middle)"], [1.0, "var(--accent)"]],
        "colorbar": {"thickness": 10, "outlinewidth": 0, "len": 0.9, "title": {"text": "score"}},
    }
    figure = _figure([trace], "rows, the hardest first", "")
    layout = figure["layout"]
    layout["height"] = min(900, max(220, 90 + 24 * len(shown)))
    layout["xaxis"] |= {"type": "category", "showgrid": False, "showticklabels": size <= 60, "tickangle": -60}
    layout["yaxis"] |= {"type": "category", "showgrid": False, "showticklabels": len(shown) <= _MOST_BARS}
    numbers = {"tickmode": "array", "tickvals": trace["y"], "ticktext": [str(one.mark) for one in shown]}
    figure["narrow"] = {
        "data": [{"showscale": False}],
        "layout": {"yaxis": numbers, "xaxis": {"showticklabels": size <= 20}},
    }
    return figure


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else 0.0


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def spending(parts: Sequence[Spent]) -> dict[str, Figure]:
    """Return the bars of what each predictor took, by role, one plot for each unit that is known."""
    table: dict[tuple[str, str], Usage] = {}
    for part in parts:
        key = (part.role, part.predictor)
        table[key] = table.get(key, NO_USAGE).plus(part.usage)
    predictors = sorted({name for _, name in table}, key=lambda name: _size(table, name))
    roles = sorted({role for role, _ in table}, key=lambda role: ([*_ROLES, role].index(role), role))
    found: dict[str, Figure] = {}
    for what, attribute in _MEASURES.items():
        values = [getattr(usage, attribute) for usage in table.values()]
        if None in values or not sum(values):
            continue
        traces: list[Figure] = []
        for role in roles:
            found_here = [table.get((role, name)) for name in predictors]
            traces.append(
                {
                    "type": "bar",
                    "orientation": "h",
                    "name": label(role),
                    "y": [label(name) if name else "(direct)" for name in predictors],
                    "x": [0 if usage is None else getattr(usage, attribute) for usage in found_here],
                    "marker": {"color": f"var({_ROLES.get(role, '--muted')})"},
                    "hovertemplate": "%{y}, %{fullData.name}: %{x:,}<extra></extra>",
                }
            )
        figure = _figure(traces, AXES[what], "")
        figure["layout"] |= {"barmode": "stack", "height": 130 + 34 * len(predictors), "showlegend": True}
        figure["layout"]["yaxis"] |= {"type": "category", "showgrid": False}
        figure["layout"]["xaxis"]["nticks"] = 6
        figure["layout"]["legend"]["traceorder"] = "normal"
        names = {"tickmode": "array", "tickvals": traces[0]["y"]}
        names["ticktext"] = [label(name, 14) if name else "(direct)" for name in predictors]
        figure["narrow"] = {"data": [], "layout": {"yaxis": names, "xaxis": {"nticks": 4}}}
        found[what] = figure
    return found


def _size(table: Mapping[tuple[str, str], Usage], name: str) -> int:
    return sum(usage.calls for (_, other), usage in table.items() if other == name)


def _figure(traces: list[Figure], x: str, y: str) -> Figure:
    axis: Figure = {
        "gridcolor": "var(--line)", "zeroline": False, "linecolor": "var(--line)", "automargin": True,
        "fixedrange": False,
    }  # fmt: skip
    layout: Figure = {
        "xaxis": {**axis, "title": {"text": x, "font": {"size": 12}}},
        "yaxis": {**axis, "title": {"text": y, "font": {"size": 12}}},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": "var(--text)", "family": "system-ui, sans-serif", "size": 12},
        "margin": {"l": 50, "r": 16, "t": 16, "b": 50},
        "height": 360,
        "hoverlabel": {
            "bgcolor": "var(--card)",
            "bordercolor": "var(--line)",
            "font": {"color": "var(--text)"},
        },
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "hovermode": "closest",
    }
    return {"data": traces, "layout": layout, "narrow": {"data": [], "layout": {}}}

"""What panels are drawn of: points with error bars, lines, names at points; each mark with a description of its number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pag.figures.axes import PLOT_WIDTH, Axis
from pag.figures.labels import place_labels
from pag.figures.style import paint
from pag.figures.values import Value
from pag.figures.vega import Spec

__all__ = ["Point", "Symbol", "described", "legend", "lines", "names_at", "points", "rules"]

HIDDEN = {"aria": False}  # from those who are read the marks: what only decorates
POINT_SIZE = 62
LONG = 21  # letters of a name in a legend, of which two stand in a row


@dataclass(frozen=True)
class Symbol:
    """How a series is told from others.

    Attributes:
        name: in the legend.
        color: the name of its colour.
        shape: Vega's, of its points.
        dash: of its line, lengths of strokes and gaps.
    """

    name: str
    color: str
    shape: str = "circle"
    dash: tuple[float, ...] = ()


@dataclass(frozen=True)
class Point:
    """A number in the plane.

    Attributes:
        x, y: with their error bars.
        symbol: of its series.
        text: what it says, `SBG: L₂ 34.2% [26.5, 43.3]`.
        doubt: whether a check spoils it; then it is hollow.
    """

    x: Value
    y: Value
    symbol: Symbol
    text: str
    doubt: bool = False


described: Spec = {"field": "text", "type": "nominal"}


def _asis(field: str) -> Spec:
    """A channel whose field is what is drawn, a colour or a shape."""
    return {"field": field, "type": "nominal", "scale": None, "legend": None}


def points(shown: Sequence[Point], size: int = POINT_SIZE, *, bars: bool = True) -> list[Spec]:
    """Points with their error bars; without these, rimmed, so that they can be told apart where they lie over each other."""
    marks = [
        {
            "x": point.x.value, "y": point.y.value, "text": point.text, "shape": point.symbol.shape,
            "stroke": paint(point.symbol.color if bars or point.doubt else "paper"),
            "fill": paint("paper" if point.doubt else point.symbol.color),
        }
        for point in shown
    ]  # fmt: skip
    drawn = {
        "data": {"values": marks},
        "mark": {"type": "point", "size": size, "strokeWidth": 1.3 if bars else 0.8, "opacity": 1},
        "encoding": {
            "shape": _asis("shape"), "stroke": _asis("stroke"), "fill": _asis("fill"), "description": described,
        },
    }  # fmt: skip
    return [*(_bars(shown) if bars else []), drawn]


def _bars(shown: Sequence[Point]) -> list[Spec]:
    upright = [
        {"x": p.x.value, "y": p.y.low, "y2": p.y.high, "stroke": paint(p.symbol.color)}
        for p in shown
        if p.y.low < p.y.high
    ]
    flat = [
        {"x": p.x.low, "y": p.y.value, "x2": p.x.high, "stroke": paint(p.symbol.color)}
        for p in shown
        if p.x.low < p.x.high
    ]
    mark = {"type": "rule", "strokeWidth": 1, "opacity": 0.45, **HIDDEN}
    return [
        {"data": {"values": values}, "mark": mark, "encoding": {end: {"field": end}, "stroke": _asis("stroke")}}
        for end, values in (("y2", upright), ("x2", flat))
        if values
    ]


def lines(
    series: Mapping[Symbol, Sequence[tuple[float, float | None]]],
    texts: Mapping[Symbol, str] | None = None,
    **mark: Any,  # noqa: ANN401
) -> list[Spec]:
    """A line for each series, which breaks where there is no number; described by its text where it has one."""
    layers = []
    for symbol, pairs in series.items():
        text = {"description": texts[symbol]} if texts and symbol in texts else HIDDEN
        style = {
            "strokeWidth": 1.6,
            "stroke": paint(symbol.color),
            "strokeDash": list(symbol.dash),
            "invalid": "break-paths-filter-domains",
        }
        values = [{"x": x, "y": y} for x, y in pairs]
        layers.append({"data": {"values": values}, "mark": {"type": "line", **style, **text, **mark}})
    return layers


def rules(levels: Mapping[Symbol, float]) -> list[Spec]:
    """A line across the panel at each number."""
    return [
        {
            "data": {"values": [{"y": y}]},
            "mark": {"type": "rule", "stroke": paint(symbol.color), "strokeDash": list(symbol.dash), "description": symbol.name},
            "encoding": {"x": {"value": 0}, "x2": {"value": PLOT_WIDTH}},
        }
        for symbol, y in levels.items()
    ]  # fmt: skip


def names_at(
    shown: Sequence[Point],
    names: Sequence[str],
    x: Axis,
    y: Axis,
    height: float,
    steps: Sequence[tuple[float, float]] = (),
) -> list[Spec]:
    """The name of each point beside it, clear of a line of `steps`, and a thin line from those that stand farther away."""
    at, corners = (
        [(PLOT_WIDTH * x.place(px), height * (1 - y.place(py))) for px, py in pairs]
        for pairs in ([(p.x.value, p.y.value) for p in shown], steps)
    )
    labels = place_labels(names, at, PLOT_WIDTH, height, corners)
    values, leaders = [], []
    for label, name, point, (px, py) in zip(labels, names, shown, at, strict=True):
        left = {"x": x.value(label.x / PLOT_WIDTH), "y": y.value(1 - label.y / height)}
        values.append({**left, "name": name})
        if label.far:
            near = min(max(px, label.x), label.x + label.width) / PLOT_WIDTH
            edge = label.y + (5 if py > label.y else -5) if abs(py - label.y) > 5 else label.y
            leaders.append(
                {"x": point.x.value, "y": point.y.value, "x2": x.value(near), "y2": y.value(1 - edge / height)}
            )
    text = {"type": "text", "align": "left", "baseline": "middle", **HIDDEN}
    written = {"data": {"values": values}, "encoding": {"text": {"field": "name"}}}
    led: Spec = {
        "data": {"values": leaders},
        "mark": {"type": "rule", "stroke": paint("muted"), "strokeWidth": 0.6, **HIDDEN},
        "encoding": {"x2": {"field": "x2"}, "y2": {"field": "y2"}},
    }
    halo = {**written, "mark": {**text, "stroke": paint("paper"), "strokeWidth": 3, "strokeJoin": "round"}}
    return [*([led] if leaders else []), halo, {**written, "mark": {**text, "fill": paint("ink")}}]


def legend(symbols: Sequence[Symbol], *, columns: int = 2, line: bool = False, orient: str = "bottom") -> Spec:
    """A layer that draws nothing but a legend of the symbols, their shapes or their lines."""
    names = [symbol.name for symbol in symbols]
    columns = columns if max(map(len, names), default=0) <= LONG else 1
    field = {"field": "name", "type": "nominal"}
    shared: Spec = {"orient": orient, "columns": columns, "title": None, "symbolOpacity": 1}
    stroke = {"scale": {"domain": names, "range": [paint(s.color) for s in symbols]}}
    if line:
        dashes = {**field, "scale": {"domain": names, "range": [list(s.dash) or [1, 0] for s in symbols]}}
        shared |= {"symbolType": "stroke", "symbolStrokeWidth": 1.8, "symbolSize": 350}
        channels = {"stroke": {**field, **stroke, "legend": shared}, "strokeDash": {**dashes, "legend": shared}}
    else:
        shapes = {**field, "scale": {"domain": names, "range": [s.shape for s in symbols]}, "legend": shared}
        channels = {"color": {**field, **stroke, "legend": shared}, "shape": shapes}
    mark = {"type": "point", "filled": not line, "opacity": 0, **HIDDEN}
    nothing = {"values": [{"name": name, "x": None, "y": None} for name in names]}
    return {"data": nothing, "mark": mark, "encoding": channels}

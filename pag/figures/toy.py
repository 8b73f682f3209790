"""Charts of the two-dimensional experiment: decision boundaries (figure 4), and the accuracy of each pair of networks."""

import base64
import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pag.figures.axes import fractions, numbers, panel
from pag.figures.curves import SERIES
from pag.figures.layers import HIDDEN, Point, Symbol, legend, points, rules
from pag.figures.names import percent
from pag.figures.style import LIGHT, paint
from pag.figures.values import Value
from pag.figures.vega import APART, WIDTH, Chart, Spec

__all__ = ["toy_boundaries", "toy_seeds"]

CLASSES = (Symbol("class 0", "vermilion", "circle"), Symbol("class 1", "blue", "square"))
VEIL = 70  # of 255: how much of a region's colour hides what is behind, white or dark
GAP, LEFT = 22, 42
DRAWN = 150  # points at most
LONGEST = 4  # times its width; up to there panels are to scale


def toy_boundaries(
    points: NDArray[Any],
    labels: NDArray[Any],
    x1: NDArray[Any],
    x2: NDArray[Any],
    predicted: Mapping[str, NDArray[Any]],
) -> Chart:
    """Decision boundaries of the toy's networks side by side (figure 4).

    Args:
        points: test points, `(N, 2)`.
        labels: `(N,)`, 0 or 1.
        x1: `(G1,)`, the grid's first coordinate.
        x2: `(G2,)`, its second.
        predicted: the predicted class on the grid, `(G2, G1)`, by the network's name.
    """
    width = (WIDTH - LEFT - GAP * (len(predicted) - 1) - 4) / len(predicted)
    ratio = float(np.ptp(x2)) / max(float(np.ptp(x1)), 1e-9)
    height = width * min(max(ratio, 1 / LONGEST), LONGEST)
    shares = {name: _right(classes, points, labels, x1, x2) for name, classes in predicted.items()}
    panels = [
        _regions(name, points, labels, (x1, x2), classes, (width, height), first=i == 0)
        for i, (name, classes) in enumerate(predicted.items())
    ]
    spec = {"hconcat": panels, "spacing": GAP, "resolve": APART}
    return Chart(
        spec, ("Network", "Test points in their own region"), tuple((n, percent(s)) for n, s in shares.items())
    )


def _right(
    classes: NDArray[Any], points: NDArray[Any], labels: NDArray[Any], x1: NDArray[Any], x2: NDArray[Any]
) -> float:
    """The share of points whose nearest place of the grid is of their class."""
    column, row = (np.abs(grid[None] - points[:, i, None]).argmin(1) for i, grid in enumerate((x1, x2)))
    return float((classes[row, column] == labels).mean())


def _regions(
    name: str,
    points: NDArray[Any],
    labels: NDArray[Any],
    grid: tuple[NDArray[Any], NDArray[Any]],
    classes: NDArray[Any],
    size: tuple[float, float],
    *,
    first: bool,
) -> Spec:
    (x, y), (width, height) = (
        (numbers(axis.tolist(), title, margin=0.0) for axis, title in zip(grid, ("x₁", "x₂"), strict=True)),
        size,
    )
    inside = (points[:, 0] >= x.low) & (points[:, 0] <= x.high) & (points[:, 1] >= y.low) & (points[:, 1] <= y.high)
    some = np.flatnonzero(inside)[:: math.ceil(len(points) / DRAWN)]
    shown = [
        {"x": round(float(a), 2), "y": round(float(b), 2), "class": CLASSES[label].name}
        for (a, b), label in zip(points[some], labels[some].tolist(), strict=True)
    ]
    names, corner = [symbol.name for symbol in CLASSES], {"align": "left", "baseline": "top"}
    key: Spec | None = {"orient": "bottom", "title": None, "symbolOpacity": 1, "symbolSize": 60} if first else None
    color = {"field": "class", "type": "nominal", "legend": key}
    return {
        "title": name, "width": width, "height": height,
        "layer": [
            {
                "data": {"values": [{"url": _mesh(classes)}]},
                "mark": {"type": "image", "width": width, "height": height, "aspect": False, **corner, **HIDDEN},
                "encoding": {"url": {"field": "url", "type": "nominal"}, "x": {"value": 0}, "y": {"value": 0}},
            },
            {
                "data": {"values": shown},
                "mark": {"type": "point", "filled": True, "size": 5, "opacity": 0.9, **HIDDEN},
                "encoding": {
                    "x": x.encoding("x", {"grid": False, "tickCount": 4}),
                    "y": y.encoding("y", {"grid": False, **({} if first else {"labels": False, "title": None})}),
                    "color": {**color, "scale": {"domain": names, "range": [paint(s.color) for s in CLASSES]}},
                    "shape": {**color, "scale": {"domain": names, "range": [s.shape for s in CLASSES]}},
                },
            },
        ],
    }  # fmt: skip


def _mesh(classes: NDArray[Any]) -> str:
    """The regions as a PNG of a pixel for each place of the grid, upside down as images are, in a data URI."""
    colors = [[int(LIGHT[s.color][i : i + 2], 16) for i in (1, 3, 5)] for s in CLASSES]
    image = Image.fromarray(np.flipud(classes).astype(np.uint8), "P")
    image.putpalette([channel for color in colors for channel in color])
    stream = BytesIO()
    image.save(stream, format="PNG", transparency=bytes([VEIL] * len(CLASSES)), optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def toy_seeds(robust: Mapping[str, Sequence[float]], paper: Mapping[str, float]) -> Chart:
    """Robust accuracy of each of the toy's pairs of networks, with the paper's numbers as lines (section 5.1).

    Args:
        robust: by the network's name, one accuracy in [0, 1] for each pair.
        paper: the paper's accuracy, by the same names.
    """
    symbols = {name: Symbol(name, *SERIES[1 - i % 2]) for i, name in enumerate(robust)}
    shown = [
        Point(Value(i, i, i), Value(y, y, y), symbols[name], f"{name}: {percent(y)}, pair {i}")
        for name, values in robust.items()
        for i, y in enumerate(values, start=1)
    ]
    levels = {
        Symbol(f"{name}, paper: {percent(paper[name])}", s.color, dash=(5, 3)): paper[name]
        for name, s in symbols.items()
    }
    count = max(map(len, robust.values()))
    x = numbers((1, count), "pair of networks", margin=0.05)
    layers = [*rules(levels), *points(shown), legend(list(symbols.values()))]
    drawn = panel("Accuracy under attack; lines: the paper's", x, fractions((), top=1.0), 170, layers)
    pairs = tuple((str(i + 1), *(percent(values[i]) for values in robust.values())) for i in range(count))
    return Chart(drawn, ("Pair", *robust), (*pairs, ("the paper", *(percent(paper[name]) for name in robust))))

"""Charts with a point for each method: robust accuracy by alignment (section 5.4), and by what training cost."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from pag.base.vocabulary import Method
from pag.figures.names import short_label
from pag.figures.panels import Interval, in_percent, legend_columns, panels
from pag.figures.style import FAMILY_MARKERS, MUTED, marked, method_color, styled

__all__ = ["robustness_against_alignment", "robustness_over_cost"]

Box = tuple[float, float, float, float]  # left, lower, right and upper edge
Doubts = Mapping[str, Sequence[bool]]  # by the titles of panels, for each method


@styled
def robustness_against_alignment(
    methods: Sequence[Method],
    alignment: Sequence[Interval],
    robust: Mapping[str, Sequence[Interval]],
    doubtful: Doubts | None = None,
) -> Figure:
    """Robust accuracy against alignment, a point for each method and a panel for each threat (section 5.4).

    Args:
        methods: their family is the marker.
        alignment: mean cosine of each method.
        robust: for each panel, by its title, the robust accuracy of each method in [0, 1].
        doubtful: by the same titles, whether a check spoils that number; such a point is hollow and marked ✗.
    """
    figure, axes = panels(len(robust), 0.5 + 3.1 * len(robust), sharex=True)
    axes[-1].set_xlabel("alignment: mean cosine with score-based gradients")
    _scatter(figure, axes, methods, alignment, robust, doubtful)
    return figure


@styled
def robustness_over_cost(
    methods: Sequence[Method],
    costs: Sequence[float],
    robust: Mapping[str, Sequence[Interval]],
    fronts: Mapping[str, Sequence[int]],
    doubtful: Doubts | None = None,
    unit: str = "vanilla = 1",
) -> Figure:
    """Robust accuracy over the cost of training, a point for each method and a panel for each threat.

    Args:
        methods: their family is the marker.
        costs: of each method, positive; the axis is logarithmic.
        robust: for each panel, by its title, the robust accuracy of each method in [0, 1].
        fronts: by the same titles, the indices of the methods on the Pareto front, by cost; a line of steps joins them.
        doubtful: as of `robustness_against_alignment`.
        unit: of the costs.
    """
    figure, axes = panels(len(robust), 0.5 + 3.1 * len(robust), sharex=True)
    for ax, title in zip(axes, robust, strict=True):
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        ax.xaxis.set_minor_locator(NullLocator())
        x, y = [costs[i] for i in fronts[title]], [robust[title][i][0] for i in fronts[title]]
        ax.plot(x, y, color=MUTED, linewidth=1, drawstyle="steps-post", zorder=1)
    axes[-1].set_xlabel(f"cost of training, {unit}")
    _scatter(figure, axes, methods, [(cost, cost, cost) for cost in costs], robust, doubtful)
    return figure


def _scatter(
    figure: Figure,
    axes: Sequence[Axes],
    methods: Sequence[Method],
    x: Sequence[Interval],
    robust: Mapping[str, Sequence[Interval]],
    doubtful: Doubts | None,
) -> None:
    """Draws a panel for each threat, with the names of methods at the points."""
    doubts = {title: (doubtful or {}).get(title, [False] * len(methods)) for title in robust}
    for ax, title in zip(axes, robust, strict=True):
        ax.margins(x=0.16, y=0.12)
        _points(ax, methods, x, robust[title], doubts[title])
        ax.set(ylabel=f"robust accuracy, {title}")
        ax.set_ylim(bottom=-0.04)
        in_percent(ax)
    _family_legend(figure, axes[0], methods)
    figure.draw_without_rendering()
    for ax, title in zip(axes, robust, strict=True):
        names = [marked(short_label(method.label), doubt) for method, doubt in zip(methods, doubts[title], strict=True)]
        _label_points(ax, names, [(of_x[0], of_y[0]) for of_x, of_y in zip(x, robust[title], strict=True)])


def _points(
    ax: Axes,
    methods: Sequence[Method],
    x: Sequence[Interval],
    y: Sequence[Interval],
    doubtful: Sequence[bool],
) -> None:
    """A point with its error bars for each method; hollow where its number is in doubt."""
    for method, of_x, of_y, doubt in zip(methods, x, y, doubtful, strict=True):
        xerr, yerr = (np.maximum([[v - low], [high - v]], 0) for v, low, high in (of_x, of_y))
        color = method_color(method)
        ax.errorbar(of_x[0], of_y[0], yerr, xerr, color=color, elinewidth=0.8, alpha=0.45)
        face = "white" if doubt else color
        ax.plot(of_x[0], of_y[0], FAMILY_MARKERS[method.family], color=color, markerfacecolor=face, markersize=7)


def _family_legend(figure: Figure, ax: Axes, methods: Sequence[Method]) -> None:
    for name in dict.fromkeys(method.family for method in methods):
        ax.plot([], [], FAMILY_MARKERS[name], color=MUTED, markersize=7, label=name)
    names = dict.fromkeys(method.family for method in methods)
    figure.legend(
        *ax.get_legend_handles_labels(),
        loc="outside upper center",
        ncols=legend_columns(names),
        handletextpad=0.1,
        columnspacing=1.0,
    )


def _label_points(ax: Axes, names: Sequence[str], points: Sequence[tuple[float, float]]) -> None:
    """Writes each name beside its point, within the figure, at the first of the places that hide the fewest points and names."""
    pixels_per_point = ax.figure.dpi / 72
    left, right = (edge / pixels_per_point for edge in (ax.bbox.x0, ax.figure.bbox.x1))
    at = ax.transData.transform(points) / pixels_per_point  # in points, 1/72 inch
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in at]
    for name, (x, y) in zip(names, at, strict=True):
        width, height = 5.8 * len(name), 10.0
        places = [(dx, dy) for r in (8, 16, 26, 38, 52, 68, 86) for dx, dy in _places(r, width, height)]
        boxes = [(x + dx, y + dy, x + dx + width, y + dy + height) for dx, dy in places]
        inside = [i for i, box in enumerate(boxes) if left < box[0] and box[2] < right] or [0]
        chosen = min(inside, key=lambda i: (_hidden(boxes[i], taken), i))
        taken.append(boxes[chosen])
        arrow = {"arrowstyle": "-", "color": MUTED, "linewidth": 0.5, "shrinkB": 4} if chosen > 5 else None
        anchor_x, anchor_y = ax.transData.inverted().transform((x * pixels_per_point, y * pixels_per_point))
        halo = [withStroke(linewidth=2.5, foreground="white")]
        style: dict[str, Any] = {"fontsize": 9, "path_effects": halo, "va": "bottom", "arrowprops": arrow}
        label = ax.annotate(name, (anchor_x, anchor_y), places[chosen], textcoords="offset points", **style)
        label.set_in_layout(False)  # the layout that the places were chosen for stays


def _places(r: float, width: float, height: float) -> list[tuple[float, float]]:
    """Lower left corners of a box of text about a point, in points: right, left, above, below, and two diagonals."""
    beside = [(r, -height / 2), (-r - width, -height / 2)]
    return [
        *beside,
        (-width / 2, r - 2),
        (-width / 2, -r - height + 2),
        (r * 0.7, r * 0.7),
        (r * 0.7, -r * 0.7 - height),
    ]


def _hidden(a: Box, others: Sequence[Box]) -> int:
    """How many boxes a box lies over."""
    return sum(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3] for b in others)

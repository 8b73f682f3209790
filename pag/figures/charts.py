"""The figures that are charts: λ (figure 5), alignment against robustness, training, the toy (figure 4), and AutoAttack's parts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from pag.base.vocabulary import Family, Method
from pag.figures.style import FAMILY_MARKERS, MUTED, PALETTE, method_color, styled

__all__ = [
    "Interval", "attack_breakdown", "lambda_curves", "loss_curve", "robustness_against_alignment", "toy_boundaries", "toy_seeds",
    "training_curves",
]  # fmt: skip

Interval = tuple[float, float, float]
"""An estimate with the lower and the upper end of its confidence interval."""

Box = tuple[float, float, float, float]  # left, lower, right and upper edge

WIDTH = 4.8  # inches: at a phone's width a 10-point letter is then about 10 pixels high
LINE_STYLES: Mapping[Family, Any] = {
    "vanilla": ":",
    "heuristic": "-",
    "own-class heuristic": "-.",
    "kernel": "-.",
    "score-based": "-",
    "teacher": "--",
    "imported": (0, (5, 1)),
    "aligned-margin": (0, (3, 1, 1, 1)),
    "gradient-norm": (0, (2, 2)),
    "adversarial": "--",
    "unknown": (0, (1, 3)),
}
SERIES = (
    ("blue", "o"), ("vermilion", "s"), ("green", "D"), ("orange", "^"), ("purple", "P"), ("sky", "X"), ("olive", "<"),
)  # fmt: skip


def _panels(rows: int, height: float, columns: int = 1, sharex: bool = False) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=sharex)
    return figure, list(axes.flat)


def _in_percent(ax: Axes, axis: str = "y") -> None:
    (ax.yaxis if axis == "y" else ax.xaxis).set_major_formatter(PercentFormatter(xmax=1, decimals=0))


def _error_bars(ax: Axes, x: Sequence[float], values: Sequence[Interval], color: str, marker: str, label: str) -> None:
    middle, low, high = np.array(values, dtype=float).T
    ax.errorbar(
        x,
        middle,
        yerr=np.maximum([middle - low, high - middle], 0),
        capsize=2.5,
        elinewidth=1,
        color=color,
        marker=marker,
        markersize=5,
        label=label,
    )


@styled
def lambda_curves(
    lambdas: Sequence[float], accuracies: Mapping[str, Sequence[Interval]], alignment: Sequence[Interval]
) -> Figure:
    """Accuracy and alignment against λ (the numbers of figure 5).

    Args:
        lambdas: ascending; 0 is vanilla.
        accuracies: for each curve, by its name, one estimate in [0, 1] for each λ.
        alignment: mean cosine for each λ, in [−1, 1].
    """
    figure, (upper, lower) = _panels(2, 5.4, sharex=True)
    for (name, values), (color, marker) in zip(accuracies.items(), SERIES, strict=False):
        _error_bars(upper, lambdas, values, PALETTE[color], marker, name)
    _error_bars(lower, lambdas, alignment, PALETTE["black"], "v", "alignment")
    upper.set(ylabel="accuracy", ylim=(-0.03, 1.03))
    _in_percent(upper)
    upper.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, handlelength=1.8)
    lower.set(ylabel="alignment (cosine)", xlabel="λ, the weight of the alignment term (eq. 4)")
    return figure


@styled
def robustness_against_alignment(
    methods: Sequence[Method], alignment: Sequence[Interval], robust: Mapping[str, Sequence[Interval]]
) -> Figure:
    """Robust accuracy against alignment, a point for each method and a panel for each threat (section 5.4).

    Args:
        methods: their family is the marker.
        alignment: mean cosine of each method.
        robust: for each panel, by its title, the robust accuracy of each method in [0, 1].
    """
    figure, axes = _panels(len(robust), 0.5 + 3.1 * len(robust), sharex=True)
    for ax, (title, values) in zip(axes, robust.items(), strict=True):
        for method, x, y in zip(methods, alignment, values, strict=True):
            xerr, yerr = ([[v - low], [high - v]] for v, low, high in (x, y))
            ax.errorbar(
                x[0],
                y[0],
                np.maximum(yerr, 0),
                np.maximum(xerr, 0),
                color=method_color(method),
                elinewidth=0.8,
                alpha=0.45,
            )
            ax.plot(x[0], y[0], FAMILY_MARKERS[method.family], color=method_color(method), markersize=7)
        ax.margins(x=0.16, y=0.12)
        ax.set_ylabel(f"robust accuracy, {title}")
        ax.set_ylim(bottom=-0.04)
        _in_percent(ax)
    axes[-1].set_xlabel("alignment: mean cosine with score-based gradients")
    _family_legend(axes[0], methods)
    figure.draw_without_rendering()
    for ax, values in zip(axes, robust.values(), strict=True):
        _label_points(ax, [m.label for m in methods], [(x[0], y[0]) for x, y in zip(alignment, values, strict=True)])
    return figure


def _family_legend(ax: Axes, methods: Sequence[Method]) -> None:
    for name in dict.fromkeys(method.family for method in methods):
        ax.plot([], [], FAMILY_MARKERS[name], color=MUTED, markersize=7, label=name)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, handletextpad=0.1, columnspacing=1.0)


def _label_points(ax: Axes, names: Sequence[str], points: Sequence[tuple[float, float]]) -> None:
    """Writes each name beside its point, at the first of a few places right of the axis that hides neither point nor name."""
    pixels_per_point = ax.figure.dpi / 72
    left, right = (edge / pixels_per_point for edge in (ax.bbox.x0, ax.figure.bbox.x1))
    at = ax.transData.transform(points) / pixels_per_point  # in points, 1/72 inch
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in at]
    for name, (x, y) in zip(names, at, strict=True):
        width, height = 5.8 * len(name), 10.0
        places = [(dx, dy) for r in (8, 16, 26, 38, 52) for dx, dy in _places(r, width, height)]
        boxes = [(x + dx, y + dy, x + dx + width, y + dy + height) for dx, dy in places]
        free = (i for i, box in enumerate(boxes) if left < box[0] and box[2] < right and not _hides(box, taken))
        chosen = next(free, 0)
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


def _hides(a: Box, others: Sequence[Box]) -> bool:
    return any(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3] for b in others)


@styled
def training_curves(
    curves: Mapping[Method, Mapping[str, Sequence[float | None]]], panels: Mapping[str, str], x_label: str = "epoch"
) -> Figure:
    """Curves of training, a line for each method.

    Args:
        curves: by method, by column of `curves.csv`: one value an epoch, None where the method has none.
        panels: the columns to draw, each with the label of its y axis; drawn one above the other.
        x_label: of the x axis.
    """
    figure, axes = _panels(len(panels), 0.9 + 2.1 * len(panels), sharex=True)
    for ax, (column, label) in zip(axes, panels.items(), strict=True):
        for method, columns in curves.items():
            _line(ax, method, columns.get(column, ()))
        ax.set_ylabel(label)
        if "accuracy" in column:
            _in_percent(ax)
    axes[-1].set_xlabel(x_label)
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=4, handlelength=1.6, columnspacing=1.0)
    return figure


def _line(ax: Axes, method: Method, values: Sequence[float | None]) -> None:
    y = np.array([np.nan if value is None else value for value in values], dtype=float)
    style: dict[str, Any] = {"color": method_color(method), "linestyle": LINE_STYLES[method.family], "linewidth": 1.5}
    ax.plot(np.arange(1, len(y) + 1), y, label=method.label, **style)


@styled
def loss_curve(steps: Sequence[float], loss: Sequence[float]) -> Figure:
    """The diffusion model's loss against its training step."""
    figure, (ax,) = _panels(1, 2.6)
    ax.plot(steps, loss, color=PALETTE["blue"], linewidth=1.3)
    ax.set(xlabel="training step", ylabel="loss")
    return figure


@styled
def toy_boundaries(
    points: NDArray[Any],
    labels: NDArray[Any],
    x1: NDArray[Any],
    x2: NDArray[Any],
    predicted: Mapping[str, NDArray[Any]],
) -> Figure:
    """Decision boundaries of the toy's networks side by side (figure 4).

    Args:
        points: test points, `(N, 2)`.
        labels: `(N,)`, 0 or 1.
        x1: `(G1,)`, the grid's first coordinate.
        x2: `(G2,)`, its second.
        predicted: the predicted class on the grid, `(G2, G1)`, by the network's name.
    """
    figure, axes = _panels(1, 4.6, columns=len(predicted))
    background = ListedColormap(["#f6c9a8", "#a9d0ea"])
    for ax, (name, classes) in zip(axes, predicted.items(), strict=True):
        ax.pcolormesh(x1, x2, classes, cmap=background, vmin=0, vmax=1, shading="nearest", rasterized=True)
        for label, color, marker in ((0, "#8f3a00", "o"), (1, "#003f66", "s")):
            ax.plot(
                *points[labels == label].T,
                marker,
                color=color,
                markersize=2.2,
                linestyle="none",
                label=f"class {label}",
            )
        ax.set(title=name, xlabel="x₁", xlim=(x1[0], x1[-1]), ylim=(x2[0], x2[-1]), aspect="equal")
        ax.grid(visible=False)
    axes[0].set_ylabel("x₂")
    for ax in axes[1:]:
        ax.set_yticklabels([])
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2, markerscale=3, handletextpad=0.1)
    return figure


@styled
def toy_seeds(robust: Mapping[str, Sequence[float]], paper: Mapping[str, float]) -> Figure:
    """Robust accuracy of each of the toy's pairs of networks, with the paper's numbers as lines (section 5.1).

    Args:
        robust: by the network's name, one accuracy in [0, 1] for each pair.
        paper: the paper's accuracy, by the same names.
    """
    figure, (ax,) = _panels(1, 3.1)
    for (name, values), (color, marker) in zip(robust.items(), (SERIES[1], SERIES[0]), strict=False):
        pairs = np.arange(1, len(values) + 1)
        ax.plot(pairs, values, marker, color=PALETTE[color], markersize=6, label=name)
        line = f"{name}, paper: {100 * paper[name]:.1f}%"
        ax.axhline(paper[name], color=PALETTE[color], linestyle="--", linewidth=1.1, label=line)
    ax.set(xlabel="pair of networks", ylabel="accuracy under attack", ylim=(-0.05, 1.05))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    _in_percent(ax)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, handlelength=1.6)
    return figure


@styled
def attack_breakdown(methods: Sequence[Method], attacks: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """Accuracy that is left after each attack of AutoAttack, and of further ones where there were such; bars grouped by method.

    Args:
        methods: a group of bars each.
        attacks: for each panel, by its title, and each method: accuracy in [0, 1] after each attack, in the order of the run.
    """
    figure, axes = _panels(len(attacks), 0.6 + len(attacks) * (0.7 + 0.44 * len(methods)), sharex=True)
    names = list(dict.fromkeys(name for values in attacks.values() for of_method in values for name in of_method))
    thick = 0.8 / max(len(names), 1)
    for ax, (title, values) in zip(axes, attacks.items(), strict=True):
        for i, name in enumerate(names):
            y = np.arange(len(methods)) + (i - (len(names) - 1) / 2) * thick
            shade = 0.75 - 0.75 * i / max(len(names) - 1, 1)
            lengths = [of_method.get(name, np.nan) for of_method in values]
            ax.barh(y, lengths, thick * 0.92, color=_mixed(PALETTE["blue"], shade), label=_attack_label(name, i))
        ax.set_yticks(range(len(methods)), [method.label for method in methods])
        ax.set(title=title, ylim=(len(methods) - 0.4, -0.6))
        ax.grid(visible=False, axis="y")
    axes[-1].set_xlabel("accuracy left")
    _in_percent(axes[-1], "x")
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=4, handlelength=1.0, columnspacing=1.0)
    return figure


def _attack_label(attack: str, position: int) -> str:
    name = attack.upper() if attack.startswith(("apgd", "fab")) else attack.capitalize()
    return name if position == 0 else f"+ {name}"


def _mixed(color: str, white: float) -> tuple[float, ...]:
    """`color` with a share of white, which for the first attacks makes the bars lighter."""
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return tuple(c + (1 - c) * white for c in channels)

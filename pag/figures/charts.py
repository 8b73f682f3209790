"""The figures that are curves and bars: λ (figure 5), training, the toy (figure 4), and AutoAttack's parts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from pag.base.vocabulary import Family, Method
from pag.figures.names import short_label
from pag.figures.panels import Interval, in_percent, legend_columns, panels
from pag.figures.style import PALETTE, marked, method_color, styled

__all__ = ["attack_breakdown", "lambda_curves", "loss_curve", "toy_boundaries", "toy_seeds", "training_curves"]

LINE_STYLES: Mapping[Family, Any] = {
    "vanilla": ":",
    "heuristic": "-",
    "own-class heuristic": "-.",
    "score-based": "-",
    "imported": (0, (5, 1)),
    "kernel": (0, (3, 1, 1, 1, 1, 1)),
    "teacher": (0, (1, 1)),
    "aligned-margin": (0, (7, 2)),
    "gradient-norm": (0, (4, 2, 1, 2, 1, 2)),
    "adversarial": "--",
    "unknown": (0, (1, 3)),
}
SERIES = (
    ("blue", "o"), ("vermilion", "s"), ("green", "D"), ("orange", "^"), ("purple", "P"), ("sky", "X"), ("olive", "<"),
)  # fmt: skip


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
    lambdas: Sequence[float],
    accuracies: Mapping[str, Sequence[Interval]],
    alignment: Sequence[Interval],
    doubtful: Mapping[str, Sequence[bool]] | None = None,
) -> Figure:
    """Accuracy and alignment against λ (the numbers of figure 5).

    Args:
        lambdas: ascending; 0 is vanilla.
        accuracies: for each curve, by its name, one estimate in [0, 1] for each λ.
        alignment: mean cosine for each λ, in [−1, 1].
        doubtful: by the names of curves, whether a check spoils the number of each λ; it is crossed out.
    """
    figure, (upper, lower) = panels(2, 5.4, sharex=True)
    for (name, values), (color, marker) in zip(accuracies.items(), SERIES, strict=False):
        _error_bars(upper, lambdas, values, PALETTE[color], marker, name)
        doubts = (doubtful or {}).get(name, [False] * len(lambdas))
        crossed = [(x, y[0]) for x, y, doubt in zip(lambdas, values, doubts, strict=True) if doubt]
        if crossed:
            upper.plot(*zip(*crossed, strict=True), "x", color=PALETTE[color], markersize=13, markeredgewidth=1.5)
    _error_bars(lower, lambdas, alignment, PALETTE["black"], "v", "alignment")
    upper.set(ylabel="accuracy", ylim=(-0.03, 1.03))
    in_percent(upper)
    upper.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, handlelength=1.8)
    lower.set(ylabel="alignment (cosine)", xlabel="λ, the weight of the alignment term (eq. 4)")
    return figure


@styled
def training_curves(
    curves: Mapping[Method, Mapping[str, Sequence[float | None]]], shown: Mapping[str, str], x_label: str = "epoch"
) -> Figure:
    """Curves of training, a line for each method.

    Args:
        curves: by method, by column of `curves.csv`: one value an epoch, None where the method has none.
        shown: the columns to draw, each with the label of its y axis; drawn one above the other.
        x_label: of the x axis.
    """
    figure, axes = panels(len(shown), 0.9 + 2.1 * len(shown), sharex=True)
    styles = _line_styles(list(curves))
    for ax, (column, label) in zip(axes, shown.items(), strict=True):
        for method, columns in curves.items():
            _line(ax, method, columns.get(column, ()), styles[method])
        ax.set_ylabel(label)
        if "accuracy" in column:
            in_percent(ax)
    axes[-1].set_xlabel(x_label)
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    handles, names = axes[0].get_legend_handles_labels()
    ncols = legend_columns(names)
    figure.legend(handles, names, loc="outside upper center", ncols=ncols, handlelength=1.8, columnspacing=1.0)
    return figure


def _line_styles(methods: Sequence[Method]) -> dict[Method, Any]:
    """The family's line for each method; those of a family that share a colour get others."""
    styles: dict[Method, Any] = {}
    for method in methods:
        alike = [m for m in styles if (m.family, method_color(m)) == (method.family, method_color(method))]
        styles[method] = (0, (1 + 2 * len(alike), 1.2)) if alike else LINE_STYLES[method.family]
    return styles


def _line(ax: Axes, method: Method, values: Sequence[float | None], line: Any) -> None:  # noqa: ANN401
    y = np.array([np.nan if value is None else value for value in values], dtype=float)
    style: dict[str, Any] = {"color": method_color(method), "linestyle": line, "linewidth": 1.5}
    ax.plot(np.arange(1, len(y) + 1), y, label=short_label(method.label), **style)


@styled
def loss_curve(steps: Sequence[float], loss: Sequence[float]) -> Figure:
    """The diffusion model's loss against its training step."""
    figure, (ax,) = panels(1, 2.6)
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
    figure, axes = panels(1, 4.6, columns=len(predicted))
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
    figure, (ax,) = panels(1, 3.1)
    for (name, values), (color, marker) in zip(robust.items(), (SERIES[1], SERIES[0]), strict=False):
        pairs = np.arange(1, len(values) + 1)
        ax.plot(pairs, values, marker, color=PALETTE[color], markersize=6, label=name)
        line = f"{name}, paper: {100 * paper[name]:.1f}%"
        ax.axhline(paper[name], color=PALETTE[color], linestyle="--", linewidth=1.1, label=line)
    ax.set(xlabel="pair of networks", ylabel="accuracy under attack", ylim=(-0.05, 1.05))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    in_percent(ax)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, handlelength=1.6)
    return figure


@styled
def attack_breakdown(
    methods: Sequence[Method],
    attacks: Mapping[str, Sequence[Mapping[str, float]]],
    doubtful: Mapping[str, Sequence[bool]] | None = None,
) -> Figure:
    """Accuracy that is left after each attack of AutoAttack, and of further ones where there were such; bars grouped by method.

    Args:
        methods: a group of bars each.
        attacks: for each panel, by its title, and each method: accuracy in [0, 1] after each attack, in the order of the run.
        doubtful: by the titles of panels, whether a check spoils each method's numbers; it is marked ✗.
    """
    figure, axes = panels(len(attacks), 0.6 + len(attacks) * (0.7 + 0.44 * len(methods)), sharex=True)
    names = list(dict.fromkeys(name for values in attacks.values() for of_method in values for name in of_method))
    thick = 0.8 / max(len(names), 1)
    labels, sound = [method.label for method in methods], [False] * len(methods)
    for ax, (title, values) in zip(axes, attacks.items(), strict=True):
        for i, name in enumerate(names):
            y = np.arange(len(methods)) + (i - (len(names) - 1) / 2) * thick
            shade = 0.75 - 0.75 * i / max(len(names) - 1, 1)
            lengths = [of_method.get(name, np.nan) for of_method in values]
            ax.barh(y, lengths, thick * 0.92, color=_mixed(PALETTE["blue"], shade), label=_attack_label(name, i))
        ax.set_yticks(
            range(len(methods)), [marked(*of) for of in zip(labels, (doubtful or {}).get(title, sound), strict=True)]
        )
        ax.set(title=title, ylim=(len(methods) - 0.4, -0.6))
        ax.grid(visible=False, axis="y")
    axes[-1].set_xlabel("accuracy left")
    in_percent(axes[-1], "x")
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

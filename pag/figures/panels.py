"""What charts share: panels one above the other or side by side, axes in percent, and an estimate with its error bar."""

from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

__all__ = ["Interval", "in_percent", "legend_columns", "panels"]

Interval = tuple[float, float, float]
"""An estimate with the lower and the upper end of its error bar: a confidence interval, or a standard deviation to either side."""

WIDTH = 4.8  # inches: at a phone's width a 10-point letter is then about 10 pixels high


def panels(rows: int, height: float, columns: int = 1, sharex: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure of that height, in inches, with its panels in order of reading."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=sharex)
    return figure, list(axes.flat)


def in_percent(ax: Axes, axis: str = "y") -> None:
    """Writes an axis of fractions as percent."""
    (ax.yaxis if axis == "y" else ax.xaxis).set_major_formatter(PercentFormatter(xmax=1, decimals=0))


def legend_columns(names: Iterable[str]) -> int:
    """How many columns of a legend fit into the width of a figure: at 9 points a letter takes some 5.3, a handle 26."""
    widest = max((len(name) for name in names), default=1)
    return max(1, min(4, int(72 * WIDTH // (26 + 5.3 * widest))))

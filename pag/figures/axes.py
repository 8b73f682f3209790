"""The plane that a panel draws in: two axes with their ticks, and where a number lies on them in pixels."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pag.figures.vega import APART, WIDTH, Spec

__all__ = ["PLOT_WIDTH", "Axis", "fractions", "numbers", "panel", "ratios"]

LEFT = 37  # of y's labels and ticks
PLOT_WIDTH = WIDTH - LEFT - 8
STEPS = (1, 2, 5)


@dataclass(frozen=True)
class Axis:
    """An axis.

    Attributes:
        low, high: its ends.
        ticks: ascending, within these.
        format: of ticks, in d3's language.
        title: below it, or nothing.
        logarithmic: whether equal steps are equal ratios.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    format: str = "~r"
    title: str = ""
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Where a value lies: 0 at `low`, 1 at `high`."""
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def value(self, place: float) -> float:
        """The value that lies at a place."""
        if self.logarithmic:
            return self.low * math.exp(place * math.log(self.high / self.low))
        return self.low + (self.high - self.low) * place

    def encoding(self, field: str, axis: Spec | None = None) -> Spec:
        """The channel of Vega-Lite."""
        kind: Spec = {"type": "log"} if self.logarithmic else {"zero": False}
        scale = {**kind, "domain": [self.low, self.high], "nice": False}
        shown = {"values": list(self.ticks), "format": self.format, "title": self.title or None, **(axis or {})}
        return {"field": field, "type": "quantitative", "scale": scale, "axis": shown}


def fractions(values: Iterable[float], title: str = "", *, top: float | None = None) -> Axis:
    """An axis of percent from 0 to a little above the largest of `values`, or to `top`."""
    high = max([0.1, *values]) if top is None else top
    step = 0.25 if high > 0.9 else 0.2 if high > 0.45 else 0.1 if high > 0.2 else 0.05
    ticks = tuple(step * i for i in range(math.floor(high / step + 1e-9) + 1))
    return Axis(-0.04 * high, 1.04 * high, ticks, ".0%", title)


def numbers(values: Iterable[float], title: str = "", margin: float = 0.04) -> Axis:
    """A linear axis that holds `values`, with some five round ticks."""
    low, high = _ends(values)
    spread = high - low or max(abs(high), 1.0)
    unit = 10 ** math.floor(math.log10(spread / 4))
    step = next(unit * s for s in (*STEPS, 10) if unit * s >= spread / 5)
    low, high = low - margin * spread, high + margin * spread
    ticks = tuple(round(step * i, 10) for i in range(math.ceil(low / step), math.floor(high / step) + 1))
    return Axis(low, high, ticks, "~r", title)


def ratios(values: Iterable[float], title: str = "") -> Axis:
    """A logarithmic axis that holds `values`, all positive, with ticks at 1, 2 and 5 times powers of ten."""
    low, high = _ends(values)
    margin = (high / low) ** 0.1 if high > 2 * low else 2.0
    low, high = low / margin, high * margin
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = (step * 10.0**power for power in powers for step in STEPS)
    return Axis(low, high, tuple(tick for tick in ticks if low <= tick <= high), "~r", title, logarithmic=True)


def _ends(values: Iterable[float]) -> tuple[float, float]:
    known = list(values) or [0.0, 1.0]
    return min(known), max(known)


def panel(title: str, x: Axis, y: Axis, height: float, layers: Sequence[Spec]) -> Spec:
    """A panel: its layers draw what has the fields `x` and `y`."""
    wide: dict[str, Any] = {"minExtent": LEFT - 6, "maxExtent": LEFT - 6}
    return {
        "title": title, "width": PLOT_WIDTH, "height": height,
        "encoding": {"x": x.encoding("x", {"grid": False}), "y": y.encoding("y", wide)},
        "layer": list(layers),
        "resolve": APART,
    }  # fmt: skip

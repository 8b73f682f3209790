"""Grids of images as figures for papers: names on the left, classes above, numbers on the right. Sizes are in inches."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pag.figures.grids import Array, ImageGrid
from pag.figures.style import INK, MUTED, styled

__all__ = ["sheet"]

TILE, GAP, GROUP_GAP, MARGIN = 0.5, 0.05, 0.16, 0.08
STEP = TILE + GAP
HEADER, NUMBER, NUMBERS_TITLE, CHARACTER, FOOTER = 0.5, 0.72, 1.15, 0.085, 0.26
WIDEST = 10  # columns; further ones go below


@styled
def sheet(grid: ImageGrid) -> Figure:
    """The grid as a figure; numbers stand beside the first band of columns, the note below the last."""
    layout = _Layout.of(grid.row_names, grid.class_names, numbered=bool(grid.numbers))
    bands = [slice(start, start + layout.columns) for start in range(0, len(grid.class_names), layout.columns)]
    height = layout.top + STEP * len(grid.tiles)
    bottom = height * len(bands)
    figure, ax = _canvas(layout.right + _width(grid.numbers) + MARGIN, bottom + (FOOTER if grid.note else 0) + MARGIN)
    for band, columns in enumerate(bands):
        y = height * band
        _headers(ax, layout, y, grid.label, grid.class_names[columns])
        _rows(ax, layout, y + layout.top, grid.image, grid.row_names, grid.tiles[:, columns])
    _numbers(ax, layout, grid.numbers)
    if grid.note:
        ax.text(layout.left, bottom + FOOTER / 2, grid.note, va="center", color=MUTED, fontsize=9)
    return figure


@dataclass(frozen=True)
class _Layout:
    """Where things are, in inches; `top` is the height of the heads above the first row of a band.

    Columns beyond the widest grid go below the others, in bands of the same heads and rows.
    """

    left: float
    first: float
    right: float
    top: float
    columns: int
    rotate: bool

    @classmethod
    def of(cls, row_names: Sequence[str], class_names: Sequence[str], numbered: bool) -> "_Layout":
        longest = max(map(len, class_names))
        columns = math.ceil(len(class_names) / math.ceil(len(class_names) / WIDEST))
        left = MARGIN + CHARACTER * max(map(len, row_names)) + GROUP_GAP / 2
        first = left + STEP + GROUP_GAP
        right = first + STEP * columns + (GROUP_GAP / 2 if numbered else 0)
        rotate = longest > 5
        top = MARGIN + HEADER + (CHARACTER * longest * 0.6 if rotate else 0)
        return cls(left, first, right, top, columns, rotate)


def _rows(ax: Axes, layout: _Layout, top: float, image: Array, names: Sequence[str], tiles: Array) -> None:
    for i, (name, row) in enumerate(zip(names, tiles, strict=True)):
        y = top + i * STEP
        ax.text(layout.left - GROUP_GAP / 2, y + TILE / 2, name, ha="right", va="center")
        _tile(ax, image, layout.left, y)
        for c, tile in enumerate(row):
            _tile(ax, tile, layout.first + c * STEP, y)


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure whose one axes has inches as units, y downwards."""
    figure = Figure(figsize=(width, height))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.axis("off")
    ax.set(xlim=(0, width), ylim=(height, 0))
    return figure, ax


def _tile(ax: Axes, image: Array, x: float, y: float) -> None:
    xlim, ylim = ax.get_xlim(), ax.get_ylim()
    shown = np.clip(np.broadcast_to(np.moveaxis(image, 0, -1), (*image.shape[1:], 3)), 0, 1)
    ax.imshow(shown, extent=(x, x + TILE, y + TILE, y), interpolation="nearest", aspect="auto")
    ax.add_patch(Rectangle((x, y), TILE, TILE, fill=False, edgecolor=MUTED, linewidth=0.4))
    ax.set(xlim=xlim, ylim=ylim)  # imshow moves them


def _title(ax: Axes, x: float, y: float, text: str) -> None:
    ax.text(x, y + MARGIN + HEADER / 4, text, ha="center", va="center", fontsize=9, color=MUTED)


def _width(numbers: Mapping[str, Sequence[str]]) -> float:
    """Of the columns of numbers, above which their title has to fit."""
    return max(NUMBER * len(numbers), NUMBERS_TITLE) if numbers else 0


def _headers(ax: Axes, layout: _Layout, y: float, label: str, class_names: Sequence[str]) -> None:
    left, first, right, top = layout.left, layout.first, layout.right, y + layout.top
    _title(ax, left + TILE / 2, y, "Input")
    _title(ax, (first + right) / 2, y, "Target class")
    names = [(left, label), *((first + c * STEP, name) for c, name in enumerate(class_names))]
    for x, name in names:
        weight = "bold" if name == label else "normal"
        angle = {"rotation": 40.0, "ha": "left", "rotation_mode": "anchor"} if layout.rotate else {"ha": "center"}
        at = x + TILE * (0.3 if layout.rotate else 0.5)
        ax.text(at, top - 0.06, name, va="bottom", fontweight=weight, **angle)


def _numbers(ax: Axes, layout: _Layout, numbers: Mapping[str, Sequence[str]]) -> None:
    _title(ax, layout.right + _width(numbers) / 2, 0, "Robust accuracy" if numbers else "")
    for column, (name, texts) in enumerate(numbers.items()):
        x = layout.right + NUMBER * (column + 0.9)
        ax.text(x, layout.top - 0.06, name, ha="right", va="bottom")
        for i, text in enumerate(texts):
            ax.text(x, layout.top + i * STEP + TILE / 2, text, ha="right", va="center", color=INK)

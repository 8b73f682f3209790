"""The paper's figures that are grids of images: targeted examples (1, 2, 5, 9) and target gradients (7, 8).

Rows are methods, sources or timesteps; columns are target classes, more than ten of them in bands, one below the other; the first
column is the input. Sizes are in inches.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from pag.figures.style import INK, MUTED, styled

__all__ = ["Array", "enlarged", "targeted_grid", "targets_by_source", "targets_by_timestep"]

Array = NDArray[np.floating[Any]]

TILE, GAP, GROUP_GAP, MARGIN = 0.5, 0.05, 0.16, 0.08
STEP = TILE + GAP
HEADER, NUMBER, NUMBERS_TITLE, CHARACTER, FOOTER = 0.5, 0.72, 1.15, 0.085, 0.26
WIDEST = 10  # columns; further ones go below
DIVERGING = "RdBu_r"


@styled
def targeted_grid(
    image: Array,
    label: str,
    adversarial: Array,
    row_names: Sequence[str],
    class_names: Sequence[str],
    numbers: Mapping[str, Sequence[str]],
    num_classes: int | None = None,
) -> Figure:
    """Large-ε targeted examples (figures 1, 2 and 9; figure 5 with a row for each λ).

    Args:
        image: the input, `(ch, H, W)` in [0, 1], ch 1 or 3.
        label: its class.
        adversarial: `(M, C, ch, H, W)` in [0, 1], of M classifiers towards C classes.
        row_names: M names.
        class_names: C names.
        numbers: columns of M texts at the right: `{"L₂": ["55.4%", …], "L∞": […]}`.
        num_classes: how many there are, where C are not all.
    """
    tiles = [[_display(tile) for tile in row] for row in adversarial]
    note = _left_out(class_names, num_classes)
    return _grid(_display(image), label, tiles, row_names, class_names, numbers, note)


@styled
def targets_by_source(
    image: Array,
    label: str,
    targets: Array,
    row_names: Sequence[str],
    class_names: Sequence[str],
    num_classes: int | None = None,
) -> Figure:
    """Target gradients of several sources at one image (figure 7).

    Args:
        image: `(ch, H, W)` in [0, 1].
        label: its class.
        targets: `g(x, c)`, `(S, C, ch, H, W)`, of S sources.
        row_names: S names.
        class_names: C names.
        num_classes: how many there are, where C are not all.
    """
    return _gradient_grid(image, label, targets, row_names, class_names, num_classes)


@styled
def targets_by_timestep(
    image: Array,
    label: str,
    targets: Array,
    timesteps: Sequence[int],
    class_names: Sequence[str],
    num_classes: int | None = None,
) -> Figure:
    """Score-based gradients at one image by the timestep t at which they are distilled (figure 8).

    Args:
        image: `(ch, H, W)` in [0, 1].
        label: its class.
        targets: `(T, C, ch, H, W)`.
        timesteps: T of them.
        class_names: C names.
        num_classes: how many there are, where C are not all.
    """
    return _gradient_grid(image, label, targets, [f"t = {t}" for t in timesteps], class_names, num_classes)


@styled
def enlarged(image: Array, width: float = 2.6) -> Figure:
    """A small image, `(H, W, 3)` in [0, 1], drawn `width` inches wide with square pixels."""
    figure = Figure(figsize=(width, width * image.shape[0] / image.shape[1]))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.axis("off")
    ax.imshow(image, interpolation="nearest", aspect="auto")
    return figure


def _left_out(class_names: Sequence[str], num_classes: int | None) -> str:
    """Says so where a grid does not show all classes."""
    shown = len(class_names)
    return "" if num_classes in (None, shown) else f"The first {shown} of {num_classes} classes."


def _gradient_grid(
    image: Array,
    label: str,
    targets: Array,
    row_names: Sequence[str],
    class_names: Sequence[str],
    num_classes: int | None,
) -> Figure:
    tiles = [[_centred(tile) for tile in row] for row in targets]
    gray = targets.shape[2] == 1
    note = "Red raises a pixel, blue lowers it; " if gray else "Mid-grey is zero; "
    note = f"{note}each tile on its own scale. {_left_out(class_names, num_classes)}".strip()
    return _grid(_display(image), label, tiles, row_names, class_names, {}, note)


def _display(image: Array) -> Array:
    """`(ch, H, W)` pixels as `(H, W, 3)`."""
    return np.clip(np.broadcast_to(np.moveaxis(image, 0, -1), (*image.shape[1:], 3)), 0, 1)


def _centred(gradient: Array) -> Array:
    """A gradient `(ch, H, W)`, scaled to [−1, 1] about 0: `(H, W)` of one channel, `(H, W, 3)` in [0, 1] of three."""
    scaled = gradient / max(float(np.abs(gradient).max()), 1e-12)
    return scaled[0] if len(scaled) == 1 else np.moveaxis((scaled + 1) / 2, 0, -1)


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


def _grid(
    image: Array,
    label: str,
    tiles: Sequence[Sequence[Array]],
    row_names: Sequence[str],
    class_names: Sequence[str],
    numbers: Mapping[str, Sequence[str]],
    note: str,
) -> Figure:
    """Tiles with names on the left, classes above, numbers on the right of the first band and a note below."""
    layout = _Layout.of(row_names, class_names, numbered=bool(numbers))
    bands = [slice(start, start + layout.columns) for start in range(0, len(class_names), layout.columns)]
    height = layout.top + STEP * len(tiles)
    bottom = height * len(bands)
    figure, ax = _canvas(layout.right + _width(numbers) + MARGIN, bottom + (FOOTER if note else 0) + MARGIN)
    for band, columns in enumerate(bands):
        y = height * band
        _headers(ax, layout, y, label, class_names[columns])
        _rows(ax, layout, y + layout.top, image, row_names, [row[columns] for row in tiles])
    _numbers(ax, layout, numbers)
    if note:
        ax.text(layout.left, bottom + FOOTER / 2, note, va="center", color=MUTED, fontsize=9)
    return figure


def _rows(
    ax: Axes, layout: _Layout, top: float, image: Array, names: Sequence[str], tiles: Sequence[Sequence[Array]]
) -> None:
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
    ax.imshow(
        image, extent=(x, x + TILE, y + TILE, y), interpolation="nearest", aspect="auto",
        cmap=DIVERGING if image.ndim == 2 else None, vmin=-1, vmax=1,
    )  # fmt: skip
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

"""The paper's figures that are grids of images, as values: targeted examples (1, 2, 5, 9) and target gradients (7, 8).

Rows are methods, sources or timesteps, columns are target classes, and before each row stands the input. A page shows them as they
are; `pag.figures.sheets` draws them for papers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray

__all__ = ["Array", "ImageGrid", "targeted_grid", "targets_by_source", "targets_by_timestep"]

Array = NDArray[np.floating[Any]]

DIVERGING = colormaps["RdBu_r"]


@dataclass(frozen=True)
class ImageGrid:
    """Images in rows and columns.

    Attributes:
        image: the input, `(ch, H, W)` in [0, 1], ch 1 or 3.
        label: its class.
        row_names: M names.
        class_names: C names.
        tiles: what is shown in them, `(M, C, ch, H, W)` in [0, 1].
        numbers: columns of M texts at the right: `{"L₂": ["55.4%", …], "L∞": […]}`.
        note: what has to be known of the tiles; may be empty.
    """

    image: Array
    label: str
    row_names: Sequence[str]
    class_names: Sequence[str]
    tiles: Array
    numbers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    note: str = ""


def targeted_grid(
    image: Array,
    label: str,
    adversarial: Array,
    row_names: Sequence[str],
    class_names: Sequence[str],
    numbers: Mapping[str, Sequence[str]],
    num_classes: int | None = None,
) -> ImageGrid:
    """Large-ε targeted examples (figures 1, 2 and 9; figure 5 with a row for each λ).

    Args:
        image: the input, `(ch, H, W)` in [0, 1], ch 1 or 3.
        label: its class.
        adversarial: `(M, C, ch, H, W)` in [0, 1], of M classifiers towards C classes.
        row_names: M names.
        class_names: C names.
        numbers: columns of M texts at the right.
        num_classes: how many there are, where C are not all.
    """
    return ImageGrid(image, label, row_names, class_names, adversarial, numbers, _left_out(class_names, num_classes))


def targets_by_source(
    image: Array,
    label: str,
    targets: Array,
    row_names: Sequence[str],
    class_names: Sequence[str],
    num_classes: int | None = None,
) -> ImageGrid:
    """Target gradients of several sources at one image (figure 7).

    Args:
        image: `(ch, H, W)` in [0, 1].
        label: its class.
        targets: `g(x, c)`, `(S, C, ch, H, W)`, of S sources.
        row_names: S names.
        class_names: C names.
        num_classes: how many there are, where C are not all.
    """
    note = "Red raises a pixel, blue lowers it; " if targets.shape[2] == 1 else "Mid-grey is zero; "
    note = f"{note}each tile on its own scale. {_left_out(class_names, num_classes)}".strip()
    tiles = np.stack([[_colored(tile) for tile in row] for row in targets])
    return ImageGrid(image, label, row_names, class_names, tiles, note=note)


def targets_by_timestep(
    image: Array,
    label: str,
    targets: Array,
    timesteps: Sequence[int],
    class_names: Sequence[str],
    num_classes: int | None = None,
) -> ImageGrid:
    """Score-based gradients at one image by the timestep t at which they are distilled (figure 8).

    Args:
        image: `(ch, H, W)` in [0, 1].
        label: its class.
        targets: `(T, C, ch, H, W)`.
        timesteps: T of them.
        class_names: C names.
        num_classes: how many there are, where C are not all.
    """
    return targets_by_source(image, label, targets, [f"t = {t}" for t in timesteps], class_names, num_classes)


def _left_out(class_names: Sequence[str], num_classes: int | None) -> str:
    """Says so where a grid does not show all classes."""
    shown = len(class_names)
    return "" if num_classes in (None, shown) else f"The first {shown} of {num_classes} classes."


def _colored(gradient: Array) -> Array:
    """A gradient `(ch, H, W)` as an image `(3, H, W)` in [0, 1], on its own scale: of one channel in red and blue about white, of
    three about mid-grey.
    """
    scaled = (gradient / max(float(np.abs(gradient).max()), 1e-12) + 1) / 2
    return np.moveaxis(DIVERGING(scaled[0])[..., :3], -1, 0) if len(scaled) == 1 else scaled

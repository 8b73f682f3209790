"""Stores of heuristic targets: representatives r_c, or a pool and who is nearest in it; kilobytes.

Heuristic targets are relative to the image, `g(x, c) = r_c(x) − x` (section 4.1), or to the image's own class y:
`g(x, c) = r_c(x) − r_y(x)` for c ≠ y, and `g(x, y)` minus the mean of those. The first share the term −x, which no gradient of a
log-softmax can follow for all classes, since `Σ_c p_c ∇ log p_c = 0`; the second do not.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from numpy.typing import NDArray
from torch import Tensor

from pag.base.vocabulary import RelativeTo
from pag.data.image_store import pixels
from pag.data.zarr_store import ReadOnlyStore, write_array
from pag.targets.store import Origin, TargetStore, attributes_of

__all__ = ["Nearest", "Representatives", "write_nearest", "write_representatives"]


def write_representatives(
    path: Path,
    representatives: NDArray[np.float32],
    relative_to: RelativeTo,
    labels: NDArray[np.int64],
    origin: Origin | None = None,
) -> None:
    """Writes one representative a class.

    Args:
        path: where to; must not exist.
        representatives: `(C, H, W, ch)` float32 in pixels.
        relative_to: what targets are relative to.
        labels: `(N,)`, of all rows of the training set.
        origin: what they were chosen from.
    """
    group = zarr.create_group(
        path, attributes={"kind": "representatives", "relative_to": relative_to, **attributes_of(origin)}
    )
    write_array(group, "representatives", representatives)
    write_array(group, "labels", labels)


def write_nearest(
    path: Path,
    pool: NDArray[np.uint8],
    nearest: NDArray[np.int32],
    relative_to: RelativeTo,
    labels: NDArray[np.int64],
    origin: Origin | None = None,
) -> None:
    """Writes nearest neighbours.

    Args:
        path: where to; must not exist.
        pool: `(P, H, W, ch)` uint8, the images that can be neighbours.
        nearest: `(N, C)`, for each training row and class the index of its neighbour in the pool.
        relative_to: what targets are relative to.
        labels: `(N,)`, of all rows of the training set.
        origin: what they were chosen from.
    """
    group = zarr.create_group(path, attributes={"kind": "nearest", "relative_to": relative_to, **attributes_of(origin)})
    write_array(group, "pool", pool)
    write_array(group, "nearest", nearest)
    write_array(group, "labels", labels)


class _Heuristic(TargetStore):
    """`r_c(x)` relative to the image, or to the own class."""

    def __init__(self, store: ReadOnlyStore, num_classes: int) -> None:
        relative_to = store.attribute("relative_to")
        if not isinstance(relative_to, str) or relative_to not in _RELATIVE:
            raise store.damaged(f"has targets relative to {relative_to!r}, not to one of {', '.join(_RELATIVE)}")
        self.path, self.num_classes, self.classes_per_image = store.path, num_classes, num_classes
        self.device = torch.device("cpu")
        self._relative = _RELATIVE[relative_to](store, num_classes)

    @abstractmethod
    def representatives(self, rows: Tensor, classes: Tensor) -> Tensor:
        """`r_c(x)` of rows `(B,)` and classes `(B, k)`: `(B, k, ch, H, W)` float32; all on the CPU."""

    def gather(self, rows: Tensor, classes: Tensor, images: Tensor) -> Tensor:
        return self._relative.gather(self, rows.cpu(), classes.cpu(), images)


class _Relative(ABC):
    """What heuristic targets are relative to."""

    def __init__(self, store: ReadOnlyStore, num_classes: int) -> None:
        self.num_rows: int | None = None

    @abstractmethod
    def gather(self, source: _Heuristic, rows: Tensor, classes: Tensor, images: Tensor) -> Tensor:
        """As `TargetStore.gather`, with rows and classes on the CPU."""


class _RelativeToImage(_Relative):
    """`g(x, c) = r_c(x) − x` (section 4.1)."""

    def gather(self, source: _Heuristic, rows: Tensor, classes: Tensor, images: Tensor) -> Tensor:
        return source.representatives(rows, classes).to(images.device) - images[:, None]


class _RelativeToOwnClass(_Relative):
    """`g(x, c) = r_c(x) − r_y(x)`, and for c = y minus the mean of the others."""

    def __init__(self, store: ReadOnlyStore, num_classes: int) -> None:
        labels = store.read("labels", "int64", 1)
        if num_classes < 2 or not np.isin(labels, np.arange(num_classes)).all():
            raise store.damaged(f"has labels outside 0 … C − 1 or no other class (C = {num_classes})")
        self.num_rows = len(labels)
        self._labels = torch.from_numpy(labels)

    def gather(self, source: _Heuristic, rows: Tensor, classes: Tensor, images: Tensor) -> Tensor:
        r = source.representatives(rows, torch.arange(source.num_classes).expand(len(rows), -1))
        index, y = torch.arange(len(rows)), self._labels[rows]
        g = r - r[index, y][:, None]
        g[index, y] = -g.sum(dim=1) / (source.num_classes - 1)  # the own term is still zero in this sum
        return g[index[:, None], classes].to(images.device)


_RELATIVE: Mapping[str, type[_Relative]] = {"image": _RelativeToImage, "own_class": _RelativeToOwnClass}


def _channels_first(images: NDArray[Any]) -> Tensor:
    """`(…, H, W, ch)` to `(…, ch, H, W)`."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(images, -1, -3)))


def _shape_of(images: Tensor) -> tuple[int, int, int]:
    channels, height, width = images.shape[-3:]
    return channels, height, width


class Representatives(_Heuristic):
    """One representative a class, whatever the image."""

    def __init__(self, store: ReadOnlyStore) -> None:
        self._representatives = _channels_first(store.read("representatives", "float32", 4))
        if not self._representatives.isfinite().all():
            raise store.damaged("has representatives that are not finite")
        super().__init__(store, len(self._representatives))
        self.num_images, self.image_shape = self._relative.num_rows, _shape_of(self._representatives)

    def representatives(self, rows: Tensor, classes: Tensor) -> Tensor:
        return self._representatives[classes]


class Nearest(_Heuristic):
    """The nearest neighbours in a pool."""

    def __init__(self, store: ReadOnlyStore) -> None:
        self._pool = _channels_first(store.read("pool", "uint8", 4))
        nearest = store.read("nearest", "int32", 2)
        if ((nearest < 0) | (nearest >= len(self._pool))).any():
            raise store.damaged(f"has neighbours outside its pool of {len(self._pool)}")
        super().__init__(store, nearest.shape[1])
        if self._relative.num_rows not in (None, len(nearest)):
            raise store.damaged(f"has neighbours of {len(nearest)} images and labels of {self._relative.num_rows}")
        self._nearest = torch.from_numpy(nearest).long()
        self.num_images, self.image_shape = len(nearest), _shape_of(self._pool)

    def representatives(self, rows: Tensor, classes: Tensor) -> Tensor:
        return pixels(self._pool[self._nearest[rows[:, None], classes]])

"""Stores of heuristic targets: representatives r_c, a pool and who is nearest in it, or the neighbours in it that r_c is a mean of.

What is kept is r_c(x); targets are that relative to the image, its class or all classes (`pag.targets.relative`).
"""

from abc import abstractmethod
from collections.abc import Collection, Mapping
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
from pag.targets.relative import RELATIVE, Wanted
from pag.targets.store import Origin, TargetStore, attributes_of

__all__ = ["Nearest", "Neighbors", "Representatives", "write_nearest", "write_neighbors", "write_representatives"]


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


def write_neighbors(
    path: Path,
    pool: NDArray[np.uint8],
    neighbors: NDArray[np.int32],
    weights: NDArray[np.float32],
    relative_to: RelativeTo,
    labels: NDArray[np.int64],
    origin: Origin | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> None:
    """Writes weighted neighbours, of which representatives are the means.

    Args:
        path: where to; must not exist.
        pool: `(P, H, W, ch)` uint8, the images that can be neighbours.
        neighbors: `(N, C, n)`, for each training row and class the indices of its neighbours in the pool; where targets are
            relative to all classes `(N, C + 1, n)`, the last column without a class.
        weights: as many, which sum to 1 over each n.
        relative_to: what targets are relative to.
        labels: `(N,)`, of all rows of the training set.
        origin: what they were chosen from.
        attributes: what else the store is to say of how they were made.
    """
    own = {"kind": "neighbors", "relative_to": relative_to, **attributes_of(origin)}
    group = zarr.create_group(path, attributes={**own, **(attributes or {})})
    write_array(group, "pool", pool)
    write_array(group, "neighbors", neighbors)
    write_array(group, "weights", weights)
    write_array(group, "labels", labels)


class _Heuristic(TargetStore):
    """`r_c(x)`, and what targets are relative to."""

    _relative_to: Collection[RelativeTo] = ("image", "own_class")

    def __init__(self, store: ReadOnlyStore, num_classes: int, num_rows: int | None = None) -> None:
        relative_to = store.attribute("relative_to")
        if relative_to not in self._relative_to:
            raise store.damaged(
                f"has targets relative to {relative_to!r}, not to one of {', '.join(self._relative_to)}"
            )
        self._form, self._labels, self.num_images = RELATIVE[relative_to], None, num_rows
        self.path, self.num_classes, self.classes_per_image = store.path, num_classes, num_classes
        self.device = torch.device("cpu")
        if relative_to == "own_class":
            self._labels = self._read_labels(store)
            self.num_images = len(self._labels)

    def _read_labels(self, store: ReadOnlyStore) -> Tensor:
        labels = store.read("labels", "int64", 1)
        if self.num_classes < 2 or not np.isin(labels, np.arange(self.num_classes)).all():
            raise store.damaged(f"has labels outside 0 … C − 1 or no other class (C = {self.num_classes})")
        if self.num_images not in (None, len(labels)):
            raise store.damaged(f"has neighbours of {self.num_images} images and labels of {len(labels)}")
        return torch.from_numpy(labels)

    @abstractmethod
    def representatives(self, rows: Tensor, classes: Tensor) -> Tensor:
        """`r_c(x)` of rows `(B,)` and classes `(B, k)`: `(B, k, ch, H, W)` float32; all on the CPU. Class C is none."""

    def gather(self, rows: Tensor, classes: Tensor, images: Tensor) -> Tensor:
        rows, labels = rows.cpu(), self._labels

        def values(places: Tensor, of: Tensor) -> Tensor:
            return self.representatives(rows[places], of)

        own = None if labels is None else labels[rows]
        return self._form(values, Wanted(classes.cpu(), self.num_classes, images, own))


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
        self.image_shape = _shape_of(self._representatives)

    def representatives(self, rows: Tensor, classes: Tensor) -> Tensor:
        return self._representatives[classes]


class Nearest(_Heuristic):
    """The nearest neighbours in a pool."""

    def __init__(self, store: ReadOnlyStore) -> None:
        self._pool = _channels_first(store.read("pool", "uint8", 4))
        nearest = store.read("nearest", "int32", 2)
        if ((nearest < 0) | (nearest >= len(self._pool))).any():
            raise store.damaged(f"has neighbours outside its pool of {len(self._pool)}")
        super().__init__(store, nearest.shape[1], len(nearest))
        self._nearest, self.image_shape = torch.from_numpy(nearest).long(), _shape_of(self._pool)

    def representatives(self, rows: Tensor, classes: Tensor) -> Tensor:
        return pixels(self._pool[self._nearest[rows[:, None], classes]])


class Neighbors(_Heuristic):
    """Means of weighted neighbours in a pool."""

    _relative_to = tuple(RELATIVE)

    def __init__(self, store: ReadOnlyStore) -> None:
        self._pool = _channels_first(store.read("pool", "uint8", 4))
        neighbors, weights = store.read("neighbors", "int32", 3), store.read("weights", "float32", 3)
        if neighbors.shape != weights.shape or 0 in neighbors.shape:
            raise store.damaged(f"has neighbours of shape {neighbors.shape} and weights of shape {weights.shape}")
        if ((neighbors < 0) | (neighbors >= len(self._pool))).any():
            raise store.damaged(f"has neighbours outside its pool of {len(self._pool)}")
        if not (np.isfinite(weights).all() and (weights >= 0).all()):
            raise store.damaged("has weights that are negative or not finite")
        without_class = store.attribute("relative_to") == "unconditional"  # the last column
        super().__init__(store, neighbors.shape[1] - without_class, len(neighbors))
        self._neighbors, self._weights = torch.from_numpy(neighbors), torch.from_numpy(weights)
        self.image_shape = _shape_of(self._pool)

    def representatives(self, rows: Tensor, classes: Tensor) -> Tensor:
        neighbors, weights = (of[rows[:, None], classes] for of in (self._neighbors, self._weights))
        r = torch.zeros(*classes.shape, *self.image_shape)
        for n in range(neighbors.shape[2]):  # all at once would hold n times as much
            r += weights[:, :, n, None, None, None] * self._pool[neighbors[:, :, n].long()]
        return r / 255

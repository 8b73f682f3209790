"""Target stores: where the target gradients g(x, c) of eq. (4) are kept, no more of them than is needed.

A representative source keeps its representatives r_c, or a pool and who is nearest in it: kilobytes. The score-based source keeps
`gradients (N, m, ch, H, W)`, one image to a chunk inside shards: of all m = C classes, or of m that were drawn once for each image,
`classes (N, m)`; in float16, or in int8 with `scales (N, m)`. One reader serves all: `gather`.

Heuristic targets are relative to the image, `g(x, c) = r_c(x) − x` (section 4.1), or to the image's own class y:
`g(x, c) = r_c(x) − r_y(x)` for c ≠ y, and `g(x, y)` minus the mean of those. The first share the term −x, which no gradient of a
log-softmax can follow for all classes, since `Σ_c p_c ∇ log p_c = 0`; the second do not.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tensorstore
import torch
import zarr
from numpy.typing import NDArray
from torch import Tensor

from pag.errors import InputError
from pag.room import fits
from pag.stores import ReadOnlyStore, write_array

__all__ = [
    "RelativeTo", "TargetStore", "create_gradients", "shard_rows", "write_nearest", "write_representatives", "write_shard",
]  # fmt: skip

RelativeTo = Literal["image", "own_class"]
GradientType = Literal["float16", "int8"]

_LEVELS, _MISSING = 127, -128  # of int8
_CPU = torch.device("cpu")


def write_representatives(
    path: Path, representatives: NDArray[np.float32], relative_to: RelativeTo, labels: NDArray[np.int64]
) -> None:
    """Writes one representative a class.

    Args:
        path: where to; must not exist.
        representatives: `(C, H, W, ch)` float32 in pixels.
        relative_to: what targets are relative to.
        labels: `(N,)`, of all rows of the training set.
    """
    group = zarr.create_group(path, attributes={"kind": "representatives", "relative_to": relative_to})
    write_array(group, "representatives", representatives)
    write_array(group, "labels", labels)


def write_nearest(
    path: Path,
    pool: NDArray[np.uint8],
    nearest: NDArray[np.int32],
    relative_to: RelativeTo,
    labels: NDArray[np.int64],
) -> None:
    """Writes nearest neighbours.

    Args:
        path: where to; must not exist.
        pool: `(P, H, W, ch)` uint8, the images that can be neighbours.
        nearest: `(N, C)`, for each training row and class the index of its neighbour in the pool.
        relative_to: what targets are relative to.
        labels: `(N,)`, of all rows of the training set.
    """
    group = zarr.create_group(path, attributes={"kind": "nearest", "relative_to": relative_to})
    write_array(group, "pool", pool)
    write_array(group, "nearest", nearest)
    write_array(group, "labels", labels)


def create_gradients(
    path: Path,
    shape: tuple[int, int, int, int, int],
    shard_size: int,
    dtype: GradientType = "float16",
    classes: NDArray[np.int64] | None = None,
    num_classes: int | None = None,
) -> None:
    """Creates an empty store of gradients, which `write_shard` fills.

    Args:
        path: where to; must not exist.
        shape: `(N, m, ch, H, W)`.
        shard_size: images a shard; an inner chunk is one image with its m gradients.
        dtype: `"float16"`, or `"int8"`: 127ths of the largest value of each gradient, which is kept as its scale.
        classes: `(N, m)`, whose gradients an image has, ascending; None: those of all m = C classes.
        num_classes: C, where `classes` are given.
    """
    group = zarr.create_group(path, attributes={"kind": "gradients", "num_classes": num_classes or shape[1]})
    chunk, shard = (1, *shape[1:]), (shard_size, *shape[1:])
    # What is so noisy does not shrink: without a compressor it is read twice as fast. What is missing is never taken for a value.
    fill = float("nan") if dtype == "float16" else _MISSING
    group.create_array(
        "gradients", shape=shape, dtype=dtype, chunks=chunk, shards=shard, fill_value=fill, compressors=None
    )
    if dtype == "int8":
        group.create_array("scales", shape=shape[:2], dtype="float32", chunks=shard[:2], fill_value=float("nan"))
    if classes is not None:
        write_array(group, "classes", classes)


def shard_rows(num_images: int, shard_size: int) -> list[range]:
    """The rows of each shard."""
    return [range(start, min(start + shard_size, num_images)) for start in range(0, num_images, shard_size)]


def write_shard(path: Path, shard: int, gradients: NDArray[np.floating[Any]]) -> None:
    """Writes the rows of one shard, `(rows, m, ch, H, W)`; shards may be written by different processes, in any order.

    Raises:
        InputError: the number of rows is not the shard's, or a value does not fit the store's type.
    """
    array = zarr.open_array(path / "gradients", mode="r+", zarr_format=3)
    assert array.shards is not None  # `create_gradients` made it
    rows = shard_rows(array.shape[0], array.shards[0])[shard]
    if gradients.shape != (len(rows), *array.shape[1:]):
        raise InputError(f"{path}: shard {shard} takes {(len(rows), *array.shape[1:])}, not {gradients.shape}.")
    part = slice(rows.start, rows.stop)
    if array.dtype == np.int8:
        scales = np.abs(gradients).max(axis=(2, 3, 4)).astype(np.float32) / np.float32(_LEVELS)
        _require_finite(scales, path, shard, "float32")
        scales = np.where(scales == 0, np.float32(1), scales)
        values = np.rint(gradients / scales[:, :, None, None, None]).astype(np.int8)
        zarr.open_array(path / "scales", mode="r+", zarr_format=3)[part] = scales
    else:
        with np.errstate(over="ignore"):
            values = gradients.astype(np.float16)
        _require_finite(values, path, shard, "float16")
    array[part] = values


def _require_finite(values: NDArray[Any], path: Path, shard: int, dtype: str) -> None:
    if not np.isfinite(values).all():
        raise InputError(f"{path}: gradients of shard {shard} are not finite in {dtype}.")


class TargetStore(ABC):
    """Reads target gradients, whatever their source.

    Attributes:
        path: of the store.
        num_images: N, the rows that it has targets for; None where targets depend on no row.
        num_classes: C.
        classes_per_image: m, of how many classes an image has gradients.
        image_shape: `(ch, H, W)`.
        device: where what is gathered lies before; None: on the disk.
    """

    path: Path
    num_images: int | None
    num_classes: int
    classes_per_image: int
    image_shape: tuple[int, int, int]
    device: torch.device | None

    def stored_classes(self, rows: Tensor) -> Tensor:
        """The classes that images have gradients of, ascending: `(B, m)` int64 on the CPU, for rows `(B,)`."""
        return torch.arange(self.num_classes).expand(len(rows), -1)

    @abstractmethod
    def gather(self, rows: Tensor, classes: Tensor, images: Tensor) -> Tensor:
        """Target gradients of a batch.

        Args:
            rows: `(B,)` int64, the images' rows in the training set.
            classes: `(B, k)` int64.
            images: `(B, ch, H, W)` float32 in [0, 1].

        Returns:
            `g(x, c)`, `(B, k, ch, H, W)` float32 on the device of `images`.

        Raises:
            InputError: an image has no gradient of one of its classes, or the store is damaged.
        """

    @staticmethod
    def open(path: Path, preload: bool | None = None, device: torch.device = _CPU) -> "TargetStore":
        """Opens a store.

        Args:
            path: of the store.
            preload: whether gradients are read into memory whole, or batch by batch; None: whole where they fit. What is
                gathered is the same.
            device: where to hold them then, if they fit there.

        Raises:
            InputError: there is no such store, it is unfinished, or its arrays do not fit each other.
        """
        store = ReadOnlyStore(path)
        kind = store.attribute("kind")
        if not isinstance(kind, str) or kind not in _KINDS:
            raise InputError(f"{path} is no target store; run the stage that writes it.")
        return _KINDS[kind](store, preload, device)

    def check_matches(self, num_images: int, num_classes: int, image_shape: tuple[int, int, int]) -> None:
        """Raises InputError, with both shapes, where the store does not belong to such images."""
        here = (num_images if self.num_images is None else self.num_images, self.num_classes, *self.image_shape)
        wanted = (num_images, num_classes, *image_shape)
        if here != wanted:
            raise InputError(f"{self.path} holds targets for (N, C, ch, H, W) = {here}, and the images need {wanted}.")


class _Heuristic(TargetStore):
    """`r_c(x)` relative to the image, or to the own class."""

    def __init__(self, store: ReadOnlyStore, num_classes: int) -> None:
        relative_to = store.attribute("relative_to")
        if not isinstance(relative_to, str) or relative_to not in _RELATIVE:
            raise store.damaged(f"has targets relative to {relative_to!r}, not to one of {', '.join(_RELATIVE)}")
        self.path, self.num_classes, self.classes_per_image = store.path, num_classes, num_classes
        self.device = _CPU
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
    """`(…, H, W, ch)` of any type to `(…, ch, H, W)` float32."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(images, -1, -3), dtype=np.float32))


def _shape_of(images: Tensor) -> tuple[int, int, int]:
    channels, height, width = images.shape[-3:]
    return channels, height, width


class _Representatives(_Heuristic):
    """One representative a class, whatever the image."""

    def __init__(self, store: ReadOnlyStore, preload: bool | None, device: torch.device) -> None:
        self._representatives = _channels_first(store.read("representatives", "float32", 4))
        super().__init__(store, len(self._representatives))
        self.num_images, self.image_shape = self._relative.num_rows, _shape_of(self._representatives)

    def representatives(self, rows: Tensor, classes: Tensor) -> Tensor:
        return self._representatives[classes]


class _Nearest(_Heuristic):
    """The nearest neighbours in a pool."""

    def __init__(self, store: ReadOnlyStore, preload: bool | None, device: torch.device) -> None:
        self._pool = _channels_first(store.read("pool", "uint8", 4)) / 255
        nearest = store.read("nearest", "int32", 2)
        if ((nearest < 0) | (nearest >= len(self._pool))).any():
            raise store.damaged(f"has neighbours outside its pool of {len(self._pool)}")
        super().__init__(store, nearest.shape[1])
        if self._relative.num_rows not in (None, len(nearest)):
            raise store.damaged(f"has neighbours of {len(nearest)} images and labels of {self._relative.num_rows}")
        self._nearest = torch.from_numpy(nearest).long()
        self.num_images, self.image_shape = len(nearest), _shape_of(self._pool)

    def representatives(self, rows: Tensor, classes: Tensor) -> Tensor:
        return self._pool[self._nearest[rows[:, None], classes]]


class _Gradients(TargetStore):
    """Stored gradients: held in memory where they fit, else just the rows and classes of each batch are read."""

    def __init__(self, store: ReadOnlyStore, preload: bool | None, device: torch.device) -> None:
        self.path, quantized = store.path, store.has("scales")
        shape = store.finished("gradients", "int8" if quantized else "float16", 5).shape
        self.num_images, self.classes_per_image, *_ = shape
        self.num_classes, self.image_shape = int(store.attribute("num_classes")), (shape[2], shape[3], shape[4])
        self._scales = self._table(store, "scales", "float32") if quantized else None
        self._classes = self._table(store, "classes", "int64") if store.has("classes") else None
        self._check_tables(store)
        files = {"driver": "file", "path": str((store.path / "gradients").absolute())}
        self._array = tensorstore.open({"driver": "zarr3", "kvstore": files}, open=True, read=True).result()
        size = math.prod(shape) * (1 if quantized else 2)
        self._values: Tensor | None = None
        if preload or (preload is None and fits(size, _CPU)):
            values = self._read(self._array)
            self._values = values.to(device) if fits(size, device) else values
        self.device = None if self._values is None else self._values.device

    def _table(self, store: ReadOnlyStore, name: str, dtype: str) -> Tensor:
        """An array `(N, m)`."""
        table = store.read(name, dtype, 2)
        if table.shape != (self.num_images, self.classes_per_image):
            raise store.damaged(f"has {name!r} of shape {table.shape} for {self.num_images} images")
        return torch.from_numpy(table)

    def _check_tables(self, store: ReadOnlyStore) -> None:
        if self._scales is not None and not self._scales.isfinite().all():
            raise store.damaged("has scales that are not finite")
        if self._classes is None and self.classes_per_image != self.num_classes:
            raise store.damaged(f"has {self.classes_per_image} gradients an image, and does not say of which classes")
        if self._classes is not None and not torch.isin(self._classes, torch.arange(self.num_classes)).all():
            raise store.damaged(f"has classes outside 0 … {self.num_classes - 1}")

    def stored_classes(self, rows: Tensor) -> Tensor:
        return super().stored_classes(rows) if self._classes is None else self._classes[rows.cpu()]

    def gather(self, rows: Tensor, classes: Tensor, images: Tensor) -> Tensor:
        rows, columns = rows.cpu(), self._columns(rows.cpu(), classes.cpu())
        g = self._stored(rows, columns).to(images.device).to(torch.float32)
        if self._scales is not None:
            g *= self._scales[rows[:, None], columns].to(g.device)[:, :, None, None, None]
        return g

    def _columns(self, rows: Tensor, classes: Tensor) -> Tensor:
        """Where in the store the gradients of `classes` `(B, k)` lie."""
        if self._classes is None:
            return classes
        same = self._classes[rows][:, None, :] == classes[:, :, None]
        if not same.any(dim=2).all():
            raise InputError(f"{self.path} holds gradients of {self.classes_per_image} classes an image, not of all.")
        return same.byte().argmax(dim=2)

    def _stored(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Of rows `(B,)` and columns `(B, k)` what is stored, `(B, k, ch, H, W)`."""
        values, place = self._values, rows
        if values is None:  # a chunk is read whole, whatever is wanted of it
            values, place = self._read(self._array[rows.numpy()]), torch.arange(len(rows))
        index = (place[:, None] * self.classes_per_image + columns).flatten()
        gradients = values.reshape(-1, math.prod(self.image_shape))
        return gradients.index_select(0, index.to(values.device)).reshape(*columns.shape, *self.image_shape)

    def _read(self, images: tensorstore.TensorStore) -> Tensor:
        """Some images' gradients, of which none is missing: a chunk, an image, is there or not as a whole."""
        try:
            values = torch.from_numpy(images.read().result())
        except ValueError:
            values = None
        if values is None or _is_missing(values[:, 0, 0, 0, 0]).any():
            raise InputError(f"{self.path} is unfinished or damaged; delete it and run the stage that writes it again.")
        return values


def _is_missing(values: Tensor) -> Tensor:
    return values == _MISSING if values.dtype == torch.int8 else values.isnan()


_KINDS: Mapping[str, Callable[[ReadOnlyStore, bool | None, torch.device], TargetStore]] = {
    "representatives": _Representatives,
    "nearest": _Nearest,
    "gradients": _Gradients,
}

"""Stores of the gradients themselves: `gradients (N, m, ch, H, W)`, one image to a chunk inside shards.

They are of all m = C classes, or of m that were drawn once for each image, `classes (N, m)`; in float16, or in int8 with
`scales (N, m)`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import zarr
from numpy.typing import NDArray
from torch import Tensor
from zarr.codecs import Crc32cCodec, ZstdCodec

from pag.base.errors import InputError
from pag.data.zarr_store import ReadOnlyStore, write_array
from pag.machine.capacity import fits
from pag.targets.shards import mapped_shards
from pag.targets.store import Origin, TargetStore, attributes_of

__all__ = ["GradientType", "Gradients", "create_gradients", "shard_rows", "write_shard"]

GradientType = Literal["float16", "int8"]

_LEVELS, _MISSING = 127, -128  # of int8


def create_gradients(
    path: Path,
    shape: tuple[int, int, int, int, int],
    shard_size: int,
    dtype: GradientType = "float16",
    classes: NDArray[np.int64] | None = None,
    num_classes: int | None = None,
    origin: Origin | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> None:
    """Creates an empty store of gradients, which `write_shard` fills.

    Args:
        path: where to; must not exist.
        shape: `(N, m, ch, H, W)`.
        shard_size: images a shard; an inner chunk is one image with its m gradients.
        dtype: `"float16"`, or `"int8"`: 127ths of the largest value of each gradient, which is kept as its scale.
        classes: `(N, m)`, whose gradients an image has, ascending; None: those of all m = C classes.
        num_classes: C, where `classes` are given.
        origin: what the gradients are taken at.
        attributes: what else the store is to say of how they were made.
    """
    own = {"kind": "gradients", "num_classes": num_classes or shape[1], **attributes_of(origin)}
    group = zarr.create_group(path, attributes={**own, **(attributes or {})})
    chunk, shard = (1, *shape[1:]), (shard_size, *shape[1:])
    # What is so noisy does not shrink: not compressed it is read twice as fast. What is missing is never taken for a value.
    fill = float("nan") if dtype == "float16" else _MISSING
    group.create_array(
        "gradients", shape=shape, dtype=dtype, chunks=chunk, shards=shard, fill_value=fill, compressors=Crc32cCodec()
    )
    if dtype == "int8":
        checked = (ZstdCodec(), Crc32cCodec())
        group.create_array(
            "scales", shape=shape[:2], dtype="float32", chunks=shard[:2], fill_value=float("nan"), compressors=checked
        )
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


class Gradients(TargetStore):
    """Stored gradients: held in memory where they fit, else just the rows and classes of each batch are read."""

    def __init__(self, store: ReadOnlyStore, preload: bool | None, device: torch.device) -> None:
        self.path, quantized = store.path, store.has("scales")
        array = store.array("gradients", "int8" if quantized else "float16", 5)
        self.num_images, self.classes_per_image, channels, height, width = array.shape
        self.num_classes, self.image_shape = store.attribute("num_classes"), (channels, height, width)
        if not isinstance(self.num_classes, int) or min(self.num_classes, *array.shape) < 1:
            raise store.damaged(f"has gradients of shape {array.shape} towards {self.num_classes} classes")
        self._scales = self._table(store, "scales", "float32") if quantized else None
        self._classes = self._table(store, "classes", "int64") if store.has("classes") else None
        self._check_tables(store)
        self._shards = mapped_shards(store, array)
        self._values: Tensor | None = None
        if preload or (preload is None and fits(array.nbytes, torch.device("cpu"))):
            values = torch.from_numpy(np.concatenate([shard.whole() for shard in self._shards]))
            self._values = values.to(device) if fits(array.nbytes, device) else values
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
        assert 0 <= int(columns.min()) <= int(columns.max()) < self.classes_per_image
        if self._values is None:
            return torch.from_numpy(self._from_disk(rows.numpy(), columns.numpy()))
        index = (rows[:, None] * self.classes_per_image + columns).flatten()
        gradients = self._values.flatten(0, 1)
        return gradients.index_select(0, index.to(gradients.device)).reshape(*columns.shape, *self.image_shape)

    def _from_disk(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[Any]:
        g = np.empty((*columns.shape, *self.image_shape), self._shards[0].rows.dtype)
        for shard, row, taken, out in zip(*np.divmod(rows, len(self._shards[0])), columns, g, strict=True):
            # Columns are in range; to check that again numpy would copy the gradients once more.
            np.take(self._shards[shard].row(row), taken, axis=0, out=out, mode="clip")
        return g

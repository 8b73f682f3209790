"""The shards of a Zarr array as memory maps, where inner chunks are single rows and nothing is compressed.

Such a shard is its rows, one behind the other, and then the index of Zarr's sharding codec: where each row begins and how long it
is, two uint64 numbers, and a checksum. Once the index has said that they lie so, a row is read as from any mapped file, and just
those of its bytes that are wanted; a reader of Zarr takes whole chunks, one by one.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from numpy.typing import NDArray

from pag.data.zarr_store import ReadOnlyStore

__all__ = ["mapped_shards"]

_ABSENT = 2**64 - 1
_CHECKSUM = 4  # bytes


def mapped_shards(store: ReadOnlyStore, array: "zarr.Array[Any]") -> list[NDArray[Any]]:
    """Maps an array's shards; what is not looked at is not read.

    Args:
        store: what holds the array.
        array: `(N, *)` in shards of S rows, each row a chunk.

    Returns:
        The rows of each shard, `(S, *)`, read-only; the last has those that remain.

    Raises:
        InputError: a shard is missing, unfinished, or holds its rows in another way.
    """
    rows, *rest = array.shape
    per_shard = rows if array.shards is None else array.shards[0]
    shards, name = [], array.name.strip("/")
    for number, start in enumerate(range(0, rows, per_shard)):
        path = store.path / name / array.metadata.encode_chunk_key((number, *[0] * len(rest)))
        shape = (min(per_shard, rows - start), *rest)
        if not _holds_rows(path, shape[0], math.prod(shape) * array.dtype.itemsize, per_shard):
            raise store.damaged(f"is unfinished: parts of {name!r} are missing")
        shards.append(_mapped(path, array.dtype, shape))
    return shards


def _mapped(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """The start of a file as an array; unlike numpy's memory map it keeps no file open, of which there may be thousands."""
    size = math.prod(shape) * dtype.itemsize
    rows = torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8).numpy().view(dtype).reshape(shape)
    rows.flags.writeable = False
    return rows


def _holds_rows(path: Path, rows: int, size: int, per_shard: int) -> bool:
    """Whether a file is `rows` rows of `size` bytes in all, and the index that says so."""
    index_size = 16 * per_shard + _CHECKSUM
    try:
        with path.open("rb") as file:
            if file.seek(0, 2) != size + index_size:
                return False
            file.seek(size)
            index = np.frombuffer(file.read(index_size - _CHECKSUM), "<u8").reshape(per_shard, 2)
    except OSError:
        return False
    length = size // rows
    begin = np.arange(rows, dtype=np.uint64) * np.uint64(length)
    return bool(
        (index[:rows, 0] == begin).all() and (index[:rows, 1] == length).all() and (index[rows:] == _ABSENT).all()
    )

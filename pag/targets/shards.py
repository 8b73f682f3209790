"""The shards of a Zarr array as memory maps, where inner chunks are single rows and nothing is compressed.

Such a shard is its rows, one behind the other, and then the index of Zarr's sharding codec: where each row begins and how long it
is, two uint64 numbers, and a checksum. Once the index has said that they lie so, a row is read as from any mapped file, and just
those of its bytes that are wanted; a reader of Zarr takes whole chunks, one by one. Behind each row is its own CRC-32C, which is
compared the first time that the row is looked at.
"""

import math
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import torch
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec, ShardingCodec

from pag.data.zarr_store import ReadOnlyStore

__all__ = ["Shard", "mapped_shards"]

_ABSENT = 2**64 - 1
_CHECKSUM = 4  # bytes


class Shard:
    """The rows of one shard.

    Attributes:
        rows: `(S, *)`, read-only, as they lie on the disk.
    """

    def __init__(self, store: ReadOnlyStore, name: str, raw: NDArray[np.uint8], rows: NDArray[Any]) -> None:
        self._store, self._name, self._raw, self.rows = store, name, raw, rows
        self._verified = np.zeros(len(rows), dtype=np.bool_)

    def __len__(self) -> int:
        return len(self.rows)

    def row(self, index: int) -> NDArray[Any]:
        """One row, which is what was written.

        Raises:
            InputError: it differs from its checksum.
        """
        if not self._verified[index]:
            self._verify(index)
        row: NDArray[Any] = self.rows[index]
        return row

    def whole(self) -> NDArray[Any]:
        """All rows; raises as `row` does."""
        for index in np.flatnonzero(~self._verified):
            self._verify(int(index))
        return self.rows

    def _verify(self, index: int) -> None:
        row = self._raw[index]
        if row.size > self.rows[index].nbytes:
            stored = int(row[-_CHECKSUM:].view("<u4")[0])
            if google_crc32c.value(row[:-_CHECKSUM]) != stored:
                raise self._store.damaged(f"has a row of {self._name!r} that is not what was written")
        self._verified[index] = True


def mapped_shards(store: ReadOnlyStore, array: "zarr.Array[Any]") -> list[Shard]:
    """Maps an array's shards; what is not looked at is not read.

    Args:
        store: what holds the array.
        array: `(N, *)` in shards of S rows, each row a chunk.

    Returns:
        The shards, of S rows each; the last has those that remain.

    Raises:
        InputError: a shard is missing, unfinished, or holds its rows in another way.
    """
    rows, *rest = array.shape
    per_shard = rows if array.shards is None else array.shards[0]
    shards, name = [], array.name.strip("/")
    row_size = math.prod(rest) * array.dtype.itemsize
    stored_size = row_size + (_CHECKSUM if _has_checksums(array) else 0)
    for number, start in enumerate(range(0, rows, per_shard)):
        path = store.path / name / array.metadata.encode_chunk_key((number, *[0] * len(rest)))
        held = min(per_shard, rows - start)
        if not _holds_rows(path, held, held * stored_size, per_shard):
            raise store.damaged(f"is unfinished: parts of {name!r} are missing")
        raw = _mapped(path, (held, stored_size))
        shards.append(Shard(store, name, raw, raw[:, :row_size].view(array.dtype).reshape(held, *rest)))
    return shards


def _has_checksums(array: "zarr.Array[Any]") -> bool:
    """Whether a CRC-32C stands behind each row; stores that were written before there were any have none."""
    codec = array.metadata.codecs[0]  # type: ignore[union-attr]  # groups are opened as version 3
    return isinstance(codec, ShardingCodec) and isinstance(codec.codecs[-1], Crc32cCodec)


def _mapped(path: Path, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """The start of a file as bytes; unlike numpy's memory map it keeps no file open, of which there may be thousands."""
    size = math.prod(shape)
    raw: NDArray[np.uint8] = torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8).numpy()
    raw.flags.writeable = False
    return raw.reshape(shape)


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

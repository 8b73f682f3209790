"""Zarr groups: written by zarr-python, the same bytes each time, and opened read-only, as a DVC cache may be.

What is read is what was written, or an error. An array that is written at once has the SHA-256 of its values among its attributes,
which is compared when it is first read; those that are written in parts have a CRC-32C behind each chunk, which Zarr compares.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from pag.base.errors import InputError

__all__ = ["ReadOnlyStore", "drop_partial_chunks", "write_array"]

DIGEST = "sha256"  # attribute of an array
CHUNK_BYTES = 2**28  # of an array of more than that
MOST_CHUNKS = 10**6  # of an array: far more than any has


def write_array(group: zarr.Group, name: str, values: NDArray[Any]) -> None:
    """Adds an array in one chunk, or, where it is large, in chunks of some rows: Zarr's codecs take less than 2 GB each.

    Chunks are written even where they are all zeros: a file that is missing is then a damage.
    """
    values = np.ascontiguousarray(values)
    rows, *rest = (max(1, n) for n in values.shape)
    if values.nbytes > CHUNK_BYTES:
        rows = max(1, CHUNK_BYTES * rows // values.nbytes)
    attributes: dict[str, Any] = {DIGEST: _digest(values)}
    group.create_array(
        name, data=values, chunks=(rows, *rest), attributes=attributes, config={"write_empty_chunks": True}
    )


def _digest(values: NDArray[Any]) -> str:
    return hashlib.sha256(values.data).hexdigest()


def drop_partial_chunks(path: Path) -> None:
    """Deletes the files that zarr-python was writing when its process was killed: it renames each when it is whole."""
    for partial in path.rglob("*.partial"):
        partial.unlink()


class ReadOnlyStore:
    """A Zarr group opened for reading; whatever is wrong with it is an InputError that names its path.

    Of files that are missing, cut short or something else zarr-python raises exceptions of many kinds; all are taken for damage.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._group = zarr.open_group(path, mode="r", zarr_format=3)
            self._attributes = dict(self._group.attrs)
        except Exception:
            raise InputError(f"{path} is no Zarr store; run the stage that writes it.") from None
        self.path = path
        self._verified: set[str] = set()

    def attribute(self, name: str) -> Any:  # noqa: ANN401
        """An attribute of the group."""
        if not self.has_attribute(name):
            raise self.damaged(f"has no attribute {name!r}")
        return self._attributes[name]

    def has_attribute(self, name: str) -> bool:
        """Whether the group has such an attribute."""
        return name in self._attributes

    def text(self, name: str) -> str:
        """An attribute that is text."""
        value = self.attribute(name)
        if not isinstance(value, str):
            raise self.damaged(f"has the attribute {name!r} as {type(value).__name__}, not as text")
        return value

    def has(self, name: str) -> bool:
        """Whether there is such an array."""
        try:
            return name in self._group
        except Exception:
            raise self.damaged(f"has an array {name!r} that cannot be read") from None

    def array(self, name: str, dtype: str, ndim: int) -> "zarr.Array[Any]":
        """Looks up an array of this type and number of axes, without reading it."""
        try:
            array = self._group[name]
        except Exception:
            array = None
        if not isinstance(array, zarr.Array):
            raise self.damaged(f"has no array {name!r}")
        if array.dtype != np.dtype(dtype) or array.ndim != ndim:
            raise self.damaged(f"has {name!r} as {array.dtype} {array.shape}, not {dtype} with {ndim} axes")
        return array

    def finished(self, name: str, dtype: str, ndim: int) -> "zarr.Array[Any]":
        """Looks up an array of which no part is missing: Zarr itself would read what is missing as the fill value."""
        array = self.array(name, dtype, ndim)
        try:
            whole = array.nchunks <= MOST_CHUNKS and array.nchunks_initialized == array.nchunks
        except Exception:
            whole = False
        if not whole:
            raise self.damaged(f"is unfinished: parts of {name!r} are missing")
        return array

    def read(self, name: str, dtype: str, ndim: int) -> NDArray[Any]:
        """Reads an array whole, and makes sure that it is what was written."""
        array = self.finished(name, dtype, ndim)
        try:
            values, digest = np.ascontiguousarray(array[:]), array.attrs.get(DIGEST)
        except Exception:
            raise self.damaged(f"has parts of {name!r} that cannot be read") from None
        self._verify(name, values, digest)
        return values

    def has_digest(self, name: str) -> bool:
        """Whether the array has a digest to be compared with; those that were written before there were any have none."""
        try:
            return DIGEST in self._group[name].attrs
        except Exception:
            raise self.damaged(f"has an array {name!r} that cannot be read") from None

    def _verify(self, name: str, values: NDArray[Any], digest: object) -> None:
        """Compares an array with its digest, once: some 0.1 s for the 150 MB of CIFAR-10."""
        if digest is not None and name not in self._verified:
            if _digest(values) != digest:
                raise self.damaged(f"has other values in {name!r} than were written")
            self._verified.add(name)

    def damaged(self, what: str) -> InputError:
        """The error to raise; `what` goes on from the path."""
        return InputError(f"{self.path} {what}; delete it and run the stage that writes it again.")

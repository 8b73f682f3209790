"""Laws of mapped shards: they are what Zarr reads, and a shard of which a row cannot be told for certain is damaged."""

import numpy as np
import psutil
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from zarr.codecs import Crc32cCodec

from pag.base.errors import InputError
from pag.data.zarr_store import ReadOnlyStore
from pag.targets.shards import mapped_shards

ROWS = np.random.default_rng(0).integers(1, 100, (7, 3, 2)).astype(np.float16)


def written(path, rows=ROWS, per_shard=3, **options):
    """The array `rows` of a store, one row to a chunk, as Zarr writes it."""
    options = {"chunks": (1, *rows.shape[1:]), "shards": (per_shard, *rows.shape[1:]), "compressors": None, **options}
    group = zarr.create_group(path, overwrite=True)
    return group.create_array("rows", shape=rows.shape, dtype=rows.dtype, **options)


def mapped(path):
    store = ReadOnlyStore(path)
    return mapped_shards(store, store.array("rows", ROWS.dtype.name, ROWS.ndim))


def shard(path, number):
    return path / f"rows/c/{number}/0/0"


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(count=st.integers(1, 7), per_shard=st.integers(1, 9), checked=st.booleans())
def test_rows_are_what_was_written(tmp_path, count, per_shard, checked):
    compressors = Crc32cCodec() if checked else None
    written(tmp_path / "s", ROWS[:count], per_shard, compressors=compressors)[:] = ROWS[:count]
    shards = mapped(tmp_path / "s")
    assert [len(rows) for rows in shards[:-1]] == [per_shard] * (len(shards) - 1)
    np.testing.assert_array_equal(np.concatenate([rows.whole() for rows in shards]), ROWS[:count])
    for number, row in enumerate(ROWS[:count]):
        np.testing.assert_array_equal(shards[number // per_shard].row(number % per_shard), row)


def test_no_file_is_kept_open_or_written_to(tmp_path):
    written(tmp_path / "s")[:] = ROWS
    before = psutil.Process().num_fds()
    shards = mapped(tmp_path / "s")
    assert psutil.Process().num_fds() == before
    with pytest.raises(ValueError, match="read-only"):
        shards[0].rows[0] = 1


def test_read_only_files_are_mapped(tmp_path):
    written(tmp_path / "s")[:] = ROWS
    shard(tmp_path / "s", 0).chmod(0o444)
    np.testing.assert_array_equal(mapped(tmp_path / "s")[0].whole(), ROWS[:3])


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=st.integers(0, 2), byte=st.integers(0, ROWS[0].nbytes + 3), bit=st.integers(0, 7))
def test_a_row_that_is_not_what_was_written_is_refused_and_no_other(tmp_path, row, byte, bit):
    written(tmp_path / "s", compressors=Crc32cCodec())[:] = ROWS
    data = bytearray(shard(tmp_path / "s", 0).read_bytes())
    data[row * (ROWS[0].nbytes + 4) + byte] ^= 1 << bit
    shard(tmp_path / "s", 0).write_bytes(data)
    rows = mapped(tmp_path / "s")[0]
    for other in {0, 1, 2} - {row}:
        np.testing.assert_array_equal(rows.row(other), ROWS[other])
    for read in (lambda: rows.row(row), rows.whole):
        with pytest.raises(InputError, match="s has a row of 'rows' that is not what was written"):
            read()


def _without_a_row(path):
    array = written(path)
    array[0], array[2:] = ROWS[0], ROWS[2:]


def _with_a_row_of_the_fill_value(path):
    written(path, fill_value=1.0)[:] = np.where(np.arange(len(ROWS))[:, None, None] == 2, 1.0, ROWS)


def _compressed(path):
    written(path, compressors="auto")[:] = ROWS


def _unsharded(path):
    written(path, shards=None)[:] = ROWS


def _whole_chunks(path):
    written(path, chunks=(3, 3, 2))[:] = ROWS


def _swapped(path):
    written(path)[:] = ROWS
    data = bytearray(shard(path, 0).read_bytes())
    index = len(data) - 4 - 3 * 16
    data[index : index + 16], data[index + 16 : index + 32] = data[index + 16 : index + 32], data[index : index + 16]
    shard(path, 0).write_bytes(data)


def _lost(path):
    written(path)[:] = ROWS
    shard(path, 2).unlink()


def _cut(path):
    written(path)[:] = ROWS
    shard(path, 1).write_bytes(shard(path, 1).read_bytes()[:-1])


DAMAGES = [
    _without_a_row, _with_a_row_of_the_fill_value, _compressed, _unsharded, _whole_chunks, _swapped, _lost, _cut,
]  # fmt: skip


@pytest.mark.parametrize("write", DAMAGES, ids=lambda write: write.__name__)
def test_rows_that_lie_otherwise_are_refused(tmp_path, write):
    write(tmp_path / "s")
    with pytest.raises(InputError, match=r"s is unfinished: parts of 'rows' are missing; delete it"):
        mapped(tmp_path / "s")

"""Writing a store of gradients: shard by shard, shared out to the ranks, and taken up again after an interruption."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from pag.base.files import naming, put_copy, written_whole
from pag.data.zarr_store import drop_partial_chunks
from pag.machine.capacity import one_disk, require_disk, require_memory
from pag.machine.progress import progress
from pag.machine.ranks import barrier, deal, first, from_first, local_size
from pag.targets.gradient_store import GradientType, create_gradients, shard_rows, write_shard
from pag.targets.store import Origin

__all__ = ["Layout", "write_gradients"]

INDEX = 16  # bytes of each row of a shard, there or not, in its index
SHARD_COPIES = 4  # of a shard in float32 in memory at once, at most: its parts, their sum, and what it is stored as


@dataclass(frozen=True)
class Layout:
    """How a store of gradients is laid out; `create_gradients` says what each of these is.

    Attributes:
        key: of params, by which a shard becomes smaller, for messages.
    """

    shape: tuple[int, int, int, int, int]
    shard_size: int
    key: str
    dtype: GradientType = "float16"
    classes: NDArray[Any] | None = None
    num_classes: int | None = None
    origin: Origin | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shards(self) -> list[range]:
        """The rows of each shard."""
        return shard_rows(self.shape[0], self.shard_size)


def write_gradients(destination: Path, layout: Layout, compute: Callable[[Tensor], Tensor], kept: Path) -> None:
    """Fills a store under `kept`, each rank its shards of those that an earlier run left, then puts a copy in its place.

    The store stays under `kept` until its stage has ended: a run that is interrupted after this one finds it finished.

    Args:
        destination: where to.
        layout: of the store.
        compute: the gradients of rows `(B,)`, `(B, m, ch, H, W)`; what a row has must not depend on the others.
        kept: the stage's folder of checkpoints.

    Raises:
        InputError: there is not enough room for it.
    """
    unfinished, shards = kept / "store.zarr", layout.shards

    def left() -> list[int]:
        missing = [number for number in range(len(shards)) if not _done(kept, number).exists()]
        _require_room(layout, [len(shards[number]) for number in missing], kept, destination)
        require_memory(2 * INDEX * layout.shard_size, key=layout.key)
        if not unfinished.exists():
            with written_whole(unfinished) as partial_store:
                _create(partial_store, layout)
        drop_partial_chunks(unfinished)
        return missing

    mine = deal(from_first(left))
    with progress(destination.name, sum(len(shards[number]) for number in mine)) as meter:
        for number in mine:
            g = compute(torch.tensor(shards[number]))
            with naming(unfinished):
                write_shard(unfinished, number, g.numpy())
            _done(kept, number).touch()
            meter.advance(len(shards[number]))
    barrier()
    if first():
        put_copy(unfinished, destination)


def _create(path: Path, of: Layout) -> None:
    create_gradients(path, of.shape, of.shard_size, of.dtype, of.classes, of.num_classes, of.origin, of.attributes)


def _require_room(layout: Layout, images: Sequence[int], kept: Path, destination: Path) -> None:
    """On the disk for shards of so many images; in memory for those that ranks work on."""
    values = math.prod(layout.shape[1:])
    size = values * (2 if layout.dtype == "float16" else 1)
    copied = 0 if one_disk(kept, destination) else layout.shape[0]  # where there are no hard links
    require_disk({kept: sum(images) * size, destination: copied * size})
    require_memory(SHARD_COPIES * 4 * max(images, default=0) * values * local_size(), key=layout.key)


def _done(kept: Path, shard: int) -> Path:
    return kept / f"shard-{shard}.done"

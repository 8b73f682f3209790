"""Ranks: the processes that `torchrun` starts to share one stage's work, on one host or on many that see the same files.

Without torchrun there is one rank, the first, and nothing here communicates. What is shared out is whole tasks, or rows of a batch
whose draws are taken for the whole batch: results do not depend on the number of ranks, but for the order of floating-point sums.
Only the first rank writes outputs; the others wait for it.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed
from torch.distributed.rendezvous import rendezvous

from pag.base.errors import InputError

__all__ = [
    "Share", "barrier", "deal", "device", "fails_first", "first", "from_first", "gather", "joined", "local_size", "mean", "part",
    "rank", "share", "size",
]  # fmt: skip

T = TypeVar("T")

PATIENCE = timedelta(days=30)  # a rank may wait for another's whole share; torchrun ends all ranks when one dies
FAILED = "pag/failed"

_store: Any = None  # the torch Store where the ranks met; set once in each process


@contextmanager
def joined() -> Iterator[None]:
    """Meets the other ranks that torchrun started, and at the end waits until all are done; with one rank it does nothing.

    Tensors on the CPU are exchanged by gloo, those on GPUs by NCCL, one GPU a rank.

    Raises:
        InputError: more ranks than GPUs on a host that has some.
    """
    global _store
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    gpus, here = torch.cuda.device_count(), local_size()
    if 0 < gpus < here:
        raise InputError(f"torchrun started {here} processes on a host with {gpus} GPUs; start one for each.")
    if gpus:
        torch.cuda.set_device(_local_rank())
    _store, own, world = next(rendezvous("env://"))
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if gpus else "gloo", timeout=PATIENCE,
        store=_store, rank=own, world_size=world,
    )  # fmt: skip
    yield
    barrier()
    distributed.destroy_process_group()
    _store = None


def fails_first() -> bool:
    """Whether this rank, which has failed, is the first to fail and so reports the error; the others fail because of it."""
    if _store is None:
        return int(os.environ.get("RANK", "0")) == 0  # before the ranks have met, all fail alike
    try:
        return bool(_store.add(FAILED, 1) == 1)
    except RuntimeError:
        return False  # the store went with another rank


def rank() -> int:
    """This process's number, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def size() -> int:
    """The number R of ranks."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def local_size() -> int:
    """The number of ranks on this host."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def first() -> bool:
    """Whether this is the rank that writes outputs and reports progress."""
    return rank() == 0


def _local_rank() -> int:
    return int(os.environ.get("LOCAL_RANK", "0"))


def device() -> torch.device:
    """This rank's accelerator where there is one, else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", _local_rank()) if size() > 1 else torch.device("cuda")


def barrier() -> None:
    """Waits until all ranks are here."""
    gather(None)


def gather(value: T) -> list[T]:
    """Every rank's value, in the order of ranks, on every rank; picklable."""
    if size() == 1:
        return [value]
    values: list[T | None] = [None] * size()
    distributed.all_gather_object(values, value)
    return values  # type: ignore[return-value]


def from_first(make: Callable[[], T]) -> T:
    """What `make` gives on the first rank, which alone calls it; picklable."""
    return gather(make() if first() else None)[0]  # type: ignore[return-value]


def mean(values: Mapping[str, float]) -> dict[str, float]:
    """The mean over ranks of each of the values, whose names are the same on all."""
    everywhere = gather(dict(values))
    return {name: sum(of[name] for of in everywhere) / len(everywhere) for name in values}


def deal(tasks: Sequence[T]) -> list[T]:
    """This rank's tasks, every R-th; `tasks` must be the same on all ranks."""
    return list(tasks[rank() :: size()])


def part(total: int) -> slice:
    """This rank's rows of `total`, in order: as many as the others', or one more; none where there are too few."""
    return slice(total * rank() // size(), total * (rank() + 1) // size())


@dataclass(frozen=True)
class Share:
    """A rank's part of a batch.

    Attributes:
        total: B, the examples of the whole batch, of which there is at least one.
        rows: this rank's, in order; of a batch with fewer examples than ranks all, on every rank.
        weight: of a mean over this rank's rows, so that its mean over ranks is the mean over the batch.
        copies: on how many ranks each row is.
    """

    total: int
    rows: slice
    weight: float
    copies: int = 1


def share(total: int) -> Share:
    """This rank's part of a batch of `total` examples."""
    if total < size():
        return Share(total, slice(0, total), 1.0, size())
    rows = part(total)
    return Share(total, rows, size() * (rows.stop - rows.start) / total)

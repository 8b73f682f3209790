"""Reading target gradients in training order through `pag.target_stores`, from disk and preloaded, against a `.npy` memory map of
the same rows; and the share of training time that is spent waiting for them.

All end with what a training step takes: float32, channels first. The memory map lies that way already and is at its fastest.
Everything is in the system's file cache.

    python benchmarks/reading_targets.py [--quick]
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from measuring import Bar, Row, Step, command, same_round, spread, timed
from pag.target_stores import TargetStore, create_gradients, shard_rows, write_shard
from steps import CLASSES, SHAPE, aligned, training_step

BATCH, SHARD = 64, 2048  # CIFAR-10's, of params.yaml
STEP_BATCH = 16
BARS = {"disk": Bar(at_least=0.5), "preloaded": Bar(at_least=0.9)}
LOST = Bar(at_most=0.01)
WHY = {  # by cProfile
    "disk": "Half of the time goes to tensorstore, which decompresses a chunk for each image while the reader waits; a quarter to "
    "turning channels-last float16 into channels-first float32 in NumPy, a tenth to the check that all is finite.",
    "preloaded": "Four fifths of the time go to turning channels-last float16 into channels-first float32 in NumPy; the memory map "
    "lies channels first, and torch converts it.",
}

Reader = Callable[[Tensor, Tensor], Tensor]  # rows (B,), classes (B, k) to targets (B, k, ch, H, W)


def rows(quick: bool) -> list[Row]:
    """Two rows of speed, two of the time lost."""
    images = 192 if quick else 2 * SHARD
    with tempfile.TemporaryDirectory() as folder:
        readers = _readers(Path(folder), images)
        speed = timed({name: _epoch(read, images) for name, read in readers.items()}, 3 if quick else 5, "reading")
        lost = timed(_step_and_reads(readers, images, width=4 if quick else 64), 3, "waiting", warm_up=1)
    return [*_speeds(speed), *_losses(lost)]


def _readers(folder: Path, images: int) -> dict[str, Reader]:
    """A store and a memory map of the same random gradients, and how each is read."""
    create_gradients(folder / "g.zarr", (images, CLASSES, *SHAPE), SHARD)
    mapped = np.lib.format.open_memmap(folder / "g.npy", "w+", np.float16, (images, CLASSES, *SHAPE))
    rng = np.random.default_rng(0)
    for number, shard in enumerate(shard_rows(images, SHARD)):
        g = rng.standard_normal((len(shard), CLASSES, *SHAPE), dtype=np.float32).astype(np.float16)
        mapped[shard.start : shard.stop] = g
        write_shard(folder / "g.zarr", number, g)
    mapped.flush()
    npy = np.load(folder / "g.npy", mmap_mode="r")

    def memory_map(index: Tensor, classes: Tensor) -> Tensor:
        return torch.from_numpy(npy[index.numpy()[:, None], classes.numpy()]).float()

    return {
        "npy": memory_map,
        "disk": _gather(TargetStore.open(folder / "g.zarr", preload=False)),
        "preloaded": _gather(TargetStore.open(folder / "g.zarr", preload=True)),
    }


def _gather(store: TargetStore) -> Reader:
    none = torch.empty(0)  # of stored gradients the images only tell the device
    return lambda index, classes: store.gather(index, classes, none)


def _epoch(read: Reader, images: int) -> Step:
    """All batches of an epoch with all classes, in training order: a random permutation of the rows."""
    classes = torch.arange(CLASSES)

    def epoch() -> None:
        for index in torch.randperm(images).split(BATCH):
            read(index, classes.expand(len(index), -1))

    return epoch


def _step_and_reads(readers: Mapping[str, Reader], images: int, width: int) -> dict[str, Step]:
    """The shortest training step that needs targets, k = 1, and what it waits for."""

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield torch.randperm(images)[:STEP_BATCH], torch.randint(CLASSES, (STEP_BATCH, 1))

    drawn = batches()
    step = training_step(aligned(), 1, STEP_BATCH, width, torch.device("cpu"))
    return {"step": step} | {name: (lambda name=name: readers[name](*next(drawn))) for name in BARS}


def _speeds(seconds: Mapping[str, Sequence[float]]) -> list[Row]:
    medians = {name: spread(values)["median"] for name, values in seconds.items()}
    return [
        Row(f"reading targets, {name}: speed over a .npy memory map's", bar, same_round(seconds["npy"], seconds[name]),
            why=WHY[name], seconds=medians)
        for name, bar in BARS.items()
    ]  # fmt: skip


def _losses(seconds: Mapping[str, Sequence[float]]) -> list[Row]:
    note = (
        f"Nothing is read ahead: a step waits for its rows. Step: ResNet-18, k = 1, batch of {STEP_BATCH}, on the CPU."
    )
    return [
        Row(f"reading targets, {name}: share of training time lost", LOST, _share(seconds["step"], seconds[name]),
            unit="of the time", note=note)
        for name in BARS
    ]  # fmt: skip


def _share(step: Sequence[float], read: Sequence[float]) -> list[float]:
    return [r / (r + s) for s, r in zip(step, read, strict=True)]


if __name__ == "__main__":
    command(rows)

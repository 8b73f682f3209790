"""Reading target gradients in training order through `pag.targets`, from disk and preloaded, against a `.npy` memory map of
the same rows; and the share of training time that is spent waiting for them.

All end with what a training step takes: float32, channels first. The memory map lies that way already and is at its fastest.
Everything is in the system's file cache. From disk batches come through `pag.optimization.prefetch`, as in training.

    python benchmarks/reading_targets.py [--quick]
"""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from measuring import Bar, Row, Step, command, same_round, spread, timed
from pag.base.randomness import torch_stream
from pag.optimization.prefetch import prefetched
from pag.targets.gradient_store import create_gradients, shard_rows, write_shard
from pag.targets.kinds import open_targets
from pag.targets.store import TargetStore
from steps import CLASSES, SHAPE, aligned, training_step

BATCH, SHARD = 64, 2048  # CIFAR-10's, of params.yaml
STEP_BATCH = 16
BARS = {"disk": Bar(at_least=0.5), "preloaded": Bar(at_least=0.9)}
LOST = Bar(at_most=0.01)
WHY = {  # by timing the parts: batches of 64 images with 10 classes, 3.9 MB of float16
    "disk": "Both copy and convert the same rows; what is more here is the hand-over from the thread that reads ahead, a third of "
    "a millisecond a batch.",
    "preloaded": "Rows are copied and converted as those of the memory map: what differs is the machine's noise.",
}

Reader = Callable[[Tensor, Tensor], Tensor]  # rows (B,), classes (B, k) to targets (B, k, ch, H, W)


def rows(quick: bool) -> list[Row]:
    """Two rows of speed, two of the time lost."""
    images = 192 if quick else 2 * SHARD
    with tempfile.TemporaryDirectory() as folder:
        readers = _readers(Path(folder), images)
        speed = timed(
            {name: _epoch(name, read, images) for name, read in readers.items()}, 3 if quick else 5, "reading"
        )
        lost = _losses(readers, images, quick)
    return [*_speeds(speed), *lost]


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
        "disk": _gather(open_targets(folder / "g.zarr", preload=False)),
        "preloaded": _gather(open_targets(folder / "g.zarr", preload=True)),
    }


def _gather(store: TargetStore) -> Reader:
    none = torch.empty(0)  # of stored gradients the images only tell the device
    return lambda index, classes: store.gather(index, classes, none)


def _made(name: str, make: Callable[[int], Tensor], steps: int) -> AbstractContextManager[Callable[[int], Tensor]]:
    """As training on the CPU gets it: ahead from disk, in line where it is in memory."""
    return prefetched(make, steps) if name == "disk" else nullcontext(make)


def _epoch(name: str, read: Reader, images: int) -> Step:
    """All batches of an epoch with all classes, in training order: a random permutation of the rows."""
    classes = torch.arange(CLASSES)

    def epoch() -> None:
        batches = torch.randperm(images).split(BATCH)
        make = lambda step: read(batches[step], classes.expand(len(batches[step]), -1))  # noqa: E731
        with _made(name, make, len(batches)) as of:
            for step in range(len(batches)):
                of(step)

    return epoch


def _speeds(seconds: Mapping[str, Sequence[float]]) -> list[Row]:
    medians = {name: spread(values)["median"] for name, values in seconds.items()}
    return [
        Row(f"reading targets, {name}: speed over a .npy memory map's", bar, same_round(seconds["npy"], seconds[name]),
            why=WHY[name], seconds=medians)
        for name, bar in BARS.items()
    ]  # fmt: skip


def _losses(readers: Mapping[str, Reader], images: int, quick: bool) -> list[Row]:
    """The shortest training step that needs targets, k = 1: what part of the time it waits for them."""
    steps = 4 if quick else 12
    train = training_step(aligned(), 1, STEP_BATCH, 4 if quick else 64, torch.device("cpu"))
    note = (
        f"Step: ResNet-18, k = 1, batch of {STEP_BATCH}, on the CPU; from disk the next step's targets are read ahead."
    )
    found = []
    for name in BARS:
        alone, waited, whole = _waits(name, readers[name], images, train, steps)
        shares = [wait / total for wait, total in zip(waited, whole, strict=True)]
        seconds = {"step without reading": spread(alone)["median"], "step with reading": spread(whole)["median"]}
        found.append(
            Row(f"reading targets, {name}: share of training time lost", LOST, shares, unit="of the time", note=note,
                seconds=seconds)
        )  # fmt: skip
    return found


def _waits(
    name: str, read: Reader, images: int, train: Step, steps: int
) -> tuple[list[float], list[float], list[float]]:
    """Seconds of each step without reading, those that a step waits for its targets, and those of that step in all."""

    def make(step: int) -> Tensor:
        generator = torch_stream(0, "reading", step)
        rows = torch.randperm(images, generator=generator)[:STEP_BATCH]
        return read(rows, torch.randint(CLASSES, (STEP_BATCH, 1), generator=generator))

    alone, waited, whole = [], [], []
    train()
    with _made(name, make, steps + 1) as of:
        of(0)
        for step in range(1, steps + 1):
            started = time.perf_counter()
            train()
            between = time.perf_counter()
            of(step)
            read_at = time.perf_counter()
            train()
            alone.append(between - started)
            waited.append(read_at - between)
            whole.append(time.perf_counter() - between)
    return alone, waited, whole


if __name__ == "__main__":
    command(rows)

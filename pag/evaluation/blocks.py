"""Attacks on a test set in blocks of a fixed number of examples, spread over ranks and processes and kept as they are done.

Attacks draw for a whole batch, so a block is never split. Its seed is a function of (seed, attack, index of the block): the
outcome depends neither on the number of ranks or processes nor on interruptions.
"""

import hashlib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pag.attacks.harness import BlockAttack, attack_block
from pag.base.errors import InputError
from pag.base.files import written_whole
from pag.base.randomness import numpy_stream
from pag.evaluation.intervals import Flags
from pag.evaluation.network import device_of, weights_digest
from pag.evaluation.rereading import holds
from pag.machine.processes import reached, run_tasks
from pag.machine.progress import progress
from pag.machine.ranks import barrier, deal, gather

__all__ = ["Blocks", "attack_in_blocks"]


@dataclass(frozen=True)
class Blocks:
    """How a set of examples is attacked.

    Attributes:
        size: examples that are attacked together; unlike `workers` it belongs to what is measured.
        seed: non-negative.
        workers: processes of each rank, each with one torch thread; with 1 the work is done in this process, with the same result.
        kept: folder where finished blocks lie until the caller deletes it, and from which an interrupted run goes on.
            Only blocks of the same weights, examples, attack and seed are found again; that the code is the same, too, the
            caller sees to. None: nothing is kept.

    Raises:
        InputError: a block has no example, or there is no worker.
    """

    size: int
    seed: int
    workers: int = 1
    kept: Path | None = None

    def __post_init__(self) -> None:
        if self.size < 1 or self.workers < 1:
            raise InputError(f"Blocks need at least one example and one worker, not {self.size} and {self.workers}.")


@dataclass(frozen=True)
class _Task:
    """One block under one attack; plain arrays, which every process can be sent."""

    name: str
    index: int
    attack: BlockAttack
    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    seed: int
    first: int  # the place of its first example

    def file_name(self, model_digest: str) -> str:
        """A name made of every input of the result, so that no other result is ever taken for it."""
        digest = hashlib.sha256(model_digest.encode())
        digest.update(repr((self.attack, self.seed, self.images.shape)).encode())
        digest.update(self.images.tobytes())
        digest.update(self.labels.tobytes())
        return f"{self.name}-{self.index:05d}-{digest.hexdigest()[:16]}.npz"


@dataclass(frozen=True)
class _Kept:
    """Finished blocks on disk, or nowhere when `folder` is None."""

    folder: Path | None
    model_digest: str

    def find(self, task: _Task) -> Mapping[str, Flags] | None:
        """What was kept of a task; None where there is nothing, or only a damaged file."""
        if self.folder is None:
            return None
        try:
            with (self.folder / task.file_name(self.model_digest)).open("rb") as file:
                arrays = np.load(file, allow_pickle=False)
                return {name: arrays[name] for name in arrays.files}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def keep(self, task: _Task, flags: Mapping[str, Flags]) -> None:
        """Writes the outcome of a task, whole."""
        if self.folder is None:
            return
        with written_whole(self.folder / task.file_name(self.model_digest)) as partial, partial.open("wb") as file:
            np.savez(file, **flags)  # type: ignore[arg-type]


@dataclass(frozen=True)
class _BlockWorker:
    """What a process does once: load the model."""

    model_loader: Callable[[], nn.Module]

    def __call__(self) -> Callable[[_Task], Mapping[str, Flags]]:
        model = self.model_loader()
        device = device_of(model)

        def attack(task: _Task) -> Mapping[str, Flags]:
            x, labels = torch.from_numpy(task.images).to(device), torch.from_numpy(task.labels).to(device)
            told = partial(_tell, task)
            outcome = attack_block(task.attack, model, x, labels, task.seed, task.first, told)
            held = holds(task.attack.threat, model, x, labels, outcome)
            flags = {"clean": outcome.clean, "holds": held, **outcome.robust}
            return {name: values.cpu().numpy() for name, values in flags.items()}

        return attack


def _tell(task: _Task, fraction: float, attack: str) -> None:
    reached(fraction, f"({task.name}, block {task.index}: {attack})")


def attack_in_blocks(
    model_loader: Callable[[], nn.Module],
    images: Tensor,
    labels: Tensor,
    attacks: Mapping[str, BlockAttack],
    blocks: Blocks,
    description: str,
) -> dict[str, dict[str, Flags]]:
    """Runs every attack on every block; under several ranks each does its part, and all have the whole result.

    Args:
        model_loader: gives the classifier, deterministic and in evaluation mode; picklable, for each worker calls it.
        images: `(N, ch, H, W)` in [0, 1].
        labels: `(N,)` int64.
        attacks: by name, at least one.
        blocks: their size, and how the work is done.
        description: what the progress shows.

    Returns:
        For each attack, in the order of `attacks`, flags over all examples, `(N,)`: `clean`, `holds`
        (`pag.evaluation.rereading`), and one for each of its parts by name.

    Raises:
        InputError: there is no attack or no example, or an attack does not fit the data.
        FloatingPointError: the classifier's logits of an example are not finite.
        RuntimeError: an outcome fails a check, or a worker died.
    """
    _check_arguments(images, labels, attacks)
    tasks = _tasks(images, labels, attacks, blocks)
    store = _Kept(blocks.kept, "" if blocks.kept is None else weights_digest(model_loader()))
    flags = {index: found for index, task in enumerate(tasks) if (found := store.find(task)) is not None}
    barrier()  # no rank looks for what is kept while another has gone on: all see the same rest
    _run_rest(tasks, flags, store, _BlockWorker(model_loader), blocks.workers, description)
    every = {index: found for of_rank in gather(flags) for index, found in of_rank.items()}
    return _gathered(tasks, every, attacks)


def _run_rest(
    tasks: Sequence[_Task],
    flags: dict[int, Mapping[str, Flags]],
    store: _Kept,
    worker: _BlockWorker,
    workers: int,
    description: str,
) -> None:
    """Does this rank's part of the tasks that `flags` misses, larger blocks first, and keeps each as soon as it is done."""
    rest = deal(sorted(set(range(len(tasks))) - set(flags), key=lambda index: -len(tasks[index].labels)))
    done, left = (sum(len(tasks[index].labels) for index in part) for part in (flags, rest))
    with progress(description, done + left, done) as meter:
        begun: dict[int, float] = {}  # examples' worth of blocks under way

        def moved(position: int, fraction: float, note: str) -> None:
            begun[position] = fraction * len(tasks[rest[position]].labels)
            meter.advance(0, lambda: note, begun=sum(begun.values()))

        def finished(position: int, result: Mapping[str, Flags]) -> None:
            task = tasks[rest[position]]
            store.keep(task, result)
            flags[rest[position]] = result
            begun.pop(position, None)
            note = f"({task.name}, block {task.index} done)"
            meter.advance(len(task.labels), lambda: note, begun=sum(begun.values()))

        run_tasks(worker, [tasks[index] for index in rest], workers, finished, moved)


def _check_arguments(images: Tensor, labels: Tensor, attacks: Mapping[str, BlockAttack]) -> None:
    if not attacks:
        raise InputError("An evaluation needs at least one attack.")
    if images.ndim != 4 or labels.shape != images.shape[:1] or len(labels) == 0:
        shapes = f"{tuple(images.shape)} and {tuple(labels.shape)}"
        raise InputError(f"An evaluation needs images (N, ch, H, W) with labels (N,), not {shapes}.")


def _tasks(images: Tensor, labels: Tensor, attacks: Mapping[str, BlockAttack], blocks: Blocks) -> list[_Task]:
    """Attack by attack, the blocks in test-set order."""
    parts = list(zip(torch.split(images, blocks.size), torch.split(labels, blocks.size), strict=True))
    return [
        _Task(
            name=name, index=index, attack=attack, images=x.float().cpu().numpy(), labels=y.cpu().numpy(),
            seed=_block_seed(blocks.seed, attack, index), first=index * blocks.size,
        )
        for name, attack in attacks.items() for index, (x, y) in enumerate(parts)
    ]  # fmt: skip


def _block_seed(seed: int, attack: BlockAttack, index: int) -> int:
    """A seed below 2³¹; of what the attack says, not of the name that it goes by."""
    return int(numpy_stream(seed, attack.stream, index).integers(2**31))


def _gathered(
    tasks: Sequence[_Task], flags: Mapping[int, Mapping[str, Flags]], attacks: Mapping[str, BlockAttack]
) -> dict[str, dict[str, Flags]]:
    outcomes = {}
    for name in attacks:
        blocks = [flags[index] for index, task in enumerate(tasks) if task.name == name]
        outcomes[name] = {key: np.concatenate([block[key] for block in blocks]) for key in blocks[0]}
    return outcomes

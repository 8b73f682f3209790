"""Clean and robust accuracy over a test set (section 5.2), each with the interval that its number of examples allows.

Under AutoAttack the test set is taken in blocks of a fixed number of examples, in its order. The seed of a block is a
function of (seed, threat, index of the block), so that the outcome depends neither on the number of processes nor on
interruptions.
"""

import hashlib
import math
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import NormalDist

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pag.attacks.autoattack import STANDARD, run_block
from pag.attacks.threats import Threat
from pag.errors import InputError
from pag.files import written_whole
from pag.processes import run_tasks
from pag.progress import progress
from pag.randomness import numpy_stream

__all__ = [
    "Estimate",
    "ThreatOutcome",
    "clean_accuracy",
    "evaluate_autoattack",
    "mean_estimate",
    "predictions",
    "proportion",
    "wilson_interval",
]

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Estimate:
    """A number measured on a sample.

    Attributes:
        value: the estimate.
        interval: its confidence interval, lower and upper end.
        n: examples behind it.
    """

    value: float
    interval: tuple[float, float]
    n: int

    def as_dict(self) -> dict[str, float | int | list[float]]:
        """The form it has in `metrics.json`."""
        return {"value": self.value, "interval": list(self.interval), "n": self.n}


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The score interval of a proportion (Wilson, 1927): sensible for few examples and near 0 and 1, within [0, 1].

    Raises:
        InputError: there are no examples, more successes than examples, or the confidence is outside (0, 1).
    """
    if not 0 <= successes <= n or n == 0:
        raise InputError(f"{successes} of {n} is not a proportion.")
    z = _quantile(confidence)
    p, z2n = successes / n, z * z / n
    centre = p + z2n / 2
    half = z * math.sqrt((p * (1 - p) + z2n / 4) / n)
    lower, upper = (centre - half) / (1 + z2n), (centre + half) / (1 + z2n)
    return max(lower, 0.0), min(upper, 1.0)


def proportion(hits: Flags | Tensor, confidence: float = 0.95) -> Estimate:
    """How often `hits`, `(N,)` bool, is true, with its Wilson interval."""
    n, successes = len(hits), int(hits.sum())
    interval = wilson_interval(successes, n, confidence)
    return Estimate(successes / n, interval, n)


def mean_estimate(values: NDArray[np.floating] | Tensor, confidence: float = 0.95) -> Estimate:
    """The mean of `values`, `(N,)`, with the interval of the normal approximation, `mean ± z s / √N`.

    Raises:
        InputError: there are fewer than two values, or the confidence is outside (0, 1).
    """
    sample = np.asarray(values, dtype=np.float64)
    if len(sample) < 2:
        raise InputError(f"The interval of a mean needs at least two examples, not {len(sample)}.")
    mean = float(sample.mean())
    half = _quantile(confidence) * float(sample.std(ddof=1)) / math.sqrt(len(sample))
    return Estimate(mean, (mean - half, mean + half), len(sample))


def _quantile(confidence: float) -> float:
    """z of a two-sided interval: 1.96 for 0.95."""
    if not 0 < confidence < 1:
        raise InputError(f"A confidence lies between 0 and 1, not {confidence}.")
    return NormalDist().inv_cdf((1 + confidence) / 2)


def predictions(model: nn.Module, images: Tensor, batch_size: int = 256) -> Tensor:
    """The predicted class of each of `images`, `(N, *)`; `(N,)` int64 on the CPU. The model's mode is the caller's."""
    device = next(model.parameters()).device
    with torch.no_grad():
        parts = [model(x.to(device)).argmax(dim=1).cpu() for x in torch.split(images, batch_size)]
    return torch.cat(parts)


def clean_accuracy(
    model: nn.Module, images: Tensor, labels: Tensor, batch_size: int = 256, confidence: float = 0.95
) -> Estimate:
    """The accuracy without an attack on `images`, `(N, *)`, with `labels`, `(N,)`."""
    return proportion(predictions(model, images, batch_size) == labels.cpu(), confidence)


@dataclass(frozen=True)
class ThreatOutcome:
    """AutoAttack's outcome on N examples under one threat.

    Attributes:
        eps: ε of the threat.
        clean: `(N,)` bool, right without an attack.
        robust: for each attack, in order, `(N,)` bool: still right after it and those before it.
        confidence: of the interval.
    """

    eps: float
    clean: Flags
    robust: Mapping[str, Flags]
    confidence: float = 0.95

    @property
    def robust_accuracy(self) -> Estimate:
        """The share that withstood every attack."""
        return proportion(list(self.robust.values())[-1], self.confidence)

    @property
    def attacks(self) -> dict[str, float]:
        """The accuracy that is left after each attack."""
        return {name: float(flags.mean()) for name, flags in self.robust.items()}

    def as_dict(self) -> dict[str, object]:
        """The form it has in `metrics.json`: `{eps, value, interval, n, attacks}`."""
        return {"eps": self.eps, **self.robust_accuracy.as_dict(), "attacks": self.attacks}


@dataclass(frozen=True)
class _Task:
    """One block under one threat; plain arrays, which every process can be sent."""

    name: str
    index: int
    threat: Threat
    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    seed: int
    attacks: tuple[str, ...]

    def file_name(self, model_digest: bytes) -> str:
        """A name that tells every input of the result apart, so that nothing else's result is ever taken for it."""
        digest = hashlib.sha256(model_digest)
        digest.update(repr((self.threat, self.seed, self.attacks, self.images.shape)).encode())
        digest.update(self.images.tobytes())
        digest.update(self.labels.tobytes())
        return f"{self.name}-{self.index:05d}-{digest.hexdigest()[:16]}.npz"


@dataclass(frozen=True)
class _Kept:
    """Finished blocks on disk, or nowhere when `folder` is None."""

    folder: Path | None
    model_digest: bytes = field(default=b"")

    def find(self, task: _Task) -> Mapping[str, Flags] | None:
        """What was kept of a task; None where there is nothing, or only a damaged file."""
        if self.folder is None:
            return None
        try:
            with (self.folder / task.file_name(self.model_digest)).open("rb") as file:
                arrays = np.load(file, allow_pickle=False)
                return {name: arrays[name] for name in ("clean", *task.attacks)}
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
        device = next(model.parameters()).device

        def attack(task: _Task) -> Mapping[str, Flags]:
            x, labels = torch.from_numpy(task.images).to(device), torch.from_numpy(task.labels).to(device)
            outcome = run_block(model, x, labels, task.threat, task.seed, task.attacks)
            return {name: flags.cpu().numpy() for name, flags in {"clean": outcome.clean, **outcome.robust}.items()}

        return attack


def evaluate_autoattack(
    model_loader: Callable[[], nn.Module],
    images: Tensor,
    labels: Tensor,
    threats: Mapping[str, Threat],
    block_size: int,
    seed: int,
    workers: int,
    kept: Path | None,
    *,
    attacks: Sequence[str] = STANDARD,
    confidence: float = 0.95,
    description: str = "AutoAttack",
) -> dict[str, ThreatOutcome]:
    """Robust accuracy under AutoAttack (section 5.2), block by block.

    Args:
        model_loader: gives the classifier, deterministic and in evaluation mode; picklable, for each worker calls it.
        images: `(N, ch, H, W)` in [0, 1].
        labels: `(N,)` int64.
        threats: by name, at least one.
        block_size: examples that are attacked together; unlike `workers` it belongs to what is measured.
        seed: non-negative.
        workers: processes, each with one torch thread; with 1 the work is done in this process, with the same result.
        kept: folder where finished blocks lie until the caller deletes it, and from which an interrupted run goes on.
            Only blocks of the same weights, examples, threat, seed and attacks are found again; that the code is the
            same, too, the caller sees to.
        attacks: see `run_block`.
        confidence: of the intervals.
        description: what the progress shows.

    Returns:
        The outcome of each threat, in the order of `threats`.

    Raises:
        InputError: an argument is out of its range, or AutoAttack does not fit the data.
        RuntimeError: an outcome fails a check (`run_block`), or a worker died.
    """
    _check_arguments(images, labels, threats, block_size, workers)
    _quantile(confidence)
    tasks = _tasks(images, labels, threats, block_size, seed, tuple(attacks))
    store = _Kept(kept, b"" if kept is None else _model_digest(model_loader()))
    flags = {index: found for index, task in enumerate(tasks) if (found := store.find(task)) is not None}
    _run_rest(tasks, flags, store, model_loader, workers, description)
    return _gathered(tasks, flags, threats, confidence)


def _run_rest(
    tasks: Sequence[_Task],
    flags: dict[int, Mapping[str, Flags]],
    store: _Kept,
    model_loader: Callable[[], nn.Module],
    workers: int,
    description: str,
) -> None:
    """Does the tasks that `flags` misses, larger blocks first, and keeps each as soon as it is done."""
    rest = sorted(set(range(len(tasks))) - set(flags), key=lambda index: -len(tasks[index].labels))
    total = sum(len(task.labels) for task in tasks)
    done = sum(len(tasks[index].labels) for index in flags)
    with progress(description, total, done) as meter:

        def finished(position: int, result: Mapping[str, Flags]) -> None:
            task = tasks[rest[position]]
            store.keep(task, result)
            flags[rest[position]] = result
            meter.advance(len(task.labels), f"({task.name}, block {task.index} done)")

        run_tasks(_BlockWorker(model_loader), [tasks[index] for index in rest], workers, finished)


def _check_arguments(
    images: Tensor, labels: Tensor, threats: Mapping[str, Threat], block_size: int, workers: int
) -> None:
    if not threats or block_size < 1 or workers < 1:
        raise InputError("An evaluation needs at least one threat, one example to a block, and one worker.")
    if images.ndim != 4 or labels.shape != images.shape[:1] or len(labels) == 0:
        shapes = f"{tuple(images.shape)} and {tuple(labels.shape)}"
        raise InputError(f"An evaluation needs images (N, ch, H, W) with labels (N,), not {shapes}.")


def _tasks(
    images: Tensor,
    labels: Tensor,
    threats: Mapping[str, Threat],
    block_size: int,
    seed: int,
    attacks: tuple[str, ...],
) -> list[_Task]:
    """Threat by threat, the blocks in test-set order."""
    blocks = list(zip(torch.split(images, block_size), torch.split(labels, block_size), strict=True))
    return [
        _Task(
            name=name, index=index, threat=threat, images=x.float().cpu().numpy(), labels=y.cpu().numpy(),
            seed=_block_seed(seed, threat, index), attacks=attacks,
        )
        for name, threat in threats.items() for index, (x, y) in enumerate(blocks)
    ]  # fmt: skip


def _block_seed(seed: int, threat: Threat, index: int) -> int:
    """A seed below 2³¹; of the threat's values, not of the name that it goes by."""
    return int(numpy_stream(seed, f"AutoAttack {threat.norm} {threat.eps!r}", index).integers(2**31))


def _model_digest(model: nn.Module) -> bytes:
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        digest.update(repr((name, value.dtype, tuple(value.shape))).encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.digest()


def _gathered(
    tasks: Sequence[_Task], flags: Mapping[int, Mapping[str, Flags]], threats: Mapping[str, Threat], confidence: float
) -> dict[str, ThreatOutcome]:
    outcomes = {}
    for name, threat in threats.items():
        blocks = [flags[index] for index, task in enumerate(tasks) if task.name == name]
        whole = {key: np.concatenate([block[key] for block in blocks]) for key in blocks[0]}
        outcomes[name] = ThreatOutcome(threat.eps, whole.pop("clean"), whole, confidence)
    return outcomes

"""How the cost of a step grows with the number k of classes that it aligns: a straight line, from a plain step, by one double
backward pass a class.

ResNet-18 with 100 classes (CIFAR-100's head), a batch of 2, so that k = 100 fits a few gigabytes.

    python benchmarks/classes_per_step.py [--quick]
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from measuring import Bar, Row, command, devices, spread, timed
from pag.alignment.double_backward import CheapDoubleBackward
from pag.alignment.gradients import cosine
from pag.training.objectives import Batch
from steps import aligned, plain, random_batch, resnet18, training_step

CLASSES = 100
COUNTS = (1, 2, 5, 10, 100)
NAME = "cost over k = 1, 2, 5, 10, 100"
WHY = "Counted operations give one plain step (docs/cost.md); what the rest is, at a batch of 2, was not traced."


def fitted(counts: Sequence[int], seconds: Sequence[float]) -> tuple[float, float, float]:
    """The line `a + b·k` nearest to the seconds in relative terms (else the largest k alone would decide).

    Returns:
        a, b, and the largest departure from the line, as a fraction of what was measured.
    """
    k, t = np.asarray(counts, dtype=np.float64), np.asarray(seconds, dtype=np.float64)
    design = np.stack([1 / t, k / t], axis=1)
    (a, b), *_ = np.linalg.lstsq(design, np.ones_like(t), rcond=None)
    return float(a), float(b), float(np.abs((a + b * k) / t - 1).max())


def lines(seconds: Mapping[str, Sequence[float]], counts: Sequence[int]) -> list[Row]:
    """The rows of one device.

    Args:
        seconds: by round, of `plain`, of each `k = …`, and of one `double backward` pass.
        counts: the numbers of classes.
    """
    fits = [fitted(counts, times) for times in zip(*(seconds[f"k = {k}"] for k in counts), strict=True)]
    intercepts = [a / t for (a, _, _), t in zip(fits, seconds["plain"], strict=True)]
    slopes = [b / t for (_, b, _), t in zip(fits, seconds["double backward"], strict=True)]
    medians = {name: spread(values)["median"] for name, values in seconds.items()}
    return [
        Row(f"{NAME}: intercept, in plain steps", Bar(0.75, 1.25), intercepts, seconds=medians,
            note="“About 1” is taken as within 25 %.", why=WHY),
        Row(f"{NAME}: slope, in double backward passes", Bar(0.85, 1.15), slopes, seconds=medians),
        Row(f"{NAME}: departure from a straight line", Bar(at_most=0.15), [worst for *_, worst in fits],
            unit="of the time"),
    ]  # fmt: skip


def rows(quick: bool) -> list[Row]:
    """Three rows a device."""
    counts, width, repeats = ((1, 2, 4), 4, 2) if quick else (COUNTS, 64, 3)
    named = []
    for device in devices():
        for row in lines(_seconds(counts, width, repeats, device), counts):
            named.append(replace(row, name=f"{row.name} ({device.type})"))
    return named


def _seconds(counts: Sequence[int], width: int, repeats: int, device: torch.device) -> dict[str, list[float]]:
    make = partial(training_step, batch_size=2, width=width, device=device, num_classes=CLASSES)
    steps = {"plain": make(plain(), 0)} | {f"k = {k}": make(aligned(CLASSES), k) for k in counts}
    passes: list[float] = []
    network, (batch, _) = resnet18(width, CLASSES, device), random_batch(2, CLASSES, 1, device)
    seconds = timed(
        steps | {"pass": lambda: passes.append(double_backward(network, batch))}, repeats, "k classes", warm_up=1
    )
    del seconds["pass"]
    return seconds | {"double backward": passes[1:]}


def double_backward(network: nn.Module, batch: Batch) -> float:
    """Seconds of one class's double backward pass.

    Taken for itself, on a forward pass that is not timed, from the input-gradient to the parameters' gradients; less one plain
    backward pass, since the k double ones of a step share it.
    """
    assert batch.classes is not None
    assert batch.targets is not None
    classes, targets, x, mode = batch.classes, batch.targets, batch.x.detach().requires_grad_(), CheapDoubleBackward()

    def twice(logits: Tensor) -> Tensor:
        selected = functional.log_softmax(logits, dim=1).gather(1, classes).sum()
        with mode.differentiating_inputs():
            (gradients,) = torch.autograd.grad(selected, x, create_graph=True)
        return -cosine(gradients[:, None], targets).mean()

    with mode:
        logits = network(x)
    once = partial(functional.cross_entropy, target=batch.labels)
    return _backward_seconds(network, logits, twice) - _backward_seconds(network, network(batch.x), once)


def _backward_seconds(network: nn.Module, logits: Tensor, loss: Callable[[Tensor], Tensor]) -> float:
    _synchronize(logits.device)
    started = time.perf_counter()
    torch.autograd.grad(loss(logits), list(network.parameters()), allow_unused=True)
    _synchronize(logits.device)
    return time.perf_counter() - started


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    command(rows)

"""Training of a classifier on an image store, with a target store where gradients are aligned (section 3)."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pag.alignment.compiled import CompiledNetwork
from pag.alignment.gradients import GradientOf, cosine, input_gradients
from pag.base.randomness import torch_stream
from pag.data.image_store import Split, pixels
from pag.machine.memory_format import placed
from pag.machine.ranks import share
from pag.optimization.loop import OPTIMIZERS, fit
from pag.optimization.parallel import Together
from pag.optimization.prefetch import prefetched
from pag.targets.store import TargetStore
from pag.training.augmentation import Augmentation
from pag.training.modes import evaluating, train_with_statistics
from pag.training.objectives import Batch, Objective, draw_classes

__all__ = ["train_classifier"]

EVALUATION_BATCH = 256


def train_classifier(
    model: nn.Module,
    train: Split,
    validation: Split,
    objective: Objective,
    *,
    targets: TargetStore | None,
    gradient: GradientOf,
    classes_per_step: int,
    epochs: int,
    batch_size: int,
    optimizer: Mapping[str, Any],
    augmentation: Augmentation,
    seed: int,
    device: torch.device,
    description: str,
    checkpoint: Path | None = None,
    classes_shared: bool = False,
    frozen_from: float | None = None,
    compiled: bool = False,
) -> list[dict[str, float]]:
    """Trains `model` in place, by all ranks together, and leaves it in evaluation mode.

    A batch is a function of the step alone. Where targets come from the disk, or from another device than `device`, the next one is
    made while the model trains on this one.

    Args:
        model: an untrained classifier.
        train, validation: the two parts of the training set; the validation part only monitors.
        objective: what is minimised (`pag.training.objectives`).
        targets: where the target gradients g(x, c) come from, with the rows of the training set; None for a baseline.
        gradient: which gradient is aligned, for the monitor.
        classes_per_step: k of the classes that an image has targets of, drawn per image and step.
        epochs, batch_size: of the run.
        optimizer: `{"name": …, options}` of `pag.optimization.loop.OPTIMIZERS`.
        augmentation: drawn per image, applied to the image and its targets alike.
        seed: of every draw (the weights are the caller's).
        device: where to train.
        description: what the progress shows.
        checkpoint: file from which an interrupted run goes on.
        classes_shared: whether the k classes are drawn once for a whole batch.
        frozen_from: the fraction of the run from which batch norm keeps its running statistics (`pag.training.modes`); None: never.
        compiled: whether torch compiles the passes that weights learn from (`pag.alignment.compiled`): those of the objective, but
            not those of an attack, nor of the monitor.

    Returns:
        One row an epoch: `step`, `loss` and its parts, `validation_accuracy`, and with targets `validation_cosine`.

    Raises:
        InputError: `compiled` with several ranks.
    """
    placed(model, device)
    images, labels, rows = train.images.to(device), train.labels.to(device), train.rows
    steps_per_epoch = -(-len(labels) // batch_size)
    steps = epochs * steps_per_epoch
    together = Together(model)
    network = CompiledNetwork(model) if compiled else together.network

    @lru_cache(1)
    def order(epoch: int) -> Tensor:
        return torch.randperm(len(labels), generator=torch_stream(seed, "order", epoch))

    def batch_of_step(step: int) -> tuple[Batch, torch.Generator]:
        """This rank's part of the batch, and the generator for what the objective draws; draws are for the whole batch."""
        epoch, position = divmod(step, steps_per_epoch)
        index = order(epoch)[position * batch_size : (position + 1) * batch_size]
        generator, part = torch_stream(seed, "step", step), share(len(index))
        own = index[part.rows]
        x, y = pixels(images[own.to(device)]), labels[own.to(device)]
        classes = g = None
        if targets is not None:
            drawn = draw_classes(len(index), targets.classes_per_image, classes_per_step, generator, classes_shared)
            classes = targets.stored_classes(rows[own]).gather(1, drawn[part.rows])
            g, classes = targets.gather(rows[own], classes, x), classes.to(device)
        views = augmentation.draw(len(index), generator)
        if views is not None:
            views = views.of(part.rows)
            x, g = views(x), None if g is None else views(g)
        return Batch(x, y, classes, g, progress=step / steps, share=part), generator

    def loss_of_step(step: int) -> Mapping[str, Tensor]:
        batch, generator = batch_of(step)
        train_with_statistics(model, frozen=frozen_from is not None and step / steps >= frozen_from)
        assert batch.share is not None
        together.share(batch.share.total)
        return together.weighted(objective(network, batch, generator))

    options = {key: value for key, value in optimizer.items() if key != "name"}
    # On one device a thread would take its time from the step that it runs beside.
    elsewhere = targets is not None and (targets.device is None or targets.device.type != device.type)
    with prefetched(batch_of_step, steps) if elsewhere else nullcontext(batch_of_step) as batch_of:
        curves = fit(
            model, loss_of_step, OPTIMIZERS[optimizer["name"]](model.parameters(), steps, **options), steps=steps,
            report_every=steps_per_epoch, seed=seed, description=description, checkpoint=checkpoint,
            monitor=_monitor(model, validation, targets, gradient, device),
        )  # fmt: skip
    model.eval()
    return curves


def _monitor(
    model: nn.Module, validation: Split, targets: TargetStore | None, gradient: GradientOf, device: torch.device
) -> Callable[[], dict[str, float]]:
    """Measures the validation part in evaluation mode: accuracy, and the cosine of all gradients that there are targets of."""
    images, y = validation.images.to(device), validation.labels.to(device)

    def measure() -> dict[str, float]:
        with evaluating(model):
            with torch.no_grad():
                hits = [model(pixels(part)).argmax(1) for part in images.split(EVALUATION_BATCH)]
            measures = {"validation_accuracy": float((torch.cat(hits) == y).double().mean())}
            if targets is not None:
                measures["validation_cosine"] = _mean_cosine(model, images, validation.rows, targets, gradient)
        return measures

    return measure


def _mean_cosine(model: nn.Module, images: Tensor, rows: Tensor, targets: TargetStore, gradient: GradientOf) -> float:
    cosines = []
    for part, row in zip(images.split(EVALUATION_BATCH), rows.split(EVALUATION_BATCH), strict=True):
        x, classes = pixels(part), targets.stored_classes(row)
        g = targets.gather(row, classes, x)
        v, _ = input_gradients(model, x, classes.to(x.device), gradient, create_graph=False)
        cosines.append(cosine(v, g))
    return float(torch.cat(cosines).double().mean())

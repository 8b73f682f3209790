"""Training of a classifier on an image store, with a target store where gradients are aligned (section 3)."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn

from pag.alignment.gradients import cosine, input_gradients
from pag.base.errors import InputError
from pag.base.vocabulary import GradientOf
from pag.data.image_store import Split, pixels
from pag.machine.memory_format import laid_out_channels_last
from pag.networks.modes import evaluating, train_with_statistics
from pag.optimization import optimizers
from pag.optimization.loop import Curves, Run, fit
from pag.optimization.parallel import Together
from pag.optimization.prefetch import prefetched
from pag.targets.store import TargetStore
from pag.training.batches import Batches
from pag.training.network import CompiledNetwork, EagerNetwork
from pag.training.objectives import Objective
from pag.training.recipe import AlignedTargets, Generated, Recipe

__all__ = ["train_classifier"]

EVALUATION_BATCH = 256


def train_classifier(
    model: nn.Module,
    train: Split,
    validation: Split,
    objective: Objective,
    targets: AlignedTargets | None,
    recipe: Recipe,
    run: Run,
    generated: Generated | None = None,
) -> Curves:
    """Trains `model` in place, by all ranks together, and leaves it in evaluation mode.

    A batch is a function of the step alone. Where targets come from the disk, or from another device than the run's, the next batch
    is made while the model trains on this one.

    Args:
        model: an untrained classifier.
        train, validation: the two parts of the training set; the validation part only monitors.
        objective: what is minimised (`pag.training.objectives`).
        targets: the target gradients that it aligns with; None for a baseline.
        recipe: how.
        run: seed (the weights are the caller's), device, checkpoint.
        generated: images that stand in for some of each batch; None: all are of the training set.

    Returns:
        One row an epoch: `step`, `loss` and its parts, `validation_accuracy`, and with targets `validation_cosine`.

    Raises:
        InputError: passes are to be compiled, and there are several ranks; or a batch has one example, and batch norm refuses it.
        FloatingPointError: the loss, a measure or a weight is no longer finite.
    """
    laid_out_channels_last(model.to(run.device), pixels(train.images[:2]).to(run.device))
    batches = Batches(train, targets, recipe, run.seed, run.device, generated)
    together = Together(model)
    network = CompiledNetwork(model) if recipe.compiled else EagerNetwork(model, together)
    optimization = optimizers.make(model.parameters(), batches.steps, recipe.optimizer)
    monitor = _monitor(model, validation, targets, run.device)

    def loss_of_step(step: int) -> Mapping[str, Tensor]:
        batch, generator = batch_of(step)
        train_with_statistics(model, frozen=recipe.frozen_from is not None and batch.progress >= recipe.frozen_from)
        together.share(batches.size(step))
        with _told_of_single_examples(batches.size(step)):
            return together.weighted(objective(network, batch, generator))

    # On one device a thread would take its time from the step that it runs beside.
    ahead = prefetched(batches, batches.steps) if batches.from_elsewhere else nullcontext(batches)
    with ahead as batch_of:
        curves = fit(
            model,
            loss_of_step,
            optimization,
            run,
            report_every=batches.steps_per_epoch,
            monitor=monitor,
            rows=batches.rows,
        )
    model.eval()
    return curves


@contextmanager
def _told_of_single_examples(size: int) -> Iterator[None]:
    """Says what to alter where torch refuses a batch of one example, as batch norm of one value a channel."""
    try:
        yield
    except ValueError as error:
        if size > 1 or isinstance(error, InputError):
            raise
        raise InputError(
            f"training.batch_size leaves a batch of one example, which this network cannot train on ({error})."
        ) from None


def _monitor(
    model: nn.Module, validation: Split, targets: AlignedTargets | None, device: torch.device
) -> Callable[[], dict[str, float]]:
    """Measures the validation part in evaluation mode: accuracy, and the cosine of all gradients that there are targets of."""
    images, y = validation.images.to(device), validation.labels.to(device)

    def measure() -> dict[str, float]:
        with evaluating(model):
            with torch.no_grad():
                hits = [model(pixels(part)).argmax(1) for part in images.split(EVALUATION_BATCH)]
            measures = {"validation_accuracy": float((torch.cat(hits) == y).double().mean())}
            if targets is not None:
                measures["validation_cosine"] = _mean_cosine(
                    model, images, validation.rows, targets.store, targets.gradient
                )
        return measures

    return measure


def _mean_cosine(model: nn.Module, images: Tensor, rows: Tensor, targets: TargetStore, gradient: GradientOf) -> float:
    cosines = []
    for part, row in zip(images.split(EVALUATION_BATCH), rows.split(EVALUATION_BATCH), strict=True):
        x, classes = pixels(part), targets.stored_classes(row)
        g = targets.gather(row, classes, x)
        v, _ = input_gradients(model, x, classes.to(x.device), gradient)
        cosines.append(cosine(v, g))
    return float(torch.cat(cosines).double().mean())

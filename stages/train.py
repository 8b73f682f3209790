"""`train`: one classifier, a cell of the grid, by what its method minimises (`stages.objectives`: sections 2.2, 3 and 6, and what
goes beyond them), on what it learns from (`stages.training_data`).
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pag.base.errors import InputError
from pag.base.files import written_whole
from pag.base.json_files import write_json
from pag.data.image_store import ImageStore, Split, pixels
from pag.machine.capacity import require_memory
from pag.machine.ranks import first, from_first, local_size
from pag.networks.architectures import build
from pag.networks.checking import check_outputs
from pag.networks.classifier import save_classifier
from pag.optimization.curves import write_curves
from pag.optimization.loop import Run
from pag.training.augmentation import Augmentation
from pag.training.classifier import train_classifier
from pag.training.recipe import AlignedTargets, Recipe
from pag.training.validation import robust_under_apgd_t, robust_under_pgd
from stages.objectives import CountedObjective, objective_of
from stages.params.architectures import read_architecture
from stages.params.grid import read_lambda
from stages.params.methods import AlignmentOptions, describe, method_section, training_section
from stages.params.reading import Params
from stages.params.training import TrainingParams, ValidationAttackParams
from stages.paths import Cell, DatasetPaths
from stages.run import device, stage_run
from stages.training_data import learnt_from, stores_of

__all__ = ["run"]

COLUMNS = ("epoch", "loss", "cross_entropy", "cosine", "validation_accuracy", "validation_cosine")
OWN_COLUMNS = ("kl", "margin", "gradient_norm")  # of one objective alone


def run(params: Params, cell: Cell) -> Path:
    """Writes `data/<dataset>/classifiers/<cell>/`: weights, configuration, curves, validation metrics."""
    paths, method = DatasetPaths(cell.dataset), method_section(params, cell.dataset, cell.method)
    training = training_section(params, cell.dataset, cell.architecture, cell.method)
    architecture, described = read_architecture(params, cell.architecture), describe(params, cell.dataset, cell.method)
    alignment, stores = method.alignment, stores_of(cell, method, described.source)
    if alignment is None and cell.lambda_ is not None:
        raise InputError(f"--lambda is for methods that align gradients, and {cell.method} has no λ.")
    lambda_ = None if alignment is None else _lambda(params, cell)
    values = [cell.seed, training, architecture, method, described, lambda_]
    with stage_run(
        "train",
        cell.name,
        outputs=[cell.classifier],
        values=values,
        inputs=[paths.images, *stores.all],
        threads=training.threads,
        precision=training.precision,
    ) as checkpoints:
        store = ImageStore.open(paths.images)
        _require_fitting(params.dataset(cell.dataset).name, cell.method, training, alignment, store)
        from_first(lambda: _require_room(store, training.batch_size, device()))
        targets, generated = learnt_from(stores, store, cell.method, method, training.batch_size)
        torch.manual_seed(cell.seed)
        options = architecture.options
        model = build(image_shape=store.image_shape, num_classes=store.num_classes, **options)
        train, validation = store.split("train"), store.split("validation")
        _require_trainable(cell.architecture, model, train, store.num_classes)
        objective, recipe = objective_of(method, store.num_classes, lambda_), _recipe(training)
        training_run = Run(cell.seed, cell.name, device(), checkpoints / "state.pt")
        curves = train_classifier(model, train, validation, objective, targets, recipe, training_run, generated)
        if first():
            attack, shape = (
                training.validation_attack,
                {"image_shape": store.image_shape, "num_classes": store.num_classes},
            )
            robust = _validation_robustness(model, validation, attack, cell.seed)
            own = {
                "dataset": cell.dataset,
                "architecture_name": cell.architecture,
                "images": store.checksum,
                "method": described.model_dump(mode="json"),
                "lambda": lambda_,
                "seed": cell.seed,
                "targets_seed": cell.targets_seed,
                "cost": _cost(objective, targets, recipe, train),
            }
            if generated is not None:
                own["generated"] = {"images": len(generated.images.labels), "share": generated.share}
            config = {"architecture": options, **shape, "class_names": store.class_names, **own}
            _write(cell.classifier, model, config, curves, robust)
    return cell.classifier


def _write(
    destination: Path,
    model: nn.Module,
    config: Mapping[str, Any],
    curves: Sequence[Mapping[str, float]],
    robust: Mapping[str, float],
) -> None:
    """Writes the folder of a classifier; `robust` is its accuracy under attack on the validation part."""
    last = {"accuracy": curves[-1]["validation_accuracy"], "cosine": curves[-1].get("validation_cosine")}
    with written_whole(destination) as folder:
        folder.mkdir()
        save_classifier(folder, model, config)
        rows = [{"epoch": n, **row} for n, row in enumerate(curves, 1)]
        write_curves(folder / "curves.csv", [*COLUMNS, *(c for c in OWN_COLUMNS if c in rows[0])], rows)
        write_json(folder / "metrics.json", {"validation": {**last, **robust}, "loss": curves[-1]["loss"]})


def _validation_robustness(
    model: nn.Module, validation: Split, attack: ValidationAttackParams, seed: int
) -> dict[str, float]:
    """Accuracy under attack on the validation part."""
    x, labels = pixels(validation.images).to(device()), validation.labels.to(device())
    threats, apgd_t = attack.threats, attack.apgd_t
    return {
        **robust_under_pgd(model, x, labels, threats, attack.steps, seed),
        **robust_under_apgd_t(model, x, labels, threats, apgd_t.iterations, apgd_t.targets, seed),
    }


def _cost(objective: CountedObjective, targets: AlignedTargets | None, recipe: Recipe, images: Split) -> dict[str, int]:
    """What the run costs, counted in forward passes of one image."""
    per_step = objective.forwards_per_step(0 if targets is None else targets.classes_per_step)
    return {"forwards": per_step * recipe.epochs * len(images.labels)}


def _lambda(params: Params, cell: Cell) -> float:
    if cell.lambda_ is not None:
        return cell.lambda_
    return read_lambda(params, cell.dataset, cell.architecture, cell.method)


def _require_fitting(
    file: str, method: str, training: TrainingParams, alignment: AlignmentOptions | None, store: ImageStore
) -> None:
    """What of params can be judged by the images alone."""
    padding, smallest = training.augmentation.crop_padding, min(store.image_shape[1:])
    if padding >= smallest:
        raise InputError(
            f"{file}: training.augmentation.crop_padding is {padding}, and images are {smallest} pixels wide or high."
        )
    if alignment is not None and alignment.classes_per_step > store.num_classes:
        raise InputError(
            f"{file}: methods.{method} aligns {alignment.classes_per_step} classes a step (classes_per_step), and the images have "
            f"{store.num_classes}."
        )


def _require_trainable(architecture: str, model: nn.Module, images: Split, num_classes: int) -> None:
    """What only a network that is built can tell: one's own may be no classifier of these images."""
    name = f"architectures.{architecture}"
    check_outputs(name, model, pixels(images.images[:2]), num_classes)
    if not any(weight.requires_grad for weight in model.parameters()):
        raise InputError(f"{name} has no weights to train.")


def _require_room(store: ImageStore, batch_size: int, device: torch.device) -> None:
    """For the training set, a byte a value, and a batch in float32 with its gradient, on the device.

    The ranks of a host share its memory, and each has a GPU.
    """
    rows = store.num_training + 8 * min(batch_size, store.num_training)
    size = rows * math.prod(store.image_shape)
    require_memory(size if device.type == "cuda" else size * local_size(), device, "training.batch_size")


def _recipe(training: TrainingParams) -> Recipe:
    augmentation, optimizer = Augmentation(**training.augmentation.model_dump()), training.optimizer.model_dump()
    frozen_from = training.batch_norm.frozen_from
    return Recipe(training.epochs, training.batch_size, optimizer, augmentation, frozen_from, training.compiled)

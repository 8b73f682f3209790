"""`train`: one classifier, a cell of the grid, by cross-entropy, adversarial training or TRADES (sections 2.2 and 6), with
gradient alignment (section 3) or without it.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pag.attacks.pgd import PGD, Loss, step_size
from pag.attacks.threats import Threat
from pag.base.errors import InputError
from pag.base.files import written_whole
from pag.base.json_files import write_json
from pag.base.randomness import torch_stream
from pag.data.image_store import ImageStore, Split, pixels
from pag.machine.capacity import require_memory
from pag.machine.ranks import first, from_first, local_size
from pag.networks.architectures import build
from pag.networks.classifier import save_classifier
from pag.optimization.curves import write_curves
from pag.optimization.loop import Run
from pag.targets.kinds import open_targets
from pag.targets.store import Origin
from pag.training.augmentation import Augmentation
from pag.training.classifier import train_classifier
from pag.training.objectives import AdversarialTraining, Alignment, BaseObjective, CrossEntropy, Objective, Ramp, Trades
from pag.training.recipe import AlignedTargets, Recipe
from stages.params.architectures import read_architecture
from stages.params.grid import read_lambda
from stages.params.methods import (
    AdversarialParams,
    AlignmentOptions,
    MethodSections,
    TradesParams,
    describe,
    method_section,
    training_section,
)
from stages.params.reading import Params
from stages.params.training import TrainingParams, ValidationAttackParams
from stages.paths import Cell, DatasetPaths
from stages.run import device, stage_run

__all__ = ["run"]

LOSSES: tuple[Loss, ...] = ("cross_entropy", "margin")
COLUMNS = ("epoch", "loss", "cross_entropy", "cosine", "validation_accuracy", "validation_cosine")
OWN_COLUMNS = ("kl",)  # of one objective alone


def run(params: Params, cell: Cell) -> None:
    """Writes `data/<dataset>/classifiers/<cell>/`: weights, configuration, curves, validation metrics."""
    paths, method = DatasetPaths(cell.dataset), method_section(params, cell.dataset, cell.method)
    training = training_section(params, cell.dataset, cell.architecture, cell.method)
    architecture, described = read_architecture(params, cell.architecture), describe(params, cell.dataset, cell.method)
    alignment, target_store = method.alignment, _target_store(paths, cell, described.source)
    if alignment is None and cell.lambda_ is not None:
        raise InputError(f"--lambda is for methods that align gradients, and {cell.method} has no λ.")
    lambda_ = None if alignment is None else _lambda(params, cell)
    inputs = [paths.images, *([] if target_store is None else [target_store])]
    values = [cell.seed, training, architecture, method, described, lambda_]
    with stage_run(
        "train",
        cell.name,
        outputs=[cell.classifier],
        values=values,
        inputs=inputs,
        threads=training.threads,
        precision=training.precision,
    ) as checkpoints:
        store = ImageStore.open(paths.images)
        _require_fitting(params.dataset(cell.dataset).name, cell.method, training, alignment, store)
        from_first(lambda: _require_room(store, training.batch_size, device()))
        targets = None if target_store is None or alignment is None else _targets(target_store, store, alignment)
        torch.manual_seed(cell.seed)
        options = architecture.options
        model = build(image_shape=store.image_shape, num_classes=store.num_classes, **options)
        train, validation = store.split("train"), store.split("validation")
        objective = _objective(method, store.num_classes, lambda_)
        training_run = Run(cell.seed, cell.name, device(), checkpoints / "state.pt")
        curves = train_classifier(model, train, validation, objective, targets, _recipe(training), training_run)
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
            }
            config = {"architecture": options, **shape, "class_names": store.class_names, **own}
            _write(cell.classifier, model, config, curves, robust)


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
    """Accuracy under PGD on the validation part: hyperparameters are chosen by it, never on the test set.

    An example counts as robust if neither PGD on the cross-entropy nor PGD on the margin fools the model.
    """
    x, labels = pixels(validation.images).to(device()), validation.labels.to(device())
    accuracies = {}
    for norm, eps in attack.threats.items():
        robust = torch.ones_like(labels, dtype=torch.bool)
        for loss in LOSSES:
            step = step_size(2.5, eps, attack.steps)
            pgd = PGD(Threat(norm, eps), attack.steps, step, random_start=True, loss=loss)
            x_adv = pgd(model, x, labels, torch_stream(seed, f"validation {norm} {loss}"))
            with torch.no_grad():
                robust &= model(x_adv).argmax(1) == labels
        accuracies[f"pgd_{norm}"] = float(robust.double().mean())
    return accuracies


def _target_store(paths: DatasetPaths, cell: Cell, source: str | None) -> Path | None:
    """What a cell learns from beside the images; None for a method without targets."""
    if source is None and cell.targets_seed is not None:
        raise InputError(f"--targets-seed is for methods that read targets, and {cell.method} reads none.")
    if source is None:
        return None
    if cell.targets_seed is None:
        raise InputError(f"{cell.method} reads targets, and no seed of theirs is given.")
    return paths.targets(source, cell.targets_seed)


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


def _require_room(store: ImageStore, batch_size: int, device: torch.device) -> None:
    """For the training set, a byte a value, and a batch in float32 with its gradient, on the device.

    The ranks of a host share its memory, and each has a GPU.
    """
    rows = store.num_training + 8 * min(batch_size, store.num_training)
    size = rows * math.prod(store.image_shape)
    require_memory(size if device.type == "cuda" else size * local_size(), device, "training.batch_size")


def _targets(path: Path, store: ImageStore, alignment: AlignmentOptions) -> AlignedTargets:
    targets = open_targets(path, device=device())
    origin = Origin(store.checksum, "train")
    targets.check_matches(store.num_training, store.num_classes, store.image_shape, origin)
    return AlignedTargets(targets, alignment.gradient, alignment.classes_per_step, alignment.classes_shared)


def _recipe(training: TrainingParams) -> Recipe:
    augmentation, optimizer = Augmentation(**training.augmentation.model_dump()), training.optimizer.model_dump()
    frozen_from = training.batch_norm.frozen_from
    return Recipe(training.epochs, training.batch_size, optimizer, augmentation, frozen_from, training.compiled)


def _objective(method: MethodSections, num_classes: int, lambda_: float | None) -> Objective:
    alignment = method.alignment
    if alignment is None:
        return _base(method)
    assert lambda_ is not None
    ramp, scale = _ramp(alignment), alignment.classes_scale
    return Alignment(lambda_, num_classes, alignment.gradient, _base(method), ramp, scale)


def _base(method: MethodSections) -> BaseObjective:
    """What is minimised beside the alignment, if any."""
    if isinstance(method, AdversarialParams):
        return AdversarialTraining(PGD(Threat(method.norm, method.eps), method.steps, _step(method), random_start=True))
    if isinstance(method, TradesParams):
        threat, start_std = Threat(method.norm, method.eps), method.start_std
        attack = PGD(threat, method.steps, _step(method), random_start=True, loss="kl", start_std=start_std)
        return Trades(attack, method.beta)
    return CrossEntropy()


def _step(method: AdversarialParams | TradesParams) -> float:
    """α of an attack in training, given as it is or in units of ε / steps."""
    if method.step_size is not None:
        return method.step_size
    assert method.relative_step is not None
    return step_size(method.relative_step, method.eps, method.steps)


def _ramp(alignment: AlignmentOptions) -> Ramp | None:
    return None if alignment.ramp is None else Ramp(alignment.ramp.until, alignment.ramp.factor)

"""What a cell of the grid learns from beside the training images: target gradients, generated images, and targets of these."""

from dataclasses import dataclass
from pathlib import Path

import torch

from pag.base.errors import InputError
from pag.data.generated_store import GeneratedImages
from pag.data.image_store import ImageStore, Split
from pag.targets.joined_store import JoinedTargets
from pag.targets.kinds import open_targets
from pag.targets.relative import OwnClass
from pag.targets.store import Origin, TargetStore
from pag.training.recipe import AlignedTargets, Generated
from stages.params.methods import AlignedMarginParams, MethodSections
from stages.params.training import MixedParams
from stages.paths import Cell, DatasetPaths
from stages.run import device

__all__ = ["Stores", "learnt_from", "stores_of"]


@dataclass(frozen=True)
class Stores:
    """Where that lies which a cell learns from beside the images: target gradients, generated images, and targets of these."""

    targets: Path | None = None
    generated: Path | None = None
    generated_targets: Path | None = None

    @property
    def all(self) -> list[Path]:
        """Those that there are."""
        return [path for path in (self.targets, self.generated, self.generated_targets) if path is not None]


def stores_of(cell: Cell, method: MethodSections, source: str | None) -> Stores:
    """What a cell learns from beside the images; nothing, of a method without targets or generated images."""
    paths = DatasetPaths(cell.dataset)
    seed, mixed = cell.targets_seed, method.training.generated is not None
    if source is None and not mixed:
        if seed is not None:
            raise InputError(f"--targets-seed is for methods that read targets, and {cell.method} reads none.")
        return Stores()
    if seed is None:
        raise InputError(f"{cell.method} reads targets, and no seed of theirs is given.")
    return Stores(
        None if source is None else paths.targets(source, seed),
        paths.generated(seed) if mixed else None,
        paths.generated_targets(source, seed) if mixed and source is not None else None,
    )


def learnt_from(
    stores: Stores, images: ImageStore, name: str, method: MethodSections, batch_size: int
) -> tuple[AlignedTargets | None, Generated | None]:
    """The targets and the generated images that a method learns from, of each those that it has."""
    generated = None if stores.generated is None else GeneratedImages.read(stores.generated)
    if generated is not None:
        generated.check_matches(images)
    targets = None if stores.targets is None else _targets(stores, images, generated, method)
    mixed = method.training.generated
    return (
        None if targets is None else _aligned(targets, name, method),
        None if generated is None or mixed is None else _mixed(generated, mixed, images, batch_size),
    )


def _targets(
    stores: Stores, images: ImageStore, generated: GeneratedImages | None, method: MethodSections
) -> TargetStore:
    """The targets of the training set, with those of the generated images behind them."""
    assert stores.targets is not None
    assert method.alignment is not None
    targets, labels = open_targets(stores.targets, device=device()), images.all_training().labels
    origin = Origin(images.checksum, "train")
    targets.check_matches(images.num_training, images.num_classes, images.image_shape, origin)
    if generated is not None and stores.generated_targets is not None:
        added, num_added = open_targets(stores.generated_targets, device=device()), len(generated.split.labels)
        origin = Origin(generated.checksum, "generated")
        added.check_matches(num_added, images.num_classes, images.image_shape, origin)
        targets = JoinedTargets(targets, images.num_training, added, num_added)
        labels = torch.cat([labels, generated.split.labels])
    return targets if method.alignment.relative_to is None else OwnClass(targets, labels)


def _aligned(targets: TargetStore, name: str, method: MethodSections) -> AlignedTargets:
    alignment = method.alignment
    assert alignment is not None
    k, by_prediction = alignment.classes_per_step, isinstance(method, AlignedMarginParams)
    if by_prediction and k >= targets.classes_per_image:
        raise InputError(
            f"methods.{name} draws {k} classes other than an image's own a step (classes_per_step), and {targets.path} has "
            f"targets of {targets.classes_per_image} classes an image, its own perhaps among them."
        )
    return AlignedTargets(targets, alignment.gradient, k, alignment.classes_shared, by_prediction)


def _mixed(generated: GeneratedImages, mixed: MixedParams, images: ImageStore, batch_size: int) -> Generated:
    """Generated images whose rows come after those of the training set."""
    part = generated.split
    shifted = Generated(Split(part.images, part.labels, images.num_training + part.rows), mixed.share)
    count = shifted.count(batch_size)
    if count in (0, batch_size):
        what = "no generated image" if count == 0 else "no real image"
        raise InputError(f"training.generated.share is {mixed.share:g}, and a batch of {batch_size} has {what} then.")
    return shifted

"""`score_targets`: score-based target gradients (section 4.2) at the training images, in shards, which the ranks share out.

`--split test` writes those at the test images, a reference that `evaluate` alone reads, to measure how aligned a classifier is;
`generated_targets` has those at generated images from here.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import save_file
from torch import Tensor

from pag.base.errors import InputError
from pag.base.files import written_whole
from pag.data.generated_store import GeneratedImages
from pag.data.image_store import ImageStore, Split, pixels
from pag.diffusion.model import load_diffusion
from pag.machine.ranks import first
from pag.targets.score_based import image_classes, score_based_gradients
from pag.targets.store import Origin
from pag.targets.writing import Layout, write_gradients
from stages.params.diffusion import DiffusionParams
from stages.params.evaluation import ReferenceParams
from stages.params.figures import FiguresParams
from stages.params.reading import Params
from stages.params.targets import DistilledParams, ScoreBasedParams
from stages.paths import DatasetPaths
from stages.run import device, stage_run

__all__ = ["SOURCE", "run"]

SOURCE = "score_based"
REFERENCE_SHARD = 1024

Distiller = partial[Tensor]  # (pixels, rows, timestep=…, classes=…) → gradients (N, m, ch, H, W)


def run(params: Params, dataset: str, split: Literal["train", "test", "generated"], seed: int) -> Path:
    """Writes `data/<dataset>/targets/<seed>/score_based.zarr` and the examples of figure 8, `test_targets.zarr`, or
    `generated_targets/<seed>/score_based.zarr`.

    The seed is of the diffusion model that they are taken from, and of the noise.
    """
    match split:
        case "train":
            return _train_targets(params, dataset, seed)
        case "test":
            return _test_targets(params, dataset, seed)
        case "generated":
            return _generated_targets(params, dataset, seed)


def _train_targets(params: Params, dataset: str, seed: int) -> Path:
    paths, file = DatasetPaths(dataset), params.dataset(dataset)
    target, figures = file.read(f"targets.{SOURCE}", ScoreBasedParams), file.read("figures", FiguresParams)
    diffusion, values = file.read("diffusion", DiffusionParams), [seed, target, figures]
    destination, examples = paths.targets(SOURCE, seed), paths.target_examples(seed)
    with _stage_run(f"{dataset}-{seed}", paths, seed, [destination, examples], diffusion, values) as checkpoints:
        store = ImageStore.open(paths.images)
        distill = _distiller(paths, store, "train", target, seed)
        size = target.shard_size
        _write(destination, store.all_training(), store, distill, target, size, checkpoints)
        if first():
            with written_whole(examples) as partial_file:
                save_file(_by_timestep(distill, store.split("train"), figures), partial_file)
    return destination


def _test_targets(params: Params, dataset: str, seed: int) -> Path:
    paths, file = DatasetPaths(dataset), params.dataset(dataset)
    reference = file.read("evaluation.alignment", ReferenceParams)
    diffusion, values = file.read("diffusion", DiffusionParams), [seed, reference]
    with _stage_run(f"{dataset}-test", paths, seed, [paths.test_targets], diffusion, values) as checkpoints:
        store = ImageStore.open(paths.images)
        distill = _distiller(paths, store, "test", reference, seed)
        size = REFERENCE_SHARD
        _write(paths.test_targets, store.split("test"), store, distill, reference, size, checkpoints)
    return paths.test_targets


def _generated_targets(params: Params, dataset: str, seed: int) -> Path:
    paths, file = DatasetPaths(dataset), params.dataset(dataset)
    target, diffusion = file.read(f"targets.{SOURCE}", ScoreBasedParams), file.read("diffusion", DiffusionParams)
    values, destination, images = [seed, target], paths.generated_targets(SOURCE, seed), paths.generated(seed)
    cell = f"{dataset}-{seed}-generated"
    with _stage_run(cell, paths, seed, [destination], diffusion, values, images) as checkpoints:
        store, generated = ImageStore.open(paths.images), GeneratedImages.read(images)
        generated.check_matches(store)
        distill = _distiller(paths, store, "generated", target, seed)
        _write(destination, generated.split, generated, distill, target, target.shard_size, checkpoints)
    return destination


def _stage_run(
    cell: str,
    paths: DatasetPaths,
    seed: int,
    outputs: Sequence[Path],
    diffusion: DiffusionParams,
    values: Sequence[object],
    *inputs: Path,
) -> AbstractContextManager[Path]:
    """With the threads and the precision of the diffusion model's training; `inputs` are read beside the images and the model."""
    return stage_run(
        "score_targets",
        cell,
        outputs=outputs,
        values=[*values, diffusion.precision],
        inputs=[paths.images, paths.diffusion(seed), *inputs],
        threads=diffusion.threads,
        precision=diffusion.precision,
    )


def _distiller(
    paths: DatasetPaths,
    images: ImageStore,
    split: Literal["train", "test", "generated"],
    how: DistilledParams,
    seed: int,
) -> Distiller:
    folder = paths.diffusion(seed)
    model = load_diffusion(folder, device())
    model.config.check_matches(folder, images.num_classes, images.image_shape[0], how.timestep)
    if how.compiled:
        model.network.compile(dynamic=False)
    return partial(score_based_gradients, model, split=split, timestep=how.timestep, draws=how.draws, seed=seed)


def _write(
    destination: Path,
    part: Split,
    store: ImageStore | GeneratedImages,
    distill: Distiller,
    how: DistilledParams,
    shard_size: int,
    kept: Path,
) -> None:
    """A store of the gradients at the images of `part`."""
    classes = _classes(part, store.num_classes, distill, how)
    layout = Layout(
        (*classes.shape, *part.images.shape[1:]),
        shard_size,
        f"targets.{SOURCE}.shard_size",
        how.dtype,
        None if how.classes_per_image is None else classes.numpy(),
        store.num_classes,
        Origin(store.checksum, distill.keywords["split"]),
    )

    def compute(index: Tensor) -> Tensor:
        return distill(pixels(part.images[index]), part.rows[index], classes=classes[index])

    write_gradients(destination, layout, compute, kept)


def _classes(part: Split, num_classes: int, distill: Distiller, how: DistilledParams) -> Tensor:
    """Towards which classes each image has gradients, `(N, m)`."""
    if how.classes_per_image is None:
        return torch.arange(num_classes).expand(len(part.rows), -1)
    if how.classes_per_image > num_classes:
        raise InputError(f"classes_per_image is {how.classes_per_image}, and there are {num_classes} classes.")
    given = distill.keywords
    return image_classes(given["seed"], given["split"], part.rows, num_classes, how.classes_per_image)


def _by_timestep(distill: Distiller, train: Split, figures: FiguresParams) -> dict[str, Tensor]:
    """Gradients of the first training image of each of the first classes at several t (figure 8)."""
    first = train.first_of_classes(figures.images)
    x, rows = pixels(train.images[first]), train.rows[first]
    g = torch.stack([distill(x, rows, timestep=t) for t in figures.timesteps])
    timesteps = torch.tensor(figures.timesteps)
    return {"images": x, "labels": train.labels[first], "timesteps": timesteps, "by_timestep": g}

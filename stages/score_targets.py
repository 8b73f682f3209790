"""`score_targets`: score-based target gradients (section 4.2) at the training images, in shards, which the ranks share out.

`--split test` writes those at the test images, a reference that `evaluate` alone reads, to measure how aligned a classifier is.
"""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import save_file
from torch import Tensor

from pag.base.errors import InputError
from pag.base.files import naming, put_copy, written_whole
from pag.data.image_store import ImageStore, Split, pixels
from pag.data.zarr_store import drop_partial_chunks
from pag.diffusion.model import load_diffusion
from pag.machine.capacity import one_disk, require_disk, require_memory
from pag.machine.progress import progress
from pag.machine.ranks import barrier, deal, first, from_first, local_size
from pag.targets.gradient_store import create_gradients, shard_rows, write_shard
from pag.targets.score_based import image_classes, score_based_gradients
from pag.targets.store import Origin
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
INDEX = 16  # bytes of each row of a shard, there or not, in its index
SHARD_COPIES = 4  # of a shard in float32 in memory at once, at most: its parts, their sum, and what it is stored as

Distiller = partial[Tensor]  # (pixels, rows, timestep=…, classes=…) → gradients (N, m, ch, H, W)


def run(params: Params, dataset: str, split: Literal["train", "test"], seed: int) -> None:
    """Writes `data/<dataset>/targets/<seed>/score_based.zarr` and the examples of figure 8, or `test_targets.zarr`.

    The seed is of the diffusion model that they are taken from, and of the noise.
    """
    if split == "train":
        _train_targets(params, dataset, seed)
    else:
        _test_targets(params, dataset, seed)


def _train_targets(params: Params, dataset: str, seed: int) -> None:
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


def _test_targets(params: Params, dataset: str, seed: int) -> None:
    paths, file = DatasetPaths(dataset), params.dataset(dataset)
    reference = file.read("evaluation.alignment", ReferenceParams)
    diffusion, values = file.read("diffusion", DiffusionParams), [seed, reference]
    with _stage_run(f"{dataset}-test", paths, seed, [paths.test_targets], diffusion, values) as checkpoints:
        store = ImageStore.open(paths.images)
        distill = _distiller(paths, store, "test", reference, seed)
        size = REFERENCE_SHARD
        _write(paths.test_targets, store.split("test"), store, distill, reference, size, checkpoints)


def _stage_run(
    cell: str,
    paths: DatasetPaths,
    seed: int,
    outputs: Sequence[Path],
    diffusion: DiffusionParams,
    values: Sequence[object],
) -> AbstractContextManager[Path]:
    """With the threads and the precision of the diffusion model's training."""
    return stage_run(
        "score_targets",
        cell,
        outputs=outputs,
        values=[*values, diffusion.precision],
        inputs=[paths.images, paths.diffusion(seed)],
        threads=diffusion.threads,
        precision=diffusion.precision,
    )


def _distiller(
    paths: DatasetPaths, images: ImageStore, split: Literal["train", "test"], how: DistilledParams, seed: int
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
    store: ImageStore,
    distill: Distiller,
    how: DistilledParams,
    shard_size: int,
    kept: Path,
) -> None:
    """Fills a store under `kept`, each rank its shards of those that an earlier run left, then puts a copy in its place.

    The store stays under `kept` until the stage has ended: a run that is interrupted after this one finds it finished.
    """
    unfinished, shards = kept / "store.zarr", shard_rows(len(part.rows), shard_size)
    classes = _classes(part, store.num_classes, distill, how)
    origin = Origin(store.checksum, distill.keywords["split"])
    shape = (*classes.shape, *part.images.shape[1:])

    def left() -> list[int]:
        missing = [number for number in range(len(shards)) if not _done(kept, number).exists()]
        _require_room(shape, how, [len(shards[number]) for number in missing], kept, destination)
        require_memory(2 * INDEX * shard_size, key="targets.score_based.shard_size")
        if not unfinished.exists():
            chosen = None if how.classes_per_image is None else classes.numpy()
            with written_whole(unfinished) as partial_store:
                create_gradients(partial_store, shape, shard_size, how.dtype, chosen, store.num_classes, origin)
        drop_partial_chunks(unfinished)
        return missing

    mine = deal(from_first(left))
    with progress(destination.name, sum(len(shards[number]) for number in mine)) as meter:
        for number in mine:
            index = torch.tensor(shards[number])
            g = distill(pixels(part.images[index]), part.rows[index], classes=classes[index])
            with naming(unfinished):
                write_shard(unfinished, number, g.numpy())
            _done(kept, number).touch()
            meter.advance(len(index))
    barrier()
    if first():
        put_copy(unfinished, destination)


def _classes(part: Split, num_classes: int, distill: Distiller, how: DistilledParams) -> Tensor:
    """Towards which classes each image has gradients, `(N, m)`."""
    if how.classes_per_image is None:
        return torch.arange(num_classes).expand(len(part.rows), -1)
    if how.classes_per_image > num_classes:
        raise InputError(f"classes_per_image is {how.classes_per_image}, and there are {num_classes} classes.")
    given = distill.keywords
    return image_classes(given["seed"], given["split"], part.rows, num_classes, how.classes_per_image)


def _require_room(
    shape: tuple[int, ...], how: DistilledParams, images: Sequence[int], kept: Path, destination: Path
) -> None:
    """On the disk for shards of so many images, of gradients `(N, m, ch, H, W)` in all; in memory for those that ranks work on."""
    values = math.prod(shape[1:])
    size = values * (2 if how.dtype == "float16" else 1)
    copied = 0 if one_disk(kept, destination) else shape[0]  # where there are no hard links
    require_disk({kept: sum(images) * size, destination: copied * size})
    require_memory(
        SHARD_COPIES * 4 * max(images, default=0) * values * local_size(), key="targets.score_based.shard_size"
    )


def _done(kept: Path, shard: int) -> Path:
    return kept / f"shard-{shard}.done"


def _by_timestep(distill: Distiller, train: Split, figures: FiguresParams) -> dict[str, Tensor]:
    """Gradients of the first training image of each of the first classes at several t (figure 8)."""
    first = train.first_of_classes(figures.images)
    x, rows = pixels(train.images[first]), train.rows[first]
    g = torch.stack([distill(x, rows, timestep=t) for t in figures.timesteps])
    timesteps = torch.tensor(figures.timesteps)
    return {"images": x, "labels": train.labels[first], "timesteps": timesteps, "by_timestep": g}

"""`heuristic_targets`: class representatives (section 4.1) and kernel densities of the training part; no network is asked.

`generated_targets` has the targets of generated images from here: of other queries, with the same representatives.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np

from pag.base.errors import InputError
from pag.base.files import written_whole
from pag.data.generated_store import GeneratedImages
from pag.data.image_store import ImageStore, Split
from pag.machine.ranks import first, gather, part
from pag.networks.families import named_callable
from pag.targets.heuristic_store import write_nearest, write_representatives
from pag.targets.kernel_targets import Kernel, KernelTargets
from pag.targets.own import OwnTargets
from pag.targets.representatives import class_mean, nearest_neighbor, one_image
from pag.targets.store import Origin
from stages.digests import of_module
from stages.params.reading import Params
from stages.params.targets import (
    TARGET,
    ClassMeanParams,
    KernelParams,
    NearestNeighborParams,
    OneImageParams,
    OwnTargetParams,
)
from stages.paths import DatasetPaths
from stages.run import device, stage_run

__all__ = ["run"]

MADE_BY = {
    "score_based": "`pag score-targets` asks the diffusion model",
    "teacher": "`pag teacher-targets` asks the classifier",
    "imported": "`pag import targets` takes in what others made",
}


def run(params: Params, dataset: str, source: str, seed: int, split: Literal["train", "generated"] = "train") -> Path:
    """Writes `data/<dataset>/targets/<seed>/<source>.zarr` or `generated_targets/<seed>/<source>.zarr`.

    Args:
        params: with the section of the data set.
        dataset: whose images.
        source: a heuristic section of the data set's `targets`.
        seed: of what is drawn, and of the generated images.
        split: of which images there are targets.
    """
    paths, target = DatasetPaths(dataset), params.dataset(dataset).read(f"targets.{source}", TARGET)
    if not isinstance(
        target, OneImageParams | ClassMeanParams | NearestNeighborParams | KernelParams | OwnTargetParams
    ):
        raise InputError(f"{source} is no heuristic: {MADE_BY[target.source]}.")
    of_generated, cell = split == "generated", f"{dataset}-{source}-{seed}"
    destination = paths.generated_targets(source, seed) if of_generated else paths.targets(source, seed)
    inputs = [paths.images, *([paths.generated(seed)] if of_generated else [])]
    with stage_run(
        "heuristic_targets",
        f"{cell}-{split}" if of_generated else cell,
        outputs=[destination],
        values=[seed, target, *([of_module(target.function)] if isinstance(target, OwnTargetParams) else [])],
        inputs=inputs,
    ) as kept:
        store = ImageStore.open(paths.images)
        queries, origin = _generated(paths.generated(seed), store) if of_generated else _training(store)
        if isinstance(target, KernelParams):
            _write_kernel(destination, store, queries, origin, target, seed, kept)
            return destination
        if isinstance(target, OwnTargetParams):
            key = f"targets.{source}"
            function = named_callable(target.function, f"{key}.function")
            own = OwnTargets(target.function, function, target.options, store.split("train"), store.num_classes, seed)
            own.write(destination, queries, origin, target.dtype, target.shard_size, f"{key}.shard_size", kept)
            return destination
        write = _writer(store, queries, origin, target, seed)
        if first():
            with written_whole(destination) as partial:
                write(partial)
    return destination


def _training(store: ImageStore) -> tuple[Split, Origin]:
    """All training rows, the validation part's too, and what targets at them are made from."""
    return store.all_training(), Origin(store.checksum, "train")


def _generated(path: Path, store: ImageStore) -> tuple[Split, Origin]:
    """The same of the generated images."""
    generated = GeneratedImages.read(path)
    generated.check_matches(store)
    return generated.split, Origin(generated.checksum, "generated")


def _write_kernel(
    destination: Path, store: ImageStore, queries: Split, origin: Origin, target: KernelParams, seed: int, kept: Path
) -> None:
    """Writes kernel targets, and says with which σ, and what was cut."""
    kernel = Kernel(None if target.sigma == "auto" else target.sigma, target.components)
    targets = KernelTargets(store, queries, origin, kernel, target.relative_to, seed, device())
    key, told = f"targets.{destination.stem}", f"{destination.name}: sigma is {targets.sigma:.4g}"
    if target.neighbors is None:
        targets.write_gradients(destination, target.dtype, target.shard_size, f"{key}.shard_size", kept)
    else:
        cut = targets.write_neighbors(destination, target.neighbors, f"{key}.neighbors")
        told += f"; {target.neighbors} neighbours leave out {cut['mean']:.2%} of the weight, {cut['max']:.2%} at most"
    if first():
        print(f"{told}.")


def _writer(
    store: ImageStore,
    every: Split,
    origin: Origin,
    target: OneImageParams | ClassMeanParams | NearestNeighborParams,
    seed: int,
) -> Callable[[Path], None]:
    """Computes the targets at the images of `every`, and gives what writes them.

    Representatives come from the training part alone.
    """
    train, of_all = store.split("train"), every.labels.numpy()
    images, labels, classes = _channels_last(train.images.numpy()), train.labels.numpy(), store.num_classes
    if isinstance(target, NearestNeighborParams):
        queries = _channels_last(every.images[part(len(every.rows))].numpy())
        pool, nearest = nearest_neighbor(images, labels, queries, classes, target.pool_per_class, seed)
        nearest = np.concatenate(gather(nearest))
        return lambda path: write_nearest(path, pool, nearest, target.relative_to, of_all, origin)
    if isinstance(target, OneImageParams):
        representatives = one_image(images, labels, classes, target.choice, seed)
    else:
        representatives = class_mean(images, labels, classes, target.scale)
    return lambda path: write_representatives(path, representatives, target.relative_to, of_all, origin)


def _channels_last(images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1))

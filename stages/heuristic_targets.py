"""`heuristic_targets`: class representatives (section 4.1) and kernel densities of the training part; no network is asked."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from pag.base.errors import InputError
from pag.base.files import written_whole
from pag.data.image_store import ImageStore
from pag.machine.ranks import first, gather, part
from pag.targets.heuristic_store import write_nearest, write_representatives
from pag.targets.kernel_targets import Kernel, KernelTargets
from pag.targets.representatives import class_mean, nearest_neighbor, one_image
from pag.targets.store import Origin
from stages.params.reading import Params
from stages.params.targets import (
    TARGET,
    ClassMeanParams,
    KernelParams,
    NearestNeighborParams,
    OneImageParams,
)
from stages.paths import DatasetPaths
from stages.run import device, stage_run

__all__ = ["run"]

MADE_BY = {
    "score_based": "`pag score-targets` asks the diffusion model",
    "teacher": "`pag teacher-targets` asks the classifier",
    "imported": "`pag import targets` takes in what others made",
}


def run(params: Params, dataset: str, source: str) -> None:
    """Writes `data/<dataset>/targets/<source>.zarr`; `source` names a heuristic section of the data set's `targets`."""
    paths, target = DatasetPaths(dataset), params.dataset(dataset).read(f"targets.{source}", TARGET)
    if not isinstance(target, OneImageParams | ClassMeanParams | NearestNeighborParams | KernelParams):
        raise InputError(f"{source} is no heuristic: {MADE_BY[target.source]}.")
    destination = paths.targets(source)
    values, inputs = [params.seed, target], [paths.images]
    with stage_run(
        "heuristic_targets", f"{dataset}-{source}", outputs=[destination], values=values, inputs=inputs
    ) as kept:
        store = ImageStore.open(paths.images)
        if isinstance(target, KernelParams):
            _write_kernel(destination, store, target, params.seed, kept)
            return
        write = _writer(store, target, params.seed)
        if first():
            with written_whole(destination) as partial:
                write(partial)


def _write_kernel(destination: Path, store: ImageStore, target: KernelParams, seed: int, kept: Path) -> None:
    """Writes kernel targets, and says with which σ, and what was cut."""
    kernel = Kernel(None if target.sigma == "auto" else target.sigma, target.components)
    targets, key = KernelTargets(store, kernel, target.relative_to, seed, device()), f"targets.{destination.stem}"
    told = f"{destination.name}: sigma is {targets.sigma:.4g}"
    if target.neighbors is None:
        targets.write_gradients(destination, target.dtype, target.shard_size, f"{key}.shard_size", kept)
    else:
        cut = targets.write_neighbors(destination, target.neighbors, f"{key}.neighbors")
        told += f"; {target.neighbors} neighbours leave out {cut['mean']:.2%} of the weight, {cut['max']:.2%} at most"
    if first():
        print(f"{told}.")


def _writer(
    store: ImageStore, target: OneImageParams | ClassMeanParams | NearestNeighborParams, seed: int
) -> Callable[[Path], None]:
    """Computes the targets, and gives what writes them.

    Representatives come from the training part alone; queries are all training rows, the validation part's too.
    """
    train, every = store.split("train"), store.all_training()
    images, labels, classes = _channels_last(train.images.numpy()), train.labels.numpy(), store.num_classes
    of_all, origin = every.labels.numpy(), Origin(store.checksum, "train")
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

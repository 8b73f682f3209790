"""`heuristic_targets`: class representatives (section 4.1) of the training part, in kilobytes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from pag.base.errors import InputError
from pag.base.files import written_whole
from pag.data.image_store import ImageStore
from pag.machine.ranks import first, gather, part
from pag.targets.heuristic_store import write_nearest, write_representatives
from pag.targets.representatives import class_mean, nearest_neighbor, one_image
from pag.targets.store import Origin
from stages.params.reading import Params
from stages.params.targets import TARGET, HeuristicParams, NearestNeighborParams, OneImageParams
from stages.paths import DatasetPaths
from stages.run import stage_run

__all__ = ["run"]


def run(params: Params, dataset: str, source: str, seed: int) -> None:
    """Writes `data/<dataset>/targets/<seed>/<source>.zarr`; `source` names a heuristic section of the data set's `targets`."""
    paths, target = DatasetPaths(dataset), params.dataset(dataset).read(f"targets.{source}", TARGET)
    if not isinstance(target, HeuristicParams):
        raise InputError(f"{source} needs the diffusion model: `pag score-targets` makes it.")
    destination = paths.targets(source, seed)
    with stage_run("heuristic_targets", f"{dataset}-{source}-{seed}", outputs=[destination]):
        write = _writer(ImageStore.open(paths.images), target, seed)
        if first():
            with written_whole(destination) as partial:
                write(partial)


def _writer(store: ImageStore, target: HeuristicParams, seed: int) -> Callable[[Path], None]:
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
